"""A simulated focuser."""

from __future__ import annotations

import anyio

from indianyio.instrument._framework._declared import every
from indianyio.instrument.focuser import Focuser
from indianyio.simulators._motor import Motor

__all__ = ["SimulatedFocuser"]

_STEP_SECONDS = 0.25


class SimulatedFocuser(Focuser):
    """A focuser of 100 000 steps, at 5000 steps per second, with a thermometer."""

    has_temperature = True

    def __init__(self, devicename: str = "Focuser Simulator") -> None:
        super().__init__(devicename)
        self.motor = Motor(5000.0, 50_000)
        self.position.take(steps=self.motor.position)
        self.temperature.take(celsius=10.0)

    @property
    def is_moving(self) -> bool:
        """Whether the motor runs."""
        return self.motor.is_moving

    async def move_to(self, steps: int) -> None:
        """Move, and report the position four times a second."""
        self.motor.go(steps)
        while self.motor.is_moving:
            await self.position.report(steps=round(self.motor.position))
            await anyio.sleep(_STEP_SECONDS)

    async def abort(self) -> None:
        """Stop."""
        self.motor.halt()
        await self.position.report(steps=round(self.motor.position))

    async def sync(self, steps: int) -> None:
        """Take this as the present position."""
        self.motor.place(steps)

    async def set_speed(self, speed: int) -> None:
        """Move at a fraction of the greatest speed."""
        self.motor.speed = 5000.0 * speed / self.speeds

    async def reverse(self, enabled: bool) -> None:
        """Do nothing: nobody sees a simulated focuser turn."""

    async def set_backlash(self, steps: int) -> None:
        """Do nothing: a simulated drive has no backlash."""

    @every(seconds=10)
    async def _measure(self) -> None:
        await self.temperature.report(celsius=10.0)
