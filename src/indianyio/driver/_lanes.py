"""Events in order per key, concurrently between keys.

A lane is a queue and, while that holds something, the one task that empties it. So a slew that is being handled
never delays an Abort on another vector, and two writes to one vector are never handled at the same time or in the
wrong order.

Lanes begin in the order of their first events. A task group may start the tasks of one moment in any order (trio
shuffles them), and an Abort must not overtake the slew that came before it in the same packet; so each lane's task
starts the next one's, and is itself at work before that has its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

import anyio.lowlevel

from indianyio.driver._background import Job

__all__ = ["Lanes"]

# What fits here is taken however much waits in other lanes: no flood of images may cost an Abort.
_SMALL_BYTES = 64 << 10


class Waiting(Protocol):
    """What can wait in a lane."""

    @property
    def size(self) -> int:
        """How many bytes it holds."""

    def close(self) -> None:
        """Let go of what it holds, because it is not handled."""


E = TypeVar("E", bound=Waiting)


class Lanes(Generic[E]):
    """A lane for each key that has events.

    :param spawn: starts a task in the task group that owns the lanes; when that group ends, so do they.
    :param handle: what is done with an event; it must not raise, since that would end the group.
    :param limit_events: how many events may wait in a lane, besides the one being handled.
    :param limit_bytes: how many bytes may wait or be handled in all lanes; one event alone may exceed it.
    :param limit_lanes: how many lanes there may be.
    """

    def __init__(
        self,
        spawn: Callable[[Job], None],
        handle: Callable[[E], Awaitable[None]],
        *,
        limit_events: int,
        limit_bytes: int,
        limit_lanes: int,
    ) -> None:
        self._spawn = spawn
        self._handle = handle
        self._limit_events = limit_events
        self._limit_bytes = limit_bytes
        self._limit_lanes = limit_lanes
        self._held_bytes = 0
        self._lanes: dict[Hashable, deque[E]] = {}
        self._beginning: deque[Hashable] = deque()
        self._filled: Hashable | None = None

    def put(self, key: Hashable, event: E) -> bool:
        """Queue an event behind those of the same key.

        :return: ``False`` if there is no room; then the event was not taken.
        """
        lane = self._lanes.get(key)
        if not self._has_room(lane, event.size):
            return False
        self._held_bytes += event.size
        if lane is None:
            self._lanes[key] = deque((event,))
            self._beginning.append(key)
            if len(self._beginning) == 1:
                self._spawn(self._run_next)
        else:
            lane.append(event)
            if len(lane) >= self._limit_events:
                self._filled = key
        return True

    def make_room(self) -> Awaitable[None] | None:
        """Return what whoever puts events in has to await before the next, if anything: a lane has become full.

        Its handler may not have had its turn yet, as when many events arrive at once; then it gets it. One that has
        been waiting for something is not waited for.
        """
        return None if self._filled is None else self._let_move()

    async def _let_move(self) -> None:
        key, self._filled = self._filled, None
        # Lanes begin one after the other, each in a turn of the loop; then this one has a turn, wherever it comes.
        for _ in range(len(self._beginning) + 2):
            lane = self._lanes.get(key)
            if lane is None or len(lane) < self._limit_events:
                return
            await anyio.lowlevel.checkpoint()

    def _has_room(self, lane: deque[E] | None, size: int) -> bool:
        if lane is None and len(self._lanes) >= self._limit_lanes:
            return False
        if lane and len(lane) >= self._limit_events:
            return False
        if size <= _SMALL_BYTES:
            return True
        return self._held_bytes == 0 or self._held_bytes + size <= self._limit_bytes

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
        """Forget everything that waits: the task group that owned the lanes has ended."""
        for key in self._lanes:
            self.drop_waiting(key)

    async def _run_next(self) -> None:
        key = self._beginning.popleft()
        if self._beginning:
            self._spawn(self._run_next)
        await self._drain(key)

    async def _drain(self, key: Hashable) -> None:
        lane = self._lanes[key]
        try:
            while lane:
                event = lane.popleft()
                try:
                    await self._handle(event)
                finally:
                    self._held_bytes -= event.size
        finally:
            self.drop_waiting(key)  # there is something only if this task was cancelled
            del self._lanes[key]
