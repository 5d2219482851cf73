"""The boundary between our code and that of a driver's author: a guard around each call, a watch on each step.

Whatever leaves the author's code arrives here as a value, because of where an exception would go. asyncio lets a
``SystemExit`` or ``KeyboardInterrupt`` that leaves a task end the event loop there and then, without a ``leave()``
of any driver. And a failure beside a cancellation makes a group that ``except Exception`` does not catch.

Code that blocks (``time.sleep``, a slow serial port) or computes for long stops everything in its event loop: no
Abort is read, and no other driver of the process does anything. Nothing in the loop can report that, so a thread
does. It must cost nothing while nothing happens, so it does not poll the loop. Instead each step of the author's
code, from one ``await`` that waits to the next, is counted. :func:`until_it_waits` does that; all of the
author's code is stepped by it, because a reader needs it anyway, to learn whether a handler waits (see
``_readers``). While there are steps, the thread looks once a second whether the step of a second ago still goes on.
When there was none for a second it waits until the next one calls it, so an idle driver never wakes it.

The author's code is called from nowhere else, and the guard tells the watch what it calls. The steps of tasks that
the author's code has started itself are not seen.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from types import FrameType
from typing import Any, TypeVar, cast

from msgspec import Struct

from indianyio._failures import uncancelled

__all__ = ["Guard", "Step", "Watch", "step_frames", "until_it_waits", "watched"]

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

LOOK_SECONDS = 1.0

# A driver that blocks again and again need not fill the log.
REPEAT_SECONDS = 60.0


class Step(Struct, frozen=True):
    """Whose code is at work.

    :ivar name: of the driver, for log lines.
    :ivar what: the name of the function.
    """

    name: str
    what: str


class Watch:
    """Knows which driver's code is running in the event loop of one thread.

    :ivar step: what is running right now.
    :ivar entered: how many steps have begun.
    :ivar leaving: how many drivers are in their ``leave()``.
    """

    _of_thread = threading.local()

    def __init__(self) -> None:
        self.step: Step | None = None
        self.entered = 0
        self.leaving = 0
        self.parked = True
        self._loop_thread = threading.get_ident()
        self._claims = 0
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._reported: dict[Step, float] = {}

    @classmethod
    def of_this_thread(cls) -> Watch:
        """Return the watch of the thread whose event loop this is."""
        watch: Watch | None = getattr(cls._of_thread, "watch", None)
        if watch is None:
            watch = cls._of_thread.watch = cls()
        return watch

    def claim(self) -> None:
        """Let the thread run until :meth:`release`."""
        self._claims += 1
        if self._claims > 1:
            return
        self._calls = SimpleQueue()
        self.parked = True
        try:
            threading.Thread(target=self._run, args=(self._calls,), name="indianyio watch", daemon=True).start()
        except RuntimeError as error:
            logger.warning("%s: nothing will tell when a driver's code keeps the event loop", error)

    def release(self) -> None:
        """Take back a :meth:`claim`; with the last one the thread ends."""
        self._claims -= 1
        if self._claims == 0:
            self._calls.put(False)

    def enter(self, step: Step) -> None:
        """Note that a step begins; the caller resets :attr:`step` when it ends."""
        self.step = step
        self.entered += 1
        if self.parked:
            self.parked = False
            self._calls.put(True)

    def _run(self, calls: SimpleQueue[bool]) -> None:
        while calls.get():
            self._look_while_busy(calls)

    def _look_while_busy(self, calls: SimpleQueue[bool]) -> None:
        seen, reported = -1, -1
        while True:
            time.sleep(LOOK_SECONDS)
            if calls is not self._calls or not self._claims:
                return
            step, entered = self.step, self.entered
            if entered != seen:
                seen = entered
            elif step is None:
                self.parked = True
                # A step that has just begun may not have seen that.
                if self.entered == seen:
                    return
                self.parked = False
            elif reported != entered:
                reported = entered
                self._report(step, entered)

    def _report(self, step: Step, entered: int) -> None:
        now = time.monotonic()
        if now - self._reported.get(step, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        frame = sys._current_frames().get(self._loop_thread)
        places = [] if frame is None else [_place(inner, line) for inner, line in step_frames(frame)]
        if self.entered != entered or self.step is not step or not places:
            return  # it has just gone on
        self._reported[step] = now
        logger.warning(
            "%s: %s has kept the event loop for more than %g s, so nothing else is done; it is at %s%s; "
            "what takes time belongs into await anyio.to_thread.run_sync(...)",
            step.name,
            step.what,
            LOOK_SECONDS,
            places[0],
            "".join(f", called from {place}" for place in places[1:]),
        )


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def step_frames(frame: FrameType) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames of the author's code with their lines, innermost first; none if none is being executed."""
    inner: FrameType | None = frame
    found: list[tuple[FrameType, int]] = []
    while inner is not None:
        if inner.f_code is watched.__code__:
            yield from found
            return
        found.append((inner, inner.f_lineno))
        inner = inner.f_back


