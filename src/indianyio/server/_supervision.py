"""What external drivers and other servers have in common: when to try again, and what a failure may touch.

Whatever was lost is tried again soon, then ever later, so that a driver whose camera is unplugged costs nothing.
The waits differ a little, so that the servers of an observatory do not come back in step after a power cut. What
has worked for a while was not broken when it began: then waiting starts small again. A limit is one on all attempts
together, as indiserver counts restarts (protocol.md S9).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import anyio

from indianyio._failures import FAILURES, failure_in
from indianyio._link import Turn
from indianyio._routing import DriverOutbox, Relayed, Room
from indianyio.protocol import Frame
from indianyio.server._hub import Hub
from indianyio.server._wire import WirePort
from indianyio.streams import ByteStream

__all__ = ["STEADY_SECONDS", "Attempts", "Backoff", "FeederPort", "run_guarded"]

logger = logging.getLogger(__name__)
wire_logger = logging.getLogger("indianyio.wire")

# How much of a message a DEBUG line shows: a definition whole, of a BLOB enough to recognise it.
_SHOWN_BYTES = 4096

HANGING_SECONDS = 60.0
"""A driver that takes nothing for so long, though something waits for it, is logged as one that hangs."""

STEADY_SECONDS = 60.0
"""What has worked for so long is tried again as soon as if it had never failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before something is tried again.

    :ivar first_seconds: before the first new attempt, more than 0.
    :ivar factor: how much longer before each further one, at least 1.
    :ivar most_seconds: never longer than this, at least ``first_seconds``.
    :ivar jitter: by which part each wait is made longer or shorter at random, 0 to 1.
    :ivar limit: how many new attempts there are in all, ``None`` for any number.
    :raises ValueError: one of them is out of its range.
    """

    first_seconds: float = 0.5
    factor: float = 2.0
    most_seconds: float = 30.0
    jitter: float = 0.2
    limit: int | None = None

    def __post_init__(self) -> None:
        growing = 0 < self.first_seconds <= self.most_seconds and self.factor >= 1
        if not (growing and 0 <= self.jitter <= 1 and (self.limit is None or self.limit >= 0)):
            raise ValueError(f"nothing can be tried again by {self!r}")

    def delays(self, random: Callable[[], float]) -> Iterator[float]:
        """Yield how long to wait before each new attempt, in seconds; no more than there are attempts.

        :param random: returns a number from 0 to 1.
        """
        return islice(self._endless(random), self.limit)

    def _endless(self, random: Callable[[], float]) -> Iterator[float]:
        delay = self.first_seconds
        while True:
            yield delay * (1 + self.jitter * (2 * random() - 1))
            delay = min(delay * self.factor, self.most_seconds)


class Attempts:
    """The new attempts at one thing.

    :param backoff: how long to wait before each, and how many there may be.
    :param random: returns a number from 0 to 1.
    :ivar made: how many there were.
    """

    def __init__(self, backoff: Backoff, random: Callable[[], float] = random.random) -> None:
        self.made = 0
        self._backoff = backoff
        self._random = random
        self._delays = backoff.delays(random)

    def next_delay(self, lasted_seconds: float) -> float | None:
        """Return how long to wait before the next attempt, and count that; ``None`` if there is to be none.

        :param lasted_seconds: how long the last one has worked.
        """
        if lasted_seconds >= STEADY_SECONDS:
            limit = self._backoff.limit
            left = None if limit is None else limit - self.made
            self._delays = replace(self._backoff, limit=left).delays(self._random)
        delay = next(self._delays, None)
        if delay is not None:
            self.made += 1
        return delay


class FeederPort(WirePort):
    """The port of something that brings devices, and is kept whatever it sends.

    A driver that prints on standard output or sends a text of 2 MB is untidy, and no reason to end an instrument;
    another server passes on what any of its clients sends.

    :param hub: what receives its frames.
    :param stream: the bytes; closed by whoever made it.
    :param outbox: what may wait for it.
    :param name: who it is, for log lines.
    :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
    """

    def __init__(
        self,
        hub: Hub,
        stream: ByteStream,
        outbox: DriverOutbox,
        *,
        name: str,
        debug: bool,
    ) -> None:
        super().__init__(hub, stream, outbox, name=name, forgiving=True, takes_attachments=False)
        self._debug = debug
        self._driver_outbox = outbox
        self._delivered = anyio.Event()

    def deliver(self, relay: Relayed) -> Room:
        """Queue a message, and log it if that is wanted."""
        if self._debug and wire_logger.isEnabledFor(logging.DEBUG):
            self._show("<-", relay.came)
        self._delivered.set()
        return super().deliver(relay)

    async def _watch(self) -> None:
        """Log when the peer hangs, and when it does no more; nothing else is done about it."""
        while True:
            if self._driver_outbox.is_empty:
                await self._delivered.wait()
            self._delivered = anyio.Event()
            before = self.progress
            await anyio.sleep(HANGING_SECONDS)
            if self.progress != before or self._driver_outbox.is_empty:
                continue
            waiting = self._driver_outbox.queued_bytes
            logger.error("%s: it hangs: nothing taken for %g s, %d bytes wait", self.name, HANGING_SECONDS, waiting)
            await self._next_progress(before)
            logger.warning("%s: it hangs no more", self.name)

    async def _next_progress(self, before: int) -> None:
        while True:
            await anyio.sleep(HANGING_SECONDS)
            if self.progress != before:
                return

    def _receive(self, frame: Frame, *, more: bool = False) -> Awaitable[None] | None:
        if self._debug and wire_logger.isEnabledFor(logging.DEBUG):
            self._show("->", (frame,))
        return super()._receive(frame, more=more)

    async def _receive_plain(self, frames: Sequence[Frame], turn: Turn) -> None:
        if not (self._debug and wire_logger.isEnabledFor(logging.DEBUG)):
            await super()._receive_plain(frames, turn)
            return
        for position in range(len(frames)):
            if turn.over:
                await turn.give_way()
            await self._receive_next(frames, position)

    def _show(self, way: str, frames: Sequence[Frame]) -> None:
        for frame in frames:
            text = frame.data[:_SHOWN_BYTES].decode("utf-8", "replace")
            wire_logger.debug("%s %s %s (%d bytes)", self.name, way, text, len(frame.data))


async def run_guarded(port: WirePort) -> str:
    """Run a port that the hub knows until it ends; what fails in it is its own matter.

    :return: why it ended, in words for people.
    """
    try:
        return await port.run()
    except FAILURES as error:  # the fault boundary of this peer: all others go on
        failure = failure_in(error)
        logger.error("%s: serving it failed", port.name, exc_info=failure)
        return "serving it failed"
