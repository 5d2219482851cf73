"""What drivers say to people, kept in a file for each day (protocol.md 2.13).

The file's name comes out of what a driver sent, so it is made of digits that were found to be a day, and no message
can lead out of the folder; and what was sent stays one line. A line is added in one call, which takes microseconds;
the file is not held open, so it can be moved or deleted at any time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from indianyio.protocol import Frame, format_timestamp, parse_timestamp
from indianyio.protocol._lilxml import attribute

__all__ = ["MessageLog"]

logger = logging.getLogger(__name__)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class MessageLog:
    """The folder of these files.

    :param folder: where they are; it has to be there.
    :param now: tells the time, for messages that do not.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder = folder
        self._now = now
        self._failing = False

    def note(self, frame: Frame) -> None:
        """Add a line for a driver's message, if it has a text; never fails, for the message must go on its way."""
        text = _head(frame, b"message")
        if not text:
            return
        stamp = self._stamp(_head(frame, b"timestamp") or "")
        line = _CONTROLS.sub(" ", f"{stamp}: {frame.device or ''}: {text}")
        try:
            with (self._folder / f"{stamp[:10]}.islog").open("ab") as file:
                file.write(f"{line}\n".encode("utf-8", "backslashreplace"))
        except OSError as error:
            if not self._failing:
                logger.error("messages of drivers cannot be kept: %s", error)
            self._failing = True
        else:
            self._failing = False

    def _stamp(self, sent: str) -> str:
        """Return the time as it was sent, if it begins as a file's name can; else in words of our own."""
        moment = parse_timestamp(sent)
        if moment is not None and _DAY.match(sent):
            return sent
        return format_timestamp(moment or self._now())


def _head(frame: Frame, name: bytes) -> str | None:
    return attribute(frame.data, len(frame.tag) + 1, name)
