"""The five kinds of vectors: what they consist of, what they send, and what they let clients write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TypeVar, Unpack, cast

from indianyio._model._attributes import Heading, SendOptions, require_word
from indianyio._model._blob_members import BLOBMember, BLOBValue, require_blobsize
from indianyio._model._members import Kind, LightMember, SwitchMember, TextMember, WordMember
from indianyio._model._number_members import NumberMember
from indianyio._model._vectors import VectorModel
from indianyio._model._writes import WriteTarget, check_blobs, check_numbers, check_switches
from indianyio._vocabulary import Permission, Rule, Switch
from indianyio.protocol._elements import OneBLOB
from indianyio.protocol._messages import (
    DefBLOBVector,
    DefLightVector,
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    SetBLOBVector,
    SetLightVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
    SetVector,
)

__all__ = [
    "BLOBVectorModel",
    "LightVectorModel",
    "NumberVectorModel",
    "SwitchVectorModel",
    "TextVectorModel",
    "WordVectorModel",
]

_OFF = str(Switch.OFF)

MemberT_co = TypeVar("MemberT_co", bound=WordMember, covariant=True)


class WordVectorModel(VectorModel[MemberT_co, str]):
    """A vector whose values are words on the wire: every kind but BLOBs."""

    def set_all(
        self,
        *,
        timestamp: datetime,
        **options: Unpack[SendOptions],
    ) -> SetVector:
        """Return an update of all members.

        :param timestamp: the time of the send; if naive, in UTC.
        :param options: message, timeout and state, see :class:`SendOptions`.
        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: an argument is illegal; then nothing has changed.
        """
        return self._update(self._heading(timestamp, **options), self.members())

    def set_changed(
        self,
        *,
        timestamp: datetime,
        **options: Unpack[SendOptions],
    ) -> SetVector | None:
        """Return an update of what has changed, or ``None`` if there is nothing to say.

        There is something to say if a member, the state or the timeout has changed, or if a message is given or
        waiting.

        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: an argument is illegal; then nothing has changed.
        """
        heading = self._heading(timestamp, **options)
        due = [member for member in self.members() if member.changed]
        if not (due or self.changed or heading["message"]):
            return None
        return self._update(heading, due)

    def set_members(
        self,
        names: Iterable[str],
        *,
        timestamp: datetime,
        **options: Unpack[SendOptions],
    ) -> SetVector:
        """Return an update of the named members, each once; without names, one that carries only the state.

        :raises UnknownMemberError: the vector has no member of that name; then nothing has changed.
        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: an argument is illegal; then nothing has changed.
        """
        wanted = [self.member(name) for name in dict.fromkeys(names)]
        return self._update(self._heading(timestamp, **options), wanted)

    def _update(self, heading: Heading, members: Sequence[MemberT_co]) -> SetVector:
        report = self._told(heading, members)
        self._sent(members)
        return report

    def _answer(self, heading: Heading) -> SetVector:
        return self._told(heading, self.members())

    def _told(self, heading: Heading, members: Sequence[MemberT_co]) -> SetVector:
        if self._ordered_by:
            members = sorted(members, key=attrgetter(self._ordered_by))
        return self._report(heading, [member.report() for member in members])


class SwitchVectorModel(WordVectorModel[SwitchMember]):
    """Switches, and the rule that says how many may be On."""

    kind = Kind("SwitchVector", SwitchMember, NewSwitchVector, DefSwitchVector, SetSwitchVector)
    # Off first, so that a client which applies them one after the other never sees two On.
    _ordered_by = "is_on"

    def __init__(
        self,
        name: str,
        label: str,
        group: str,
        perm: str,
        rule: str,
        state: str,
        switchmembers: Iterable[SwitchMember],
    ) -> None:
        super().__init__(name, label, group, perm, state, switchmembers)
        self._rule = require_word(Rule, rule, self._what("rule"))

    @property
    def rule(self) -> Rule:
        """How many switches may be On. As with the permission, clients learn it only from a definition.

        :raises ValueError: on assignment of anything but the three rules.
        """
        return self._rule

    @rule.setter
    def rule(self, rule: str) -> None:
        self._rule = require_word(Rule, rule, self._what("rule"))

    def __setitem__(self, name: str, value: object) -> None:
        """Assign a switch; if only one may be On, switching it On switches the others Off.

        A client only says which one shall be On (libindi's clients send no other member), so a driver that copies
        the requested values would otherwise report two as On.
        """
        super().__setitem__(name, value)
        if self._rule is not Rule.ANY_OF_MANY and self._members[name].is_on:
            for other, member in self._members.items():
                if member.is_on and other != name:
                    member.membervalue = _OFF

    def _writing(self) -> dict[str, object]:
        return super()._writing() | {"rule": self._rule}

    def _check_values(self, target: WriteTarget, new: NewVector) -> None:
        check_switches(target, self._rule, cast("NewSwitchVector", new).members)


class LightVectorModel(WordVectorModel[LightMember]):
    """Lights; nobody can write them, so on the wire they have neither a permission nor a timeout."""

    kind = Kind("LightVector", LightMember, None, DefLightVector, SetLightVector)

    def __init__(self, name: str, label: str, group: str, state: str, lightmembers: Iterable[LightMember]) -> None:
        super().__init__(name, label, group, Permission.RO, state, lightmembers)

    def _checked_perm(self, perm: str) -> Permission:
        raise AttributeError(f"{self._what('perm')} is ro and cannot be assigned, as lights cannot be written")

    def _writing(self) -> dict[str, object]:
        return {}

    def _waiting(self) -> dict[str, object]:
        return {}


class TextVectorModel(WordVectorModel[TextMember]):
    """Texts."""

    kind = Kind("TextVector", TextMember, NewTextVector, DefTextVector, SetTextVector)

    def __init__(
        self, name: str, label: str, group: str, perm: str, state: str, textmembers: Iterable[TextMember]
    ) -> None:
        super().__init__(name, label, group, perm, state, textmembers)


class NumberVectorModel(WordVectorModel[NumberMember]):
    """Numbers, each with limits and a format."""

    kind = Kind("NumberVector", NumberMember, NewNumberVector, DefNumberVector, SetNumberVector)

    def __init__(
        self, name: str, label: str, group: str, perm: str, state: str, numbermembers: Iterable[NumberMember]
    ) -> None:
        super().__init__(name, label, group, perm, state, numbermembers)

    def getfloatvalue(self, membername: str) -> float:
        """Return a member's value as a float.

        :raises UnknownMemberError: there is no such member.
        """
        return self.member(membername).getfloatvalue()

    def getformattedvalue(self, membername: str) -> str:
        """Return a member's value in the member's format.

        :raises UnknownMemberError: there is no such member.
        """
        return self.member(membername).getformattedvalue()

    def _check_values(self, target: WriteTarget, new: NewVector) -> None:
        check_numbers(target, self.data, cast("NewNumberVector", new).members)


class BLOBVectorModel(VectorModel[BLOBMember, BLOBValue]):
    """BLOBs; each is sent only when the driver says so, never as part of "all members"."""

    kind = Kind("BLOBVector", BLOBMember, NewBLOBVector, DefBLOBVector, SetBLOBVector)

    def __init__(
        self, name: str, label: str, group: str, perm: str, state: str, blobmembers: Iterable[BLOBMember]
    ) -> None:
        super().__init__(name, label, group, perm, state, blobmembers)

    def set_blobsize(self, membername: str, blobsize: int) -> None:
        """Set the size to announce with a member's next send, in bytes, if it is not the number of bytes sent.

        :raises UnknownMemberError: there is no such member.
        :raises TypeError: ``blobsize`` is not an int.
        :raises ValueError: ``blobsize`` is negative.
        """
        self.member(membername).blobsize = require_blobsize(blobsize, self._what("blobsize"))

    def set_members(
        self,
        names: Iterable[str],
        *,
        timestamp: datetime,
        **options: Unpack[SendOptions],
    ) -> SetBLOBVector:
        """Return an update without members, which carries only the state.

        :param names: must be empty; content goes through :meth:`set_content`.
        :raises UnknownMemberError: the vector has no member of that name.
        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: there are names, or an argument is illegal; then nothing has changed.
        """
        for name in names:
            raise ValueError(f"BLOB {self.member(name).name!r} needs content to be sent, use set_content")
        return self.set_content((), timestamp=timestamp, **options)

    def set_content(
        self,
        contents: Sequence[OneBLOB],
        *,
        timestamp: datetime,
        **options: Unpack[SendOptions],
    ) -> SetBLOBVector:
        """Return an update with ``contents``, as made by :meth:`BLOBMember.content`.

        :param contents: at most one for each member.
        :raises UnknownMemberError: the vector has no member for one of them; then nothing has changed.
        :raises LocalProtocolError: the vector does not belong to a device.
        :raises ValueError: a member has two contents, or an argument is illegal; then nothing has changed.
        """
        sent = {content.name: self.member(content.name) for content in contents}
        if len(sent) != len(contents):
            raise ValueError(f"an update of {self.name!r} can carry one BLOB for each member, not two")
        heading = self._heading(timestamp, **options)
        self._sent(sent.values())
        return cast("SetBLOBVector", self._report(heading, contents))

    def _answer(self, heading: Heading) -> SetVector:
        return self._report(heading, ())

    def _check_readable(self, target: WriteTarget, new: NewVector) -> None:
        check_blobs(target, cast("NewBLOBVector", new).members)
