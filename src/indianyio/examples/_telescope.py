"""The simulated telescope of the mount example: where it points, and where it is going. It knows no INDI."""

from __future__ import annotations

import math
from enum import Enum, auto

__all__ = ["Motion", "Telescope"]

HOURS, DEGREES_PER_HOUR = 24.0, 15.0
POLE = 90.0


class Motion(Enum):
    """What the telescope is doing."""

    PARKED = auto()
    STANDING = auto()
    TRACKING = auto()
    SLEWING = auto()
    PARKING = auto()


class Telescope:
    """A telescope on two motors. Its sky stands still: a telescope that does not track keeps its coordinates.

    It parks at the pole, and is parked at first.

    :param degrees_per_second: how fast each of the two axes moves.
    :ivar ra: right ascension, in hours.
    :ivar dec: declination, in degrees.
    :ivar motion: what it is doing.
    :ivar tracks: whether it tracks while it is not slewing or parking.
    """

    def __init__(self, degrees_per_second: float) -> None:
        self._speed = degrees_per_second
        self._goal = 0.0, POLE
        self.ra, self.dec = self._goal
        self.motion = Motion.PARKED
        self.tracks = False

    @property
    def moving(self) -> bool:
        """Whether the motors run."""
        return self.motion in (Motion.SLEWING, Motion.PARKING)

    @property
    def parked(self) -> bool:
        """Whether it is parked and must not be moved."""
        return self.motion is Motion.PARKED

    def slew(self, ra: float, dec: float) -> None:
        """Begin to move from where it is, even if it was going somewhere else."""
        self._goal = ra % HOURS, dec
        self.motion = Motion.SLEWING

    def park(self) -> None:
        """Begin to move to the pole; a parked telescope stays parked."""
        if not self.parked:
            self._goal = self.ra, POLE
            self.motion = Motion.PARKING

    def sync(self, ra: float, dec: float) -> None:
        """Take this as the place to which it points now."""
        self.ra, self.dec = ra % HOURS, dec

    def track(self, wanted: bool) -> None:
        """Track or stand still: now, or if it is moving or parked, afterwards."""
        self.tracks = wanted
        if not (self.moving or self.parked):
            self._rest()

    def halt(self) -> None:
        """Stop going anywhere; a parked telescope stays parked."""
        if not self.parked:
            self._rest()

    def unpark(self) -> None:
        """Allow it to move."""
        if self.parked:
            self._rest()

    def advance(self, seconds: float) -> None:
        """Let the motors run for this long, the shorter way round in right ascension."""
        if not self.moving:
            return
        ra, dec = self._goal
        step = self._speed * seconds
        around = ((ra - self.ra + HOURS / 2) % HOURS - HOURS / 2) * DEGREES_PER_HOUR
        up = dec - self.dec
        if max(abs(around), abs(up)) <= step:
            self.ra, self.dec = ra, dec
            self._arrived()
        else:
            self.ra = (self.ra + _at_most(around, step) / DEGREES_PER_HOUR) % HOURS
            self.dec += _at_most(up, step)

    def _arrived(self) -> None:
        if self.motion is Motion.PARKING:
            self.motion, self.tracks = Motion.PARKED, False
        else:
            self._rest()

    def _rest(self) -> None:
        self.motion = Motion.TRACKING if self.tracks else Motion.STANDING


def _at_most(distance: float, step: float) -> float:
    return math.copysign(min(abs(distance), step), distance)
