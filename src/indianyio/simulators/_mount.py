"""A simulated mount."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import anyio

from indianyio.instrument.guider import Guider
from indianyio.instrument.mount import Direction, Mount, PierSide, TrackMode
from indianyio.properties import Values
from indianyio.simulators._motor import Motor
from indianyio.standard.mount import TelescopeParkPositionHaDec

__all__ = ["SimulatedMount"]

_DEGREES_PER_SECOND = 5.0
_DEGREES_PER_HOUR = 15.0
_SIDEREAL_DAY = 86_164.0905
_SIDEREAL_ARCSECONDS = 360 * 3600 / _SIDEREAL_DAY
# How fast the hour angle grows, in arc seconds per second, to follow the stars, the sun and the moon.
_TRACKING = {"sidereal": _SIDEREAL_ARCSECONDS, "solar": 15.0, "lunar": 14.685}
# Degrees per second of each slew rate: the slowest is half the sidereal one.
_RATES = (0.5 * _SIDEREAL_ARCSECONDS / 3600, 0.1, 1.0, 3.0)
_SIGNS = {Direction.NORTH: 1, Direction.SOUTH: -1, Direction.EAST: 1, Direction.WEST: -1}
_FAR = 400.0


class SimulatedMount(Mount, Guider):
    """A German mount that slews at five degrees a second, and parks at the pole, where it stands at first.

    Its axes are the hour angle and the declination, in degrees; the sky turns above it.
    """

    default_park_position: ClassVar[Values | None] = TelescopeParkPositionHaDec(ha=0, dec=90)
    guide_rate_at_first: ClassVar[float | None] = 0.5

    def __init__(self, devicename: str = "Telescope Simulator") -> None:
        super().__init__(devicename)
        self.hour_angle = Motor(_DEGREES_PER_SECOND, 0.0)
        self.declination = Motor(_DEGREES_PER_SECOND, 90.0)
        self.longitude = 0.0
        self.latitude = 45.0
        self._tracks_since: float | None = None
        self._tracks_at = (_SIDEREAL_ARCSECONDS, 0.0)
        self._custom_rates = self._tracks_at
        self._is_custom = False
        self._guide_rates = {"we": 0.5, "ns": 0.5}

    async def connect(self) -> None:
        """Stand where it was parked before the restart."""
        if self.is_parked:
            position = self.park_position.value
            self.hour_angle.place(position.ha * _DEGREES_PER_HOUR)
            self.declination.place(position.dec)

    # -- the sky -----------------------------------------------------------------------------------------------

    def sidereal_degrees(self) -> float:
        """Return the local sidereal time in degrees, which is the longitude when the event loop's clock is 0."""
        return (anyio.current_time() / _SIDEREAL_DAY * 360 + self.longitude) % 360

    def _hour_degrees(self) -> float:
        """Return the hour angle, tracking included."""
        return self.hour_angle.position + self._tracked_seconds() * self._tracks_at[0] / 3600

    def _declination_degrees(self) -> float:
        """Return the declination, tracking included."""
        return self.declination.position + self._tracked_seconds() * self._tracks_at[1] / 3600

    def _tracked_seconds(self) -> float:
        return 0.0 if self._tracks_since is None else anyio.current_time() - self._tracks_since

    async def where(self) -> tuple[float, float]:
        """Return where it points."""
        degrees = (self.sidereal_degrees() - self._hour_degrees()) % 360
        return degrees / _DEGREES_PER_HOUR, self._declination_degrees()

    async def side_of_pier(self) -> PierSide:
        """Return on which side of the pier the tube is: on the west side when it points east."""
        return "west" if (self._hour_degrees() + 180) % 360 < 180 else "east"

    # -- motion ------------------------------------------------------------------------------------------------

    @property
    def is_moving(self) -> bool:
        """Whether a motor runs, other than for tracking."""
        return self.hour_angle.is_moving or self.declination.is_moving

    async def goto(self, ra: float, dec: float) -> None:
        """Slew, the shorter way round."""
        # If it does not track, the sky turns during the slew; so it slews once more to catch up.
        for _ in range(2 if self._tracks_since is None else 1):
            wanted = self.sidereal_degrees() - ra * _DEGREES_PER_HOUR
            await self._slew((wanted + 180) % 360 - 180, dec)

    async def _slew(self, hour_degrees: float, dec: float) -> None:
        self._halt()
        self.hour_angle.go(hour_degrees)
        self.declination.go(dec)
        try:
            await self.hour_angle.arrival()
            await self.declination.arrival()
        finally:
            self._halt()

    def _halt(self) -> None:
        """Stop both motors where the tube points, and go on tracking from there."""
        self.hour_angle.place(self._hour_degrees())
        self.declination.place(self._declination_degrees())
        if self._tracks_since is not None:
            self._tracks_since = anyio.current_time()

    async def sync(self, ra: float, dec: float) -> None:
        """Take this as the place to which it points now."""
        self._halt()
        self.hour_angle.place(self.sidereal_degrees() - ra * _DEGREES_PER_HOUR)
        self.declination.place(dec)

    async def park(self) -> None:
        """Go to the park position, and stop tracking."""
        await self.set_tracking(False)
        position = self.park_position.value
        await self._slew(position.ha * _DEGREES_PER_HOUR, position.dec)

    async def present_park_position(self) -> TelescopeParkPositionHaDec:
        """Return where it stands."""
        hours = (self._hour_degrees() / _DEGREES_PER_HOUR + 12) % 24 - 12
        return TelescopeParkPositionHaDec(ha=hours, dec=self._declination_degrees())

    async def unpark(self) -> None:
        """Get ready."""

    async def abort(self) -> None:
        """Stop both motors."""
        self._halt()
        self.declination.speed = self.hour_angle.speed = _DEGREES_PER_SECOND

    async def set_tracking(self, on: bool) -> None:
        """Follow the sky, or stand still."""
        self._halt()
        self._tracks_since = anyio.current_time() if on else None

    async def set_track_mode(self, mode: TrackMode) -> None:
        """Follow the stars, the sun, the moon or something else."""
        self._halt()
        self._is_custom = mode == "custom"
        self._tracks_at = self._custom_rates if self._is_custom else (_TRACKING[mode], 0.0)

    async def set_track_rate(self, ra: float, dec: float) -> None:
        """Follow something else at these rates, now or later."""
        self._halt()
        self._custom_rates = (ra, dec)
        if self._is_custom:
            self._tracks_at = self._custom_rates

    async def set_guide_rate(self, we: float, ns: float) -> None:
        """Set how fast guide pulses move it."""
        self._guide_rates = {"we": we, "ns": ns}

    async def move(self, direction: Direction, rate: int) -> None:
        """Begin to move."""
        self._run(direction, _RATES[min(rate, len(_RATES) - 1)])

    def _run(self, direction: Direction, degrees_per_second: float) -> None:
        axis = self._axis(direction)
        axis.speed = degrees_per_second
        # A larger hour angle is further west.
        sign = _SIGNS[direction] if axis is self.declination else -_SIGNS[direction]
        axis.go(axis.position + sign * _FAR)

    async def stop_moving(self, direction: Direction) -> None:
        """Stop one motor."""
        axis = self._axis(direction)
        axis.halt()
        axis.speed = _DEGREES_PER_SECOND

    def _axis(self, direction: Direction) -> Motor:
        return self.declination if direction in (Direction.NORTH, Direction.SOUTH) else self.hour_angle

    async def guide(self, direction: Direction, seconds: float) -> None:
        """Move at a fraction of the sidereal rate for some time."""
        rate = self._guide_rates["ns" if direction in (Direction.NORTH, Direction.SOUTH) else "we"]
        self._run(direction, rate * _SIDEREAL_ARCSECONDS / 3600)
        try:
            await anyio.sleep(seconds)
        finally:
            await self.stop_moving(direction)  # noqa: ASYNC102 - what an operation does on its way out is shielded

    # -- time and place ----------------------------------------------------------------------------------------

    async def set_time(self, time: datetime) -> None:
        """Do nothing: the simulated sky has a clock of its own."""

    async def set_location(self, latitude: float, longitude: float, elevation: float) -> None:
        """Stand somewhere else; the tube keeps pointing to the same hour angle."""
        self.latitude, self.longitude = latitude, longitude

    async def go_home(self) -> None:
        """Go to the pole."""
        await self._slew(0.0, 90.0)
