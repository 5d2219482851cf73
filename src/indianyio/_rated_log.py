"""Log lines about what a peer does, bounded in number and length.

A line costs some ten microseconds and room on a disk, and a peer can cause a hundred thousand of them a second. So
only a few lines of each kind are written in a period of time, and the first line of the next period tells how many
were left out. A message quoted in a line is cut, always in the same way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable

from msgspec import Struct

__all__ = ["RatedLog", "shown", "wire_logger"]

wire_logger = logging.getLogger("indianyio.wire")
"""The logger for the XML of a peer, at DEBUG, if that was asked for."""

# How much of a message a line shows: all of a definition, and enough of a BLOB to recognise it.
_SHOWN_BYTES = 4096

# This many lines of a kind show what goes on; a minute of them fills a screen.
_LINES = 10
_WHILE_SECONDS = 10.0

# Kinds may contain names that peers invent, so memory must be bounded: beyond this number in a period all others
# count as one more.
_MOST_KINDS = 999
_OTHERS = object()


class _Kind(Struct):
    since: float
    written: int = 0
    withheld: int = 0
    last: tuple[int, str, tuple[object, ...]] = (logging.NOTSET, "", ())


class RatedLog:
    """Writes log lines, at most ten of each kind in a period.

    The tenth line says that further ones are only counted; the first line of the next period says how many those
    were.

    :param logger: where the lines go.
    :param clock: tells the time, in seconds.
    :param seconds: how long a period is.
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

    def log(
        self, kind: Hashable, level: int, message: str, *args: object, error: BaseException | None = None
    ) -> None:
        """Write a line, unless there were too many of its kind recently.

        :param kind: which lines are counted together, usually who caused them and what they are about.
        :param level: the level of the line.
        :param message: the line, in the style of :mod:`logging`.
        :param error: whose traceback is written below the line.
        """
        now = self._clock()
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            self._forget_old(now)
            if len(self._kinds) >= _MOST_KINDS:
                kind = _OTHERS
        found = self._kinds.get(kind)
        if found is None or now - found.since >= self._seconds:
            withheld = 0 if found is None else self._kinds.pop(kind).withheld
            self._kinds[kind] = _Kind(now, written=1)
            self._write(level, message, args, withheld, error)
        elif found.written >= _LINES:
            found.withheld += 1
            found.last = (level, message, args)
        else:
            found.written += 1
            if found.written == _LINES:
                message, args = message + "; more of this is only counted for %g s", (*args, self._seconds)
            self._write(level, message, args, error=error)

    def warning(self, kind: Hashable, message: str, *args: object) -> None:
        """Write a warning, unless there were too many of its kind recently; see :meth:`log`."""
        self.log(kind, logging.WARNING, message, *args)

    def flush(self) -> None:
        """Write the last left-out line of each kind, with the number of lines before it; forget all kinds."""
        kinds, self._kinds = self._kinds, {}
        for kind in kinds.values():
            self._tell_withheld(kind)

    def of(self, source: Hashable) -> RatedLog:
        """Return a log for what one source causes; its lines are counted together with all others of that source.

        Flushing that does nothing, since others may share it; flush this log in the end.
        """
        return _ShareOfLog(self, source)

    def _forget_old(self, now: float) -> None:
        """Forget the kinds whose period is over; they stand in the order in which their periods began."""
        while self._kinds:
            kind, found = next(iter(self._kinds.items()))
            if now - found.since < self._seconds:
                return
            del self._kinds[kind]
            self._tell_withheld(found)

    def _tell_withheld(self, kind: _Kind) -> None:
        if kind.withheld:
            self._write(*kind.last, kind.withheld - 1)

    def _write(
        self,
        level: int,
        message: str,
        args: tuple[object, ...],
        withheld: int = 0,
        error: BaseException | None = None,
    ) -> None:
        if withheld:
            message, args = message + "; %d such lines before it were left out", (*args, withheld)
        self._logger.log(level, message, *args, exc_info=error)


class _ShareOfLog(RatedLog):
    def __init__(self, whole: RatedLog, source: Hashable) -> None:
        super().__init__(whole._logger)  # noqa: SLF001 - the same class
        self._whole = whole
        self._source = source

    def log(
        self, kind: Hashable, level: int, message: str, *args: object, error: BaseException | None = None
    ) -> None:
        self._whole.log((self._source, kind), level, message, *args, error=error)


def shown(*parts: bytes) -> str:
    """Return a message for a log line; if it is longer than 4096 bytes, its beginning and its size.

    :param parts: its bytes, in slices; a line end after it is left out.
    """
    size = sum(map(len, parts))
    start = b"".join(part[:_SHOWN_BYTES] for part in parts)[:_SHOWN_BYTES]
    text = start.decode("utf-8", "replace").rstrip()
    return text if size <= _SHOWN_BYTES else f"{text} ... ({size} bytes)"
