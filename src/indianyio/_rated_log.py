"""Log lines about what a peer does, no more of them than somebody can read.

A line costs some ten microseconds and room on a disk, and a peer can cause a hundred thousand of them a second. So
of each kind of line a few are written in a while; the next one that is written tells how many were not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

__all__ = ["RatedLog"]

# So many lines of a kind show what goes on; a minute of them fills a screen.
_LINES = 10
_WHILE_SECONDS = 10.0

# Kinds may be made of names that peers make up; when there are so many, they are all forgotten.
_MOST_KINDS = 1000


@dataclass(slots=True)
class _Kind:
    since: float
    written: int = 0
    withheld: int = 0
    last: tuple[int, str, tuple[object, ...]] = (logging.NOTSET, "", ())


class RatedLog:
    """Writes log lines, of each kind ten in a while at most.

    The tenth says that there are no more for now, and the first of the next while how many there were.

    :param logger: where they go.
    :param clock: tells the time, in seconds.
    :param seconds: how long a while is.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = _WHILE_SECONDS,
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._seconds = seconds
        self._kinds: dict[Hashable, _Kind] = {}

    def log(self, kind: Hashable, level: int, message: str, *args: object) -> None:
        """Write a line, unless there were too many of its kind of late.

        :param kind: what is counted together, as a rule who caused it and what it is about.
        :param level: the level of the line.
        :param message: the line, in the style of :mod:`logging`.
        """
        now = self._clock()
        found = self._kinds.get(kind)
        if found is None or now - found.since >= self._seconds:
            withheld = 0 if found is None else found.withheld
            if found is None and len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            self._kinds[kind] = _Kind(now, written=1)
            self._write(level, message, args, withheld)
        elif found.written >= _LINES:
            found.withheld += 1
            found.last = (level, message, args)
        else:
            found.written += 1
            if found.written == _LINES:
                message, args = message + "; more of this is only counted for %g s", (*args, self._seconds)
            self._write(level, message, args)

    def warning(self, kind: Hashable, message: str, *args: object) -> None:
        """Write a warning, unless there were too many of its kind of late; see :meth:`log`."""
        self.log(kind, logging.WARNING, message, *args)

    def flush(self) -> None:
        """Write the last line of each kind that was left out, with how many there were; forget all kinds."""
        kinds, self._kinds = self._kinds, {}
        for kind in kinds.values():
            if kind.withheld:
                self._write(*kind.last, kind.withheld - 1)

    def _write(self, level: int, message: str, args: tuple[object, ...], withheld: int = 0) -> None:
        if withheld:
            message, args = message + "; %d such lines before it were left out", (*args, withheld)
        self._logger.log(level, message, *args)
