"""What a client's write must fulfil before a driver sees it (docs/protocol.md 3.2).

A write is taken whole or refused whole: the first rule it breaks raises :class:`WriteRefusedError`, whose text
tells the client what was wrong, in the spirit of libindi's own answers. The rules of the standard are tables.
Nothing here changes a vector.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from indianyio._model._members import NumberMember
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

# Enough of a client's own text to recognise it by; libindi cuts messages at 254 bytes.
_QUOTED_CHARACTERS = 40

# How many switches a write may turn On: at least, at most. OneOfMany needs its one in the write, because the
# others go Off with it (as libindi does it, by clearing all of them first); a write without one would leave none.
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

    :ivar kind: the one message that may write the vector; ``None`` for lights.
    """

    device: str
    name: str
    label: str
    kind: type[NewVector] | None

    def refusal(self, reason: str, member: str | None = None) -> WriteRefusedError:
        """Return the error which says ``reason`` of this vector."""
        return WriteRefusedError(reason, device=self.device, vector=self.name, member=member)

    def __str__(self) -> str:
        return f"{self.label} ({self.name})"


def check_form(target: WriteTarget, new: NewVector) -> None:
    """Refuse what no event could be made of: another kind of vector, nothing in it, a member in it twice.

    :raises WriteRefusedError: it is so.
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
    """Refuse a write to what may only be read, or to a member that is not there.

    :raises WriteRefusedError: it is so.
    """
    if perm is Permission.RO:
        raise target.refusal(f"{target} is read-only.")
    for member in new.members:
        if member.name not in known:
            raise target.refusal(f"{_quoted(member.name)} is not a member of {target}.", member.name)


def check_switches(target: WriteTarget, rule: Rule, wanted: Sequence[OneSwitch]) -> None:
    """Refuse other words than On and Off, and more or fewer On than the rule allows.

    :raises WriteRefusedError: it is so.
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
    """Refuse what is no finite number, or outside the limits of its member if there are any (min below max).

    :raises WriteRefusedError: it is so.
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
    """Refuse a BLOB that does not say how large it is; nobody could read it (docs/protocol.md 1.5).

    :raises WriteRefusedError: it is so.
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

    :raises ValueError: it is absent or anything but ASCII digits.
    """
    digits = (text or "").strip()
    # int() would also take signs, underscores and the digits of other scripts.
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"a number of bytes must be digits, not {text!r}")
    return int(digits)


def _number(target: WriteTarget, one: OneNumber) -> float:
    try:
        # Where a control character was, libindi would read on as from degrees to minutes; no instrument shall move
        # to what a broken line has made of a number.
        number = math.nan if PARTED in one.value else parse_number(one.value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        reason = f"{target}: {one.name} must be a number, not {_quoted(one.value.strip())}."
        raise target.refusal(reason, one.name)
    return number


def _within(member: NumberMember, number: float) -> bool:
    least, most = parse_number(member.min), parse_number(member.max)
    # Equal limits are no limits, as libindi's header says (its code differs, docs/protocol.md 3.2).
    return least >= most or least <= number <= most


def _quoted(text: str) -> str:
    shown = text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "..."
    return f"'{shown}'"
