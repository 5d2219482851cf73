"""The catalogue, as its data say it and as its modules have it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import new_class
from typing import NamedTuple

import indianyio.standard
from indianyio.properties import Values
from indianyio.standard._generator._data import Kind, PropertyEntry, read
from indianyio.standard._generator._files import DATA

FOLDER = Path(indianyio.standard.__file__).parent
CATALOGUE = read(FOLDER / DATA)


class Entry(NamedTuple):
    """A property: its kind, what the data say of it, its class."""

    kind: Kind
    data: PropertyEntry
    values: type[Values]

    def __str__(self) -> str:
        return f"{self.kind.module}.{self.data.class_}"


def entries_of(kind: Kind) -> list[Entry]:
    """Return the properties of a kind; classes without a name of their own are given one."""
    module = import_module(f"indianyio.standard.{kind.module}")
    found = []
    for data in kind.properties:
        values = getattr(module, data.class_)
        if not data.has_fixed_name:
            values = new_class(data.class_, (values,), {"name": "MADE_1"})
        found.append(Entry(kind, data, values))
    return found


ENTRIES = {kind.module: entries_of(kind) for kind in CATALOGUE.kinds}
