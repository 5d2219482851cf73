"""What a driver, its devices and their vectors know of the run: whether there is one, and what sends for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from indianyio.driver._flag import Flag
from indianyio.driver._sending import Sender
from indianyio.driver._vectors import AnyVector

__all__ = ["Run", "RunState"]


class Run(Protocol):
    """A run, seen from the driver."""

    @property
    def sender(self) -> Sender:
        """What sends for it."""

    def end(self, reason: str) -> None:
        """Let the work end; may be called from any thread, and again."""

    def snoops_changed(self) -> None:
        """Look at the table of snoops again."""

    def refuse_waiting(self, vector: AnyVector, reason: str) -> int:
        """Refuse the writes to a vector that wait; return how many these were."""


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
        # For whether there is a run to be ended, which another thread may ask while one begins or ends. Reentrant,
        # because a signal handler may ask in between.
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
