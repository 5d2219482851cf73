"""Who reads, and in which order what is read is handled.

Reading is a role, not a task. Whoever holds it takes the next message and, if its lane is free, steps the handler
itself. A handler that does not wait costs no task and no change of tasks, and its answer leaves in place. Only when
a handler first waits does the holder give the role to another task; it goes on as that handler's own, and ends with
the lane.

So the driver is never deaf. The role is held by a task that reads or steps a handler which does not wait; it is
passed on before anything waits; and a holder that is cancelled alone, as code on asyncio can do to any task that it
knows, passes it on too.

A task that has waited for a handler is not kept for another one. Code that noted :func:`asyncio.current_task` in a
handler and cancels it later may only hit that handler, or nothing, but not the Abort that would be handled by then.

Lanes keep the order: a lane is a queue for one vector, emptied by one task at a time. So a slew never delays an
Abort on another vector, and two writes to one vector are never handled at the same time or in the wrong order. A
lane calls a method of :class:`Handlers`, which calls the author's ``rxevent`` or ``snoopevent``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
import anyio.lowlevel

from indianyio import _turns
from indianyio._link import TURN_SECONDS
from indianyio._model import SnoopEvent
from indianyio.driver._events import Arrival, NewEvent, Write, getProperties
from indianyio.driver._guard import Guard, until_it_waits
from indianyio.driver._hooks import DriverHooks, SnoopHandler
from indianyio.driver._link import DriverLink
from indianyio.driver._owners import Job
from indianyio.driver._vectors import AnyVector
from indianyio.protocol import Frame

__all__ = ["Begun", "Handlers", "Lanes", "Readers"]

logger = logging.getLogger(__name__)

# Handlers that wait for a lock or the like need turns of the event loop. A lane that has not had any is not called
# full yet. But they are few, and come once: the next message may be an Abort.
_TURNS_FOR_ROOM = 40

# How reading the content of a BLOB may fail: it is not what it says, too much, or behind a broken descriptor.
_UNREADABLE = (ValueError, MemoryError, OSError)


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
        own = None if isinstance(event, getProperties) else write.vector._on_write
        failure = await self._guard.failure_of(own or self._driver.rxevent, event)
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
            self._driver._rated_log.warning("blob", "%s: a snooped BLOB cannot be read: %s", self._name, error)
            return
        for handler in self._snoop_handlers(event):
            failure = await self._guard.failure_of(handler, event)
            if failure is not None:
                self._note(failure, "snoopevent failed for %s.%s", event)

    def _snoop_handlers(self, event: SnoopEvent) -> list[SnoopHandler]:
        """Return what hears an event; that a device has gone is the end of each of its vectors."""
        handlers = self._driver._on_snooped
        if event.vectorname is not None:
            return [handlers.get((event.devicename, event.vectorname), self._driver.snoopevent)]
        of_device = [handler for (device, _), handler in handlers.items() if device == event.devicename]
        return [*of_device, self._driver.snoopevent]

    def _note(self, failure: BaseException, text: str, event: NewEvent | SnoopEvent) -> None:
        """Log an error of a handler; what is graver than that ends the run."""
        if isinstance(failure, Exception):
            place = event.devicename, event.vectorname
            self._driver._rated_log.log((text, *place), logging.ERROR, text, *place, error=failure)
        else:
            self._fail(failure)


ArrivalT = TypeVar("ArrivalT", bound=Arrival[Any])

# What fits here is taken however much waits in other lanes: no flood of images may cost an Abort.
_SMALL_BYTES = 64 << 10


class Lanes(Generic[ArrivalT]):
    """A lane for each key that has events.

    :param begun: gets each lane that has its first event, with its key. Whoever reads empties this queue, by
        :meth:`drain`, before reading on: so lanes begin in the order of their first events, and an Abort does not
        overtake the slew before it in the same packet.
    :param crowded: gets each lane that has become full, until it ends.
    :param handle: what is done with an event; what leaves it ends the run.
    :param guard: what ``handle`` calls the author's code through.
    :param limit_events: how many events may wait in a lane, besides the one being handled.
    :param limit_bytes: how many bytes may wait or be handled in all lanes; one event alone may exceed it.
    :param limit_lanes: how many lanes there may be.
    """

    def __init__(
        self,
        begun: Begun,
        crowded: Crowded,
        handle: Callable[[ArrivalT], Coroutine[Any, Any, None]],
        guard: Guard,
        *,
        limit_events: int,
        limit_bytes: int,
        limit_lanes: int,
    ) -> None:
        self._begun = begun
        self._crowded = crowded
        self._handle = handle
        self._guard = guard
        self._limit_events = limit_events
        self._limit_bytes = limit_bytes
        self._limit_lanes = limit_lanes
        self._held_bytes = 0
        self._lanes: dict[Hashable, deque[ArrivalT]] = {}

    def put(self, key: Hashable, event: ArrivalT) -> bool:
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
            if len(lane) == self._limit_events:
                self._crowded.setdefault((self, key), _TURNS_FOR_ROOM)
        else:
            return False
        self._held_bytes += size
        return True

    def count_waiting(self, key: Hashable) -> int:
        """Return how many events of a lane wait, besides the one being handled."""
        return len(self._lanes.get(key, ()))

    def is_full(self, key: Hashable) -> bool:
        """Return whether a lane takes no more events."""
        return len(self._lanes.get(key, ())) >= self._limit_events

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

        :param hand_over: called when a handler first waits; for each, also if there is nothing left to hand over.
        """
        lane = self._lanes[key]
        try:
            while lane:
                event = lane.popleft()
                began = _turns.clock()
                try:
                    await until_it_waits(self._handle(event), self._guard.watch, hand_over)
                finally:
                    self._held_bytes -= event.size
                if lane and _turns.clock() - began > TURN_SECONDS:
                    await _give_way(self._guard.is_cancelled)
        finally:
            if lane:
                self.drop_waiting(key)  # this task was cancelled
            del self._lanes[key]
            if self._crowded:
                self._crowded.pop((self, key), None)


