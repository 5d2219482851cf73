"""The five kinds of vectors: what they are made of, what they send, what they let clients write."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TypeVar, cast

from indianyio._model._attributes import Heading, require_word
from indianyio._model._blob_members import BLOBMember, BLOBValue, require_blobsize
from indianyio._model._members import LightMember, NumberMember, SwitchMember, TextMember, WordMember
from indianyio._model._vectors import Kind, VectorModel
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


MemberT_co = TypeVar("MemberT_co", bound=WordMember, covariant=True)


class WordVectorModel(VectorModel[MemberT_co, str]):
    """A vector whose values are words on the wire: every kind but BLOBs."""

    def set_all(
        self,
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetVector:
        """Return an update of all members.

        :param timestamp: the time of the send, UTC if it is naive.
        :param message: a text for people; if empty the one that is waiting in ``message``.
        :param timeout: a new timeout in seconds, which stays.
        :param state: a new state, which stays.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        return self._update(self._heading(timestamp, message, timeout, state), self.members())

    def set_changed(
        self,
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetVector | None:
        """Return an update of what has changed, or ``None`` if there is nothing to say.

        There is something to say if a member has changed, or state or timeout, or a message is given or waiting.

        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        heading = self._heading(timestamp, message, timeout, state)
        due = [member for member in self.members() if member.changed]
        if not (due or self.changed or heading["message"]):
            return None
        return self._update(heading, due)

    def set_members(
        self,
        names: Iterable[str],
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetVector:
        """Return an update of the named members, each once; without names one that carries only the state.

        :raises UnknownMemberError: a name is no member's; nothing has changed then.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: an argument is not legal; nothing has changed then.
        """
        wanted = [self.member(name) for name in dict.fromkeys(names)]
        return self._update(self._heading(timestamp, message, timeout, state), wanted)

    @abstractmethod
    def _report(self, heading: Heading, members: Sequence[MemberT_co]) -> SetVector:
        """Return an update with these members."""

    def _update(self, heading: Heading, members: Sequence[MemberT_co]) -> SetVector:
        report = self._report(heading, members)
        self._sent(members)
        return report

    def _answer(self, heading: Heading) -> SetVector:
        return self._report(heading, self.members())


class SwitchVectorModel(WordVectorModel[SwitchMember]):
    """Switches, and the rule that says how many may be On."""

    kind = Kind("SwitchVector", SwitchMember, NewSwitchVector)
    # Off first, so that a client which applies one after the other never sees two On.
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
        """How many switches may be On; as with the permission, clients learn it by a definition only.

        :raises ValueError: on assignment of another word than the three rules.
        """
        return self._rule

    @rule.setter
    def rule(self, rule: str) -> None:
        self._rule = require_word(Rule, rule, self._what("rule"))

    def __setitem__(self, name: str, value: object) -> None:
        """Assign a switch; where only one may be On, switching it On switches the others Off.

        A client says no more than which one shall be On (libindi's clients send only that member), so a driver that
        copies what was asked for would otherwise report two.
        """
        super().__setitem__(name, value)
        if self._rule is not Rule.ANY_OF_MANY and self[name] == Switch.ON:
            for member in self.members():
                if member.name != name:
                    member.membervalue = Switch.OFF

    def _definition(self, heading: Heading) -> DefSwitchVector:
        return DefSwitchVector(
            **heading,
            label=self._wire_label(),
            group=self.group,
            perm=self.perm,
            rule=self._rule,
            timeout=self._wire_timeout(),
            members=tuple(member.definition() for member in self.members()),
        )

    def _report(self, heading: Heading, members: Sequence[SwitchMember]) -> SetSwitchVector:
        reports = tuple(member.report() for member in sorted(members, key=attrgetter(self._ordered_by)))
        return SetSwitchVector(**heading, timeout=self._wire_timeout(), members=reports)

    def _check_values(self, target: WriteTarget, new: NewVector) -> None:
        check_switches(target, self._rule, cast("NewSwitchVector", new).members)


class LightVectorModel(WordVectorModel[LightMember]):
    """Lights; nobody can write them, so they have neither permission nor timeout on the wire."""

    kind = Kind("LightVector", LightMember, None)

    def __init__(self, name: str, label: str, group: str, state: str, lightmembers: Iterable[LightMember]) -> None:
        super().__init__(name, label, group, Permission.RO, state, lightmembers)

    def _checked_perm(self, perm: str) -> Permission:
        raise AttributeError(f"{self._what('perm')} is ro and cannot be assigned, for it is made of lights")

    def _definition(self, heading: Heading) -> DefLightVector:
        members = tuple(member.definition() for member in self.members())
        return DefLightVector(**heading, label=self._wire_label(), group=self.group, members=members)

    def _report(self, heading: Heading, members: Sequence[LightMember]) -> SetLightVector:
        return SetLightVector(**heading, members=tuple(member.report() for member in members))


class TextVectorModel(WordVectorModel[TextMember]):
    """Texts."""

    kind = Kind("TextVector", TextMember, NewTextVector)

    def __init__(
        self, name: str, label: str, group: str, perm: str, state: str, textmembers: Iterable[TextMember]
    ) -> None:
        super().__init__(name, label, group, perm, state, textmembers)

    def _definition(self, heading: Heading) -> DefTextVector:
        return DefTextVector(
            **heading,
            label=self._wire_label(),
            group=self.group,
            perm=self.perm,
            timeout=self._wire_timeout(),
            members=tuple(member.definition() for member in self.members()),
        )

    def _report(self, heading: Heading, members: Sequence[TextMember]) -> SetTextVector:
        reports = tuple(member.report() for member in members)
        return SetTextVector(**heading, timeout=self._wire_timeout(), members=reports)


class NumberVectorModel(WordVectorModel[NumberMember]):
    """Numbers, each with limits and a format."""

    kind = Kind("NumberVector", NumberMember, NewNumberVector)

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

    def _definition(self, heading: Heading) -> DefNumberVector:
        return DefNumberVector(
            **heading,
            label=self._wire_label(),
            group=self.group,
            perm=self.perm,
            timeout=self._wire_timeout(),
            members=tuple(member.definition() for member in self.members()),
        )

    def _report(self, heading: Heading, members: Sequence[NumberMember]) -> SetNumberVector:
        reports = tuple(member.report() for member in members)
        return SetNumberVector(**heading, timeout=self._wire_timeout(), members=reports)

    def _check_values(self, target: WriteTarget, new: NewVector) -> None:
        check_numbers(target, self.data, cast("NewNumberVector", new).members)


class BLOBVectorModel(VectorModel[BLOBMember, BLOBValue]):
    """BLOBs; each is sent when the driver says so, never as part of "everything"."""

    kind = Kind("BLOBVector", BLOBMember, NewBLOBVector)

    def __init__(
        self, name: str, label: str, group: str, perm: str, state: str, blobmembers: Iterable[BLOBMember]
    ) -> None:
        super().__init__(name, label, group, perm, state, blobmembers)

    def set_blobsize(self, membername: str, blobsize: int) -> None:
        """Declare the size of a member's next send, in bytes, where it is not the number of bytes sent.

        :raises UnknownMemberError: there is no such member.
        :raises TypeError: ``blobsize`` is no int.
        :raises ValueError: ``blobsize`` is negative.
        """
        self.member(membername).blobsize = require_blobsize(blobsize, self._what("blobsize"))

    def set_members(
        self,
        names: Iterable[str],
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetBLOBVector:
        """Return an update without members, which carries only the state.

        :param names: must be empty; content goes through :meth:`set_content`.
        :raises UnknownMemberError: a name is no member's.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: there are names, or an argument is not legal; nothing has changed then.
        """
        for name in names:
            raise ValueError(f"BLOB {self.member(name).name!r} needs content to be sent, use set_content")
        return self.set_content((), timestamp=timestamp, message=message, timeout=timeout, state=state)

    def set_content(
        self,
        contents: Sequence[OneBLOB],
        *,
        timestamp: datetime,
        message: str = "",
        timeout: str | float | None = None,
        state: str | None = None,
    ) -> SetBLOBVector:
        """Return an update with ``contents``, as made by :meth:`BLOBMember.content`.

        :param contents: at most one for each member.
        :raises UnknownMemberError: a content is no member's; nothing has changed then.
        :raises LocalProtocolError: the vector belongs to no device.
        :raises ValueError: two contents are of one member, or an argument is not legal; nothing has changed then.
        """
        sent = {content.name: self.member(content.name) for content in contents}
        if len(sent) != len(contents):
            raise ValueError(f"an update of {self.name!r} can carry one BLOB for each member, not two")
        heading = self._heading(timestamp, message, timeout, state)
        self._sent(sent.values())
        return self._report(heading, contents)

    def _definition(self, heading: Heading) -> DefBLOBVector:
        return DefBLOBVector(
            **heading,
            label=self._wire_label(),
            group=self.group,
            perm=self.perm,
            timeout=self._wire_timeout(),
            members=tuple(member.definition() for member in self.members()),
        )

    def _report(self, heading: Heading, contents: Sequence[OneBLOB]) -> SetBLOBVector:
        return SetBLOBVector(**heading, timeout=self._wire_timeout(), members=tuple(contents))

    def _answer(self, heading: Heading) -> SetBLOBVector:
        return self._report(heading, ())

    def _check_readable(self, target: WriteTarget, new: NewVector) -> None:
        check_blobs(target, cast("NewBLOBVector", new).members)
