"""Standard error in the form of indiserver: ``YYYY-MM-DDTHH:MM:SS: text``, UTC (protocol.md S3).

Web managers show these lines to people: the first, which repeats the command, what the drivers write (``Driver
NAME: ...``), and ``good bye`` in the end. So what drivers write is shown at every verbosity.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from indianyio.protocol import format_timestamp
from indianyio.run._console import Console

__all__ = ["TRAFFIC_LOGGER", "console_log", "say"]

TRAFFIC_LOGGER = "indianyio.indiserver.traffic"
"""The logger of what passes: INFO for what a message is, DEBUG for all of it."""

_DRIVERS_LOGGER = "indianyio.server.driver"

# Verbosity 2 shows messages, not this package's own reasoning, so nothing but the traffic is ever at DEBUG.
_LEVELS = (logging.WARNING, logging.INFO)
_TRAFFIC_LEVELS = (logging.WARNING, logging.WARNING, logging.INFO, logging.DEBUG)

logger = logging.getLogger("indianyio.indiserver")


def say(text: str) -> None:
    """Write a line of the program's own, whatever the verbosity."""
    logger.critical("%s", text)


@contextmanager
def console_log(verbosity: int) -> Iterator[None]:
    """Have what is logged in this block written to standard error.

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
