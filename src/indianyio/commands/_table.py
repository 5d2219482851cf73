"""A table for people, with states in colour; without rich, which is an extra, the plain lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from indianyio.commands._wire import say

__all__ = ["Row", "print_table"]

_COLOURS = {"Idle": "dim", "Ok": "green", "Busy": "yellow", "Alert": "bold red"}


class Row(NamedTuple):
    """A member, and the state of its vector."""

    device: str
    vector: str
    member: str
    text: str
    state: str


def print_table(rows: Iterable[Row]) -> None:
    """Print a table of members on the terminal."""
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
        # As Text: what comes from a driver is never markup.
        table.add_row(Text(name), Text(row.text), Text(row.state, style=_COLOURS.get(row.state, "")))
    Console().print(table)
