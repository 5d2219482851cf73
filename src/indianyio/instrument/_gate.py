"""The gate for clients' writes: open while the instrument is connected.

A handler that is running when the instrument is disconnected would go on talking to hardware that has been
released, and a write that arrives while the instrument is being disconnected would begin something that nobody
could stop. So every write passes through here. Disconnecting closes the gate first, then ends what is inside, and
only then releases the hardware.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from indianyio.driver import AnyVector, NewEvent
from indianyio.instrument._ending import ending_in_peace
from indianyio.instrument._host import Host

__all__ = ["Gate", "Handler"]

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
