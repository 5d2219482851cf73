"""Watching: every change as it comes, or the newest of each vector where they come too fast."""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel

from indianyio._vocabulary import State
from indianyio.client._changes import Change
from indianyio.client._listeners import Listeners
from indianyio.exceptions import ConnectionLostError

__all__ = ["Watch"]

# How many vectors may have a change that waits. There are that many where a server defines and deletes without end.
_MOST_WAITING = 10_000


class Watch:
    """An iterator of changes; :meth:`indianyio.client.Client.watch` makes one.

    It watches from the moment on at which it is made. It never delays the reader and never grows: of each vector
    only the newest change waits, and says how many it has replaced. It ends with its block, or when it is
    forgotten.

    :param listeners: tells of changes.
    :param device: only of this device; of all if ``None``.
    :param vector: only of vectors of this name.
    :param state: only when a vector is in this state.
    """

    def __init__(
        self, listeners: Listeners, *, device: str | None, vector: str | None, state: State | None
    ) -> None:
        queue = self._queue = _Queue(device, vector, state)
        self._listeners = listeners
        # The queue is listening, not the watch: so whoever forgets a watch is not listened for any more.
        self._close = weakref.finalize(self, listeners.remove, listeners.add(queue.put))

    async def __aenter__(self) -> Self:
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Watch no more; what waits can still be had."""
        self._close()
        self._queue.filled.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        queue = self._queue
        await anyio.lowlevel.checkpoint()
        while not queue.waiting:
            if not self._close.alive:
                raise StopAsyncIteration
            if self._listeners.ended is not None:
                raise ConnectionLostError(self._listeners.ended)
            await queue.filled.wait()
        return queue.take()


class _Queue:
    """What waits to be looked at: the newest change of each vector, in the order of their first."""

    def __init__(self, device: str | None, vector: str | None, state: State | None) -> None:
        self.waiting: dict[tuple[str | None, ...], Change] = {}
        self.filled = anyio.Event()
        self._device = device
        self._vector = vector
        self._state = state

    def put(self, change: Change) -> None:
        """Take a change, if it is one that is wanted."""
        if not self._wants(change):
            return
        if change.kind in ("lost", "back"):
            key: tuple[str | None, ...] = ("connection",)
        elif change.vector is None:
            key = (change.kind, change.device)
        else:
            key = ("vector", change.device, change.vector.name)
        before = self.waiting.get(key)
        if before is None and len(self.waiting) >= _MOST_WAITING:
            before = self.take()
        self.waiting[key] = change if before is None else change._replace(left_out=before.left_out + 1)
        self.filled.set()

    def take(self) -> Change:
        """Return what has waited longest."""
        change = self.waiting.pop(next(iter(self.waiting)))
        if not self.waiting:
            self.filled = anyio.Event()
        return change

    def _wants(self, change: Change) -> bool:
        if change.kind in ("lost", "back"):
            return True
        if self._device is not None and change.device != self._device:
            return False
        if self._vector is not None and not (
            (change.vector is not None and change.vector.name == self._vector)
            or (change.kind == "deleted" and change.vector is None)
        ):
            return False
        return self._state is None or change.state is self._state
