"""How a driver's process ends: when a signal asks for it, and always within a bound.

A plain signal handler is used, not the event loop's own: it runs even while a driver's code blocks the loop (a
``time.sleep``, a slow serial port), so that the bound holds then as well. The handler wakes the loop through a
socket pair.

Two things keep the bound. A thread sleeps until then, writes the stacks of all threads to standard error, which
show where the program hangs, and ends the process with status 1. For the case that code holds the interpreter lock,
so that no thread of Python's runs, the kernel's timer ends the process a second later by SIGALRM. (Not
``faulthandler.dump_traceback_later``: it writes to standard error, which waits when nobody reads it; and it walks
the stacks of running threads without the lock, which can crash.)
"""

from __future__ import annotations

import _thread
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import anyio

from indianyio.run._console import say

__all__ = [
    "EXIT_SECONDS",
    "GRACE_PERIODS",
    "SPARE_SECONDS",
    "EndingSignals",
    "ending_signals",
    "limit_end",
    "seconds_to_be_gone",
    "seconds_to_end",
    "unlimit_end",
]

# The work, leave() and the last writes have one grace period each (docs/decisions/0002); the rest is for
# the interpreter.
GRACE_PERIODS = 3
SPARE_SECONDS = 2.0

# Programs that pass a Ctrl-C on do so within milliseconds; people who have read a line take longer.
AGAIN_SECONDS = 1.0

EXIT_SECONDS = 2.0
"""How long the interpreter's own end may take.

It waits for worker threads, and a thread that was abandoned in a blocking read of a serial port never comes back,
or a look-up of a host's name for minutes. By now the instrument is safe.
"""

# Time for the stacks to be written before SIGALRM comes.
ALARM_SECONDS = 1.0
SWITCH_SECONDS = 1e-5

# How often the stacks are taken at most, until nothing has moved between two looks.
_MOST_LOOKS = 10


def seconds_to_end(grace_seconds: float) -> float:
    """Return how long the end of a run may take in all, in seconds.

    :param grace_seconds: the driver's grace.
    """
    return GRACE_PERIODS * grace_seconds + SPARE_SECONDS


def seconds_to_be_gone(end_seconds: float) -> float:
    """Return how long it may take until there is no process any more, in seconds, at the very longest.

    The time begins anew, once, when what keeps the event loop is interrupted, which may be at its very end. Then
    come the alarm, and the end of the interpreter.

    :param end_seconds: how long the end of the run may take, as :func:`seconds_to_end` says.
    """
    return 2 * end_seconds + ALARM_SECONDS + EXIT_SECONDS


class _Limit:
    """One bound on the end of the process; holds until it is given up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._holds = True

    def start(self) -> None:
        try:
            # Not threading.Thread, whose start() takes locks, and those may be held by what a signal interrupted.
            _thread.start_new_thread(self._run, ())
        except RuntimeError as exc:
            say(f"{exc}: if the end takes too long, nothing will show where")

    def give_up(self) -> None:
        # The thread is not woken: it sleeps to its end, and nobody waits for it.
        self._holds = False

    def _run(self) -> None:
        time.sleep(self._seconds)
        if not self._holds:
            return
        try:
            stacks = _stacks()
            # Work that spins would get 5 ms between any two of the writes below.
            sys.setswitchinterval(SWITCH_SECONDS)
            say(f"Timeout: no end within {self._seconds:g} s; the threads are here", details=stacks)
        finally:
            os._exit(1)


def _stacks() -> str:
    main = threading.main_thread().ident
    return "".join(
        f"Thread {ident:#x}{' (main)' if ident == main else ''}, innermost call first:\n{_written(frames)}"
        for ident, frames in _stacks_of_others().items()
    )


def _stacks_of_others() -> dict[int, list[tuple[FrameType, int]]]:
    """Return the frames of all other threads with their lines, innermost first."""
    own = threading.get_ident()
    taken: dict[int, list[tuple[FrameType, int]]] = {}
    for _ in range(_MOST_LOOKS):
        before = taken
        taken = {
            ident: list(traceback.walk_stack(frame))
            for ident, frame in sys._current_frames().items()  # noqa: SLF001 - documented for this very purpose
            if ident != own
        }
        # A thread that goes on while its frames are looked at loses those that follow. Twice the same is whole.
        if taken == before:
            break
    return taken


def _written(frames: list[tuple[FrameType, int]]) -> str:
    # Without the source lines: reading them from a slow disk could take longer than there is time.
    return "".join(
        f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_name}\n' for frame, line in frames
    )


class _Alarm:
    """The kernel's one timer for this process, as far as the driver does not use it itself."""

    def __init__(self) -> None:
        self._set = False

    def set(self, seconds: float) -> None:
        unused = self._set or signal.getitimer(signal.ITIMER_REAL)[0] == 0.0
        if unused and _kills_by_alarm():
            self._set = True
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def take_back(self) -> None:
        # With a handler there it has become the driver's.
        if self._set and _kills_by_alarm():
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        self._set = False


