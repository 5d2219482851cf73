"""Coordinates of today and of the year 2000, compared with astropy's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from astropy import units as u
from astropy.coordinates import FK5, SkyCoord

from indianyio.instrument.camera._epoch import j2000, sexagesimal


@pytest.mark.parametrize("year", [1990, 2000, 2026, 2060])
@pytest.mark.parametrize(("ra", "dec"), [(5.0, 20.0), (0.0, -89.5), (23.99, 89.9), (12.0, 0.0), (0.001, -45.0)])
def test_precession_is_taken_back_to_a_second_of_arc(year: int, ra: float, dec: float) -> None:
    moment = datetime(year, 1, 1, 12, tzinfo=UTC)
    of_date = SkyCoord(ra * u.hourangle, dec * u.deg, frame=FK5(equinox=f"J{year}"))
    expected = of_date.transform_to(FK5(equinox="J2000"))
    hours, degrees = j2000(ra, dec, moment)
    found = SkyCoord(hours * u.hourangle, degrees * u.deg, frame=FK5(equinox="J2000"))
    assert found.separation(expected).arcsec < 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.5, "05 30 00.00"),
        (-0.25, "-00 15 00.00"),
        (59.99999999, "60 00 00.00"),
        (-1e-9, "00 00 00.00"),
        (-89.99, "-89 59 24.00"),
    ],
)
def test_hours_and_degrees_with_minutes_and_seconds(value: float, text: str) -> None:
    assert sexagesimal(value) == text
