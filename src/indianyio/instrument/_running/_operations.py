"""Operations: they take time, the property is Busy meanwhile, and they can be aborted.

A client's write to a property with an operation is answered with Busy. Then the operation's method runs, in a task
of its own, so that neither an Abort nor anything else waits for it. When it returns, the property becomes Ok. When
it fails, the error goes to ``rxerror``, and the property becomes Alert. An abort cancels the method, drops the
writes that wait, and leaves the property in the state that clients expect of it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import anyio

from indianyio._failures import described
from indianyio.driver import AnyVector, NewEvent
from indianyio.driver._driver import Through
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._running._ending import ending_in_peace
from indianyio.instrument._running._host import Host

__all__ = ["Ends", "Operation", "WhenBusy"]

logger = logging.getLogger(__name__)

V = TypeVar("V")

WhenBusy: TypeAlias = Literal["refuse", "queue", "replace"]
"""What happens to a write that arrives while the operation of its property goes on."""

# Somebody who clicks faster than the instrument moves may have this many writes waiting.
_MOST_WAITING = 32


class Ends(Protocol[V]):
    """How an operation begins and ends, as clients see it."""

    def wanted(self, event: NewEvent) -> V:
        """Return what a write asks for."""

    async def check(self, wanted: V) -> bool:
        """Check what is wanted before anything begins; return whether it has been carried out at once."""

    async def begun(self, wanted: V) -> None:
        """Tell clients that it is under way."""

    async def done(self, wanted: V, result: object) -> None:
        """Tell clients that it has succeeded, and returned this result."""

    async def aborted(self) -> None:
        """Tell clients that it was aborted."""

    async def failed(self, event: NewEvent, error: Exception) -> None:
        """Tell clients that it has failed."""


class _Running:
    """One run of an operation's method, or of several one after the other.

    :ivar scope: cancelled by an abort.
    :ivar ended: set when clients have been told of the end.
    :ivar is_replaced: whether it was cancelled to make way for the write that waits.
    """

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self.is_replaced = False


class Operation(Generic[V]):
    """What one property of one instrument does when it is written to.

    :param vector: the vector of the property.
    :param method: carries out what is wanted.
    :param ends: tells clients how it begins and ends.
    :param host: the instrument's run.
    :param when_busy: decides, given what is wanted, what happens to a write that arrives while the operation is
        running. ``"refuse"``: it is answered with Alert, and the operation goes on. ``"queue"``: it is carried out
        afterwards. ``"replace"``: the operation is cancelled, and when it has ended the new one begins; only the
        latest write waits for that.
    :ivar name: the property, for people.
    :ivar rivals: operations that move the same thing, and so exclude this one.
    :ivar replaces_rivals: whether it takes their place, instead of being refused while one of them is running.
    :ivar why_not: returns why it cannot begin now, for people; an empty text if it can.
    :ivar through: called with the operation's name and function to run it, so that a test kit can look on.
    """

    def __init__(
        self,
        vector: AnyVector,
        method: Callable[[V], Awaitable[object]],
        ends: Ends[V],
        host: Host,
        when_busy: Callable[[V], WhenBusy],
    ) -> None:
        self.name = vector.name
        self._vector = vector
        self._method = method
        self._ends = ends
        self._host = host
        self._when_busy = when_busy
        self.rivals: Sequence[Operation[Any]] = ()
        self.replaces_rivals = False
        self.why_not: Callable[[], str] = str
        self.through: Through = _directly
        self._running: _Running | None = None
        self._waiting: deque[tuple[NewEvent, V]] = deque()
        self._holds: list[anyio.Event] = []
        self._cancels = 0

    @property
    def is_running(self) -> bool:
        """Whether it is running, or about to begin."""
        return self._running is not None

    async def write(self, event: NewEvent, after: Callable[[], Awaitable[object]] | None = None) -> None:
        """Begin what a client wants; if the operation goes on already, do what ``when_busy`` says.

        :param after: awaited first. An Abort that arrives meanwhile keeps the operation from beginning.
        :raises ValueError: the property cannot have the values that are written.
        """
        cancels = self._cancels
        if after is not None:
            await after()
        wanted = self._ends.wanted(event)
        try:
            if await self._ends.check(wanted):
                return
        except WriteRefusedError as error:
            # A refusal must not make an operation that is still running look as if it had failed.
            self._host.refuse(self._vector, str(error))
            return
        except Exception as error:
            if self._running is None:
                raise
            logger.error("%s: a write was refused while it is busy: its check failed", self.name, exc_info=error)
            self._host.refuse(self._vector, described(error))
            return
        # While the check waited, an Abort may have arrived, or the instrument may have been disconnected.
        if reason := self.why_not():
            self._host.refuse(self._vector, reason)
        elif cancels != self._cancels:
            self._host.refuse(self._vector, f"{self.name} was aborted before it began")
        elif self._running is not None:
            self._write_meanwhile(self._running, event, wanted)
        elif self._has_way():
            await self._begin(event, wanted)

    async def _begin(self, event: NewEvent, wanted: V) -> None:
        running = self._running = _Running()
        try:
            await self._ends.begun(wanted)
            run = partial(self._run, running, event, wanted)
            started = self._host.run_beside(self.through(f"the operation of {self.name}", run))
        except BaseException:
            self._ended(running)
            raise
        if not started:
            self._ended(running)

    def _has_way(self) -> bool:
        """Return whether no other operation is in the way; one that may be replaced is cancelled."""
        moving = [rival for rival in self.rivals if rival.is_running]
        if moving and not self.replaces_rivals:
            others = ", ".join(rival.name for rival in moving)
            self._host.refuse(self._vector, f"{self.name} has to wait: {others} is busy; abort that first")
            return False
        for rival in moving:
            rival.cancel(f"{self.name} takes its place")
        return True

    def _write_meanwhile(self, running: _Running, event: NewEvent, wanted: V) -> None:
        when_busy = self._when_busy(wanted)
        if when_busy == "refuse":
            self._host.refuse(self._vector, f"{self.name} is busy; abort it first, or wait until it is done")
        elif when_busy == "replace":
            self._waiting.clear()
            self._waiting.append((event, wanted))
            running.is_replaced = True
            running.scope.cancel("another write has arrived")
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting.append((event, wanted))
        else:
            self._host.refuse(self._vector, f"{self.name}: too many requests are waiting already")

    def cancel(self, reason: str = "aborted") -> None:
        """Cancel the operation, if it is running, and drop the writes that wait; it ends soon, not at once.

        A write that is still being checked will not begin.
        """
        self._cancels += 1
        self._waiting.clear()
        if self._running is not None:
            self._running.is_replaced = False
            self._running.scope.cancel(reason)

    async def abort(self, reason: str = "aborted", *, keep_waiting: bool = False) -> bool:
        """Cancel the operation, and wait until it has ended and clients have been told.

        :param keep_waiting: only wait for an operation that has been cancelled already, and keep the writes that
            have arrived since: they may begin afterwards.
        :return: whether it has ended. If it hangs, in a thread for instance, this waits ``grace`` seconds and one
            more.
        """
        running = self._running
        if keep_waiting:
            running = running if running is not None and running.scope.cancel_called else None
        else:
            self.cancel(reason)
        if running is None:
            return True
        with anyio.move_on_after(self._host.grace + 1):
            await running.ended.wait()
        return running.ended.is_set()

    def forget(self) -> None:
        """Drop the writes that wait."""
        self._waiting.clear()

    async def end(self) -> None:
        """Wait until it and all the writes that wait have ended, and clients have been told."""
        while self._running is not None:
            await self._running.ended.wait()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing begin within this block; what is asked for meanwhile begins afterwards."""
        hold = anyio.Event()
        self._holds.append(hold)
        try:
            yield
        finally:
            self._holds.remove(hold)
            hold.set()

    async def settle(self) -> None:
        """Drop the writes that wait, and report an abort if the end of the run has left the property Busy."""
        self.forget()
        if self._vector.state == "Busy" and self._vector.is_enabled:
            await self._ends.aborted()

    # -- the task ----------------------------------------------------------------------------------------------

    async def _run(self, running: _Running, event: NewEvent, wanted: V) -> None:
        try:
            await self._carry_out(running, event, wanted)
            while self._waiting and not self._host.is_ending():
                event, wanted = self._waiting.popleft()
                following = self._running = _Running()
                # From now on an abort or a wait is for the new one; those who waited for the old one are let go.
                running.ended.set()
                running = following
                await self._ends.begun(wanted)
                await self._carry_out(running, event, wanted)
        finally:
            self._ended(running)

    async def _carry_out(self, running: _Running, event: NewEvent, wanted: V) -> None:
        results: list[object] = []
        scope = running.scope
        is_told = False

        def is_cancelled() -> bool:
            nonlocal is_told
            is_told = scope.cancel_called or self._host.is_ending()
            return is_told

        async def operate() -> None:
            while self._holds:
                await self._holds[-1].wait()
            for rival in self.rivals:
                if not await rival.abort(f"{self.name} takes its place"):
                    raise TimeoutError(f"{rival.name} does not end, so {self.name} cannot begin")
            results.append(await self._method(wanted))

        async def in_peace() -> None:
            await ending_in_peace(operate, is_cancelled=is_cancelled, grace=self._host.grace)

        in_peace.__name__ = getattr(self._method, "__name__", in_peace.__name__)
        failure: BaseException | None = None
        # If an abort arrived before the task began, the method is not even called.
        if not scope.cancel_called:
            with scope:
                failure = await self._host.failure_of(in_peace, is_cancelled)
        if is_told and failure is None:
            # A method that was told to stop, and returned as if nothing had happened, has not done what was wanted.
            results.clear()
        await self._tell(running, event, wanted, failure, results)

    async def _tell(
        self, running: _Running, event: NewEvent, wanted: V, failure: BaseException | None, results: list[object]
    ) -> None:
        if failure is None and results:
            # What the method returned may not be legal values of the property.
            failure = await self._failure_of(lambda: self._ends.done(wanted, results[0]))
        elif failure is None and not (running.is_replaced and self._waiting):
            failure = await self._failure_of(self._ends.aborted)
        if isinstance(failure, Exception):
            self._waiting.clear()
            error = failure
            failure = await self._failure_of(lambda: self._ends.failed(event, error))
            if isinstance(failure, Exception):
                logger.error("rxerror failed for %s.%s", event.devicename, event.vectorname, exc_info=failure)
                failure = None
        if failure is not None:
            self._waiting.clear()
            self._host.fail(failure)

    async def _failure_of(self, function: Callable[[], Awaitable[object]]) -> BaseException | None:
        return await self._host.failure_of(function, self._host.is_ending)

    def _ended(self, running: _Running) -> None:
        if self._running is running:
            self._running = None
        running.ended.set()


async def _directly(name: str, function: Callable[[], Awaitable[object]]) -> None:
    """Call a function, and await what it returns."""
    await function()
