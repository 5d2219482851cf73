"""Work that takes long, in threads, so that the event loop goes on meanwhile.

Most of it is Python's own work, for which the interpreter lets one thread run at a time, and changes every five
milliseconds. Each time the event loop has called the system it would wait for so long, several times on the way of
one message; so the threads change more often as long as there is such work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

__all__ = ["HeavyWork"]

# More threads would only take turns.
_THREADS = 2

_SWITCH_SECONDS = 0.0005

_ResultT = TypeVar("_ResultT")


class HeavyWork:
    """The threads of one server."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._running = 0
        self._usual_seconds = 0.0

    async def do(self, call: Callable[..., _ResultT], *args: object) -> _ResultT:
        """Call a function in a thread and return what it returns.

        Cancelled, it waits for the function all the same: what that works on is the caller's again afterwards.
        """
        if not self._running:
            self._usual_seconds = sys.getswitchinterval()
            sys.setswitchinterval(min(_SWITCH_SECONDS, self._usual_seconds))
        self._running += 1
        try:
            return await anyio.to_thread.run_sync(call, *args, limiter=self._limiter)
        finally:
            self._running -= 1
            if not self._running:
                sys.setswitchinterval(self._usual_seconds)
