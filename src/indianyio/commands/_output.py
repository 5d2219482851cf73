r"""What a command prints: lines for people and programs, in which nothing from the network can play tricks.

Names, labels and messages come from drivers. Control characters in them could move a terminal's cursor, change its
settings or forge a line, so they are printed as escapes, as in Python's strings: ``\x1b``.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

__all__ = [
    "Row",
    "abandon_output",
    "clean",
    "complain",
    "go_on_saying",
    "json_line",
    "prepare_streams",
    "print_table",
    "say",
    "shows_table",
    "stop_saying",
]

# Control characters, those that change the direction of writing, and further line separators.
_TRICKS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


_printing = _stopped = False


def stop_saying() -> None:
    """Print nothing more; for a signal handler, as a line that is being printed may wait for its reader for ever.

    :raises KeyboardInterrupt: a line is being printed. Printing a later line raises it, too.
    """
    global _stopped
    _stopped = True
    if _printing:
        raise KeyboardInterrupt


def go_on_saying() -> None:
    """Allow printing again."""
    global _stopped
    _stopped = False


def clean(text: str) -> str:
    """Return a text as one line, without any character that controls a terminal."""
    return _TRICKS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(line: str, *, has_lines: bool = False) -> None:
    """Print a line of the answer at once: the reader of a pipe may act on it, and end the command at any time.

    :param has_lines: whether the text may have several lines, because nothing else is printed.
    :raises BrokenPipeError: nobody reads any more.
    :raises OSError: the line cannot be written; nothing more will be written.
    :raises KeyboardInterrupt: :func:`stop_saying` was called.
    """
    global _printing
    text = "\n".join(map(clean, line.split("\n"))) if has_lines else clean(line)
    _printing = True
    try:
        # Checked after _printing is set, so that a signal in between is either seen here or raises by itself.
        if _stopped:
            raise KeyboardInterrupt
        _print(text)
    finally:
        _printing = False


def _print(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201 - the command's answer
    except OSError as error:
        abandon_output()
        raise type(error)(error.errno, error.strerror, "standard output") from None
    except KeyboardInterrupt:
        abandon_output()  # nobody reads the line, and the interpreter would wait for that at its exit
        raise


def json_line(**fields: object) -> None:
    """Print an answer as a line of JSON, which has neither NaN nor infinity: they become ``null``."""
    say(json.dumps(_json_ready(fields), allow_nan=False))


def _json_ready(value: object) -> object:
    if isinstance(value, dict):
        return {key: _json_ready(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def complain(line: str) -> None:
    """Print a line that is not part of the answer, on standard error."""
    with suppress(OSError):  # nobody reads it
        print(clean(line), file=sys.stderr)  # noqa: T201 - the command's own words


def shows_table(options: argparse.Namespace) -> bool:
    """Return whether the answer is for people, not for a program."""
    return sys.stdout.isatty() and not options.json


def abandon_output() -> None:
    """Write nothing more: at its exit the interpreter would try again to write what is left, and complain."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)


def prepare_streams() -> None:
    """Have this process print whatever its terminal can show, even if it was started with closed streams."""
    # In this order, so that each gets the descriptor that every program expects it to have.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for as long as it lives
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.getLogger("indianyio").addHandler(_Lines(logging.WARNING))


class _Lines(logging.Handler):
    """Prints warnings of the library as the command's own words."""

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            complain(line)


_COLOURS = {"Idle": "dim", "Ok": "green", "Busy": "yellow", "Alert": "bold red"}


class Row(NamedTuple):
    """A member, and the state of its vector."""

    device: str
    vector: str
    member: str
    text: str
    state: str


def print_table(rows: Iterable[Row]) -> None:
    """Print a table of members on the terminal, states in colour; without rich, an extra, the plain lines."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        for row in rows:
            say(f"{row.device}.{row.vector}.{row.member}={row.text}")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("Property", "Value", "State"):
        table.add_column(title, overflow="fold")
    for row in rows:
        name = f"{row.device}.{row.vector}.{row.member}"
        # As Text, because nothing that comes from a driver may be read as markup.
        table.add_row(Text(clean(name)), Text(clean(row.text)), Text(row.state, style=_COLOURS.get(row.state, "")))
    Console().print(table)
