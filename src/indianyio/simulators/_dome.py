"""A simulated dome."""

from __future__ import annotations

import anyio

from indianyio.exceptions import WriteRefusedError
from indianyio.instrument.dome import Dome
from indianyio.instrument.dome._geometry import turned
from indianyio.simulators._motor import Motor

__all__ = ["SimulatedDome"]

_STEP_SECONDS = 0.5
_SHUTTER_SECONDS = 5.0
_DEGREES_PER_SECOND_AND_RPM = 6.0
_FAR = 36_000.0


class SimulatedDome(Dome):
    """A dome that turns at six degrees a second, the shorter way, with a shutter that takes five seconds."""

    def __init__(self, devicename: str = "Dome Simulator") -> None:
        super().__init__(devicename)
        self.rotation = Motor(_DEGREES_PER_SECOND_AND_RPM)
        self.curtain = Motor(1 / _SHUTTER_SECONDS)

    @property
    def is_moving(self) -> bool:
        """Whether a motor runs."""
        return self.rotation.is_moving or self.curtain.is_moving

    async def connect(self) -> None:
        """Stand where it was parked before the restart."""
        if self.is_parked:
            self.rotation.place(self.park_position.value.az)

    # -- turning -----------------------------------------------------------------------------------------------

    async def where(self) -> float:
        """Return where it is."""
        return turned(self.rotation.position)

    async def turn_to(self, azimuth: float) -> None:
        """Turn the shorter way, and report the azimuth twice a second."""
        way = (azimuth - self.rotation.position + 180) % 360 - 180
        self.rotation.go(self.rotation.position + way)
        try:
            while self.rotation.is_moving:
                await self.position.report(degrees=turned(self.rotation.position))
                await anyio.sleep(_STEP_SECONDS)
        finally:
            self.rotation.halt()

    async def move(self, *, clockwise: bool) -> None:
        """Begin to turn."""
        self.rotation.go(self.rotation.position + (_FAR if clockwise else -_FAR))

    async def stop_moving(self) -> None:
        """Stop turning."""
        self.rotation.halt()

    async def abort(self) -> None:
        """Stop both motors."""
        self.rotation.halt()
        self.curtain.halt()
        await self.position.report(degrees=turned(self.rotation.position))

    async def sync(self, azimuth: float) -> None:
        """Take this as the present azimuth."""
        self.rotation.place(azimuth)

    async def set_speed(self, rpm: float) -> None:
        """Turn at this speed."""
        if not rpm:
            raise WriteRefusedError("a dome at 0 revolutions per minute gets nowhere")
        self.rotation.speed = rpm * _DEGREES_PER_SECOND_AND_RPM

    async def set_backlash(self, steps: int) -> None:
        """Do nothing: a simulated drive has no backlash."""

    # -- the shutter -------------------------------------------------------------------------------------------

    async def open_shutter(self) -> None:
        """Open."""
        await self._move_curtain(1.0)

    async def close_shutter(self) -> None:
        """Close."""
        await self._move_curtain(0.0)

    async def _move_curtain(self, where: float) -> None:
        self.curtain.go(where)
        try:
            await self.curtain.arrival()
        finally:
            self.curtain.halt()
