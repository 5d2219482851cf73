"""A simulated flat panel: a dust cap with a light in it."""

from __future__ import annotations

from indianyio.instrument.dust_cap import DustCap
from indianyio.instrument.light_box import LightBox
from indianyio.simulators._motor import Motor

__all__ = ["SimulatedFlatPanel"]

_OPEN, _CLOSED = 90.0, 0.0
_DEGREES_PER_SECOND = 30.0


class SimulatedFlatPanel(DustCap, LightBox):
    """A lid that takes three seconds to open, with a light of 256 steps."""

    def __init__(self, devicename: str = "Flat Panel Simulator") -> None:
        super().__init__(devicename)
        self.lid = Motor(_DEGREES_PER_SECOND, _CLOSED)
        self.is_lit = False
        self.brightness = 0
        self.cap.take(park=True)

    @property
    def is_moving(self) -> bool:
        """Whether the motor of the lid runs."""
        return self.lid.is_moving

    async def open(self) -> None:
        """Raise the lid."""
        await self._move(_OPEN)

    async def close(self) -> None:
        """Lower the lid."""
        await self._move(_CLOSED)

    async def _move(self, angle: float) -> None:
        self.lid.go(angle)
        await self.lid.arrival()

    async def abort_cap_motion(self) -> None:
        """Stop the lid."""
        self.lid.halt()

    async def switch_light(self, on: bool) -> None:
        """Switch the light."""
        self.is_lit = on

    async def dim(self, intensity: int) -> None:
        """Set the brightness."""
        self.brightness = intensity
