"""How a driver's program is supervised: its standard error is logged, and it is ended, by force if need be.

A file that ``python -m indianyio.run --make-executable`` wrote may record how long its driver needs to end: a
driver that takes twelve seconds to park must not be killed after the ten that others get.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import stat
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel

from indianyio._environment import Program
from indianyio.streams import ByteStream

__all__ = ["FIRST_LINES", "REAP_SECONDS", "DriverProcess", "grace_line", "recorded_grace"]

logger = logging.getLogger(__name__)

REAP_SECONDS = 1.0
"""How long a killed process may take to disappear; only one that hangs in a kernel driver needs longer."""

# How much of an unfinished line of standard error is held back. So no line in the log is longer than this and what
# is read at a time.
_LINE_BYTES = 4096
# One read may bring thousands of short lines; after this many the other tasks have their turn.
_LINES_IN_A_ROW = 50


class DriverProcess:
    """A driver's program; used as a context manager, which closes its streams.

    :param program: the program, already started.
    :param name: what it is called in log lines.
    :ivar exited: set when it has ended and :meth:`reap` has seen it, which is late if the event loop was held.
    """

    def __init__(self, program: Program, *, name: str) -> None:
        self.name = name
        self.exited = anyio.Event()
        self._program = program

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the program's streams; nobody may be waiting on them."""
        self._program.close()

    @property
    def stream(self) -> ByteStream:
        """The way to its standard input and from its standard output."""
        return self._program.stream

    @property
    def pid(self) -> int:
        """The process id, which the system may give to another process after this one has ended."""
        return self._program.pid

    @property
    def status(self) -> int | None:
        """Its exit status; the negative number of the signal that killed it; ``None`` while it runs."""
        return self._program.status

    @property
    def outcome(self) -> str:
        """How it ended, in words for people."""
        status = self.status
        if status is None:
            return "it has not ended"
        return f"it exited with status {status}" if status >= 0 else f"it was killed by {_signal_name(-status)}"

    async def reap(self) -> None:
        """Wait for the end of the process and set :attr:`exited`; for one task at a time."""
        await self._program.wait()
        self.exited.set()

    async def log_errors(self, log: logging.Logger) -> None:
        """Log every line of its standard error, until that is closed."""
        rest = b""
        try:
            while data := await self._program.read_error():
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > _LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for number, line in enumerate(lines, 1):
                    _log(log, line)
                    if number % _LINES_IN_A_ROW == 0:
                        await anyio.lowlevel.checkpoint()
        finally:
            _log(log, rest)

    def close_input(self) -> None:
        """Close its input, which asks it to end; what it says is still received."""
        self._program.close_input()

    def hang_up(self) -> None:
        """Close its input, which asks it to end, and its output; nothing more can be received from it."""
        self._program.hang_up()

    async def end(self, grace_seconds: float) -> None:
        """Wait until it ends, then send SIGTERM, then SIGKILL; the caller closes its input first.

        Needs :meth:`reap` to run beside it. Takes at most twice the grace, and the time that the system needs to
        kill a process, for which the caller sets a limit.

        :param grace_seconds: how long to wait before each signal.
        """
        for name, send in (("SIGTERM", self._program.terminate), ("SIGKILL", self._program.kill)):
            with anyio.move_on_after(grace_seconds):
                await self.exited.wait()
                return
            if self.status is not None:
                break  # it has ended, and the event loop was held, so that nobody could notice
            logger.warning("%s: runs on after %g s; sending it %s", self.name, grace_seconds, name)
            try:
                send()
            except OSError as error:  # a program with another user's rights
                logger.error("%s: cannot send it %s: %s", self.name, name, error)
        await self.exited.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _log(log: logging.Logger, line: bytes) -> None:
    text = line.decode("utf-8", "backslashreplace").rstrip()
    if text:
        log.info("%s", text)


# -- the grace that a file records -----------------------------------------------------------------------------


FIRST_LINES = b"#!/bin/sh\n# Made by: python -m indianyio.run --make-executable\n"
"""What all such files begin with."""

# At most 9999999.999 s, about four months: enough for any instrument, and small enough to overflow nowhere.
_GRACE = re.compile(re.escape(FIRST_LINES) + rb"# Grace in seconds: ([0-9]{1,7}(?:\.[0-9]{1,3})?)\n")
_HEAD_BYTES = 200


def grace_line(seconds: float) -> bytes:
    """Return the line that follows the first ones in a file, to record a grace.

    :param seconds: more than 0.
    """
    return f"# Grace in seconds: {min(seconds, 9999999.0):.3f}\n".encode("ascii")


def recorded_grace(path: str) -> float | None:
    """Return the grace that a file records, in seconds; ``None`` for a file that is not of this kind.

    Neither waits nor raises, whatever the path leads to.
    """
    try:
        # O_NONBLOCK, so that opening a named pipe does not wait; starting it will fail with a clear error.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        found = _GRACE.match(os.read(descriptor, _HEAD_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if found is None else float(found[1])
