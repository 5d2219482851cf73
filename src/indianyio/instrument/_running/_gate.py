"""The gate for clients' writes, open while the instrument is connected, and the order of those it lets through.

A handler that is running when the instrument is disconnected would go on talking to hardware that has been
released, and a write that arrives while the instrument is being disconnected would begin something that nobody
could stop. So every write passes through here. Disconnecting closes the gate first, then ends what is inside, and
only then releases the hardware.

Writes to different properties are carried out at the same time, so that nothing delays an Abort. But clients send a
gain and an exposure, or a new position and a move, one right after the other, and do not wait in between. An
exposure that began while the gain was still being set would be taken with the old gain. So an operation that a
client asks for begins only when the short writes that came before it have ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import anyio
import anyio.lowlevel

from indianyio.driver import AnyVector, NewEvent
from indianyio.instrument._running._ending import ending_in_peace
from indianyio.instrument._running._host import Host

__all__ = ["EarlierWrites", "Gate", "Handler"]

Handler = Callable[[NewEvent], Awaitable[None]]
"""Carries out what a client writes."""

_CLOSED = "the instrument is not connected, or is being disconnected"


class Gate:
    """Lets writes through while it is open, and knows which are inside.

    :param host: the instrument's run.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._is_open = False
        self._inside: dict[anyio.CancelScope, anyio.Event] = {}

    def why_not(self) -> str:
        """Return why nothing may begin now, for people; an empty text if it may."""
        return "" if self._is_open else _CLOSED

    def open(self) -> None:
        """Let writes through."""
        self._is_open = True

    def close(self) -> None:
        """Let no more writes through; those that are inside go on."""
        self._is_open = False

    async def clear(self, reason: str) -> None:
        """Cancel what is inside, and wait until it has ended, at most ``grace`` seconds and one more."""
        inside = list(self._inside.items())
        for scope, _ in inside:
            scope.cancel(reason)
        with anyio.move_on_after(self._host.grace + 1):
            for _, ended in inside:
                await ended.wait()

    def guarding(self, vector: AnyVector, handler: Handler) -> Handler:
        """Return a handler that passes the writes to a vector on to another handler while the gate is open."""

        async def handle(event: NewEvent) -> None:
            if self._is_open:
                await self.carry_out(partial(handler, event))
            else:
                self._host.refuse(vector, _CLOSED)

        handle.__name__ = getattr(handler, "__name__", f"a write to {vector.name}")
        return handle

    async def carry_out_if_open(self, function: Callable[[], Awaitable[None]]) -> None:
        """Call a function as :meth:`carry_out` does, but not while the gate is closed."""
        if self._is_open:
            await self.carry_out(function)

    async def carry_out(self, function: Callable[[], Awaitable[None]]) -> None:
        """Call a function, which is cancelled with the connection; it may await what it must on its way out."""
        scope = anyio.CancelScope()

        def is_cancelled() -> bool:
            return scope.cancel_called or self._host.is_ending()

        ended = self._inside[scope] = anyio.Event()
        try:
            with scope:
                await ending_in_peace(function, is_cancelled=is_cancelled, grace=self._host.grace)
        finally:
            del self._inside[scope]
            ended.set()


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
