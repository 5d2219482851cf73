"""Where the slit of a dome has to be for the telescope to look through it.

The tube of a telescope hardly ever turns about the middle of its dome: the mount stands off-centre, and a German
mount carries the tube beside its axis. So the azimuth of the slit is not that of the telescope. It is where the
optical axis, a line, meets the dome, a sphere. All points here are relative to the middle of that sphere, in
metres: to the east, to the north and up.

Angles are in degrees, but hour angles and right ascensions in hours. Nothing here looks at a clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import asin, atan2, cos, degrees, hypot, radians, sin, sqrt
from typing import Literal, NamedTuple, TypeAlias

from indianyio.standard.dome import DomeMeasurements

__all__ = [
    "Point",
    "TubeSide",
    "away",
    "horizontal",
    "hour_angle",
    "optical_centre",
    "side_by_hour_angle",
    "sidereal_hours",
    "slit_azimuth",
    "turned",
]

TubeSide: TypeAlias = Literal["east", "west"]
"""On which side of the mount the tube is."""

_DEGREES_PER_HOUR = 15.0
_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
_DAY_SECONDS = 86_400.0

# If the line of sight leaves the dome this close to the zenith, as a fraction of the radius, any azimuth will do.
_ZENITH = 1e-6


class Point(NamedTuple):
    """A point, or a direction of length 1."""

    east: float
    north: float
    up: float


def away(one: float, other: float) -> float:
    """Return the difference between two azimuths, the shorter way round: from 0 to 180."""
    return abs((one - other + 180) % 360 - 180)


def turned(azimuth: float) -> float:
    """Return the same azimuth in the range from 0 to less than 360."""
    # Twice, because rounding turns a value just below 0 into 360.
    return azimuth % 360 % 360


def sidereal_hours(time: datetime, longitude: float) -> float:
    """Return the local mean sidereal time, from 0 to 24; accurate to a second for centuries.

    :param time: an aware time.
    """
    days = (time - _J2000).total_seconds() / _DAY_SECONDS
    # Meeus, Astronomical Algorithms, 12.4, without the terms that matter only after thousands of years.
    greenwich = 280.46061837 + 360.98564736629 * days
    return (greenwich + longitude) % 360 / _DEGREES_PER_HOUR


def hour_angle(time: datetime, longitude: float, ra: float) -> float:
    """Return how long ago a right ascension passed the meridian, from -12 to 12."""
    return (sidereal_hours(time, longitude) - ra + 12) % 24 - 12


def side_by_hour_angle(hours: float) -> TubeSide:
    """Return the side on which a German mount usually carries the tube: opposite to where it looks."""
    return "east" if hours > 0 else "west"


def horizontal(hours: float, dec: float, latitude: float) -> tuple[float, float]:
    """Return azimuth, from the north through the east, and altitude of an hour angle and a declination."""
    turn, height, pole = radians(hours * _DEGREES_PER_HOUR), radians(dec), radians(latitude)
    east = -cos(height) * sin(turn)
    north = sin(height) * cos(pole) - cos(height) * cos(turn) * sin(pole)
    up = sin(height) * sin(pole) + cos(height) * cos(turn) * cos(pole)
    return turned(degrees(atan2(east, north))), degrees(asin(max(-1.0, min(up, 1.0))))


def optical_centre(sizes: DomeMeasurements, side: TubeSide | None, hours: float, latitude: float) -> Point:
    """Return the middle of the tube: beside the mount, where the declination axis carries it.

    The declination axis lies in the plane of the equator, at a right angle to where the mount looks. (libindi 2.2.4
    turns it the wrong way about the east-west line: it computes a tube above the mount as below it.)

    :param side: the side of the mount on which the tube is; ``None`` if the tube is above its middle, as in a fork.
    :param hours: the hour angle at which the mount looks.
    """
    offset = {"west": sizes.ota_offset, "east": -sizes.ota_offset, None: 0.0}[side]
    turn, pole = radians(hours * _DEGREES_PER_HOUR), radians(latitude)
    return Point(
        sizes.east - offset * cos(turn),
        sizes.north + offset * sin(turn) * sin(pole),
        sizes.up - offset * sin(turn) * cos(pole),
    )


def slit_azimuth(
    sizes: DomeMeasurements, side: TubeSide | None, hours: float, dec: float, latitude: float
) -> float | None:
    """Return the azimuth of the slit for a telescope that looks at an hour angle and a declination.

    If the radius is 0, nothing has been measured, and the azimuth is that of the telescope.

    :return: from 0 to 360; ``None`` if the tube is outside the dome and does not look at it.
    """
    azimuth, altitude = horizontal(hours, dec, latitude)
    if not sizes.radius:
        return azimuth
    tube = optical_centre(sizes, side, hours, latitude)
    level = cos(radians(altitude))
    sight = Point(level * sin(radians(azimuth)), level * cos(radians(azimuth)), sin(radians(altitude)))
    gone = _meets(tube, sight, sizes.radius)
    if gone is None:
        return None
    east, north = tube.east + gone * sight.east, tube.north + gone * sight.north
    if hypot(east, north) < _ZENITH * sizes.radius:
        return azimuth
    return turned(degrees(atan2(east, north)))


def _meets(start: Point, direction: Point, radius: float) -> float | None:
    """Return how far along a line the line leaves a sphere; ``None`` if it does so behind its start, or never."""
    along = sum(one * other for one, other in zip(start, direction, strict=True))
    beyond = sum(one * one for one in start) - radius * radius
    inside = along * along - beyond
    if inside < 0:
        return None
    gone = sqrt(inside) - along
    return gone if gone >= 0 else None
