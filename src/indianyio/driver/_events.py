# The events' names are the wire's tags, which drivers written for the family use in isinstance() and match.
# ruff: noqa: N801
"""What ``rxevent`` receives: the requests of clients, as events, and as messages that wait to become events.

The values of a write have been checked by the vector before an event is made of it, unless its ``validate`` is
false; then they are what the client sent.

An event is made when its turn has come, not when its message arrives. Inflating a BLOB, or reading it from its
descriptor, takes time, and must hold up neither the reader nor the event loop. And what waits stays as small as it
was on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar, get_args

import anyio
import anyio.to_thread

from indianyio._model import (
    DEFAULT_LIMITS,
    SizeFormat,
    ValuesEvent,
    VectorEvent,
    event_table,
    read_blobs,
)
from indianyio._vocabulary import Limits
from indianyio.driver._vectors import AnyVector, BLOBVector, NumberVector, SwitchVector, TextVector
from indianyio.protocol import (
    Attachment,
    Frame,
    GetProperties,
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    SetBLOBVector,
    WireMessage,
    parse_number,
)
from indianyio.protocol._blob_spans import decimal

__all__ = [
    "Arrival",
    "NewEvent",
    "Write",
    "getProperties",
    "newBLOBVector",
    "newNumberVector",
    "newSwitchVector",
    "newTextVector",
    "new_event",
]

MessageT = TypeVar("MessageT", bound=NewVector)
VectorT = TypeVar("VectorT", bound=AnyVector)
ValueT_co = TypeVar("ValueT_co", covariant=True)


class getProperties(VectorEvent):
    """A client asks for the definition of a vector; seen only with ``auto_send_def`` false.

    :ivar vector: the vector asked for.
    """

    def __init__(
        self,
        message: GetProperties,
        *,
        vector: AnyVector,
        data: bytes,
        now: datetime,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        # The message may ask for the whole device; the event is of one of its vectors.
        super().__init__(vector.devicename, vector.name, None, data, now)
        self.vector = vector


class _Write(ValuesEvent[ValueT_co], Generic[MessageT, VectorT, ValueT_co]):
    """What the four kinds of writes have in common.

    :ivar vector: the vector written to.
    :ivar devicename: its device.
    :ivar vectorname: its name.
    """

    def __init__(
        self,
        message: MessageT,
        *,
        vector: VectorT,
        data: bytes,
        now: datetime,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(message.device, message.name, message.timestamp, data, now)
        self.vector = vector
        self._values = self._read(message, limits)

    def _read(self, message: MessageT, limits: Limits) -> Mapping[str, ValueT_co]:
        raise NotImplementedError


class newSwitchVector(_Write[NewSwitchVector, SwitchVector, str]):
    """A client wants switches to be ``On`` or ``Off``."""

    def _read(self, message: NewSwitchVector, limits: Limits) -> dict[str, str]:
        return {one.name: one.value.strip() for one in message.members}


class newTextVector(_Write[NewTextVector, TextVector, str]):
    """A client wants these texts, blanks at their ends and all."""

    def _read(self, message: NewTextVector, limits: Limits) -> dict[str, str]:
        return {one.name: one.value for one in message.members}


class newNumberVector(_Write[NewNumberVector, NumberVector, str]):
    """A client wants these numbers, given as the texts it sent."""

    def _read(self, message: NewNumberVector, limits: Limits) -> dict[str, str]:
        return {one.name: one.value.strip() for one in message.members}

    def getfloatvalue(self, membername: str) -> float:
        """Return the number wanted for a member.

        :raises UnknownMemberError: the write does not name it.
        :raises NumberFormatError: it is not a number, which happens only with ``validate`` false.
        """
        return parse_number(self[membername])

    def getformattedvalue(self, membername: str) -> str:
        """Return the number wanted for a member, in that member's format.

        :raises UnknownMemberError: the write does not name it, or the vector does not have it.
        :raises NumberFormatError: it is not a number, which happens only with ``validate`` false.
        """
        return self.vector.member(membername).format_number(self.getfloatvalue(membername))


class newBLOBVector(_Write[NewBLOBVector, BLOBVector, bytes]):
    """A client sends these BLOBs.

    :ivar sizeformat: for each member the size that was announced and the file suffix.
    :raises ValueError: the content cannot be read.
    """

    sizeformat: dict[str, SizeFormat]

    def _read(self, message: NewBLOBVector, limits: Limits) -> dict[str, bytes]:
        contents, self.sizeformat = read_blobs(message.members, limits)
        return contents


NewEvent: TypeAlias = getProperties | newSwitchVector | newTextVector | newNumberVector | newBLOBVector
"""What ``rxevent`` receives."""

_EVENTS: Mapping[str, Callable[..., NewEvent]] = event_table(get_args(NewEvent))


def new_event(
    message: GetProperties | NewVector,
    vector: AnyVector,
    data: bytes,
    now: datetime,
    limits: Limits = DEFAULT_LIMITS,
) -> NewEvent:
    """Return the event for a request that ``vector`` has accepted.

    :param message: the request; a write must have passed the vector's ``check_write``.
    :param vector: the vector it is for.
    :param data: the bytes of the message, parsed again only if somebody asks for ``root``.
    :param now: the moment of arrival, aware and in UTC.
    :param limits: how large a BLOB may become.
    :raises ValueError: the content of a BLOB cannot be read.
    """
    return _EVENTS[message.tag](message, vector=vector, data=data, now=now, limits=limits)


# Python's objects for one member of a message, beside its text; measured at 250 to 350 bytes.
_MEMBER_BYTES = 300
_BLOB_VECTORS = (NewBLOBVector, SetBLOBVector)

E = TypeVar("E")


class Arrival(Generic[E]):
    """A message that waits to be handled.

    :param frame: the message; its attachments are the arrival's as well, until :meth:`open` or :meth:`close`.
    :param make: makes the event of it; raises :class:`ValueError` if a BLOB's content cannot be read.
    :ivar size: bytes that are held until then.
    """

    __slots__ = ("_attachments", "_is_slow", "_make", "size")

    def __init__(self, frame: Frame, message: WireMessage, make: Callable[[], E]) -> None:
        self._make = make
        self._attachments: tuple[Attachment, ...] = frame.attachments
        members = getattr(message, "members", ())
        self.size = len(frame.data) + len(members) * _MEMBER_BYTES
        self._is_slow = False
        if isinstance(message, _BLOB_VECTORS):
            attached = [one.len or one.size for one in message.members if one.attachment is not None]
            self.size += sum(decimal(size) or 0 for size in attached)  # no count is refused when it is read
            self._is_slow = bool(frame.attachments) or any(
                (one.format or "").endswith(".z") for one in message.members
            )

    async def open(self, is_cancelled: Callable[[], bool]) -> E:
        """Return the event.

        :param is_cancelled: says whether a cancellation is meant for what handles the event.
        :raises ValueError: the content of a BLOB cannot be read.
        :raises OSError: the same, because of its descriptor.
        :raises MemoryError: it does not fit into memory.
        """
        try:
            if self._is_slow:
                return await _in_thread(self._make, is_cancelled)
            return self._make()
        finally:
            if self._attachments:
                self.close()

    def close(self) -> None:
        """Let go of the descriptors: the message is not handled, or its event is made."""
        for attachment in self._attachments:
            attachment.close()


class Write(Arrival[NewEvent]):
    """A write that has passed its vector's rules and waits for rxevent."""

    __slots__ = ("vector",)

    def __init__(
        self, vector: AnyVector, frame: Frame, message: GetProperties | NewVector, make: Callable[[], NewEvent]
    ) -> None:
        super().__init__(frame, message, make)
        self.vector = vector


async def _in_thread(make: Callable[[], E], is_cancelled: Callable[[], bool]) -> E:
    """Make an event in a worker thread.

    :raises ValueError: on asyncio, somebody cancelled this task alone, as code can that noted it in a handler.
    """
    try:
        return await anyio.to_thread.run_sync(make)
    except anyio.get_cancelled_exc_class() as error:  # noqa: ASYNC103 - raised if this task is what was cancelled
        if is_cancelled():
            raise
        raise ValueError("its reading was cancelled") from error  # noqa: ASYNC104 - nobody cancelled this task