def _kills_by_alarm() -> bool:
    return signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


_alarm = _Alarm()
_limits: list[_Limit] = []


def limit_end(seconds: float) -> None:
    """End the process with status 1 if it still runs after this time; each call starts the time anew.

    If code holds the interpreter lock at that moment, SIGALRM ends the process a second later. That is left out
    when the driver has a use of its own for SIGALRM or for the timer.

    Must be called in the main thread; a signal handler is fine.

    :param seconds: more than 0.
    """
    unlimit_end()
    _alarm.set(seconds + ALARM_SECONDS)
    limit = _Limit(seconds)
    _limits.append(limit)
    limit.start()


def unlimit_end() -> None:
    """Take back :func:`limit_end`."""
    _alarm.take_back()
    while _limits:
        _limits.pop().give_up()


class EndingSignals:
    """The signals that ask a process to end; see :func:`ending_signals`."""

    def __init__(self, on_first: Callable[[], None], is_ours: Callable[[FrameType | None], bool]) -> None:
        self._on_first = on_first
        self._is_ours = is_ours
        self._received: signal.Signals | None = None
        self._interrupted_at: float | None = None
        self._woken, self._waker = socket.socketpair()

    async def wait(self) -> signal.Signals:
        """Wait for the first signal, also for one that has come already.

        :return: which it was.
        """
        while self._received is None:
            await anyio.wait_readable(self._woken)
        return self._received

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: the first one asks for the end; of the others only an impatient person's does anything."""
        if self._is_ours(frame):
            return
        name = signal.Signals(number)
        if name is signal.SIGINT:
            self._hear_person()
        if self._received is None:
            self._received = name
            self._on_first()
            self._waker.send(b"\0")

    def _hear_person(self) -> None:
        now = time.monotonic()
        if self._interrupted_at is None:
            self._interrupted_at = now
            say(f"SIGINT: ending in order; another one, {AGAIN_SECONDS:g} s later or more, ends at once")
        elif now - self._interrupted_at >= AGAIN_SECONDS:
            say("SIGINT again: ending at once")
            os._exit(1)

    def close(self) -> None:
        """Give up the socket pair."""
        self._woken.close()
        self._waker.close()


def _asking_to_end() -> list[signal.Signals]:
    # SIGHUP comes when a terminal is closed; under nohup it is ignored, and stays so. A shell's script has what it
    # starts with "&" ignore SIGINT, so that Ctrl-C does not end what runs in the background.
    from_terminal = [signal.SIGINT, signal.SIGHUP]
    return [signal.SIGTERM, *(number for number in from_terminal if signal.getsignal(number) is not signal.SIG_IGN)]


def _is_nobodys(frame: FrameType | None) -> bool:
    return False


@contextmanager
def ending_signals(
    on_first: Callable[[], None],
    is_ours: Callable[[FrameType | None], bool] = _is_nobodys,
    *,
    for_good: bool = False,
) -> Iterator[EndingSignals]:
    """Receive SIGTERM, and SIGINT and SIGHUP unless they are ignored; put the handlers back after the block.

    However many come, they are one wish: a closing terminal sends SIGHUP twice, and a supervisor passes on what the
    terminal has sent already. Only a second SIGINT that comes so late that a person must have sent it ends the
    process at once; the first one says so.

    :param on_first: called at the first signal, from the signal handler.
    :param is_ours: takes the frame that a signal has met, and says whether this process has sent the signal itself
        for another purpose.
    :param for_good: whether the process ends after the block. Then the signals are ignored from there on: a second
        one may come at any moment, and must not change the status with which it ends.
    :raises ValueError: this is not the main thread.
    """
    signals = EndingSignals(on_first, is_ours)
    before = {number: signal.signal(number, signals.handle) for number in _asking_to_end()}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if for_good else handler)
        signals.close()
