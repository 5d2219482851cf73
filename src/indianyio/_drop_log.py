"""Log lines about what was dropped, a few a minute, so that a driver which prints all night fills no disk."""

from __future__ import annotations

import logging

from indianyio.protocol import Unusable

__all__ = ["DropLog"]

# Enough to see what is wrong, few enough to find the other lines of the log.
_LINES = 10
_SECONDS = 60.0


class DropLog:
    """What is told of one peer's bytes that could not be used.

    The first ten in a minute get a line each; what comes after them is counted, and the sum is told by the next
    line, or in the end.

    :param log: where the lines go, as warnings.
    :param name: who the peer is.
    """

    def __init__(self, log: logging.Logger, name: str) -> None:
        self._log = log
        self._name = name
        self._until = float("-inf")
        self._told = 0
        self._untold = 0
        self._untold_bytes = 0

    def report(self, dropped: Unusable, now: float) -> None:
        """Tell of something that was dropped.

        :param dropped: what, and why.
        :param now: the time, by any clock.
        """
        if now >= self._until:
            self.flush()
            self._until, self._told = now + _SECONDS, 0
        if self._told == _LINES:
            self._untold += 1
            self._untold_bytes += dropped.size
            return
        self._told += 1
        more = "; more of this is only counted for a minute" if self._told == _LINES else ""
        shown = (dropped.size, dropped.reason, dropped.excerpt, more)
        self._log.warning("%s: dropped %d bytes: %s: %r%s", self._name, *shown)

    def flush(self) -> None:
        """Tell how much had no line of its own since the last that had one."""
        if self._untold:
            self._log.warning("%s: dropped %d more, %d bytes", self._name, self._untold, self._untold_bytes)
            self._untold = self._untold_bytes = 0
