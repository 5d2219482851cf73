"""Where the slit has to be: checked with published examples, and with figures that can be drawn by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from math import atan2, cos, degrees, radians, sin, sqrt

import pytest

from indianyio.instrument.dome._geometry import (
    away,
    horizontal,
    hour_angle,
    optical_centre,
    side_by_hour_angle,
    sidereal_hours,
    slit_azimuth,
)
from indianyio.standard.dome import DomeMeasurements

# A dome of 2 m radius, a tube 0.5 m beside the polar axis.
GERMAN = DomeMeasurements(radius=2, ota_offset=0.5)


def hours(h: float, m: float = 0, s: float = 0) -> float:
    return h + m / 60 + s / 3600


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        # Meeus, Astronomical Algorithms, examples 12.a and 12.b.
        (datetime(1987, 4, 10, tzinfo=UTC), hours(13, 10, 46.3668)),
        (datetime(1987, 4, 10, 19, 21, tzinfo=UTC), hours(8, 34, 57.0896)),
    ],
)
def test_the_sidereal_time_is_that_of_published_examples(time: datetime, expected: float) -> None:
    assert sidereal_hours(time, 0) == pytest.approx(expected, abs=1e-6)
    # The zone of a time does not matter, and to the east it is later.
    there = time.astimezone(timezone(timedelta(hours=-9)))
    assert sidereal_hours(there, 15) == pytest.approx((expected + 1) % 24, abs=1e-6)


def test_venus_stands_where_a_published_example_says() -> None:
    # Meeus, example 13.b, with the apparent sidereal time replaced by the mean one: a quarter of a second.
    time = datetime(1987, 4, 10, 19, 21, tzinfo=UTC)
    latitude, longitude = 38 + 55 / 60 + 17 / 3600, -(77 + 3 / 60 + 56 / 3600)
    turned = hour_angle(time, longitude, hours(23, 9, 16.641))
    assert turned * 15 == pytest.approx(64.352133, abs=0.002)
    azimuth, altitude = horizontal(turned, -(6 + 43 / 60 + 11.61 / 3600), latitude)
    # Meeus counts from the south.
    assert azimuth == pytest.approx(68.0337 + 180, abs=0.002)
    assert altitude == pytest.approx(15.1249, abs=0.002)


@pytest.mark.parametrize(
    ("turned", "dec", "latitude", "expected"),
    [
        (0, 0, 45, (180, 45)),  # on the meridian
        (0, 0, -45, (0, 45)),
        (-6, 0, 45, (90, 0)),  # rising
        (6, 0, 45, (270, 0)),  # setting
        (3, 90, 45, (0, 45)),  # the pole
    ],
)
def test_the_sky_is_where_everybody_knows(
    turned: float, dec: float, latitude: float, expected: tuple[float, float]
) -> None:
    assert horizontal(turned, dec, latitude) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("latitude", [48, -30])
def test_the_declination_axis_is_in_the_plane_of_the_equator(latitude: float) -> None:
    pole = (0.0, cos(radians(latitude)), sin(radians(latitude)))
    for turned in range(-12, 12):
        centre = optical_centre(GERMAN, "west", turned, latitude)
        assert sum(one * other for one, other in zip(centre, pole, strict=True)) == pytest.approx(0, abs=1e-12)
        # And at a right angle to where the telescope looks.
        azimuth, altitude = (radians(one) for one in horizontal(turned, 20, latitude))
        sight = (cos(altitude) * sin(azimuth), cos(altitude) * cos(azimuth), sin(altitude))
        assert sum(one * other for one, other in zip(centre, sight, strict=True)) == pytest.approx(0, abs=1e-12)


def test_a_tube_on_its_usual_side_is_above_the_mount_when_it_looks_to_the_east_or_to_the_west() -> None:
    for turned in (-6, 6):
        tube = optical_centre(GERMAN, side_by_hour_angle(turned), turned, 60)
        assert tube == pytest.approx((0, -0.5 * sin(radians(60)), 0.5 * cos(radians(60))))
    assert optical_centre(GERMAN, "west", 0, 60) == pytest.approx((-0.5, 0, 0))
    assert optical_centre(GERMAN, "east", 0, 60) == pytest.approx((0.5, 0, 0))


def test_in_the_middle_of_the_dome_the_slit_is_where_the_telescope_looks() -> None:
    sizes = DomeMeasurements(radius=2)
    for turned, dec in ((-4, 10), (1, 60), (5, -20), (11, 80)):
        assert slit_azimuth(sizes, "west", turned, dec, 45) == pytest.approx(horizontal(turned, dec, 45)[0])


def test_without_measurements_the_slit_is_where_the_telescope_looks() -> None:
    sizes = DomeMeasurements(ota_offset=0.5, east=1)
    assert slit_azimuth(sizes, "west", -4, 10, 45) == pytest.approx(horizontal(-4, 10, 45)[0])


def test_a_mount_in_the_south_of_its_dome_looks_to_the_east_through_a_slit_further_south() -> None:
    # At the horizon due east from 1 m south in a dome of 2 m: 30 degrees.
    sizes = DomeMeasurements(radius=2, north=-1)
    assert slit_azimuth(sizes, None, -6, 0, 45) == pytest.approx(120)
    assert slit_azimuth(sizes, None, 6, 0, 45) == pytest.approx(240)


def test_a_mount_up_in_its_dome_looks_through_a_slit_at_the_same_azimuth() -> None:
    assert slit_azimuth(DomeMeasurements(radius=2, up=1), None, -3, 20, 45) == pytest.approx(
        horizontal(-3, 20, 45)[0]
    )


@pytest.mark.parametrize(("side", "sign"), [("west", 1), ("east", -1)])
def test_on_the_meridian_a_german_mount_needs_the_slit_on_the_side_of_the_tube(side: str, sign: int) -> None:
    # The tube is 0.5 m to the side and looks south at 45 degrees: it leaves the sphere sqrt(4 - 1/4) m further,
    # of which the floor sees 1 / sqrt(2).
    south = sqrt(4 - 0.25) / sqrt(2)
    found = slit_azimuth(GERMAN, "west" if side == "west" else "east", 0, 0, 45)
    assert found == pytest.approx(180 + sign * degrees(atan2(0.5, south)))


def test_looking_to_the_east_the_slit_stands_apart_by_how_far_south_the_tube_is() -> None:
    # Above the mount and 0.5 sin 45 to the south; at the horizon only that matters, and the height of 0.5 cos 45.
    south = up = 0.5 / sqrt(2)
    assert slit_azimuth(GERMAN, "west", -6, 0, 45) == pytest.approx(
        90 + degrees(atan2(south, sqrt(4 - south**2 - up**2)))
    )


def test_at_the_zenith_it_answers_with_any_azimuth_and_outside_the_dome_with_none() -> None:
    found = slit_azimuth(DomeMeasurements(radius=2), None, 0, 45, 45)
    assert found is not None
    assert 0 <= found < 360
    # 3 m to the east of a dome of 2 m: looking east it has the dome behind it, looking west before it.
    outside = DomeMeasurements(radius=2, east=3)
    assert slit_azimuth(outside, None, -6, 0, 45) is None
    assert slit_azimuth(outside, None, 6, 0, 45) == pytest.approx(270)
    # And one that looks past the dome.
    assert slit_azimuth(DomeMeasurements(radius=2, north=-3), None, -6, 0, 45) is None


@pytest.mark.parametrize(
    ("one", "other", "expected"), [(350, 10, 20), (10, 350, 20), (0, 180, 180), (0, 360, 0), (90, 91.5, 1.5)]
)
def test_azimuths_differ_the_shorter_way_round(one: float, other: float, expected: float) -> None:
    assert away(one, other) == expected
