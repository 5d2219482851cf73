"""What device classes must never do: move when it was not asked for, or on when it was asked to stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import anyio
import pytest

from indianyio import RefusedError, State
from indianyio.instrument.guider import Direction
from indianyio.simulators import camera, dome, filter_wheel, focuser, mount, rotator
from indianyio.testing import assert_states
from tests.instrument.connecting import connected_to

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]


class SlowToMove(mount):
    """A mount that is told in two steps to move by hand."""

    async def move(self, direction: Direction, rate: int) -> None:
        await anyio.sleep(1)
        await super().move(direction, rate)


async def test_a_motion_by_hand_that_is_being_begun_does_not_outlive_an_abort() -> None:
    async with connected_to(SlowToMove(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True, wait=False)
        await anyio.sleep(0.5)
        await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True)
        await anyio.sleep(2)
        assert not driver.is_moving
        assert not any(device["TELESCOPE_MOTION_NS"].values())


async def test_a_motion_that_has_begun_although_it_failed_is_stopped() -> None:
    class Failing(mount):
        async def move(self, direction: Direction, rate: int) -> None:
            await super().move(direction, rate)
            raise TimeoutError("no answer")

    async with connected_to(Failing(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        with pytest.raises(RefusedError, match="no answer"):
            await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True)
        assert not driver.is_moving


@pytest.mark.parametrize(
    ("vector", "wish"),
    [
        ("TELESCOPE_MOTION_NS", {"MOTION_SOUTH": True}),
        ("EQUATORIAL_EOD_COORD", {"RA": 3.0, "DEC": 0.0}),
        ("TELESCOPE_TIMED_GUIDE_NS", {"TIMED_GUIDE_S": 60_000.0}),
    ],
)
async def test_nothing_moves_on_after_a_client_has_disconnected(vector: str, wish: dict[str, bool | float]) -> None:
    async with connected_to(mount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device[vector].set(wish, wait=False)
        await device[vector].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await anyio.sleep(1)
        assert driver.is_moving
        await device["CONNECTION"].set(DISCONNECT=True)
        assert not driver.is_moving
        await device["CONNECTION"].set(CONNECT=True)
        assert (await device.vector(vector, timeout=5)).state is not State.BUSY
        await device.vector("EQUATORIAL_EOD_COORD", timeout=5)
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=80)


async def test_parking_takes_the_place_of_whatever_moves() -> None:
    async with connected_to(mount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0, wait=False)
        await anyio.sleep(2)
        await device["TELESCOPE_PARK"].set(PARK=True)
        assert (driver.is_parked, driver.is_moving, driver.declination.position) == (True, False, 90)
        await device["TELESCOPE_PARK"].set(UNPARK=True)
        await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True)
        await anyio.sleep(1)
        await device["TELESCOPE_PARK"].set(PARK=True)
        assert not any(device["TELESCOPE_MOTION_NS"].values())
        assert (driver.is_parked, driver.is_moving) == (True, False)


async def test_unparking_takes_the_place_of_nothing() -> None:
    async with connected_to(mount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, _):
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40, wait=False)
        await anyio.sleep(2)
        with pytest.raises(RefusedError, match="not parked"):
            await device["TELESCOPE_PARK"].set(UNPARK=True)
        await device["EQUATORIAL_EOD_COORD"].wait_for(lambda it: it.state is State.OK, timeout=60)


async def test_who_disconnects_a_mount_that_is_parking_waits_until_it_is_parked() -> None:
    async with connected_to(mount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0)
        await device["TELESCOPE_PARK"].set(PARK=True, wait=False)
        await anyio.sleep(2)
        await device["CONNECTION"].set(DISCONNECT=True, timeout=100)
        assert (driver.is_parked, driver.declination.position) == (True, 90)


async def test_a_mount_that_parks_or_goes_home_is_neither_guided_nor_moved_nor_set_tracking() -> None:
    async with connected_to(mount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        for vector, wish in (("TELESCOPE_HOME", {"GO": True}), ("TELESCOPE_PARK", {"PARK": True})):
            await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0)
            await device[vector].set(wish, wait=False)
            await anyio.sleep(2)
            assert device["EQUATORIAL_EOD_COORD"].state is State.BUSY
            with pytest.raises(RefusedError, match="on its way"):
                await device["TELESCOPE_TIMED_GUIDE_NS"].set(TIMED_GUIDE_S=5000)
            with pytest.raises(RefusedError, match="on its way"):
                await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True)
            if vector == "TELESCOPE_PARK":
                with pytest.raises(RefusedError, match="parking"):
                    await device["TELESCOPE_TRACK_STATE"].set(TRACK_ON=True)
            await device[vector].wait_for(lambda it: it.state is State.OK, timeout=60)
            assert driver.declination.position == 90
        with pytest.raises(RefusedError, match="parked"):
            await device["TELESCOPE_TIMED_GUIDE_NS"].set(TIMED_GUIDE_S=5000)


async def test_an_abort_ends_a_guide_pulse() -> None:
    async with connected_to(mount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        ns = device["TELESCOPE_TIMED_GUIDE_NS"]
        async with assert_states(ns, "Busy", "Idle"):
            await ns.set(TIMED_GUIDE_S=60_000, wait=False)
            await anyio.sleep(1)
            await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True)
        assert not driver.is_moving


async def test_how_a_mount_slews_is_what_was_chosen_when_it_was_asked_to() -> None:
    went: list[str] = []

    class Flipping(mount):
        async def flip(self, ra: float, dec: float) -> None:
            went.append("flip")

    async with connected_to(Flipping(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["ON_COORD_SET"].set(FLIP=True, wait=False)
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0, wait=False)
        await device["ON_COORD_SET"].set(SLEW=True, wait=False)
        await device["EQUATORIAL_EOD_COORD"].wait_for(lambda it: it.state is State.OK, timeout=60)
        assert went == ["flip"]
        assert driver.is_tracking


async def test_a_focuser_moves_in_the_direction_that_was_chosen_when_it_was_asked_to() -> None:
    async with connected_to(focuser(), "FOCUS_TEMPERATURE") as (device, driver):
        await device["FOCUS_MOTION"].set(FOCUS_INWARD=True)
        await device["REL_FOCUS_POSITION"].set(FOCUS_RELATIVE_POSITION=1000, wait=False)
        await device["FOCUS_MOTION"].set(FOCUS_OUTWARD=True, wait=False)
        await device["REL_FOCUS_POSITION"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await device["REL_FOCUS_POSITION"].wait_for(lambda it: it.state is State.OK, timeout=60)
        assert driver.motor.position == 49_000


async def test_a_move_that_is_refused_does_not_end_the_one_that_goes_on() -> None:
    async with connected_to(focuser(), "FOCUS_TEMPERATURE") as (device, driver):
        await device["FOCUS_MOTION"].set(FOCUS_INWARD=True)
        await device["REL_FOCUS_POSITION"].set(FOCUS_RELATIVE_POSITION=10_000, wait=False)
        await anyio.sleep(1)
        with pytest.raises(RefusedError, match="would lead to"):
            await device["REL_FOCUS_POSITION"].set(FOCUS_RELATIVE_POSITION=90_000)
        await device["REL_FOCUS_POSITION"].wait_for(lambda it: it.state is State.OK, timeout=60)
        assert driver.motor.position == 40_000


async def test_an_angle_beyond_the_limits_does_not_end_the_turn_that_goes_on() -> None:
    async with connected_to(rotator(), "ROTATOR_LIMITS") as (device, driver):
        await device["ROTATOR_LIMITS"].set(ROTATOR_LIMITS_VALUE=90)
        await device["ABS_ROTATOR_ANGLE"].set(ANGLE=80, wait=False)
        await anyio.sleep(1)
        with pytest.raises(RefusedError, match="ROTATOR_LIMITS allows 90"):
            await device["ABS_ROTATOR_ANGLE"].set(ANGLE=180)
        await device["ABS_ROTATOR_ANGLE"].wait_for(lambda it: it.state is State.OK, timeout=60)
        assert driver.motor.position == 80


async def test_the_limits_of_a_single_filter_and_of_a_short_focuser_hold() -> None:
    class One(filter_wheel):
        filters: ClassVar[Sequence[str]] = ("Clear",)

    class Short(focuser):
        max_steps = 500

    async with connected_to(One(), "FILTER_NAME") as (device, wheel):
        with pytest.raises(RefusedError, match="no filter 5"):
            await device["FILTER_SLOT"].set(FILTER_SLOT_VALUE=5)
        assert wheel.turned_to == 1
    async with connected_to(Short(), "FOCUS_TEMPERATURE") as (device, _):
        for most in (0, 501):
            with pytest.raises(RefusedError, match="from 1 to 500"):
                await device["FOCUS_MAX"].set(FOCUS_MAX_VALUE=most, validate=False)


class SlowToTurn(dome):
    """A dome that is told in two steps to turn by hand."""

    async def move(self, *, clockwise: bool) -> None:
        await anyio.sleep(1)
        await super().move(clockwise=clockwise)
        await anyio.sleep(1)


@pytest.mark.parametrize("seconds", [0.5, 1.5])
@pytest.mark.parametrize(
    ("vector", "wish"), [("DOME_ABORT_MOTION", {"ABORT": True}), ("CONNECTION", {"DISCONNECT": True})]
)
async def test_a_dome_that_is_being_told_to_turn_does_not_turn_after_it_was_stopped(
    seconds: float, vector: str, wish: dict[str, bool]
) -> None:
    async with connected_to(SlowToTurn(), "Goto") as (device, driver):
        await device["DOME_MOTION"].set(DOME_CW=True, wait=False)
        await anyio.sleep(seconds)
        await device[vector].set(wish)
        await anyio.sleep(3)
        assert not driver.is_moving
        assert vector == "CONNECTION" or not any(device["DOME_MOTION"].values())


class SlowToClose(camera):
    """A camera whose shutter takes a while to close."""

    async def abort(self) -> None:
        await anyio.sleep(1)
        await super().abort()


@pytest.mark.parametrize("how", ["abort", "disconnect", "end"])
async def test_a_shutter_that_takes_a_while_to_close_is_closed_whatever_ends_the_exposure(how: str) -> None:
    async with connected_to(SlowToClose(width=16, height=8), "CCD_FAST_COUNT") as (device, driver):
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=100, wait=False)
        await device["CCD_EXPOSURE"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await anyio.sleep(2.5)
        assert driver.is_exposing
        if how == "abort":
            await device["CCD_ABORT_EXPOSURE"].set(ABORT=True)
            assert not driver.is_exposing
        elif how == "disconnect":
            await device["CONNECTION"].set(DISCONNECT=True)
            assert not driver.is_exposing
    assert not driver.is_exposing
