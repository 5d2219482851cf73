"""The order of short writes and operations: an operation uses what was written before it was asked for.

Writes to different properties are carried out at the same time, so that nothing delays an Abort. But clients send a
gain and an exposure, or a new position and a move, one right after the other, and do not wait in between. An
exposure that began while the gain was still being set would be taken with the old gain. So an operation that a
client asks for begins only when the short writes that came before it have ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel

from indianyio.driver import AnyVector, NewEvent
from indianyio.instrument._gate import Handler
from indianyio.instrument._host import Host

__all__ = ["EarlierWrites"]


class EarlierWrites:
    """The short writes of one instrument that are being carried out.

    :param host: the instrument.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._under_way: dict[anyio.Event, AnyVector | None] = {}

    def noting(self, vector: AnyVector, handler: Handler) -> Handler:
        """Return a handler that calls another one, and counts as under way while that runs."""

        async def handle(event: NewEvent) -> None:
            with self.noted(vector):
                await handler(event)

        handle.__name__ = getattr(handler, "__name__", f"a write to {vector.name}")
        return handle

    @contextmanager
    def noted(self, vector: AnyVector | None = None) -> Iterator[None]:
        """Let operations that are asked for from now on begin after this block.

        :param vector: the vector that is written in it; absent for a block behind which no writes wait.
        """
        ended = anyio.Event()
        self._under_way[ended] = vector
        try:
            yield
        finally:
            del self._under_way[ended]
            ended.set()

    async def end(self) -> None:
        """Wait for the writes that are under way, and for those that wait behind them now; not for later ones."""
        vectors = {vector for vector in self._under_way.values() if vector is not None}
        waiting = {vector: self._host.count_waiting(vector) for vector in vectors}
        for ended in list(self._under_way):
            await ended.wait()
        for vector, count in waiting.items():
            await self._next(vector, count)

    async def _next(self, vector: AnyVector, count: int) -> None:
        """Wait until this many more writes to a vector have ended, or until none waits any more."""
        while count:
            under_way = [ended for ended, of in self._under_way.items() if of is vector]
            for ended in under_way:
                await ended.wait()
            if under_way:
                count -= 1
            elif self._host.count_waiting(vector):
                await anyio.lowlevel.checkpoint()  # the next one is about to begin
            else:
                return
