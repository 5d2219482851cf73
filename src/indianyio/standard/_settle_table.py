"""Finds the row that applies to a property; the only part of the catalogue that a client loads."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from indianyio.standard._settle_row import RULE, OnCancel, SettleRow, Tolerance
from indianyio.standard._settle_rows import SETTLE_ROWS

__all__ = ["RULE", "SETTLE_ROWS", "OnCancel", "SettleRow", "Tolerance", "row_for"]


def row_for(name: str, is_on: Callable[[str, str], bool]) -> SettleRow:
    """Return the row that applies to a property.

    :param name: the property's name.
    :param is_on: returns whether a switch of the same device is On, given its property and its name.
    """
    for row in SETTLE_ROWS:
        if any(fnmatchcase(name, pattern) for pattern in row.names) and (row.when is None or is_on(*row.when)):
            return row
    return RULE
