# The events' names are the wire's tags, which drivers written for the family use in isinstance() and match.
# ruff: noqa: N801
"""What ``rxevent`` receives: the requests of clients.

The values of a write have been checked by the vector before an event is made of it, unless its ``validate`` is
false; then they are what the client sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar, get_args

from indianyio._model import DEFAULT_LIMITS, SizeFormat, ValuesEvent, VectorEvent, event_table, read_blobs
from indianyio._vocabulary import Limits
from indianyio.driver._vectors import AnyVector, BLOBVector, NumberVector, SwitchVector, TextVector
from indianyio.protocol import (
    GetProperties,
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    parse_number,
)

__all__ = [
    "NewEvent",
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
        :raises NumberFormatError: it is no number, which happens only with ``validate`` false.
        """
        return parse_number(self[membername])

    def getformattedvalue(self, membername: str) -> str:
        """Return the number wanted for a member, in that member's format.

        :raises UnknownMemberError: the write does not name it, or the vector does not have it.
        :raises NumberFormatError: it is no number, which happens only with ``validate`` false.
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
