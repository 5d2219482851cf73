"""How a driver's process comes to its end: asked by a signal, and always within a bound.

A plain signal handler is used, not the event loop's own: it runs even while a driver's code blocks the loop (a
``time.sleep``, a slow serial port), so that the bound holds then as well. The handler wakes the loop through a
socket pair.

The bound is kept by :func:`faulthandler.dump_traceback_later`. Its watchdog needs neither the loop nor the
interpreter lock, and what it writes to standard error shows where the program hangs.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import anyio

from indianyio.run._console import STDERR, say

__all__ = ["EndingSignals", "ending_signals", "limit_end", "seconds_to_end", "unlimit_end"]

# The work, leave() and the last writes have one grace period each (design: work inside, writer outside); the
# rest is for the interpreter.
GRACE_PERIODS = 3
SPARE_SECONDS = 2.0


def seconds_to_end(grace_seconds: float) -> float:
    """Return how long the end of a run may take in all, in seconds.

    :param grace_seconds: the driver's grace.
    """
    return GRACE_PERIODS * grace_seconds + SPARE_SECONDS


def limit_end(seconds: float) -> None:
    """End the process with status 1 if it still runs after this time; each call starts the time anew.

    :param seconds: more than 0.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)


def unlimit_end() -> None:
    """Take back :func:`limit_end`."""
    faulthandler.cancel_dump_traceback_later()


class EndingSignals:
    """The signals that ask a process to end; see :func:`ending_signals`."""

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self._received: signal.Signals | None = None
        self._woken, self._waker = socket.socketpair()

    async def wait(self) -> signal.Signals:
        """Wait for the first signal, also for one that has come already.

        :return: which it was.
        """
        while self._received is None:
            await anyio.wait_readable(self._woken)
        return self._received

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: the first one asks the driver to end, the second one ends the process at once."""
        name = signal.Signals(number)
        if self._received is not None:
            say(f"{name.name} again: ending at once")
            os._exit(1)
        self._received = name
        self._on_first()
        self._waker.send(b"\0")

    def close(self) -> None:
        """Give up the socket pair."""
        self._woken.close()
        self._waker.close()


def _asking_to_end() -> list[signal.Signals]:
    # SIGHUP comes when a terminal is closed; under nohup it is ignored, and stays so.
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hangup]


@contextmanager
def ending_signals(on_first: Callable[[], None]) -> Iterator[EndingSignals]:
    """Receive SIGTERM, SIGINT and SIGHUP in this block, and put the handlers back after it.

    :param on_first: called at the first signal, from the signal handler.
    :raises ValueError: this is not the main thread.
    """
    signals = EndingSignals(on_first)
    before = {number: signal.signal(number, signals.handle) for number in _asking_to_end()}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signals.close()
