"""The logs of the command: lines on standard error, and files with the messages of drivers.

Lines on standard error have the same form as indiserver's: ``YYYY-MM-DDTHH:MM:SS: text``, UTC (protocol.md S3). Web
managers show these lines to people: the first, which repeats the command, what the drivers write (``Driver NAME:
...``), and ``good bye`` at the end. So what drivers write is shown at every verbosity.

With ``-l`` the messages of drivers are kept in one file per day (protocol.md 2.13). The file's name comes from a
timestamp that a driver sent, so it is checked to be a date: no message can make us write outside the folder.
Control characters are replaced, so a message is always one line. Each line is appended in one call, which takes
microseconds; the file is not kept open, so it can be moved or deleted at any time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from indianyio._environment import THIS_MACHINE
from indianyio._rated_log import shown
from indianyio._routing import PeerKind
from indianyio.protocol import Frame, format_timestamp, parse_timestamp
from indianyio.protocol._lilxml import attribute
from indianyio.run._console import Console
from indianyio.server._ports import Direction, Port, Tap

__all__ = ["TRAFFIC_LOGGER", "MessageLog", "console_log", "keeping_messages", "log_traffic", "say"]

TRAFFIC_LOGGER = "indianyio.indiserver.traffic"
"""The logger of messages: INFO for their tag, device and name, DEBUG for all of their XML."""

_DRIVERS_LOGGER = "indianyio.server.driver"

# Verbosity 2 shows messages, not this package's own debug lines, so only the traffic is ever logged at DEBUG.
_LEVELS = (logging.WARNING, logging.INFO)
_TRAFFIC_LEVELS = (logging.WARNING, logging.WARNING, logging.INFO, logging.DEBUG)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

logger = logging.getLogger("indianyio.indiserver")
traffic_logger = logging.getLogger(TRAFFIC_LOGGER)

# -- standard error --------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Write a line that is shown at every verbosity."""
    logger.critical("%s", text)


@contextmanager
def console_log(verbosity: int) -> Iterator[None]:
    """Write everything that is logged within the block to standard error.

    :param verbosity: how many ``-v`` there were, at least 0.
    """
    levels = {
        "": _LEVELS[min(verbosity, len(_LEVELS) - 1)],
        _DRIVERS_LOGGER: logging.INFO,
        TRAFFIC_LOGGER: _TRAFFIC_LEVELS[min(verbosity, len(_TRAFFIC_LEVELS) - 1)],
    }
    handler = logging.StreamHandler(Console())
    handler.setFormatter(_Form())
    before = {name: logging.getLogger(name).level for name in levels}
    logging.getLogger().addHandler(handler)
    _set_levels(levels)
    try:
        yield
    finally:
        _set_levels(before)
        logging.getLogger().removeHandler(handler)


def _set_levels(levels: dict[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class _Form(logging.Formatter):
    """One line, or more if there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        moment = format_timestamp(datetime.fromtimestamp(record.created, UTC))
        driver = record.name.removeprefix(f"{_DRIVERS_LOGGER}.")
        return f"{moment}: {text}" if driver == record.name else f"{moment}: {driver}: {text}"


def log_traffic(port: Port, kind: PeerKind, direction: Direction, frame: Frame) -> None:
    """Log a received message: its head or all of it, depending on the verbosity."""
    if direction is not Direction.RECEIVED:
        return
    if traffic_logger.isEnabledFor(logging.DEBUG):
        traffic_logger.debug("%s: read %s", kind.title(port.name), shown(frame.data))
    elif traffic_logger.isEnabledFor(logging.INFO):
        said = f"{frame.tag} {frame.device or ''} {frame.name or ''}"
        traffic_logger.info("%s: read %s", kind.title(port.name), said)


# -- what drivers say to people --------------------------------------------------------------------------------


class MessageLog:
    """The folder of these files.

    :param folder: where they are; it must exist.
    :param now: tells the time, for messages without a timestamp.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] = THIS_MACHINE.time_of_day) -> None:
        self._folder = folder
        self._now = now
        self._failing = False

    def note(self, frame: Frame) -> None:
        """Add a line for a driver's message, if it has a text; never raises, as the message must be passed on."""
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
        """Return the timestamp as it was sent, if it begins with a date; otherwise format it anew."""
        moment = parse_timestamp(sent)
        if moment is not None and _DAY.match(sent):
            return sent
        return format_timestamp(moment or self._now())


def _head(frame: Frame, name: bytes) -> str | None:
    return attribute(frame.data, len(frame.tag) + 1, name)


def keeping_messages(log: MessageLog) -> Tap:
    """Return a tap that writes the messages of drivers and other servers to the log."""

    def watch(_: Port, kind: PeerKind, direction: Direction, frame: Frame) -> None:
        if direction is Direction.RECEIVED and kind is not PeerKind.CLIENT:
            log.note(frame)

    return watch
