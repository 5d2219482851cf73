"""Probes, which an examination sends to a driver: requests, and writes that the driver must refuse.

A driver that does not refuse a write may well carry it out. So writes go to the vectors that can do least harm.
Those that move nothing come first. The vectors in the client's table of settling come last, because these move,
expose or open something; after a write to such a vector, its abort is sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from indianyio.protocol import DefVector
from indianyio.protocol._text import escape_attribute
from indianyio.standard._settle_table import RULE, row_for

__all__ = ["GARBAGE", "Key", "Probe", "abort_of", "exposure", "refusals", "request", "switched"]

Key: TypeAlias = tuple[str, str]
"""The names of a device and of one of its vectors."""

# Without an ampersand, after which libindi's drivers would read on to the next semicolon (W8).
GARBAGE = b'\x00\xff<<newNumberVector device="x" name=<oneNumber>]]></newSwitchVector>\n'
_SHORT_EXPOSURE_SECONDS = 0.1

# Vectors that every driver of libindi's has, and that never reach the hardware.
_HARMLESS = ("POLLING_PERIOD", "DEBUG", "DRIVER_INFO")
# Words in the names that libindi and its followers give to groups of settings.
_SETTINGS = ("option", "setting", "info", "config", "general")
# The harm of vectors of which nothing is known, and the least harm of those that move something.
_UNKNOWN, _MOVES = 5, 10
_KINDS = ("Number", "Text", "Switch")


@dataclass(frozen=True, slots=True)
class Probe:
    """Something that is sent to the driver, and why.

    :ivar what: its purpose: ``all``, ``star``, ``device``, ``vector``, ``connect``, ``again``, ``range``,
        ``member``, ``number``, ``read-only``, ``abort``, ``garbage``, ``exposure`` or ``disconnect``.
    :ivar sent: the bytes.
    :ivar key: the device and vector that it is about; empty names mean all.
    """

    what: str
    sent: bytes
    key: Key = ("", "")


def request(what: str, device: str | None = None, name: str | None = None) -> Probe:
    """Return a request for definitions: of everything, of a device or of one vector."""
    attributes = {"version": "1.7", "device": device, "name": name}
    texts = [f'{key}="{escape_attribute(value)}"' for key, value in attributes.items() if value is not None]
    key = ("" if device in (None, "*") else device or "", name or "")
    return Probe(what, f"<getProperties {' '.join(texts)}/>\n".encode(), key)


def switched(what: str, key: Key, member: str) -> Probe:
    """Return a write that turns a switch On."""
    return Probe(what, _new(key, "Switch", {member: "On"}), key)


def exposure(device: str) -> Probe:
    """Return a request for a short image."""
    enable = f'<enableBLOB device="{escape_attribute(device)}">Also</enableBLOB>\n'.encode()
    key = (device, "CCD_EXPOSURE")
    write = _new(key, "Number", {"CCD_EXPOSURE_VALUE": str(_SHORT_EXPOSURE_SECONDS)})
    return Probe("exposure", enable + write, key)


def refusals(device: str, known: Mapping[Key, DefVector]) -> Iterator[Probe]:
    """Yield writes to a device that it must refuse."""
    vectors = sorted(
        (one for (owner, _), one in known.items() if owner == device and one.members and _kind(one)), key=_harm
    )
    read_only = [one for one in vectors if getattr(one, "perm", None) == "ro"]
    writable = [one for one in vectors if getattr(one, "perm", None) in ("rw", "wo")]
    numbers = [one for one in writable if _kind(one) == "Number"]
    yield from _beyond_a_range(device, numbers)
    for vector in numbers[:1]:
        key = (device, vector.name)
        yield Probe("number", _new(key, "Number", {vector.members[0].name: "banana"}), key)
    for vector in sorted(writable, key=_harm_of_unknown_member)[:1]:
        key, kind = (device, vector.name), _kind(vector)
        yield Probe("member", _new(key, kind, {"NO_SUCH_MEMBER": "On" if kind == "Switch" else "1"}), key)
    for vector in read_only[:1]:
        key = (device, vector.name)
        values = {one.name: getattr(one, "value", "") for one in vector.members}
        yield Probe("read-only", _new(key, _kind(vector), values), key)


def abort_of(key: Key, known: Mapping[Key, DefVector]) -> Probe | None:
    """Return the write that stops what a vector has set in motion; ``None`` if its device has no such switch."""
    device, name = key
    row = row_for(name, lambda *_: False)
    abort = None if row.abort is None else known.get((device, row.abort[0]))
    if row.abort is None or abort is None or row.abort[1] not in {member.name for member in abort.members}:
        return None
    return switched("abort", (device, abort.name), row.abort[1])


def _beyond_a_range(device: str, numbers: list[DefVector]) -> Iterator[Probe]:
    """Yield a write beyond the limits of the least harmful vector that has limits."""
    for vector in numbers:
        if _harm(vector) >= _MOVES > _harm(numbers[0]):
            return  # that would risk more than the other writes do
        first = vector.members[0]
        low, high = (_decimal(getattr(first, name, None)) for name in ("min", "max"))
        beyond = high + 10 * (high - low)
        if low < high and math.isfinite(beyond):
            values = {one.name: getattr(one, "value", "0") for one in vector.members}
            key = (device, vector.name)
            yield Probe("range", _new(key, "Number", {**values, first.name: f"{beyond:.17g}"}), key)
            return


def _harm(vector: DefVector) -> int:
    """Return how much harm a write to a vector might do; the greater, the worse."""
    if vector.name in _HARMLESS:
        return _HARMLESS.index(vector.name)
    row = row_for(vector.name, lambda *_: False)
    if row is not RULE:
        return _MOVES if row.abort is not None else _MOVES + 1
    group = (getattr(vector, "group", None) or "").casefold()
    if any(word in group for word in _SETTINGS):
        return _UNKNOWN
    return _UNKNOWN + (2 if "main" in group else 1)


def _harm_of_unknown_member(vector: DefVector) -> tuple[int, int, int]:
    """Return the same for a write of an unknown member: libindi turns switches Off before it looks at the names."""
    harm = _harm(vector)
    known = harm < _UNKNOWN or harm >= _MOVES
    return harm if known else _UNKNOWN, _KINDS.index(_kind(vector)), harm


def _kind(vector: DefVector) -> str:
    """Return the kind of a vector, or "" if an examination does not write to vectors of that kind."""
    kind = vector.tag.removeprefix("def").removesuffix("Vector")
    return kind if kind in _KINDS else ""


def _decimal(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _new(key: Key, kind: str, values: dict[str, str]) -> bytes:
    device, name = map(escape_attribute, key)
    members = "".join(
        f'<one{kind} name="{escape_attribute(member)}">{escape_attribute(text)}</one{kind}>'
        for member, text in values.items()
    )
    head = f'<new{kind}Vector device="{device}" name="{name}">'
    return f"{head}{members}</new{kind}Vector>\n".encode()
