"""Converts coordinates of the date, as mounts report them, to J2000, as FITS headers have them.

Only precession is undone, by the angles of Lieske (1977). Nutation and aberration are left out: together they are
below half a minute of arc, which is finer than mounts point.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

__all__ = ["j2000", "sexagesimal"]

_EPOCH = datetime(2000, 1, 1, 12, tzinfo=UTC)
_CENTURY_SECONDS = 36525 * 86400
_ARCSECOND = math.radians(1 / 3600)


def j2000(ra_hours: float, dec_degrees: float, moment: datetime) -> tuple[float, float]:
    """Return right ascension and declination of J2000, in hours and degrees.

    :param ra_hours: right ascension of the equinox of ``moment``.
    :param dec_degrees: declination, likewise.
    :param moment: when these hold.
    """
    t = (moment - _EPOCH).total_seconds() / _CENTURY_SECONDS
    zeta = (2306.2181 * t + 0.30188 * t**2 + 0.017998 * t**3) * _ARCSECOND
    z = (2306.2181 * t + 1.09468 * t**2 + 0.018203 * t**3) * _ARCSECOND
    theta = (2004.3109 * t - 0.42665 * t**2 - 0.041833 * t**3) * _ARCSECOND
    ra, dec = math.radians(15 * ra_hours) - z, math.radians(dec_degrees)
    # The rotation about the node by -theta.
    x = math.cos(dec) * math.cos(ra) * math.cos(theta) + math.sin(dec) * math.sin(theta)
    y = math.cos(dec) * math.sin(ra)
    height = -math.cos(dec) * math.cos(ra) * math.sin(theta) + math.sin(dec) * math.cos(theta)
    hours = math.degrees(math.atan2(y, x) - zeta) / 15 % 24
    return hours, math.degrees(math.atan2(height, math.hypot(x, y)))


def sexagesimal(value: float, *, decimals: int = 2) -> str:
    """Return hours or degrees as a text with minutes and seconds, separated by blanks."""
    unit = 10**decimals
    parts = round(abs(value) * 3600 * unit)
    seconds, fraction = divmod(parts, unit)
    minutes, seconds = divmod(seconds, 60)
    whole, minutes = divmod(minutes, 60)
    sign = "-" if value < 0 and parts else ""
    return f"{sign}{whole:02d} {minutes:02d} {seconds:02d}.{fraction:0{decimals}d}"
