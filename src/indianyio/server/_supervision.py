"""What external drivers and other servers have in common: when to try again.

The first attempt comes soon, each further one later, so that a driver whose camera is unplugged costs nothing. The
waits vary at random a little, so that the servers of an observatory do not all come back at the same moment after a
power cut. After something has worked for a while, the waits start small again. A limit counts all attempts of a run
together, as indiserver counts restarts (protocol.md S9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

__all__ = ["STEADY_SECONDS", "Attempts", "Backoff"]

STEADY_SECONDS = 60.0
"""After working for this long, something is tried again as soon as if it had never failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before something is tried again.

    :ivar first_seconds: before the first new attempt, more than 0.
    :ivar factor: how much longer before each further one, at least 1.
    :ivar most_seconds: never longer than this, at least ``first_seconds``.
    :ivar jitter: the fraction by which each wait is made longer or shorter at random, 0 to 1.
    :ivar limit: how many new attempts there may be in all, ``None`` for any number.
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
        """Yield how long to wait before each new attempt, in seconds; it stops after the last attempt.

        :param random: returns a number from 0 to 1.
        """
        return islice(self._endless(random), self.limit)

    def _endless(self, random: Callable[[], float]) -> Iterator[float]:
        delay = self.first_seconds
        while True:
            yield delay * (1 + self.jitter * (2 * random() - 1))
            delay = min(delay * self.factor, self.most_seconds)


class Attempts:
    """Counts the new attempts at one thing.

    :param backoff: how long to wait before each, and how many there may be.
    :param random: returns a number from 0 to 1.
    :ivar made: how many there were.
    """

    def __init__(self, backoff: Backoff, random: Callable[[], float]) -> None:
        self.made = 0
        self._backoff = backoff
        self._random = random
        self._delays = backoff.delays(random)

    def next_delay(self, lasted_seconds: float) -> float | None:
        """Return how long to wait before the next attempt, and count it; ``None`` if no more are allowed.

        :param lasted_seconds: how long the last one worked.
        """
        if lasted_seconds >= STEADY_SECONDS:
            limit = self._backoff.limit
            left = None if limit is None else limit - self.made
            self._delays = replace(self._backoff, limit=left).delays(self._random)
        delay = next(self._delays, None)
        if delay is not None:
            self.made += 1
        return delay
