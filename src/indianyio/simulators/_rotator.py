"""A simulated rotator."""

from __future__ import annotations

import anyio

from indianyio.instrument.rotator import Rotator
from indianyio.simulators._motor import Motor

__all__ = ["SimulatedRotator"]

_DEGREES_PER_SECOND = 10.0
_STEP_SECONDS = 0.25


class SimulatedRotator(Rotator):
    """A rotator that turns at ten degrees a second, never across 0."""

    def __init__(self, devicename: str = "Rotator Simulator") -> None:
        super().__init__(devicename)
        self.motor = Motor(_DEGREES_PER_SECOND)

    @property
    def is_moving(self) -> bool:
        """Whether the motor runs."""
        return self.motor.is_moving

    async def turn_to(self, angle: float) -> None:
        """Turn, and report the angle four times a second."""
        self.motor.go(angle)
        while self.motor.is_moving:
            await self.angle.report(angle=self.motor.position)
            await anyio.sleep(_STEP_SECONDS)

    async def abort(self) -> None:
        """Stop."""
        self.motor.halt()
        self.angle.take(angle=self.motor.position)

    async def sync(self, angle: float) -> None:
        """Take this as the present angle."""
        self.motor.place(angle)

    async def home(self) -> float:
        """Turn to 0."""
        await self.turn_to(0.0)
        return 0.0

    async def reverse(self, enabled: bool) -> None:
        """Do nothing: nobody sees a simulated rotator turn."""
