"""The peers of a server as the rest of it sees them: how each takes messages, the taps on them, the statistics.

Every message is shown once for its sender and once for each peer that gets it, in one place, whatever kind of peer
that is and whichever way the message takes. So a log, a file and the debug output for one driver all see the same
messages. The peers themselves count their traffic, nearest to the bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import chain, count
from typing import Protocol, TypeAlias

import anyio

from indianyio._environment import Environment
from indianyio._rated_log import shown, wire_logger
from indianyio._routing import PeerKind, PeerStatistics, Relayed, Room
from indianyio.protocol import Frame

__all__ = [
    "Counted",
    "Direction",
    "Port",
    "Tap",
    "Taps",
    "distinct",
    "log_regularly",
    "statistics_by_name",
]

logger = logging.getLogger(__name__)


class Port(Hashable, Protocol):
    """A peer, seen from the hub."""

    @property
    def name(self) -> str:
        """Who the peer is, for log lines."""

    @property
    def attaches(self) -> bool | None:
        """Whether it gets BLOBs as descriptors (true) or as base64 (false); ``None`` if it takes either."""

    def deliver(self, relay: Relayed) -> Room | None:
        """Queue a message for the peer; never waits and never raises.

        :return: how much room there was for it; ``None`` if this peer is not meant to get it, which is not a
            refusal.
        """

    def refuse(self, reason: str) -> None:
        """Disconnect the peer soon; never waits, and may be called again."""


# -- who looks -------------------------------------------------------------------------------------------------


class Direction(Enum):
    """Which way a message goes, seen from the server."""

    RECEIVED = "->"
    """The peer sent it, and it has been checked but not forwarded yet."""

    SENT = "<-"
    """It was queued for the peer, or sent to it at once."""


Tap: TypeAlias = Callable[[Port, PeerKind, Direction, Frame], None]
"""Looks at a message from or for a peer; must neither wait nor raise, nor keep its attachments."""


class Taps:
    """All the observers of a server's messages.

    :param taps: called with each message that passes: once when a peer has sent it, and once for each peer that
        gets it.
    :ivar in_use: whether there are any. If not, :meth:`show` need not be called, which saves most servers time.
    """

    def __init__(self, taps: Sequence[Tap] = ()) -> None:
        self.in_use = bool(taps)
        self._taps = tuple(taps)
        self._debugged: set[Port] = set()

    def debug(self, port: Port) -> None:
        """Log the XML of this peer from now on, at DEBUG on the logger ``indianyio.wire``."""
        self._debugged.add(port)
        self.in_use = True

    def forget(self, port: Port) -> None:
        """Forget a peer that has been removed."""
        self._debugged.discard(port)
        self.in_use = bool(self._taps or self._debugged)

    def show(self, port: Port, kind: PeerKind, direction: Direction, frames: Iterable[Frame]) -> None:
        """Show messages to every observer, one by one."""
        taps = (*self._taps, _log_xml) if port in self._debugged else self._taps
        for frame in frames:
            for tap in taps:
                tap(port, kind, direction, frame)


def _log_xml(port: Port, _: PeerKind, direction: Direction, frame: Frame) -> None:
    if wire_logger.isEnabledFor(logging.DEBUG):
        wire_logger.debug("%s %s %s", port.name, direction.value, shown(frame.data))


# -- what has passed -------------------------------------------------------------------------------------------


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


async def log_regularly(
    environment: Environment, statistics: Callable[[], Mapping[str, PeerStatistics]], interval_seconds: float
) -> None:
    """Log a line about each peer at INFO, again and again until cancelled.

    :param environment: its clock counts.
    :param statistics: returns what to log, by the peer's name.
    :param interval_seconds: how long to wait before each time, more than 0.
    """
    began = environment.now()
    for number in count(1):
        # Computed from the start, so that the interval does not drift, however long the logging takes.
        await anyio.sleep_until(began + number * interval_seconds)
        for name, passed in statistics().items():
            logger.info("%s: %s", name, _in_words(passed))


def _in_words(passed: PeerStatistics) -> str:
    return (
        f"{passed.messages_in} messages of {passed.bytes_in} bytes in, "
        f"{passed.messages_out} of {passed.bytes_out} out, {passed.queued_bytes} bytes wait, "
        f"{passed.dropped_blobs} BLOBs dropped, {passed.restarts} restarts"
    )
