"""The conditions that a client's write must meet before a driver sees it (docs/protocol.md 3.2).

A write is accepted as a whole or refused as a whole: the first rule it breaks raises :class:`WriteRefusedError`,
whose text tells the client what was wrong, in the style of libindi's own answers. The rules of the standard are
tables. Nothing here changes a vector.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from indianyio._model._number_members import NumberMember
from indianyio._vocabulary import Permission, Rule, Switch
from indianyio.exceptions import WriteRefusedError
from indianyio.protocol._elements import OneBLOB, OneNumber, OneSwitch
from indianyio.protocol._lilxml import PARTED
from indianyio.protocol._messages import (
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
)
from indianyio.protocol._numbers import parse_number

__all__ = [
    "WriteTarget",
    "check_access",
    "check_blobs",
    "check_form",
    "check_numbers",
    "check_switches",
    "whole_number",
]

# Enough to recognise the client's own text; libindi cuts messages at 254 bytes.
_QUOTED_CHARACTERS = 40

# How many switches a write may turn On: the least and the most. With OneOfMany the write must contain that one,
# because the others go Off with it (libindi first clears all of them), so a write without one would leave none On.
_SWITCHES_ON: Mapping[Rule, tuple[int, float]] = {
    Rule.ONE_OF_MANY: (1, 1),
    Rule.AT_MOST_ONE: (0, 1),
    Rule.ANY_OF_MANY: (0, math.inf),
}

_KINDS: Mapping[type[NewVector], str] = {
    NewTextVector: "text",
    NewNumberVector: "number",
    NewSwitchVector: "switch",
    NewBLOBVector: "BLOB",
}


class WriteTarget(msgspec.Struct, frozen=True):
    """The vector that a write is aimed at, as far as the rules need it.

    :ivar kind: the only message that may write the vector; ``None`` for lights.
    """

    device: str
    name: str
    label: str
    kind: type[NewVector] | None

    def refusal(self, reason: str, member: str | None = None) -> WriteRefusedError:
        """Return the error that gives ``reason`` for this vector."""
        return WriteRefusedError(reason, device=self.device, vector=self.name, member=member)

    def __str__(self) -> str:
        return f"{self.label} ({self.name})"


def check_form(target: WriteTarget, new: NewVector) -> None:
    """Refuse a write from which no event could be made: for another kind of vector, empty, or with a member twice.

    :raises WriteRefusedError: that is the case.
    """
    if target.kind is None:
        raise target.refusal(f"{target} shows lights, which nobody can write.")
    if type(new) is not target.kind:
        raise target.refusal(f"{target} is a {_KINDS[target.kind]} property, {new.tag} cannot write it.")
    if not new.members:
        raise target.refusal(f"{new.tag} for {target} has no members.")
    names = [member.name for member in new.members]
    if len(set(names)) < len(names):
        name, count = Counter(names).most_common(1)[0]
        raise target.refusal(f"{new.tag} for {target} has member {_quoted(name)} {count} times.", name)


def check_access(target: WriteTarget, perm: Permission, known: Collection[str], new: NewVector) -> None:
    """Refuse a write to a vector that may only be read, or to a member that does not exist.

    :raises WriteRefusedError: that is the case.
    """
    if perm is Permission.RO:
        raise target.refusal(f"{target} is read-only.")
    for member in new.members:
        if member.name not in known:
            raise target.refusal(f"{_quoted(member.name)} is not a member of {target}.", member.name)


def check_switches(target: WriteTarget, rule: Rule, wanted: Sequence[OneSwitch]) -> None:
    """Refuse words other than On and Off, and more or fewer On than the rule allows.

    :raises WriteRefusedError: that is the case.
    """
    for one in wanted:
        if one.value.strip() not in (Switch.ON, Switch.OFF):
            reason = f"{target}: switch {one.name} must be On or Off, not {_quoted(one.value)}."
            raise target.refusal(reason, one.name)
    least, most = _SWITCHES_ON[rule]
    on = sum(one.value.strip() == Switch.ON for one in wanted)
    if on < least:
        raise target.refusal(f"Invalid switches for {target}, which is {rule}. No switch is On.")
    if on > most:
        raise target.refusal(f"Invalid switches for {target}, which is {rule}. Too many switches are On.")


def check_numbers(target: WriteTarget, members: Mapping[str, NumberMember], wanted: Sequence[OneNumber]) -> None:
    """Refuse numbers that are not finite, or outside the limits of their member if it has any (min below max).

    :raises WriteRefusedError: that is the case.
    """
    for one in wanted:
        member = members.get(one.name)
        number = _number(target, one)
        if member is not None and not _within(member, number):
            reason = (
                f"Invalid range for {target}. Valid range of {one.name} is from {member.min} to {member.max}. "
                f"Requested value is {_quoted(one.value.strip())}."
            )
            raise target.refusal(reason, one.name)


def check_blobs(target: WriteTarget, wanted: Sequence[OneBLOB]) -> None:
    """Refuse a BLOB that does not say how large it is, because nobody could read it (docs/protocol.md 1.5).

    :raises WriteRefusedError: that is the case.
    """
    for one in wanted:
        try:
            whole_number(one.size)
        except ValueError:
            size = "missing" if one.size is None else _quoted(one.size)
            reason = f"{target}: the size of BLOB {one.name} must be a whole number of bytes, it is {size}."
            raise target.refusal(reason, one.name) from None


def whole_number(text: str | None) -> int:
    """Return the number of bytes that an attribute declares.

    :raises ValueError: it is absent or has anything but ASCII digits.
    """
    digits = (text or "").strip()
    # int() would also accept signs, underscores and the digits of other scripts.
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"a number of bytes must be digits, not {text!r}")
    return int(digits)


def _number(target: WriteTarget, one: OneNumber) -> float:
    try:
        # libindi would take a control character for the separator between degrees and minutes; no instrument may
        # move to a number that a broken line has made.
        number = math.nan if PARTED in one.value else parse_number(one.value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        reason = f"{target}: {one.name} must be a number, not {_quoted(one.value.strip())}."
        raise target.refusal(reason, one.name)
    return number


def _within(member: NumberMember, number: float) -> bool:
    least, most = parse_number(member.min), parse_number(member.max)
    # Equal limits mean no limits, as libindi's header says (its code differs, docs/protocol.md 3.2).
    return least >= most or least <= number <= most


def _quoted(text: str) -> str:
    shown = text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "..."
    return f"'{shown}'"
