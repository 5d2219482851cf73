"""How messages reach the code of a driver's author, and what its failures come to.

An event is made when its turn has come, not when its message arrives: to inflate a BLOB or to read it from its
descriptor takes time, which must be neither the reader's nor the event loop's, and what waits stays as small as it
travelled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.to_thread

from indianyio._model import SnoopEvent, SnoopTable
from indianyio.driver._background import Background
from indianyio.driver._device import Device
from indianyio.driver._events import NewEvent
from indianyio.driver._guard import Guard
from indianyio.driver._vectors import AnyVector
from indianyio.protocol import (
    Attachment,
    Frame,
    GetProperties,
    NewBLOBVector,
    NewVector,
    SetBLOBVector,
    WireMessage,
)
from indianyio.protocol._blobs import decimal

__all__ = ["Arrival", "DriverHooks", "Handlers", "Write"]

logger = logging.getLogger(__name__)

# How reading the content of a BLOB may fail: it is not what it says, too much, or behind a broken descriptor.
_UNREADABLE = (ValueError, MemoryError, OSError)

# Python's objects for one member of a message, beside its text; measured at 250 to 350 bytes.
_MEMBER_BYTES = 300
_BLOB_VECTORS = (NewBLOBVector, SetBLOBVector)

E = TypeVar("E")


class DriverHooks(Protocol):
    """A driver, seen from its run: what its author has written, and how it is to be treated."""

    auto_send_def: bool
    grace: float
    ping_timeout: float
    data: dict[str, Device]
    _snoops: SnoopTable
    _background: Background

    async def hardware(self) -> None:
        """Operate the instrument."""

    async def rxevent(self, event: NewEvent) -> None:
        """Carry out what a client asks for."""

    async def rxerror(self, event: NewEvent, exc: Exception) -> None:
        """Deal with an error that left :meth:`rxevent`."""

    async def snoopevent(self, event: SnoopEvent) -> None:
        """Hear what another driver said."""

    async def leave(self) -> None:
        """Make the instrument safe."""


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


class Handlers:
    """Calls rxevent and snoopevent.

    :param driver: whose methods they are.
    :param guard: what they are called through.
    :param name: the peer, for log lines.
    :param refuse: answers a write that cannot be handled, with the reason.
    :param fail: gets what is graver than an error: it ends the run.
    """

    def __init__(
        self,
        driver: DriverHooks,
        guard: Guard,
        name: str,
        *,
        refuse: Callable[[AnyVector, str], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._driver = driver
        self._guard = guard
        self._name = name
        self._refuse = refuse
        self._fail = fail

    async def handle_write(self, write: Write) -> None:
        """Call rxevent; its failure belongs to this event alone."""
        if not write.vector.is_enabled:
            write.close()
            return
        try:
            event = await write.open(self._guard.is_cancelled)
        except _UNREADABLE as error:
            self._refuse(write.vector, f"{type(error).__name__}: {error}")
            return
        failure = await self._guard.failure_of(self._driver.rxevent, event)
        if failure is None:
            return
        if not isinstance(failure, Exception):
            self._fail(failure)
            return
        second = await self._guard.failure_of(self._driver.rxerror, event, failure)
        if second is not None:
            self._note(second, "rxerror failed for %s.%s", event)

    async def handle_snooped(self, arrival: Arrival[SnoopEvent]) -> None:
        """Call snoopevent; its failure is logged."""
        try:
            event = await arrival.open(self._guard.is_cancelled)
        except _UNREADABLE as error:
            logger.warning("%s: a snooped BLOB cannot be read: %s", self._name, error)
            return
        failure = await self._guard.failure_of(self._driver.snoopevent, event)
        if failure is not None:
            self._note(failure, "snoopevent failed for %s.%s", event)

    def _note(self, failure: BaseException, text: str, event: NewEvent | SnoopEvent) -> None:
        """Log an error of a handler; what is graver than that ends the run."""
        if isinstance(failure, Exception):
            logger.error(text, event.devicename, event.vectorname, exc_info=failure)
        else:
            self._fail(failure)


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
