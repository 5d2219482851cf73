"""The docstrings of indianyio.sync are those of indianyio.client, except where waiting differs.

``python -m tests.sync.docstrings`` writes them into the files; a test checks that this has been done.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from indianyio import client, sync
from indianyio.sync import _client, _devices, _vectors

MODULES: tuple[ModuleType, ...] = (_client, _devices, _vectors)

# What the client of an event loop says that is not true, or said otherwise, here.
_ELSEWHERE = "; runs in the client's own thread, so it\n    may look, but neither wait nor write."

WORDS = {
    "await ": "",
    "async ": "",
    "All of it belongs to the event loop in which it was opened.": "Any thread may use it.",
    "after each change.": f"after each change{_ELSEWHERE}",
    "after each update.": f"after each update{_ELSEWHERE}",
    "reconnect, the block is cancelled at once and one :exc:`ConnectionLostError` comes out.": (
        "reconnect, the call under way or the next one raises :exc:`ConnectionLostError`, or else the block's end."
    ),
    ":param stream: an existing connection instead; closed when the block ends.\n": "",
    ":param environment: what it uses to connect, and its source of random numbers; this machine if absent. See\n"
    "    :class:`indianyio.server.Environment`.\n": "",
    ":raises OSError: the server cannot be reached": (
        ":param backend: the event loop in the client's own thread.\n:raises OSError: the server cannot be reached"
    ),
    ":raises ValueError: a stream is given beside a unix socket or is to reconnect; or TLS is wanted "
    "without TCP.": (
        ":raises ValueError: TLS is wanted for a unix socket.\n"
        ":raises RuntimeError: an event loop runs in this thread; use :func:`indianyio.open_client` there."
    ),
}

# These are properties that return a copy here.
DIFFERENT = {"Client.messages"}


def expected(name: str) -> str | None:
    """Return the docstring of a class, function or method, ``None`` where it has its own."""
    found: object = client
    for part in name.split("."):
        found = inspect.getattr_static(found, part, None)
    if found is None:  # which has a docstring, from Python 3.13 on
        return None
    if isinstance(found, property):
        found = found.fget
    text = getattr(found, "__doc__", None)
    if name in DIFFERENT or not isinstance(text, str) or name.split(".")[-1].startswith("__"):
        return None
    text = inspect.cleandoc(text)
    for before, after in WORDS.items():
        text = text.replace(before, after)
    return text


def documented(tree: ast.Module) -> Iterator[tuple[str, ast.Expr]]:
    """Yield the public classes, functions and methods of a module with their docstrings."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or not hasattr(sync, node.name):
            continue
        inner = node.body if isinstance(node, ast.ClassDef) else []
        methods = [(f"{node.name}.{each.name}", each) for each in inner if isinstance(each, ast.FunctionDef)]
        for name, each in [(node.name, node), *methods]:
            if isinstance(each.body[0], ast.Expr) and expected(name) is not None:
                yield name, each.body[0]


def filled(source: str) -> str:
    """Return the source with the docstrings that it should have."""
    lines = source.splitlines()
    for name, text in sorted(documented(ast.parse(source)), key=lambda each: -each[1].lineno):
        assert text.end_lineno is not None
        wanted = expected(name) or ""
        closing = '\n"""' if "\n" in wanted else '"""'
        docstring = textwrap.indent(f'"""{wanted}{closing}', " " * text.col_offset)
        lines[text.lineno - 1 : text.end_lineno] = docstring.splitlines()
    return "\n".join(lines) + "\n"


def main() -> None:
    for module in MODULES:
        path = Path(module.__file__ or "")
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
