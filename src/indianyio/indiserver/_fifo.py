"""The named pipe on which commands arrive.

It is opened for reading only, so its end is seen when the last writer has gone; a command without a line end is
complete then (protocol.md 2.12). It is opened anew before the old descriptor is closed: what somebody writes
between the two waits in the pipe, which lives as long as anybody has it open. Not blocking: a pipe that nobody
writes to must not hold up the server, and the descriptor is our own.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import anyio

from indianyio.indiserver._commands import LineCutter

__all__ = ["Fifo"]

logger = logging.getLogger(__name__)

_READ_BYTES = 4096
_RETRY_SECONDS = 1.0


class Fifo:
    """A named pipe that is there already.

    :param path: where it is.
    :raises OSError: it cannot be opened, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _opened(path)

    async def read_lines(self, handle: Callable[[str], None]) -> None:
        """Hand over every line, whoever writes it, for ever. Cancelled, no line is lost that was read.

        :param handle: called with each line; must not wait.
        """
        cutter = LineCutter()
        while True:
            await anyio.wait_readable(self._descriptor)
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                continue
            for line in cutter.feed(data):
                handle(line)
            if cutter.dropped:
                logger.warning("%s: dropped %d lines that are too long", self._path, cutter.dropped)
                cutter.dropped = 0
            if not data:
                await self._reopen()

    def close(self) -> None:
        """Read no more."""
        os.close(self._descriptor)

    async def _reopen(self) -> None:
        """Wait for the next writers, also at a new pipe that somebody has put in the place of the old one."""
        complained = False
        while True:
            try:
                anew = _opened(self._path)
            except OSError as error:
                if not complained:
                    logger.error("no commands can be read any more: %s", error)
                complained = True
                await anyio.sleep(_RETRY_SECONDS)
                continue
            os.close(self._descriptor)
            self._descriptor = anew
            return


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(0, "it is not a named pipe", str(path))
    return descriptor