Begun: TypeAlias = deque[tuple[Lanes[Any], Hashable]]
"""Lanes that have their first event and that nobody handles yet."""

Crowded: TypeAlias = dict[tuple[Lanes[Any], Hashable], int]
"""Lanes that have been full, with how many turns reading may still wait for room in them."""


class Readers:
    """The reader's role of one run.

    :param link: the peer.
    :param guard: what the author's code is called through.
    :param spawn: starts a task in the run's task group; when that ends, so does all reading.
    :param end: ends the run; called with the reason, in words for a log line, when the peer sends nothing more.
    :ivar begun: lanes that nobody handles yet; see :class:`Lanes`.
    :ivar crowded: lanes that have been full.
    """

    def __init__(
        self, link: DriverLink, guard: Guard, spawn: Callable[[Job], None], end: Callable[[str], None]
    ) -> None:
        self.begun: Begun = deque()
        self.crowded: Crowded = {}
        self._link = link
        self._is_ending = guard.is_cancelled
        self._spawn = spawn
        self._end = end
        self._holder = 0  # the number of the task that holds the role, or is about to begin with it

    def start(self, receive: Callable[[Frame], None]) -> None:
        """Let somebody read.

        :param receive: deals with a message at once; it puts what is to be handled into lanes. A frame's
            attachments are closed when it returns, unless it took them off the frame.
        """
        self._receive = receive
        self._appoint()

    def _appoint(self) -> None:
        """Give the role to a task, which begins when the event loop comes to it."""
        self._holder += 1
        self._spawn(partial(self._hold, self._holder))

    async def _hold(self, number: int) -> None:
        """Have the role: read, and handle what begins, until a handler has waited and its lane is empty."""

        def hand_over() -> None:
            if self._holder == number:
                self._appoint()

        turn_ends = 0.0
        try:
            while self._holder == number:
                if self.begun:
                    lanes, key = self.begun.popleft()
                    await lanes.drain(key, hand_over)
                    # A message can begin many lanes: a request for all definitions, where the driver answers it.
                    if self.begun and self._holder == number and _turns.clock() >= turn_ends:
                        await _give_way(self._is_ending)
                        turn_ends = _turns.clock() + TURN_SECONDS
                elif self.crowded and self._may_wait_for_room():
                    await _give_way(self._is_ending)
                elif (frame := await self._link.take()) is not None:
                    self._deal(frame)
                else:
                    self._end(self._link.end_reason)
                    return
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised if the run is what was cancelled
            if self._is_ending():
                raise
            # Somebody cancelled this task alone, which nobody outside the driver's own code knows of, or a handler
            # has left a cancel scope open in it.
            logger.warning("%s: a task that was reading has been cancelled; another one goes on", self._link.name)
            hand_over()  # noqa: ASYNC104 - nobody cancelled the run

    def _may_wait_for_room(self) -> bool:
        """Return whether the others are to have a turn before the next message, and count it."""
        for (lanes, key), turns in self.crowded.items():
            if turns and lanes.is_full(key):
                self.crowded[lanes, key] = turns - 1
                return True
        return False

    def _deal(self, frame: Frame) -> None:
        try:
            self._receive(frame)
        except Exception:
            # One message must not cost a connection on which others depend, not even by a fault of our own.
            logger.exception("%s: a message could not be dealt with: %r", self._link.name, frame.data[:120])
        finally:
            for attachment in frame.attachments:
                attachment.close()


async def _give_way(is_ending: Callable[[], bool]) -> None:
    """Let the other tasks have their turn.

    On asyncio somebody may have noted this task while a handler ran in it, and cancel it now. That comes too late
    for the handler, and must not cost the events that still wait.
    """
    try:
        await anyio.lowlevel.cancel_shielded_checkpoint()
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - see above
        if is_ending():
            raise
