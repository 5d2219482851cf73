"""What has passed between a server and its peers: a name for each that no other has, and lines for the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain, count
from typing import Protocol

import anyio

from indianyio._routing import PeerStatistics

__all__ = ["Counted", "distinct", "log_regularly", "statistics_by_name"]

logger = logging.getLogger(__name__)


class Counted(Protocol):
    """A peer whose traffic is counted."""

    @property
    def name(self) -> str:
        """What it is called in log lines."""

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far."""


def distinct(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: this one, or with a number behind it, as in ``indi_x#2``."""
    numbered = (f"{name}#{number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


def statistics_by_name(peers: Iterable[Counted]) -> dict[str, PeerStatistics]:
    """Return what has passed, each peer under a name of its own."""
    found: dict[str, PeerStatistics] = {}
    for peer in peers:
        found[distinct(peer.name, found)] = peer.statistics()
    return found


async def log_regularly(statistics: Callable[[], Mapping[str, PeerStatistics]], interval_seconds: float) -> None:
    """Log a line about each peer at INFO, again and again until cancelled.

    :param statistics: returns what is to be logged, by the peer's name.
    :param interval_seconds: how long to wait before each time, more than 0.
    """
    began = anyio.current_time()
    for number in count(1):
        # Counted from the beginning, so that a day has 1440 minutes however long the logging takes.
        await anyio.sleep_until(began + number * interval_seconds)
        for name, passed in statistics().items():
            logger.info("%s: %s", name, _in_words(passed))


def _in_words(passed: PeerStatistics) -> str:
    return (
        f"{passed.messages_in} messages of {passed.bytes_in} bytes in, "
        f"{passed.messages_out} of {passed.bytes_out} out, {passed.queued_bytes} bytes wait, "
        f"{passed.dropped_blobs} BLOBs dropped, {passed.restarts} restarts"
    )
