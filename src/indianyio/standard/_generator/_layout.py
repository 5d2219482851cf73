"""Python source as the formatter would lay it out, so that what is written need not be formatted."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

__all__ = ["call", "comment", "docstring", "literal"]

_WIDTH = 116  # line-length in pyproject.toml
_INDENT = "    "


def literal(value: float | str | bool | Sequence[str]) -> str:
    """Return a value as Python source: strings in double quotes, whole numbers without a point."""
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return repr(int(value)) if float(value).is_integer() else repr(value)
    return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"


def call(head: str, arguments: Sequence[str], tail: str = ")", *, indent: int = 0) -> list[str]:
    """Return the lines of a call, or of the head of a class: on one line, arguments on their own, each on its own.

    :param head: what stands before the arguments, with its parenthesis.
    :param tail: what stands behind them, with its parenthesis.
    :param indent: how deep it is indented, in steps.
    """
    margin, deeper = _INDENT * indent, _INDENT * (indent + 1)
    joined = ", ".join(arguments)
    if len(margin + head + joined + tail) <= _WIDTH:
        return [margin + head + joined + tail]
    if len(deeper + joined) <= _WIDTH:
        return [margin + head, deeper + joined, margin + tail]
    return [margin + head, *(f"{deeper}{argument}," for argument in arguments), margin + tail]


def docstring(summary: str, body: Sequence[str], *, indent: int = 0) -> list[str]:
    """Return the lines of a docstring.

    :param summary: its first line.
    :param body: the paragraphs after that, at least one.
    :raises ValueError: the summary does not fit into a line.
    """
    margin = _INDENT * indent
    if len(margin) + len(summary) + 6 > _WIDTH:
        raise ValueError(f"too long for the first line of a docstring: {summary}")
    lines = [f'{margin}"""{summary}']
    for paragraph in body:
        lines += ["", *_wrapped(paragraph, margin)]
    return [*lines, f'{margin}"""']


def comment(text: str, *, indent: int = 0) -> list[str]:
    """Return the lines of a comment."""
    return _wrapped(text, f"{_INDENT * indent}# ")


def _wrapped(text: str, margin: str) -> list[str]:
    wrapper = textwrap.TextWrapper(_WIDTH, margin, margin, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text)
