"""Messages on their way to a handler: in order per key, concurrently between keys.

A lane is a queue, and whoever handles what is in it until it is empty. So a slew that is being handled never delays
an Abort on another vector, and two writes to one vector are never handled at the same time or in the wrong order.

A lane needs no task of its own as long as its handlers do not wait: the reader steps them in place. Only when a
handler first waits does the reader give its role to another task and go on as the handler's own, see
:func:`until_it_waits`.

An event is made when its turn has come, not when its message arrives: to inflate a BLOB or to read it from its
descriptor takes time, which must be neither the reader's nor the event loop's, and what waits stays as small as it
travelled.
"""

from __future__ import annotations

import re
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Hashable
from contextvars import copy_context
from time import perf_counter
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from indianyio.driver._link import TURN_SECONDS
from indianyio.protocol import Attachment, Frame, NewBLOBVector, SetBLOBVector, WireMessage

__all__ = ["Arrival", "Begun", "Lanes", "until_it_waits"]

E = TypeVar("E")
WaitingT = TypeVar("WaitingT", bound="Waiting")

# What fits here is taken however much waits in other lanes: no flood of images may cost an Abort.
_SMALL_BYTES = 64 << 10
# Python's objects for one member of a message, beside its text; measured at 250 to 350 bytes.
_MEMBER_BYTES = 300
_BLOB_VECTORS = (NewBLOBVector, SetBLOBVector)
# More digits than any size has, and fewer than int() minds.
_COUNT = re.compile(r"[0-9]{1,18}")


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
            self.size += sum(_count(one.len or one.size) for one in message.members if one.attachment is not None)
            self._is_slow = bool(frame.attachments) or any(
                (one.format or "").endswith(".z") for one in message.members
            )

    async def open(self) -> E:
        """Return the event.

        :raises ValueError: the content of a BLOB cannot be read.
        :raises MemoryError: it does not fit into memory.
        """
        try:
            if self._is_slow:
                return await anyio.to_thread.run_sync(self._make)
            return self._make()
        finally:
            if self._attachments:
                self.close()

    def close(self) -> None:
        """Let go of the descriptors: the message is not handled, or its event is made."""
        for attachment in self._attachments:
            attachment.close()


def _count(text: str | None) -> int:
    """Return a count of bytes; 0 for what is not one, which is refused when the content is read."""
    return int(text) if text is not None and _COUNT.fullmatch(text) else 0


class Waiting(Protocol):
    """What can wait in a lane."""

    @property
    def size(self) -> int:
        """How many bytes it holds."""

    def close(self) -> None:
        """Let go of what it holds, because it is not handled."""


class Lanes(Generic[WaitingT]):
    """A lane for each key that has events.

    :param begun: gets each lane that has its first event, with its key. Whoever reads empties this queue, by
        :meth:`drain`, before reading on: so lanes begin in the order of their first events, and an Abort does not
        overtake the slew before it in the same packet.
    :param handle: what is done with an event; what leaves it ends the run.
    :param limit_events: how many events may wait in a lane, besides the one being handled.
    :param limit_bytes: how many bytes may wait or be handled in all lanes; one event alone may exceed it.
    :param limit_lanes: how many lanes there may be.
    """

    def __init__(
        self,
        begun: Begun,
        handle: Callable[[WaitingT], Coroutine[Any, Any, None]],
        *,
        limit_events: int,
        limit_bytes: int,
        limit_lanes: int,
    ) -> None:
        self._begun = begun
        self._handle = handle
        self._limit_events = limit_events
        self._limit_bytes = limit_bytes
        self._limit_lanes = limit_lanes
        self._held_bytes = 0
        self._lanes: dict[Hashable, deque[WaitingT]] = {}

    def put(self, key: Hashable, event: WaitingT) -> bool:
        """Queue an event behind those of the same key.

        :return: ``False`` if there is no room; then the event was not taken.
        """
        size = event.size
        if size > _SMALL_BYTES and self._held_bytes and self._held_bytes + size > self._limit_bytes:
            return False
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= self._limit_lanes:
                return False
            self._lanes[key] = deque((event,))
            self._begun.append((self, key))
        elif len(lane) < self._limit_events:
            lane.append(event)
        else:
            return False
        self._held_bytes += size
        return True

    def is_waiting(self, key: Hashable) -> bool:
        """Return whether an event of a lane waits, besides the one being handled."""
        return bool(self._lanes.get(key))

    def drop_oldest(self, key: Hashable) -> bool:
        """Forget the event that has waited longest in a lane; return whether there was one."""
        lane = self._lanes.get(key)
        if not lane:
            return False
        event = lane.popleft()
        self._held_bytes -= event.size
        event.close()
        return True

    def drop_waiting(self, key: Hashable) -> int:
        """Forget all waiting events of a lane, and return how many; the one that is being handled goes on."""
        dropped = 0
        while self.drop_oldest(key):
            dropped += 1
        return dropped

    def close(self) -> None:
        """Forget everything that waits: the run is over."""
        for key in self._lanes:
            self.drop_waiting(key)

    async def drain(self, key: Hashable, hand_over: Callable[[], None]) -> None:
        """Handle what is in a lane, and what comes meanwhile; then the lane ends.

        :param hand_over: called when a handler first waits; for each of them, also where there is nothing left to
            hand over.
        """
        lane = self._lanes[key]
        try:
            while lane:
                event = lane.popleft()
                began = perf_counter()
                try:
                    await until_it_waits(self._handle(event), hand_over)
                finally:
                    self._held_bytes -= event.size
                if lane and perf_counter() - began > TURN_SECONDS:
                    await _give_way()
        finally:
            if lane:
                self.drop_waiting(key)  # this task was cancelled
            del self._lanes[key]


Begun: TypeAlias = deque[tuple[Lanes[Any], Hashable]]
"""Lanes that have their first event and that nobody handles yet."""


@types.coroutine
def until_it_waits(
    coroutine: Coroutine[Any, Any, None], hand_over: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Await a coroutine in this task, and call ``hand_over`` if it waits, when it first does.

    It runs in a copy of the present context: what a handler sets must not be seen by the one that comes next in the
    same task, as it would not be if each had a task of its own.

    :raises BaseException: what leaves the coroutine.
    """
    run = copy_context().run
    try:
        awaited = run(coroutine.send, None)
    except StopIteration:
        return
    hand_over()
    while True:
        try:
            sent = yield awaited
        except GeneratorExit:
            run(coroutine.close)
            raise
        except BaseException as error:  # noqa: BLE001 - a cancellation as a rule; it is the coroutine's
            resume: Callable[[Any], Any] = coroutine.throw
            value: Any = error
        else:
            resume, value = coroutine.send, sent
        try:
            awaited = run(resume, value)
        except StopIteration:
            return


async def _give_way() -> None:
    """Let the other tasks have their turn.

    On asyncio somebody may have noted this task while a handler ran in it, and cancel it now. That comes too late
    for the handler, and must not cost the events that still wait.
    """
    try:
        await anyio.lowlevel.cancel_shielded_checkpoint()
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - see above
        if anyio.get_current_task().has_pending_cancellation():
            raise
