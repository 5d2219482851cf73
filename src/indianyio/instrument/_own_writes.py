"""Writes that an instrument makes to its own properties, in the form in which a client's arrive."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from indianyio.driver import AnyVector, NewEvent
from indianyio.driver._events import new_event
from indianyio.protocol import (
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    OneNumber,
    OneSwitch,
    OneText,
    encode,
)

__all__ = ["event_of", "write_of"]

_WRITES: Mapping[str, tuple[type[NewVector], type[OneNumber | OneSwitch | OneText]]] = {
    "NumberVector": (NewNumberVector, OneNumber),
    "SwitchVector": (NewSwitchVector, OneSwitch),
    "TextVector": (NewTextVector, OneText),
}


def write_of(vector: AnyVector, values: Mapping[str, object]) -> NewVector:
    """Return the message that writes these values, by their names on the wire; not for BLOB vectors."""
    write, element = _WRITES[vector.vectortype]
    members = tuple(element(name=name, value=str(value)) for name, value in values.items())
    return write(device=vector.devicename, name=vector.name, members=members)  # type: ignore[arg-type]


def event_of(write: NewVector, vector: AnyVector) -> NewEvent:
    """Return the event of a write to a vector, as if the write had arrived now and been accepted."""
    return new_event(write, vector, encode(write), datetime.now(UTC))
