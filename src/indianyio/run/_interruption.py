"""What is done about code that blocks the event loop when the process is to end.

While it does, no ``leave()`` can run, neither of this driver nor of any other in the process: it needs the loop,
and in another loop or thread it would break whatever it shares with the rest of the driver. So the code that is
in the way is interrupted where it is, by a signal whose handler raises an exception in the main thread.
``time.sleep``, reads and waits of Python's own end then, and so does a computation.

Everybody has time before: the end was requested a grace ago, and the loop has not answered for a second. The end of
a driver's input is such a request, which a thread sees where the loop cannot: a server that stops a driver sends
SIGTERM only a grace later, and SIGKILL after another one, before which the driver is to have left. Never
interrupted are ``leave()``, and our code and the event loop's, which would not survive it.

This does not help against what does not come back to Python (a C library that goes on waiting, or holds the
interpreter lock), nor against code that catches every ``BaseException`` and goes on. For these there is the hard
bound (``_ending``).
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import FrameType

import anyio

from indianyio.driver._guard import Watch, step_frames
from indianyio.run._console import say
from indianyio.run._ending import EndingSignals, limit_end, unlimit_end

__all__ = ["End", "LoopBlockedError"]

NUMBER = signal.SIGTERM
"""The signal that is used; its handler is ours while a driver runs."""

ANSWER_SECONDS = 1.0

# The code may be in ours for a moment; then it is tried again.
TRIES = 20
TRY_SECONDS = 0.05

# In the middle of these nothing is interrupted; the user's code may use the rest of the standard library.
OURS = frozenset({"indianyio", "anyio", "asyncio", "trio", "outcome", "sniffio"})
USERS = ("indianyio.examples", "indianyio.testing")


class LoopBlockedError(BaseException):
    """Raised in code that keeps the event loop when the process is to end.

    Not an :class:`Exception`: a loop that tries again after every error must end as well.
    """


class End:
    """How the end of a run is bounded, once it has begun; for the main thread.

    :param grace_seconds: how long before what keeps the event loop is interrupted.
    :param end_seconds: says how long before the process is ended, where it is; asked whenever the time begins, for
        what was started last may have a longer grace than what there was at first.
    :ivar interruption: of what keeps the event loop.
    """

    def __init__(self, grace_seconds: float, end_seconds: Callable[[], float]) -> None:
        self._end_seconds = end_seconds
        self.interruption = Interruption(grace_seconds, self._limit)

    def begin(self) -> None:
        """Note that the process is to end; each call starts the time anew. A signal handler may call it."""
        self._limit()
        self.interruption.begin()

    def _limit(self) -> None:
        limit_end(self._end_seconds())

    def close(self) -> None:
        """Note that the run has ended."""
        self.interruption.close()
        unlimit_end()


class Interruption:
    """Interrupts what keeps the event loop of this thread, the main one.

    :param grace_seconds: how long after the request to end.
    :param on_first: called, from a signal handler, when something is interrupted, but only once: the drivers get
        their time to leave anew.
    """

    def __init__(self, grace_seconds: float, on_first: Callable[[], None]) -> None:
        self._grace_seconds = grace_seconds
        self._on_first: Callable[[], None] | None = on_first
        self._watch = Watch.of_this_thread()
        self._thread = threading.get_ident()
        self._begins = count()  # each next() is one step, whichever thread or signal handler takes it
        self._closing = threading.Lock()
        self._closed = False
        self._wanted = False
        self._asked = 0
        self._answered = 0
        self._entered = 0
        self._hearing, self._asking = socket.socketpair()
        self._asking.setblocking(False)

    def begin(self) -> None:
        """Note that the end was requested; may come again, and from a signal handler."""
        if next(self._begins):
            return
        try:
            # Not threading.Thread, whose start() takes locks, and those may be held by what a signal interrupted.
            _thread.start_new_thread(self._run, ())
        except RuntimeError as exc:
            say(f"{exc}: code that keeps the event loop will not be interrupted")

    def begin_at_hangup(self, descriptor: int) -> None:
        """Do what :meth:`begin` does as soon as nothing more is sent to a descriptor, which is closed then.

        :param descriptor: of a stream; closed at the end of the run at the latest.
        """
        hung_up = getattr(select, "POLLRDHUP", 0)  # elsewhere than on Linux POLLHUP says so, which always counts
        poll = select.poll()
        poll.register(descriptor, hung_up)
        poll.register(self._hearing, hung_up)  # for close()
        try:
            _thread.start_new_thread(self._wait_for_hangup, (poll, descriptor))
        except RuntimeError as exc:
            os.close(descriptor)
            say(f"{exc}: code that keeps the event loop will be interrupted after a signal only")

    def _wait_for_hangup(self, poll: select.poll, descriptor: int) -> None:
        poll.poll()
        os.close(descriptor)
        self.begin()

    async def answer(self) -> None:
        """Show that the event loop is at work, until this is cancelled; costs nothing before :meth:`begin`."""
        while True:
            await anyio.wait_readable(self._hearing)
            self._hearing.recv(64)
            self._answered = self._asked

    def handle(self, frame: FrameType | None) -> bool:
        """Take a signal, in the main thread.

        :param frame: what is being executed.
        :return: whether the signal was sent for this purpose, and not by somebody else.
        :raises LoopBlockedError: it is to be interrupted.
        """
        if not self._wanted:
            return False
        self._wanted = False
        users = None if self._is_answered or frame is None else self._interruptible(frame)
        if users is None:
            return True
        self._asked = self._answered  # no second time for the same question
        step, on_first = self._watch.step, self._on_first
        if on_first is not None:
            self._on_first = None
            on_first()
        where = f"{users.f_code.co_filename}:{users.f_lineno} in {users.f_code.co_name}"
        who = "code" if step is None else f"{step.name}: {step.what}"
        say(f"{who} keeps the event loop, and is interrupted at {where}")
        raise LoopBlockedError(f"{who} kept the event loop for more than {self._grace_seconds:g} s at {where}")

    def close(self) -> None:
        """Interrupt nothing any more; must come before the handler of the signal is put back."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._asking.shutdown(socket.SHUT_RDWR)
        self._hearing.close()
        self._asking.close()

    @property
    def _is_answered(self) -> bool:
        return self._answered == self._asked

    def _run(self) -> None:
        time.sleep(self._grace_seconds)
        while self._ask():
            time.sleep(ANSWER_SECONDS)
            for _ in range(TRIES):
                if self._is_answered or not self._send_signal():
                    break
                time.sleep(TRY_SECONDS)

    def _ask(self) -> bool:
        with self._closing:
            if self._closed:
                return False
            self._asked += 1
            self._entered = self._watch.entered
            with suppress(BlockingIOError):  # it is full of questions
                self._asking.send(b"?")
        return True

    def _send_signal(self) -> bool:
        # With another handler in place, the signal is the driver's by now, or the run is over.
        with self._closing:
            handler = getattr(signal.getsignal(NUMBER), "__self__", None)
            if self._closed or not isinstance(handler, EndingSignals):
                return False
            self._wanted = True
            signal.pthread_kill(self._thread, NUMBER)
        return True

    def _interruptible(self, frame: FrameType) -> FrameType | None:
        """Return the user's innermost frame of a stack that may be interrupted."""
        step = self._watch.step
        if step is None:
            # Of a task that the author's code has started; it could be one of leave()'s.
            may = not self._watch.leaving
        else:
            # Where another step than when the loop was asked is at work, the loop is slow, but not kept by it.
            is_the_same = self._watch.entered == self._entered and any(True for _ in step_frames(frame))
            may = is_the_same and step.what != "leave"
        return _users_frame(frame) if may else None


def _users_frame(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame of the user's, if it executes nothing but the standard library."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        package = name.partition(".")[0]
        if package in OURS:
            return frame if name.startswith(USERS) else None
        if package not in sys.stdlib_module_names:
            return frame
        frame = frame.f_back
    return None
