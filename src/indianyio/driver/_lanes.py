"""Events in order per key, concurrently between keys.

A lane is a queue and, while that holds something, the one task that empties it. So a slew that is being handled
never delays an Abort on another vector, and two writes to one vector are never handled at the same time or in the
wrong order (faults.md D15).

Lanes begin in the order of their first events. A task group may start the tasks of one moment in any order (trio
shuffles them), and an Abort must not overtake the slew that came before it in the same packet; so each lane's task
starts the next one's, and is itself at work before that has its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from indianyio.driver._background import Job

__all__ = ["Lanes"]

E = TypeVar("E")


class _Lane(Generic[E]):
    __slots__ = ("events", "waiting_bytes")

    def __init__(self) -> None:
        self.events: deque[tuple[E, int]] = deque()
        self.waiting_bytes = 0


class Lanes(Generic[E]):
    """A lane for each key that has events.

    :param spawn: starts a task in the task group that owns the lanes; when that group ends, so do they.
    :param handle: what is done with an event; it must not raise, since that would end the group.
    :param limit_events: how many events may wait in a lane, besides the one being handled.
    :param limit_bytes: how many bytes may wait in a lane; one event alone may exceed it.
    """

    def __init__(
        self,
        spawn: Callable[[Job], None],
        handle: Callable[[E], Awaitable[None]],
        *,
        limit_events: int,
        limit_bytes: int,
    ) -> None:
        self._spawn = spawn
        self._handle = handle
        self._limit_events = limit_events
        self._limit_bytes = limit_bytes
        self._lanes: dict[Hashable, _Lane[E]] = {}
        self._beginning: deque[Hashable] = deque()

    def put(self, key: Hashable, event: E, size: int) -> bool:
        """Queue an event behind those of the same key.

        :param size: the bytes that the event holds.
        :return: ``False`` if the lane is full; then the event was not taken.
        """
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
            lane.events.append((event, size))
            lane.waiting_bytes = size
            self._beginning.append(key)
            if len(self._beginning) == 1:
                self._spawn(self._run_next)
            return True
        waiting = len(lane.events)
        if waiting >= self._limit_events or (waiting and lane.waiting_bytes + size > self._limit_bytes):
            return False
        lane.events.append((event, size))
        lane.waiting_bytes += size
        return True

    def drop_oldest(self, key: Hashable) -> None:
        """Forget the event that has waited longest in a lane."""
        lane = self._lanes[key]
        _, size = lane.events.popleft()
        lane.waiting_bytes -= size

    def take_waiting(self, key: Hashable) -> list[E]:
        """Take the waiting events out of a lane; the one that is being handled goes on."""
        lane = self._lanes.get(key)
        if lane is None:
            return []
        waiting = [event for event, _ in lane.events]
        lane.events.clear()
        lane.waiting_bytes = 0
        return waiting

    async def _run_next(self) -> None:
        key = self._beginning.popleft()
        if self._beginning:
            self._spawn(self._run_next)
        await self._drain(key)

    async def _drain(self, key: Hashable) -> None:
        lane = self._lanes[key]
        try:
            while lane.events:
                event, size = lane.events.popleft()
                lane.waiting_bytes -= size
                await self._handle(event)
        finally:
            del self._lanes[key]
