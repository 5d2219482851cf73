"""Standard error for a program whose reader may be gone, or may not read.

indiserver reads its drivers' standard error through a pipe. When indiserver ends, that pipe breaks in the same
moment in which the drivers see the end of their input; from then on a ``print`` in ``leave()`` would raise
``BrokenPipeError`` and keep the telescope from being parked. And when whoever holds the pipe does not read it, it
fills up, and the next log line would stop the event loop for as long. So while a driver runs, ``sys.stdout`` and
``sys.stderr`` are a :class:`Console`, which drops what nobody reads, in whole lines where it can, and says later
how many.

How a write is kept from waiting: a pipe and a terminal are opened a second time through ``/proc``. That makes an
open file of their own, so ``O_NONBLOCK`` on it reaches nobody else who has the pipe or the terminal. Asking
``poll`` first would not do: for a terminal it promises room for one character, and in a pipe the room may go to
another thread or process between the question and the write. But it has to do for what cannot be
opened a second time: sockets, regular files, and the pipe of another user.
"""

from __future__ import annotations

import io
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial

__all__ = ["Console", "console_for_prints", "say"]

STDERR = 2
NAME = "indianyio.run"
RETRY_SECONDS = 0.01

Write = Callable[[memoryview], int]


class Console(io.TextIOBase):
    """Text for file descriptor 2, unbuffered, that never fails and never waits.

    What cannot be written at once is dropped to the end of its line; when there is room again, a line says how many
    were lost. May be used from any thread and from a signal handler: there is no lock to wait for, at the
    price of lines in pieces when two threads write at once.
    """

    encoding = "utf-8"

    def __init__(self) -> None:
        self._lost_lines = 0
        # In the middle of a line that is partly lost: its rest is dropped.
        self._skipping = False
        # The last byte that went out was not the end of a line.
        self._in_line = False

    def writable(self) -> bool:
        """Say yes: this is for writing."""
        return True

    def isatty(self) -> bool:
        """Say whether a person is reading."""
        return os.isatty(STDERR)

    def fileno(self) -> int:
        """Return the descriptor of standard error."""
        return STDERR

    def write(self, text: str, /) -> int:
        """Write text as far as there is room for it now.

        :param text: what to write; characters that UTF-8 cannot carry are shown as escapes.
        :return: the number of characters, all of them.
        """
        self.write_within(text, 0.0)
        return len(text)

    def write_within(self, text: str, seconds: float) -> None:
        """Write text, waiting for a slow reader. Not for the time in which a driver runs: it stops the event loop.

        :param text: as for :meth:`write`.
        :param seconds: how long to wait in all; what is left after that is dropped.
        """
        deadline = time.monotonic() + seconds
        with _opened() as write:
            for piece in text.encode("utf-8", errors="backslashreplace").splitlines(keepends=True):
                self._put(piece, partial(_write_until, deadline, write))

    def flush(self) -> None:
        """Say how many lines were lost, if there is room now; there is nothing else to flush."""
        if self._lost_lines:
            with _opened() as write:
                self._tell_loss(write)

    def _put(self, piece: bytes, write: Write) -> None:
        """Write one line or part of a line."""
        ends = piece.endswith(b"\n")
        if self._skipping:
            self._skipping = not ends
        elif not (self._tell_loss(write) and self._write(piece, write)):
            self._lost_lines += 1
            self._skipping = not ends

    def _tell_loss(self, write: Write) -> bool:
        lost = self._lost_lines
        if lost == 0:
            return True
        break_first = "\n" if self._in_line else ""
        note = f"{break_first}{NAME}: lines lost here because nobody was reading: {lost}\n"
        if not self._write(note.encode("ascii"), write):
            return False
        # Not to zero: another thread may have lost some meanwhile.
        self._lost_lines -= lost
        return True

    def _write(self, data: bytes, write: Write) -> bool:
        rest = memoryview(data)
        try:
            while rest:
                written = write(rest[: select.PIPE_BUF])
                self._in_line = rest[written - 1] != ord("\n")
                rest = rest[written:]
        except OSError:
            # No room, or nobody to read; there is nowhere else to say so.
            return False
        return True


def _write_until(deadline: float, write: Write, data: memoryview) -> int:
    while True:
        try:
            return write(data)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_SECONDS)


@contextmanager
def _opened() -> Iterator[Write]:
    """Give an ``os.write`` to standard error that raises ``BlockingIOError`` instead of waiting."""
    own = _open_again()
    if own is None:
        yield _write_if_ready
        return
    try:
        yield partial(os.write, own)
    finally:
        os.close(own)


def _open_again() -> int | None:
    # At each write, because it costs microseconds, and nothing has to know when file descriptor 2 is changed.
    # Regular files are not opened again: that would begin at their first byte.
    with suppress(OSError):
        if stat.S_ISFIFO(os.fstat(STDERR).st_mode) or os.isatty(STDERR):
            return os.open(f"/proc/self/fd/{STDERR}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return None


def _write_if_ready(data: memoryview) -> int:
    poll = select.poll()
    poll.register(STDERR, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(STDERR, data)


# One for the process, so that what one place loses the next one tells.
_console = Console()


def say(text: str, *, details: str = "", wait_seconds: float = 0.0) -> None:
    """Write one line of this program's own to standard error.

    :param text: the line; line breaks in it become blanks.
    :param details: lines that follow as they are.
    :param wait_seconds: how long to wait for a slow reader; above 0 only when no driver runs.
    """
    _console.write_within(f"{NAME}: {' '.join(text.split())}\n{details}", wait_seconds)


@contextmanager
def console_for_prints() -> Iterator[Console]:
    """Send what is printed in this block to standard error, for standard output belongs to the INDI stream."""
    with redirect_stdout(_console), redirect_stderr(_console):
        try:
            yield _console
        finally:
            _console.flush()
