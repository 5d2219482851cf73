"""The content of catalogue.toml, with every field checked; the comment at its head explains the fields."""

from __future__ import annotations

import keyword
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from indianyio.standard._generator._names import attribute_name, class_name
from indianyio.standard._settle_row import SettleRow

__all__ = ["Catalogue", "Kind", "MemberEntry", "PropertyEntry", "RuntimeEntry", "SettleEntry", "read"]

Older = str | bool | float | list[str]


class MemberEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member of a property."""

    name: str
    attribute: str = ""
    label: str = ""
    format: str = ""
    min: float = 0
    max: float = 0
    step: float = 0
    default: float | str | bool | None = None
    optional: bool = False


class RuntimeEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The members of a property that are made at run time."""

    attribute: str
    name: str
    format: str = ""
    min: float = 0
    max: float = 0
    step: float = 0
    default: float | str | bool | None = None


class PropertyEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A property."""

    doc: str
    group: str
    kind: Literal["Number", "Switch", "Text", "Light", "BLOB"]
    perm: Literal["rw", "ro", "wo"]
    defined: str
    source: str
    name: str = ""
    class_: str = msgspec.field(default="", name="class")
    label: str = ""
    rule: Literal["OneOfMany", "AtMostOne", "AnyOfMany", ""] = ""
    timeout: float = 0
    state: Literal["Idle", "Ok", "Busy", "Alert"] = "Idle"
    capability: str = ""
    saved: bool = False
    clients: tuple[str, ...] = ()
    new: bool = False
    older: Mapping[str, Older] = {}
    note: str = ""
    members: tuple[MemberEntry, ...] = ()
    runtime: RuntimeEntry | None = None

    @property
    def has_fixed_name(self) -> bool:
        """Whether its name is not made at run time."""
        return "<" not in self.name


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of device, or of equipment that devices have; its properties are in a module of their own."""

    module: str
    title: str
    doc: str
    interface: int
    properties: tuple[PropertyEntry, ...]


class SettleEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How some properties show the outcome of a write; see :class:`~indianyio.standard._settle_row.SettleRow`."""

    names: tuple[str, ...]
    why: str = ""
    fields: Mapping[str, Any] = {}


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The whole catalogue.

    :ivar version: the version of libindi from which it was taken.
    :ivar compared: the version with which tests compare it.
    """

    version: str
    compared: str
    kinds: tuple[Kind, ...]
    settle: tuple[SettleEntry, ...]


def read(path: Path) -> Catalogue:
    """Return the content of the file.

    :raises ValueError: a field is unknown, missing or of a wrong type, or a name is not legal in Python.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    version, compared = str(tables.pop("version")), str(tables.pop("compared"))
    settle = tuple(_settle_entry(table) for table in tables.pop("settle"))
    kinds = tuple(_kind(module, table) for module, table in tables.items())
    return Catalogue(version=version, compared=compared, kinds=kinds, settle=settle)


def _settle_entry(table: dict[str, Any]) -> SettleEntry:
    names, why = tuple(table.pop("names")), str(table.pop("why", ""))
    unknown = set(table) - set(SettleRow._fields)
    if unknown:
        raise ValueError(f"settle row of {', '.join(names)}: there is no field {', '.join(unknown)}")
    return SettleEntry(names=names, why=why, fields=table)


def _kind(module: str, table: Mapping[str, Any]) -> Kind:
    facts = {name: value for name, value in table.items() if not isinstance(value, dict)}
    properties = tuple(_property(module, *item) for item in table.items() if isinstance(item[1], dict))
    return msgspec.convert({**facts, "module": module, "properties": properties}, Kind)


def _property(module: str, key: str, table: Mapping[str, Any]) -> PropertyEntry:
    try:
        entry = msgspec.convert(table, PropertyEntry)
    except msgspec.ValidationError as error:
        raise ValueError(f"[{module}.{key}]: {error}") from None
    name = entry.name or key
    of = name if entry.has_fixed_name else key
    members = tuple(
        msgspec.structs.replace(member, attribute=member.attribute or attribute_name(of, member.name))
        for member in entry.members
    )
    entry = msgspec.structs.replace(entry, name=name, class_=entry.class_ or class_name(key), members=members)
    for given in _python_names(entry):
        if not given.isidentifier() or keyword.iskeyword(given):
            raise ValueError(f"[{module}.{key}]: {given!r} cannot be a name in Python; give another")
    return entry


def _python_names(entry: PropertyEntry) -> Iterator[str]:
    yield entry.class_
    if entry.runtime is not None:
        yield entry.runtime.attribute
    for member in entry.members:
        yield member.attribute
