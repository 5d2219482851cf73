"""What a simulated client writes: values that a driver must take, and some that it must refuse.

Whether a write is allowed is found in the definition alone, as a careful client would, and not by asking the
library.
"""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

from indianyio.testing.simulation._reader import Known

__all__ = ["Wish", "bad_wish", "good_wish", "stamp_of_wish", "wish_of_stamp"]

# The timestamp of a write says which one it is: whoever passes a write on leaves its timestamp as it is.
_FIRST_STAMP = datetime(2000, 1, 1, tzinfo=UTC)

# Where a definition has no limits: what most instruments take.
_UNLIMITED = (0.0, 100.0)


@dataclass(frozen=True, slots=True)
class Wish:
    """A write that a client is to send.

    :ivar number: of this write in its run, from 1.
    :ivar device: the device of the vector.
    :ivar name: the vector.
    :ivar kind: of the vector: ``Text``, ``Number``, ``Switch`` or ``BLOB``.
    :ivar values: what each member is to be, as texts.
    :ivar flaw: why a driver must refuse it; empty if it must not.
    """

    number: int
    device: str
    name: str
    kind: str
    values: Mapping[str, str]
    flaw: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The device and the vector."""
        return self.device, self.name

    def encode(self) -> bytes:
        """Return the message."""
        stamp = stamp_of_wish(self.number)
        attributes = f"device={quoteattr(self.device)} name={quoteattr(self.name)} timestamp='{stamp}'"
        members = "".join(self._member(*item) for item in self.values.items())
        return f"<new{self.kind}Vector {attributes}>{members}</new{self.kind}Vector>\n".encode()

    def _member(self, name: str, value: str) -> str:
        attributes = f"name={quoteattr(name)}"
        if self.kind == "BLOB":
            size = len(value.encode())
            value = base64.b64encode(value.encode()).decode()
            attributes += f" size='{size}' enclen='{len(value)}' format='.bin'"
        return f"<one{self.kind} {attributes}>{escape(value)}</one{self.kind}>"


def stamp_of_wish(number: int) -> str:
    """Return the timestamp that only this write has."""
    return f"{_FIRST_STAMP + timedelta(seconds=number):%Y-%m-%dT%H:%M:%S}"


def wish_of_stamp(stamp: datetime | None) -> int:
    """Return the number of the write with this timestamp; 0 if it is not one of ours."""
    if stamp is None:
        return 0
    seconds = (stamp.replace(tzinfo=UTC) - _FIRST_STAMP).total_seconds()
    return int(seconds) if 0 < seconds < 1e8 and seconds == int(seconds) else 0


def good_wish(number: int, key: tuple[str, str], known: Known, generator: random.Random) -> Wish:
    """Return a write that the definition allows.

    :param number: of this write in its run.
    :param key: the device and the vector.
    :param known: the vector, which can be written and has members.
    :param generator: decides what is written.
    """
    return Wish(number, *key, known.kind, _VALUES[known.kind](known, generator))


def bad_wish(number: int, key: tuple[str, str], known: Known, generator: random.Random) -> Wish:
    """Return a write that the driver must refuse; see :func:`good_wish`. The vector may be read-only here."""
    flaws = dict[str, Mapping[str, str]]()
    some = generator.choice(sorted(known.members))
    if known.attributes.get("perm") == "ro":
        flaws["it is read-only"] = {some: "1" if known.kind == "Number" else "On"}
    else:
        flaws["there is no such member"] = {"no such member": "1" if known.kind == "Number" else "On"}
    if known.is_writable and known.kind == "Number":
        low, high = _limits(known.members[some])
        flaws["it is not a number"] = {some: "banana"}
        if known.members[some].get("min") != known.members[some].get("max") and low < high:
            flaws["it is beyond its limits"] = {some: repr(high + 1 + abs(high))}
    one_at_most = known.attributes.get("rule") in {"OneOfMany", "AtMostOne"}
    if known.is_writable and known.kind == "Switch" and len(known.members) > 1 and one_at_most:
        flaws["two of them are On"] = dict.fromkeys(list(known.members)[:2], "On")
    flaw = generator.choice(sorted(flaws))
    return Wish(number, *key, known.kind, flaws[flaw], flaw)


def _numbers(known: Known, generator: random.Random) -> Mapping[str, str]:
    return {name: repr(_number(member, generator)) for name, member in known.members.items()}


def _number(member: Mapping[str, str], generator: random.Random) -> float:
    low, high = _limits(member)
    return round(generator.uniform(low, high), generator.choice((0, 1, 3))) if high - low > 2 else low


def _limits(member: Mapping[str, str]) -> tuple[float, float]:
    try:
        low, high = float(member.get("min", 0)), float(member.get("max", 0))
    except ValueError:
        return _UNLIMITED
    # Rounded inwards, so that a rounded number between them is between them, too.
    return (math.ceil(low), math.floor(high)) if high - low > 2 else (low, high) if low < high else _UNLIMITED


def _texts(known: Known, generator: random.Random) -> Mapping[str, str]:
    words = ("a", "b<&", "c d", "")
    return {name: f"{generator.choice(words)}{generator.randint(0, 999)}" for name in known.members}


def _switches(known: Known, generator: random.Random) -> Mapping[str, str]:
    names = list(known.members)
    if known.attributes.get("rule") == "AnyOfMany":
        return {name: generator.choice(("On", "Off")) for name in names}
    return {generator.choice(names): "On"}


def _blobs(known: Known, generator: random.Random) -> Mapping[str, str]:
    return {name: "x" * generator.randint(1, 3000) for name in known.members}


_VALUES = {"Number": _numbers, "Text": _texts, "Switch": _switches, "BLOB": _blobs}
