"""The peers of a server as the rest of it sees them: how each takes messages, the taps on them, the statistics.

Every message is shown once for its sender and once for each peer that gets it, in one place, whatever kind of peer
that is and whichever way the message takes. So a log, a file and the debug output for one driver all see the same
messages. The peers themselves count their traffic, nearest to the bytes.

While a driver is taking a large message, the server stops reading from the message's sender, so that its next
message finds room. That lasts only as long as the driver takes something: the same connection may bring the Abort
for another instrument. Any other message that finds no room is refused, and a client that goes on regardless is
disconnected.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import chain, count
from typing import Protocol, TypeAlias, runtime_checkable

import anyio

from indianyio._environment import Environment
from indianyio._rated_log import shown, wire_logger
from indianyio._routing import PeerKind, PeerStatistics, Relayed, Room
from indianyio.protocol import Frame

__all__ = [
    "Counted",
    "Direction",
    "Patience",
    "Port",
    "Taker",
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


# -- how long a peer is borne with that sends more than is taken -----------------------------------------------


# A driver that takes nothing for this long counts as hanging. It is longer than decoding a piece of an image takes,
# and short beside the 200 ms within which an Abort must be answered.
_STILL_SECONDS = 0.1
_LOOKS = 10

# How long a client may go on sending what is refused, and how long it must be quiet for that time to start anew.
_BEAR_SECONDS = 30.0
_QUIET_SECONDS = 5.0


@runtime_checkable
class Taker(Protocol):
    """A peer for which messages wait."""

    @property
    def progress(self) -> int:
        """A number that grows whenever the peer takes something."""

    def is_behind(self, sender: object) -> bool:
        """Tell whether a sender has used up its share with large messages, so that waiting helps."""


class Patience:
    """What the server remembers about one peer that sent too much."""

    def __init__(self) -> None:
        self._since = self._last = float("-inf")
        # The drivers that are behind, each with its progress when it was last found to take nothing.
        self._slow: dict[Taker, int | None] = {}

    @property
    def is_needed(self) -> bool:
        """Whether :meth:`wait` may have to wait."""
        return bool(self._slow)

    def note_slow(self, taker: Taker) -> None:
        """Note that a driver is busy with a large message from the peer."""
        self._slow.setdefault(taker, None)

    def note_refusal(self, now: float) -> bool:
        """Note that a message was refused.

        :param now: the time, in seconds.
        :return: whether the peer has gone on for too long.
        """
        if now - self._last > _QUIET_SECONDS:
            self._since = now
        self._last = now
        return now - self._since >= _BEAR_SECONDS

    async def wait(self, sender: object) -> None:
        """Wait until each driver has taken the peer's large messages, or has stopped taking anything."""
        for taker in list(self._slow):
            while taker.is_behind(sender):
                if not await self._moves(taker):
                    break
            else:
                self._slow.pop(taker, None)

    async def _moves(self, taker: Taker) -> bool:
        before = taker.progress
        if before == self._slow.get(taker):
            return False  # nothing taken since the last wait
        for _ in range(_LOOKS):
            await anyio.sleep(_STILL_SECONDS / _LOOKS)
            if taker.progress != before:
                return True
        self._slow[taker] = before
        return False
