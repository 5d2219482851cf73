"""The state of a run: whether there is one, whether it is to end, and asking for its end from any thread.

One :class:`RunState` serves a driver and all its devices, so that nobody has to be told of a run field by field.
Its flags outlive runs and event loops. :class:`EndRequests` is how the end of a run is asked for: the event loop
may be over before what another thread asks of it is carried out, or be blocked by code that waits for that very
thread, such as a ``leave()`` that joins it. So a request is noted, and a byte in a socket pair wakes a task of the
run, which carries it out. A request that comes after that task has ended is dropped: the run's work is over by
then.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, Protocol, TypeVarTuple

import anyio
import anyio.lowlevel

from indianyio.driver._owners import Sender
from indianyio.driver._vectors import AnyVector

__all__ = ["EndRequests", "Flag", "Run", "RunState"]


class Flag:
    """What an event is for ``driver.stopped`` and ``driver.shutdownrequested``.

    Unlike an event of a back end it may be made before any event loop runs, outlive one, be lowered again, and be
    raised in another thread. Raised there it wakes nobody, because only an event loop's own thread can do that: the
    caller must have it raised in the event loop as well.
    """

    def __init__(self) -> None:
        self._raised = False
        self._waiting: dict[anyio.Event, int] = {}

    def is_set(self) -> bool:
        """Return whether the flag is raised."""
        return self._raised

    async def wait(self) -> None:
        """Return once the flag is raised; may be cancelled."""
        if self._raised:
            await anyio.lowlevel.checkpoint()
            return
        event = anyio.Event()
        self._waiting[event] = threading.get_ident()
        try:
            await event.wait()
        finally:
            del self._waiting[event]

    def set(self) -> None:
        """Raise the flag and wake everybody who waits for it in this thread."""
        self._raised = True
        own = threading.get_ident()
        for event, thread in list(self._waiting.items()):
            if thread == own:
                event.set()

    def clear(self) -> None:
        """Lower the flag."""
        self._raised = False


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


class Run(Protocol):
    """A run, seen from the driver."""

    @property
    def sender(self) -> Sender:
        """What sends for it."""

    def end(self, reason: str) -> None:
        """Let the work end; may be called from any thread, and again."""

    def snoops_changed(self) -> None:
        """Look at the table of snoops again."""

    def is_ending(self) -> bool:
        """Return whether the work is being cancelled, from here or from outside."""

    def fail(self, failure: BaseException) -> None:
        """Let the work end because of what has left the author's code, and raise that when all is over."""

    def refuse(self, vector: AnyVector, reason: str) -> None:
        """Answer a write with Alert and the reason; a vector that is Busy stays so."""

    def refuse_waiting(self, vector: AnyVector, reason: str) -> int:
        """Refuse the writes to a vector that wait; return how many these were."""

    def count_waiting(self, vector: AnyVector) -> int:
        """Return how many writes to a vector wait behind the one being handled."""


class RunState:
    """Whether a driver runs; one object for the driver and all its devices.

    :ivar shutdownrequested: raised when the run is to end.
    :ivar stopped: raised when it has ended.
    :ivar present: the run, between its beginning and its end.
    :ivar sender: what sends for it.
    """

    def __init__(self) -> None:
        self.shutdownrequested = Flag()
        self.stopped = Flag()
        self.present: Run | None = None
        self.sender: Sender | None = None
        self._claimed = False
        self._asked_to_stop: str | None = None
        # Guards whether there is a run to end: another thread may ask while one begins or ends. Reentrant, because
        # a signal handler may interrupt whoever holds it.
        self._ending = threading.RLock()

    @property
    def is_claimed(self) -> bool:
        """Whether a run has begun or is about to, and has not ended."""
        return self._claimed

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Have the driver for one run, from here to the real end.

        :raises RuntimeError: it is running already.
        """
        if self._claimed:
            raise RuntimeError("this driver is running already; one instance serves one peer at a time")
        self._claimed = True
        self.stopped.clear()
        try:
            yield
        finally:
            self._claimed = False
            self.stopped.set()

    @contextmanager
    def running(self, run: Run) -> Iterator[None]:
        """Be the state of this run; where its end was asked for before, ask for it now."""
        with self._ending:
            self.present, self.sender = run, run.sender
            if self._asked_to_stop is None:
                self.shutdownrequested.clear()
            else:
                run.end(self._asked_to_stop)
        try:
            yield
        finally:
            with self._ending:
                self.present = self.sender = self._asked_to_stop = None

    def end(self, reason: str) -> None:
        """Let the run end in order; before a run, let the next one end at once. May be called from anywhere."""
        with self._ending:
            if self.present is None:
                self._asked_to_stop = reason
                self.shutdownrequested.set()
            else:
                self.present.end(reason)
