"""A simulated motor: it moves at a speed, can be stopped, and is where the clock says it is."""

from __future__ import annotations

import anyio

__all__ = ["Motor"]


class Motor:
    """A motor that moves between positions at a constant speed.

    :param speed: positions per second.
    :param position: where it is at first.
    :ivar speed: positions per second; a change takes effect with the next move.
    """

    def __init__(self, speed: float, position: float = 0.0) -> None:
        self.speed = speed
        self._from = position
        self._to = position
        self._started = 0.0
        self._rate = speed

    @property
    def position(self) -> float:
        """Where it is now."""
        if self._from == self._to:
            return self._to
        gone = (anyio.current_time() - self._started) * self._rate
        if gone >= abs(self._to - self._from):
            return self._to
        return self._from + gone if self._to > self._from else self._from - gone

    @property
    def is_moving(self) -> bool:
        """Whether it has not yet arrived."""
        return self.position != self._to

    def go(self, target: float) -> None:
        """Begin to move."""
        self._from, self._to, self._rate = self.position, target, self.speed
        self._started = anyio.current_time()

    async def arrival(self) -> None:
        """Wait until it has arrived, or was halted."""
        while self.is_moving:  # noqa: ASYNC110 - the clock is what moves it
            # Never so short that rounding would keep the clock from moving on.
            await anyio.sleep(max(abs(self._to - self.position) / self._rate, 0.001))

    def halt(self) -> None:
        """Stop where it is."""
        self.place(self.position)

    def place(self, position: float) -> None:
        """Set the position, without moving."""
        self._from = self._to = position
