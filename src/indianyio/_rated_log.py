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


class RatedLog:
    """Writes log lines, of each kind ten in ten seconds at most.

    :param logger: where they go.
    :param clock: tells the time, in seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._kinds: dict[Hashable, _Kind] = {}

    def log(self, kind: Hashable, level: int, message: str, *args: object) -> None:
        """Write a line, unless there were too many of its kind of late.

        :param kind: what is counted together, as a rule who caused it and what it is about.
        :param level: the level of the line.
        :param message: the line, in the style of :mod:`logging`.
        """
        now = self._clock()
        found = self._kinds.get(kind)
        if found is None or now - found.since >= _WHILE_SECONDS:
            if found is not None and found.withheld:
                message, args = message + "; %d such lines before it were left out", (*args, found.withheld)
            elif found is None and len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            found = self._kinds[kind] = _Kind(now)
        if found.written >= _LINES:
            found.withheld += 1
            return
        found.written += 1
        self._logger.log(level, message, *args)

    def warning(self, kind: Hashable, message: str, *args: object) -> None:
        """Write a warning, unless there were too many of its kind of late; see :meth:`log`."""
        self.log(kind, logging.WARNING, message, *args)
