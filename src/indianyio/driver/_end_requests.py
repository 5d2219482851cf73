"""Asking a run to end, from any thread and at any moment, without waiting for it.

The event loop may be over before what another thread asks of it is carried out, or be blocked by code which waits
for that very thread, such as a ``leave()`` that joins it. So a request is noted, and a byte in a socket pair wakes
a task of the run, which carries it out. What comes when that task has ended is dropped: so has the run's work.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVarTuple

import anyio

__all__ = ["EndRequests"]

Request = TypeVarTuple("Request")

_MANY_BYTES = 4096


class EndRequests(Generic[*Request]):
    """The requests to end one run; made in the thread of its event loop.

    :param carry_out: called in that thread with each request.
    """

    def __init__(self, carry_out: Callable[[*Request], None]) -> None:
        self._carry_out = carry_out
        self._loop_thread = threading.get_ident()
        # Reentrant, because a signal handler may interrupt whoever holds it.
        self._lock = threading.RLock()
        self._waiting: deque[tuple[*Request]] = deque()
        self._waker: socket.socket | None = None

    def request(self, *request: *Request) -> None:
        """Carry out a request, at once in the event loop's thread and soon in another; never raises."""
        own_thread = threading.get_ident() == self._loop_thread
        if own_thread:
            self._carry_out(*request)
        with self._lock:
            if not own_thread:
                self._waiting.append(request)
            # In its own thread as well: a signal handler may call this, which alone does not wake asyncio's loop.
            if self._waker is not None:
                with suppress(BlockingIOError):  # enough bytes are there to wake it
                    self._waker.send(b"\0")

    async def carry_out_forever(self) -> None:
        """Carry out what other threads ask for, what they have asked for already first; to be cancelled.

        :raises OSError: there is no descriptor left.
        """
        woken, waker = socket.socketpair()
        with woken, waker:
            woken.setblocking(False)
            waker.setblocking(False)
            with self._lock:
                self._waker = waker
            try:
                while True:
                    while self._waiting:
                        self._carry_out(*self._waiting.popleft())
                    await anyio.wait_readable(woken)
                    woken.recv(_MANY_BYTES)
            finally:
                with self._lock:
                    self._waker = None
