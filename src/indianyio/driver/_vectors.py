"""The vectors of a driver: the model's vectors, which can be sent.

Every ``send_…`` method decides at the call what the message says and then waits, if it must, for room in the
outbox. What it was told is checked first, so a wrong argument raises and changes nothing. While the vector or its
device is disabled nothing is sent but deletions; while no run is active there is nobody to tell, and whoever comes
later asks for the definitions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from time import time
from typing import Any, Generic, TypeAlias, TypeVar

from indianyio._model import (
    BLOBMember,
    BLOBValue,
    BLOBVectorModel,
    LightMember,
    LightVectorModel,
    Member,
    NumberMember,
    NumberVectorModel,
    SwitchMember,
    SwitchVectorModel,
    TextMember,
    TextVectorModel,
    VectorModel,
    WordMember,
    WordVectorModel,
)
from indianyio._model._attributes import SendOptions
from indianyio._vocabulary import State
from indianyio.driver._owners import DeviceOwner, Sender, VectorOwner, send, timestamp_or_now
from indianyio.protocol import OneBLOB, SetBLOBVector, format_timestamp
from indianyio.protocol._text import stamp_of

__all__ = [
    "AnyVector",
    "BLOBVector",
    "LightVector",
    "NumberVector",
    "SwitchVector",
    "TextVector",
    "Vector",
]


MemberT_co = TypeVar("MemberT_co", bound=Member[object], covariant=True)
WordMemberT_co = TypeVar("WordMemberT_co", bound=WordMember, covariant=True)
ValueT_co = TypeVar("ValueT_co", covariant=True)


class Vector(VectorModel[MemberT_co, ValueT_co], Generic[MemberT_co, ValueT_co]):
    """What all kinds of vector have in common: a device, and messages to send.

    :ivar device: the device that has this vector; ``None`` until one takes it.
    """

    device: VectorOwner | None = None

    # Gets the writes of clients in the place of the driver's rxevent; for what is built on drivers.
    _on_write: Callable[[Any], Awaitable[None]] | None = None

    def replace_members(self, members: Iterable[MemberT_co]) -> None:
        """Have other members from now on, for what is found at run time only, such as the ports of a machine.

        :raises RuntimeError: the vector is enabled. Clients learn of other members by a deletion and a definition.
        :raises TypeError: a member is of another kind than the vector.
        :raises ValueError: there are no members, or two of one name.
        """
        if self.enable:
            raise RuntimeError(f"vector {self.name!r} is in use; delete it first, then replace its members")
        self._members = self._taken(members)

    @property
    def driver(self) -> DeviceOwner | None:
        """The driver of the vector's device; ``None`` until there is one."""
        return None if self.device is None else self.device.driver

    async def send_setVector(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: State | str | None = None,
        allvalues: bool = True,
    ) -> None:
        """Send the values and the state.

        For BLOBs see :class:`BLOBVector`; :meth:`send_setVectorMembers` is what images are usually sent with.

        :param message: a line for people, to travel with this one message.
        :param timestamp: when this holds; naive times are UTC; now if absent.
        :param timeout: seconds within which a write is expected to take effect, kept from now on.
        :param state: the state from now on.
        :param allvalues: whether to send every member, or only those that changed since they were last sent; then
            nothing at all is sent where neither a member nor anything else of the vector has changed.
        :raises ValueError: an argument is outside its range or cannot be written as XML.
        :raises TypeError: an argument is of a wrong type.
        """
        options: SendOptions = {"message": message, "timeout": timeout, "state": state}
        await self._send_update(timestamp, options, if_changed=not allvalues)

    async def send_setVectorMembers(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: State | str | None = None,
        members: Iterable[str] = (),
    ) -> None:
        """Send the state and the named members only; with no names only the state.

        :param members: names of members; the other parameters are those of :meth:`send_setVector`.
        :raises UnknownMemberError: the vector has no member of such a name.
        :raises ValueError: an argument is outside its range or cannot be written as XML.
        :raises TypeError: an argument is of a wrong type.
        """
        options: SendOptions = {"message": message, "timeout": timeout, "state": state}
        await self._send_update(timestamp, options, members)

    @abstractmethod
    async def _send_update(
        self,
        timestamp: datetime | None,
        options: SendOptions,
        names: Iterable[str] | None = None,
        if_changed: bool = False,
    ) -> None:
        """Send an update; one whose sending is cancelled has told nobody anything.

        :param names: of the members to send; all if ``None``.
        :param if_changed: send only what has changed, and nothing at all where nothing has.
        """

    @property
    def is_enabled(self) -> bool:
        """Whether both the vector and its device are enabled."""
        return self.enable and (self.device is None or self.device.enable)

    @property
    def _sender(self) -> Sender | None:
        """What sends for the present run, if there is one."""
        return None if self.device is None else self.device._run_state.sender

    async def send_defVector(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: State | str | None = None,
    ) -> None:
        """Send the definition: everything about the vector and its members.

        :param message: a line for people, to travel with this one message.
        :param timestamp: when this holds; naive times are UTC; now if absent.
        :param timeout: seconds within which a write is expected to take effect, kept from now on; 0 is unknown.
        :param state: the state from now on.
        :raises ValueError: an argument is outside its range or cannot be written as XML.
        :raises TypeError: an argument is of a wrong type.
        """
        definition = None
        if self.is_enabled:
            moment = timestamp_or_now(timestamp)
            options: SendOptions = {"message": message, "timeout": timeout, "state": state}
            definition = self.define(timestamp=moment, **options)
        try:
            await send(self._sender, definition)
        except BaseException:
            if definition is not None:
                self.message = self.message or definition.message or ""
            raise

    async def send_delProperty(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Tell that the vector is gone, and disable it.

        To bring it back set ``enable`` and send its definition.

        :raises ValueError: the message cannot be written as XML.
        """
        was_enabled = self.enable
        deletion = self.delete(timestamp=timestamp_or_now(timestamp), message=message)
        try:
            await send(self._sender, deletion)
        except BaseException:
            self.enable = was_enabled  # nobody was told
            raise


AnyVector: TypeAlias = Vector[Member[object], object]
"""A vector of any kind."""


class _SendsValues(Vector[WordMemberT_co, str], WordVectorModel[WordMemberT_co]):
    """Vectors whose values are words: every kind but BLOBs."""

    async def _send_update(
        self,
        timestamp: datetime | None,
        options: SendOptions,
        names: Iterable[str] | None = None,
        if_changed: bool = False,
    ) -> None:
        device = self.device
        if not self.enable or (device is not None and not device.enable):
            await send(None, None)
            return
        members: Iterable[WordMemberT_co] = self._members.values()
        if names is not None:
            members = [self.member(name) for name in dict.fromkeys(names)]
        elif if_changed:
            members = [member for member in members if member.changed]
        stamp = stamp_of(int(time())) if timestamp is None else format_timestamp(timestamp)
        told = options["message"] or self._message
        data = self.encode_update(members, stamp, if_changed=if_changed, **options)
        sender = None if device is None else device._run_state.sender
        try:
            if data is None or sender is None:
                await send(None, None)
            else:
                await sender.send_encoded(data, self._head)
        except BaseException:
            if data is not None:
                self._untell(members, told)
            raise


class SwitchVector(_SendsValues[SwitchMember], SwitchVectorModel):
    """Switches, On or Off, under a rule that says how many may be On.

    :param name: the vector's name: printable ASCII, at most 63 characters.
    :param label: what people read.
    :param group: under which heading people find it.
    :param perm: ``"ro"``, ``"wo"`` or ``"rw"``.
    :param rule: ``"OneOfMany"``, ``"AtMostOne"`` or ``"AnyOfMany"``; a write that breaks it is refused.
    :param state: ``"Idle"``, ``"Ok"``, ``"Busy"`` or ``"Alert"``.
    :param switchmembers: at least one :class:`SwitchMember`, of different names.
    :raises TypeError: a member is of another kind.
    :raises ValueError: a name, a word or a text is not one that INDI can carry.
    """


class LightVector(_SendsValues[LightMember], LightVectorModel):
    """Lights, each showing one of the four states; nobody can write them.

    :param lightmembers: at least one :class:`LightMember`; the other parameters are those of :class:`SwitchVector`.
    """


class TextVector(_SendsValues[TextMember], TextVectorModel):
    """Texts.

    :param textmembers: at least one :class:`TextMember`; the other parameters are those of :class:`SwitchVector`.
    """


class NumberVector(_SendsValues[NumberMember], NumberVectorModel):
    """Numbers, each with its limits and the way to print it.

    A write is refused unless each number is finite and within its member's limits (where ``min < max``).

    :param numbermembers: at least one :class:`NumberMember`; the other parameters are those of
        :class:`SwitchVector`.
    """


class BLOBVector(Vector[BLOBMember, BLOBValue], BLOBVectorModel):
    """Binary contents of any size and format, images for instance.

    ``send_setVectorMembers`` sends the contents of the named members, whole; ``send_setVector`` those of all
    members that have one or, with ``allvalues`` false, of those to which one was assigned since.

    The content is what the member's value is or, where that is a path or a file object, what can be read from
    it: in a worker thread, from the file's beginning, leaving a file object open. A buffer must not be written
    to until the call returns. BLOBs are sent one at a time: the call waits until the server has taken the one
    before (a ping, docs/protocol.md 3.6; not for ever where a server does not answer), so a camera is never far
    ahead of its server.

    Cancelled, a send has put in the message whole or not at all. It raises :class:`ValueError` also where a
    named member has no value or a file object was opened for text, and :class:`OSError` where a file cannot be
    read.

    :param blobmembers: at least one :class:`BLOBMember`; the other parameters are those of :class:`SwitchVector`.
    """

    async def _send_update(
        self,
        timestamp: datetime | None,
        options: SendOptions,
        names: Iterable[str] | None = None,
        if_changed: bool = False,
    ) -> None:
        if names is not None:
            chosen = [self.member(name) for name in dict.fromkeys(names)]
        else:
            chosen = [member for member in self.members() if member.membervalue is not None]
        if if_changed:
            chosen = [member for member in chosen if member.changed]
            if not (chosen or self.changed or options["message"] or options["state"] not in (None, self.state)):
                await send(None, None)
                return
        moment = timestamp_or_now(timestamp)
        if chosen and self.is_enabled:
            await self._send_contents(chosen, moment, options)
        elif chosen or not self.is_enabled:
            await send(None, None)
        else:
            await self._send_state(moment, options)

    async def _send_state(self, moment: datetime, options: SendOptions) -> None:
        update = self.set_members((), timestamp=moment, **options)
        try:
            await send(self._sender, update)
        except BaseException:
            self.unsent(update)
            raise

    async def _send_contents(self, members: Sequence[BLOBMember], moment: datetime, options: SendOptions) -> None:
        made: list[SetBLOBVector] = []

        def update(contents: Sequence[OneBLOB]) -> SetBLOBVector | None:
            if not self.is_enabled:
                return None  # the vector was deleted while this BLOB waited for its turn
            made.append(self.set_content(contents, timestamp=moment, **options))
            return made[0]

        sender = self._sender
        if sender is None:
            # Nobody is there for the contents, but what is kept is kept.
            self.set_members((), timestamp=moment, **options)
            await send(None, None)
            return
        try:
            await sender.send_blobs(members, update)
        except BaseException:
            for unsent in made:
                self.unsent(unsent)
            raise
