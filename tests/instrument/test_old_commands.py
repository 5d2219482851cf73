"""Commands that were given before an Abort, and motions that get in each other's way."""

from __future__ import annotations

import anyio
import pytest

from indianyio import RefusedError, State, WriteRefusedError
from indianyio.instrument.guider import Direction
from indianyio.simulators import dome, mount
from indianyio.standard.mount import EquatorialEodCoord
from tests.instrument.connecting import connected_to

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]


class SlowMount(mount):
    """A mount that takes a second to be told to move by hand or to stop that, and to be synchronised."""

    async def move(self, direction: Direction, rate: int) -> None:
        await anyio.sleep(1)
        await super().move(direction, rate)

    async def stop_moving(self, direction: Direction) -> None:
        await anyio.sleep(1)
        await super().stop_moving(direction)

    async def sync(self, ra: float, dec: float) -> None:
        await anyio.sleep(1)
        await super().sync(ra, dec)


class CautiousMount(mount):
    """A mount whose author has one thing more to look at before it slews."""

    @mount.coordinates.check
    async def look_at_altitude(self, wanted: EquatorialEodCoord) -> None:
        if wanted.dec < -30:
            raise WriteRefusedError("too low")


class SlowDome(dome):
    """A dome that takes a second to be told to turn by hand."""

    async def move(self, *, clockwise: bool) -> None:
        await anyio.sleep(1)
        await super().move(clockwise=clockwise)


async def test_a_motion_that_waited_for_another_one_does_not_begin_after_an_abort() -> None:
    async with connected_to(SlowMount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["TELESCOPE_MOTION_NS"].set(MOTION_NORTH=True, wait=False)
        await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True, wait=False)
        await anyio.sleep(0.5)
        await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True)
        await anyio.sleep(10)
        assert not driver.is_moving
        assert not any(device["TELESCOPE_MOTION_NS"].values())


async def test_a_motion_that_turns_around_does_not_begin_after_an_abort() -> None:
    async with connected_to(SlowMount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True, wait=False)
        await device["TELESCOPE_MOTION_NS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await device["TELESCOPE_MOTION_NS"].set(MOTION_NORTH=True, wait=False)
        await anyio.sleep(0.5)
        await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True)
        await anyio.sleep(10)
        assert not driver.is_moving
        assert not any(device["TELESCOPE_MOTION_NS"].values())


async def test_a_slew_that_waited_for_a_sync_does_not_begin_after_an_abort() -> None:
    async with connected_to(SlowMount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["ON_COORD_SET"].set(SYNC=True)
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=80, wait=False)
        await device["ON_COORD_SET"].set(TRACK=True)
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0, wait=False)
        await anyio.sleep(0.5)
        await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True)
        await anyio.sleep(3)
        assert not driver.is_moving
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=70)


async def test_a_parked_mount_with_a_check_of_its_own_does_not_slew() -> None:
    async with connected_to(CautiousMount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        with pytest.raises(RefusedError, match="too low"):
            await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=-40)
        await device["TELESCOPE_PARK"].set(PARK=True)
        with pytest.raises(RefusedError, match="parked"):
            await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=20)
        assert not driver.is_moving


async def test_a_turn_by_hand_that_waited_does_not_begin_after_an_abort() -> None:
    async with connected_to(SlowDome(), "Goto") as (device, driver):
        await device["DOME_MOTION"].set(DOME_CW=True, wait=False)
        await device["DOME_MOTION"].set(DOME_CCW=True, wait=False)
        await anyio.sleep(0.5)
        await device["DOME_ABORT_MOTION"].set(ABORT=True)
        await anyio.sleep(10)
        assert not driver.is_moving


@pytest.mark.parametrize(
    ("vector", "wish"),
    [("EQUATORIAL_EOD_COORD", {"RA": 3.0, "DEC": 0.0}), ("TELESCOPE_HOME", {"GO": True})],
)
async def test_a_guide_pulse_that_lasts_does_not_halt_a_slew(vector: str, wish: dict[str, bool | float]) -> None:
    async with connected_to(mount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["EQUATORIAL_EOD_COORD"].set(RA=6, DEC=50)
        await device["TELESCOPE_TIMED_GUIDE_NS"].set(TIMED_GUIDE_S=3000, wait=False)
        await anyio.sleep(1)
        await device[vector].set(wish, timeout=100)
        assert abs(driver.declination.position - (0 if vector.startswith("EQ") else 90)) < 0.01
        assert device["TELESCOPE_TIMED_GUIDE_NS"].state is State.IDLE


async def test_a_guide_pulse_that_lasts_does_not_halt_parking() -> None:
    async with connected_to(mount(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["EQUATORIAL_EOD_COORD"].set(RA=6, DEC=50)
        await device["TELESCOPE_TIMED_GUIDE_NS"].set(TIMED_GUIDE_S=3000, wait=False)
        await anyio.sleep(1)
        await device["TELESCOPE_PARK"].set(PARK=True, timeout=100)
        assert driver.declination.position == 90
        assert not driver.is_moving


async def test_an_axis_that_cannot_be_stopped_does_not_let_the_other_one_run_on() -> None:
    class Stubborn(mount):
        async def stop_moving(self, direction: Direction) -> None:
            if direction is Direction.NORTH or direction is Direction.SOUTH:
                raise TimeoutError("no answer")
            await super().stop_moving(direction)

    async with connected_to(Stubborn(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True)
        await device["TELESCOPE_MOTION_WE"].set(MOTION_WEST=True)
        await device["CONNECTION"].set(DISCONNECT=True)
        assert not driver.hour_angle.is_moving


async def test_a_motion_that_could_not_be_stopped_is_shown_as_over_when_parking_has_stopped_it() -> None:
    class Stubborn(mount):
        obeys = False

        async def stop_moving(self, direction: Direction) -> None:
            if not self.obeys:
                raise TimeoutError("no answer")
            await super().stop_moving(direction)

    async with connected_to(Stubborn(), "TELESCOPE_TIMED_GUIDE_WE") as (device, driver):
        motion = device["TELESCOPE_MOTION_NS"]
        await motion.set(MOTION_SOUTH=True)
        await motion.set(MOTION_SOUTH=False, wait=False)
        await motion.wait_for(lambda it: it.state is State.ALERT, timeout=5)
        assert motion["MOTION_SOUTH"]
        driver.obeys = True
        await device["TELESCOPE_PARK"].set(PARK=True, timeout=100)
        assert not any(motion.values())
        assert motion.state is State.IDLE