async def watched(
    watch: Watch, step: Step, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
) -> None:
    """Call a function of the author's and await what it returns, as a step of that name.

    :func:`until_it_waits` must be what steps this: it takes the step back while the function waits.
    """
    before = watch.step
    watch.enter(step)
    try:
        # The call is part of the first step: a function that is not async does all its work here.
        await function(*args)
    finally:
        watch.step = before


@types.coroutine
def until_it_waits(
    coroutine: Coroutine[Any, Any, ResultT], watch: Watch, hand_over: Callable[[], None]
) -> Generator[Any, Any, ResultT]:
    """Await a coroutine in this task, have its steps seen, and call ``hand_over`` if it waits, when it first does.

    It runs in a copy of the present context: what a handler sets must not be seen by the one that comes next in the
    same task, as it would not be if each had a task of its own.

    :raises BaseException: what leaves the coroutine.
    """
    run = copy_context().run
    before = watch.step
    try:
        awaited = run(coroutine.send, None)
    except StopIteration as stop:
        return cast("ResultT", stop.value)
    step, watch.step = watch.step, before
    hand_over()
    while True:
        try:
            sent = yield awaited
        except GeneratorExit:
            _close(partial(run, coroutine.close), watch)
            raise
        except BaseException as error:  # noqa: ASYNC103, BLE001 - a cancellation as a rule; it is the coroutine's
            resume: Callable[[Any], Any] = coroutine.throw
            value: Any = error
        else:
            resume, value = coroutine.send, sent
        before = watch.step
        if step is not None:
            watch.enter(step)
        try:
            awaited = run(resume, value)
        except StopIteration as stop:
            return cast("ResultT", stop.value)
        finally:
            step, watch.step = watch.step, before


def _close(close: Callable[[], None], watch: Watch) -> None:
    """Close a coroutine whose loop is closed; this may happen in the middle of another step."""
    step = watch.step
    try:
        close()
    finally:
        watch.step = step


class Guard:
    """Calls the functions of a driver's author.

    :param name: the driver, for log lines.
    :param is_cancelled: says whether what the guard calls is to end; a cancellation that leaves it at any other
        time is an error.
    :ivar is_cancelled: the same.
    :ivar watch: sees the steps of what is called; :func:`~indianyio.driver._guard.until_it_waits` shows them to it.
    """

    def __init__(self, name: str, is_cancelled: Callable[[], bool]) -> None:
        self._name = name
        self.is_cancelled = is_cancelled
        self.watch = Watch.of_this_thread()
        self._steps: dict[str, Step] = {}

    async def failure_of_task(self, function: Callable[..., Awaitable[object]]) -> BaseException | None:
        """Do what :meth:`failure_of` does, in a task that does nothing else."""
        return await until_it_waits(self.failure_of(function), self.watch, _nothing)

    async def failure_of(self, function: Callable[..., Awaitable[object]], *args: object) -> BaseException | None:
        """Call a function, await what it returns, and return what left it, if anything did.

        asyncio's CancelledError leaves not only what was cancelled, but also what awaited a task that somebody else
        cancelled, or what had entered a cancel scope and never left it. That is an error of the code like any
        other; taken for a cancellation of this task it would end the driver without a word.

        To be stepped by :func:`~indianyio.driver._guard.until_it_waits`, or the watch sees wrong steps.

        :return: an :class:`Exception`, or what is graver: ``SystemExit``, ``KeyboardInterrupt``, a group with one
            of these in it, or anything else. No cancellation is in it.
        """
        what = getattr(function, "__name__", "a function")
        try:
            await watched(self.watch, self._step(what), function, args)
        except GeneratorExit:
            raise  # our own task is closed, not cancelled: its loop has gone
        except BaseException as error:  # noqa: ASYNC103 - the fault boundary; cancellations are raised below
            failure = uncancelled(error)
            if failure is not None:
                return failure  # noqa: ASYNC104 - the task ends, or meets its cancellation again
            if self.is_cancelled():
                raise
            stray = RuntimeError(f"{what} awaited something that was cancelled")
            stray.__cause__ = error
            return stray  # noqa: ASYNC104 - nobody cancelled this task
        return None

    def _step(self, what: str) -> Step:
        step = self._steps.get(what)
        if step is None:
            step = self._steps[what] = Step(self._name, what)
        return step


def _nothing() -> None:
    """Hand nothing over."""
