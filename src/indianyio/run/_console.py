"""Standard error for a program whose reader may be gone.

indiserver reads its drivers' standard error through a pipe. When indiserver ends, that pipe breaks in the same
moment in which the drivers see the end of their input; from then on a ``print`` in ``leave()`` would raise
``BrokenPipeError`` and keep the telescope from being parked. So while a driver runs, ``sys.stdout`` and
``sys.stderr`` are a :class:`Console`, which drops what nobody can read any more.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

__all__ = ["Console", "console_for_prints", "say"]

STDERR = 2


class Console(io.TextIOBase):
    """Text for file descriptor 2, unbuffered, that never fails."""

    encoding = "utf-8"

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
        """Write text as far as somebody reads it.

        :param text: what to write; characters that UTF-8 cannot carry are shown as escapes.
        :return: the number of characters, all of them.
        """
        rest = memoryview(text.encode("utf-8", errors="backslashreplace"))
        try:
            while rest:
                rest = rest[os.write(STDERR, rest) :]
        except OSError:
            # Nobody reads, and there is nowhere left to say so.
            return len(text)
        return len(text)


def say(line: str) -> None:
    """Write one line of this program's own to standard error.

    :param line: the text; line breaks in it become blanks.
    """
    Console().write(f"indianyio.run: {' '.join(line.split())}\n")


@contextmanager
def console_for_prints() -> Iterator[Console]:
    """Send what is printed in this block to standard error, for standard output belongs to the INDI stream."""
    console = Console()
    with redirect_stdout(console), redirect_stderr(console):
        yield console
