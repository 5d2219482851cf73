"""The mount: what clients find, and what the simulated one does."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import ClassVar

import anyio
import pytest

from indianyio import OperationAbortedError, RefusedError, State
from indianyio.client import Client
from indianyio.client import Device as ClientDevice
from indianyio.instrument.mount import Mount
from indianyio.simulators import mount
from indianyio.testing import assert_states, cancel_everywhere, check_driver, driver_client

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Telescope Simulator"


async def connect(client: Client) -> ClientDevice:
    device = await client.device(NAME, timeout=5)
    await (await device.vector("CONNECTION", timeout=5)).set(CONNECT=True)
    for name in ("EQUATORIAL_EOD_COORD", "TELESCOPE_PARK", "TELESCOPE_TIMED_GUIDE_WE", "TELESCOPE_HOME"):
        await device.vector(name, timeout=5)
    await anyio.wait_all_tasks_blocked()  # the others are defined, too
    return device


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[ClientDevice, mount]]:
    async with driver_client(mount()) as (driver, client):
        yield await connect(client), driver


def near(device: ClientDevice, ra: float, dec: float) -> bool:
    where = device["EQUATORIAL_EOD_COORD"]
    return bool(abs(where["RA"] - ra) < 0.01 and abs(where["DEC"] - dec) < 0.01)


async def test_it_has_what_kstars_phd2_and_ccdciel_look_for() -> None:
    async with connected() as (device, _):
        assert int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) == 1 + 4
        assert {"TRACK", "SLEW", "SYNC"} == set(device["ON_COORD_SET"])
        assert {"TELESCOPE_TIMED_GUIDE_NS", "TELESCOPE_MOTION_NS", "TELESCOPE_MOTION_WE", "TIME_UTC"} <= set(device)
        assert len(device["TELESCOPE_SLEW_RATE"]) == 4


async def test_a_slew_is_busy_then_ok_and_tracks() -> None:
    async with connected() as (device, driver):
        coordinates = device["EQUATORIAL_EOD_COORD"]
        target = device["TARGET_EOD_COORD"]
        async with assert_states(coordinates, "Busy", "Ok", timeout=60), assert_states(target, "Idle"):
            await coordinates.set(RA=3, DEC=40)
        assert (target["RA"], target["DEC"]) == (3, 40)
        assert near(device, 3, 40)
        assert device["TELESCOPE_TRACK_STATE"].state is State.BUSY
        assert not driver.is_moving
        # An hour later it still points there.
        await anyio.sleep(3600)
        assert near(device, 3, 40)


async def test_a_slew_without_tracking_ends_idle_and_the_sky_goes_on() -> None:
    async with connected() as (device, _):
        await device["ON_COORD_SET"].set(SLEW=True)
        async with assert_states(device["EQUATORIAL_EOD_COORD"], "Busy", "Idle", timeout=60):
            await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40)
        assert device["TELESCOPE_TRACK_STATE"]["TRACK_OFF"] is True
        await anyio.sleep(3600)
        assert 3.99 < device["EQUATORIAL_EOD_COORD"]["RA"] < 4.01


async def test_a_sync_moves_nothing_and_is_never_busy() -> None:
    async with connected() as (device, driver):
        await device["ON_COORD_SET"].set(SYNC=True)
        async with assert_states(device["EQUATORIAL_EOD_COORD"], "Idle"):
            await device["EQUATORIAL_EOD_COORD"].set(RA=7, DEC=-5)
        assert driver.declination.position == -5
        assert not driver.is_moving


async def test_an_abort_leaves_the_coordinates_idle_where_the_tube_points() -> None:
    async with connected() as (device, driver):
        async with anyio.create_task_group() as tasks:

            async def slew() -> None:
                with pytest.raises(OperationAbortedError):
                    await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0)

            tasks.start_soon(slew)
            await anyio.sleep(3)
            await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True)
        assert not driver.is_moving
        assert device["TELESCOPE_ABORT_MOTION"]["ABORT"] is False
        assert 70 < device["EQUATORIAL_EOD_COORD"]["DEC"] < 80
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=70)
        assert near(device, 3, 70)


async def test_a_parked_mount_does_not_move_for_anything_and_unparks_again() -> None:
    async with connected() as (device, driver):
        park = device["TELESCOPE_PARK"]
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40)
        async with assert_states(park, "Busy", "Ok", timeout=60):
            await park.set(PARK=True, wait=False)
            await park.wait_for(lambda it: it.state is State.BUSY, timeout=5)
            assert park["PARK"] is True
            await park.wait_for(lambda it: it.state is State.OK, timeout=60)
        assert device["EQUATORIAL_EOD_COORD"].state is State.IDLE
        assert device["TELESCOPE_TRACK_STATE"]["TRACK_OFF"] is True
        for name, wish in (
            ("EQUATORIAL_EOD_COORD", {"RA": 3.0, "DEC": 40.0}),
            ("TELESCOPE_MOTION_NS", {"MOTION_NORTH": True}),
            ("TELESCOPE_TRACK_STATE", {"TRACK_ON": True}),
            ("TELESCOPE_HOME", {"GO": True}),
        ):
            with pytest.raises(RefusedError, match="parked"):
                await device[name].set(wish)
        async with assert_states(park, "Ok"), assert_states(device["EQUATORIAL_EOD_COORD"]):
            await park.set(PARK=True)
        assert driver.declination.position == 90
        await park.set(UNPARK=True)
        assert park["UNPARK"] is True
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40)


async def test_an_aborted_parking_is_alert_with_both_switches_off() -> None:
    async with connected() as (device, driver):
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0)
        await device["TELESCOPE_PARK"].set(PARK=True, wait=False)
        await device["TELESCOPE_PARK"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await anyio.sleep(2)
        await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True)
        assert device["TELESCOPE_PARK"].state is State.ALERT
        assert not any(device["TELESCOPE_PARK"].values())
        assert device["EQUATORIAL_EOD_COORD"].state is State.IDLE
        assert not driver.is_moving


async def test_a_slew_while_parking_is_refused_and_parking_goes_on() -> None:
    async with connected() as (device, _):
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0)
        await device["TELESCOPE_PARK"].set(PARK=True, wait=False)
        await device["TELESCOPE_PARK"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        with pytest.raises(RefusedError, match="TELESCOPE_PARK is busy"):
            await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0)
        await device["TELESCOPE_PARK"].wait_for(lambda it: it.state is State.OK, timeout=60)


async def test_moving_by_hand_is_busy_until_it_is_stopped_and_by_an_abort_too() -> None:
    async with connected() as (device, driver):
        ns, we = device["TELESCOPE_MOTION_NS"], device["TELESCOPE_MOTION_WE"]
        async with assert_states(ns, "Busy", "Idle"):
            await ns.set(MOTION_SOUTH=True)
            await anyio.sleep(10)
            with pytest.raises(RefusedError, match="moved by hand"):
                await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0)
            await ns.set(MOTION_SOUTH=False)
        assert driver.declination.position == 60
        await we.set(MOTION_WEST=True)
        await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True)
        assert (we.state, any(we.values()), driver.is_moving) == (State.IDLE, False, False)


async def test_the_directions_of_moving_by_hand_can_be_reversed_while_nothing_moves() -> None:
    async with connected() as (device, driver):
        ns, reverse = device["TELESCOPE_MOTION_NS"], device["TELESCOPE_REVERSE_MOTION"]
        async with assert_states(reverse, "Ok"):
            await reverse.set(REVERSE_NS=True)
        async with assert_states(ns, "Busy", "Idle"):
            await ns.set(MOTION_NORTH=True)
            assert ns["MOTION_NORTH"] is True
            await anyio.sleep(10)
            with pytest.raises(RefusedError, match="moved by hand; stop that first"):
                await reverse.set(REVERSE_NS=False)
            await ns.set(MOTION_NORTH=False)
        assert driver.declination.position == 60
        assert not driver.is_moving
        # The other axis is as it was, and what is reversed is stopped when the instrument is disconnected too.
        await device["TELESCOPE_MOTION_WE"].set(MOTION_WEST=True)
        await anyio.sleep(1)
        assert driver.hour_angle.position > 0
        await ns.set(MOTION_NORTH=True)
        await device["CONNECTION"].set(DISCONNECT=True)
        assert not driver.is_moving


async def test_disconnecting_stops_what_moves_by_itself_and_by_hand() -> None:
    async with connected() as (device, driver):
        await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True)
        await anyio.sleep(1)
        assert driver.is_moving
        await device["CONNECTION"].set(DISCONNECT=True)
        assert not driver.is_moving
        await device["CONNECTION"].set(CONNECT=True)
        where = await device.vector("EQUATORIAL_EOD_COORD", timeout=5)
        await where.set(RA=3, DEC=0, wait=False)
        await anyio.sleep(1)
        assert driver.is_moving
        await device["CONNECTION"].set(DISCONNECT=True)
        assert not driver.is_moving


async def test_the_slew_rate_counts_for_the_next_motion() -> None:
    async with connected() as (device, driver):
        await device["TELESCOPE_SLEW_RATE"].set({"3x": True})
        await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=True)
        await anyio.sleep(10)
        await device["TELESCOPE_MOTION_NS"].set(MOTION_SOUTH=False)
        assert driver.declination.position == 80


async def test_a_guide_pulse_is_busy_and_ends_idle_with_0_and_the_axes_are_independent() -> None:
    async with connected() as (device, driver):
        ns, we = device["TELESCOPE_TIMED_GUIDE_NS"], device["TELESCOPE_TIMED_GUIDE_WE"]
        before = driver.declination.position
        began = anyio.current_time()
        async with assert_states(ns, "Busy", "Idle"), assert_states(we, "Busy", "Idle"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: ns.set(TIMED_GUIDE_S=2000))
                tasks.start_soon(lambda: we.set(TIMED_GUIDE_E=2000))
        assert 1.9 < anyio.current_time() - began < 2.3
        assert ns["TIMED_GUIDE_S"] == 0
        assert before - driver.declination.position == pytest.approx(15.041 / 3600, rel=0.01)


async def test_the_pier_side_follows_the_tube() -> None:
    async with connected() as (device, _):
        side = device["TELESCOPE_PIER_SIDE"]
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40)
        await side.wait_for(lambda it: it["PIER_WEST"], timeout=5)
        await device["EQUATORIAL_EOD_COORD"].set(RA=21, DEC=40)
        await side.wait_for(lambda it: it["PIER_EAST"], timeout=5)


async def test_time_and_place_are_handed_on_and_nonsense_is_refused() -> None:
    heard: list[datetime] = []

    class Timed(mount):
        async def set_time(self, time: datetime) -> None:
            heard.append(time)

    async with driver_client(Timed()) as (driver, client):
        device = await connect(client)
        await device["TIME_UTC"].set(UTC="2026-01-31T23:00:00", OFFSET="-5.5")
        assert heard[0].isoformat() == "2026-01-31T17:30:00-05:30"
        with pytest.raises(RefusedError, match="TIME_UTC needs a time in UTC such as"):
            await device["TIME_UTC"].set(UTC="yesterday", OFFSET="0")
        await device["GEOGRAPHIC_COORD"].set(LAT=-30, LONG=290, ELEV=2400)
        assert (driver.latitude, driver.longitude) == (-30, 290)


async def test_it_parks_at_the_end_only_if_the_class_says_so() -> None:
    class Parking(mount):
        park_on_leave = True
        grace = 60.0

    for make, position in ((mount, 40), (Parking, 90)):
        async with driver_client(make()) as (driver, client):
            device = await connect(client)
            await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40)
        assert driver.declination.position == position
        assert driver.is_parked is (make is Parking)


async def test_a_mount_without_methods_offers_none_of_them() -> None:
    class Encoder(Mount):
        async def where(self) -> tuple[float, float]:
            return 1.0, 2.0

    names = set(Encoder().device)
    assert "EQUATORIAL_EOD_COORD" in names
    assert not names & {"ON_COORD_SET", "TELESCOPE_PARK", "TELESCOPE_ABORT_MOTION", "TELESCOPE_MOTION_NS"}


async def test_where_it_has_arrived_is_told_with_the_end_and_not_only_by_the_next_poll() -> None:
    async with connected() as (device, _):
        await device["POLLING_PERIOD"].set(PERIOD_MS=600_000)
        await anyio.sleep(2)
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40)
        assert near(device, 3, 40)
        assert device["TELESCOPE_PIER_SIDE"]["PIER_WEST"] is True
        await device["TELESCOPE_PARK"].set(PARK=True)
        assert device["EQUATORIAL_EOD_COORD"]["DEC"] == 90
        await device["TELESCOPE_PARK"].set(UNPARK=True)
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40)
        await device["TELESCOPE_HOME"].set(GO=True)
        assert device["EQUATORIAL_EOD_COORD"]["DEC"] == 90


async def test_a_mount_that_has_parked_and_cannot_be_asked_where_it_is_has_parked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Mute(mount):
        async def where(self) -> tuple[float, float]:
            if self.declination.position < 90:
                return await super().where()
            raise RuntimeError("no answer")

    async with driver_client(Mute()) as (driver, client):
        driver.declination.place(80)
        device = await connect(client)
        await device["TELESCOPE_PARK"].set(PARK=True)
        assert driver.is_parked
    assert "it could not be asked where it has arrived: RuntimeError: no answer" in caplog.text


# -- rates ---------------------------------------------------------------------------------------------------------


async def test_phd2_reads_how_fast_guide_pulses_are_and_a_client_changes_it() -> None:
    async with connected() as (device, driver):
        rate = device["GUIDE_RATE"]
        assert (rate["GUIDE_RATE_WE"], rate["GUIDE_RATE_NS"]) == (0.5, 0.5)
        async with assert_states(rate, "Ok"):
            await rate.set(GUIDE_RATE_WE=1, GUIDE_RATE_NS=0.25)
        before = driver.declination.position, driver.hour_angle.position
        await device["TELESCOPE_TIMED_GUIDE_NS"].set(TIMED_GUIDE_S=2000)
        await device["TELESCOPE_TIMED_GUIDE_WE"].set(TIMED_GUIDE_W=2000)
        assert before[0] - driver.declination.position == pytest.approx(0.25 * 30.08 / 3600, rel=0.01)
        assert driver.hour_angle.position - before[1] == pytest.approx(30.08 / 3600, rel=0.01)
        with pytest.raises(ValueError, match="GUIDE_RATE_WE"):
            await rate.set(GUIDE_RATE_WE=1.5)


async def test_a_guide_rate_that_cannot_be_changed_can_be_read() -> None:
    class Fixed(Mount):
        guide_rate_at_first: ClassVar[float | None] = 0.75

        async def where(self) -> tuple[float, float]:
            return 1.0, 2.0

    rate = Fixed().guide_rate
    assert (rate.vector.perm, rate.value.we, rate.value.ns) == ("ro", 0.75, 0.75)


async def test_it_tracks_at_the_rate_that_is_chosen() -> None:
    async with connected() as (device, _):
        where, modes, rates = (
            device[name] for name in ("EQUATORIAL_EOD_COORD", "TELESCOPE_TRACK_MODE", "TELESCOPE_TRACK_RATE")
        )
        await where.set(RA=3, DEC=40)
        # Chosen for later, it changes nothing now.
        async with assert_states(rates, "Ok"):
            await rates.set(TRACK_RATE_RA=0, TRACK_RATE_DE=3.6)
        await anyio.sleep(1000)
        assert near(device, 3, 40)
        async with assert_states(modes, "Ok"):
            await modes.set(TRACK_CUSTOM=True)
        await anyio.sleep(1000)
        assert where["DEC"] == pytest.approx(41, abs=0.01)
        assert where["RA"] == pytest.approx(3 + 1000 / 3600, abs=0.01)
        await rates.set(TRACK_RATE_RA=15.041067, TRACK_RATE_DE=-3.6)
        await anyio.sleep(1000)
        assert where["DEC"] == pytest.approx(40, abs=0.01)
        await modes.set(TRACK_SIDEREAL=True)
        await anyio.sleep(1000)
        assert where["DEC"] == pytest.approx(40, abs=0.01)


async def test_without_rates_of_its_own_a_mount_has_no_custom_mode() -> None:
    class Modes(Mount):
        async def where(self) -> tuple[float, float]:
            return 1.0, 2.0

        async def set_track_mode(self, mode: str) -> None:
            """Track so."""

    modes = Modes()
    assert set(modes.track_mode.vector) == {"TRACK_SIDEREAL", "TRACK_SOLAR", "TRACK_LUNAR"}
    assert not {"TELESCOPE_TRACK_RATE", "GUIDE_RATE"} & set(modes.device)


@pytest.mark.parametrize(
    ("vector", "wish"),
    [
        ("EQUATORIAL_EOD_COORD", {"RA": 3.0, "DEC": 80.0}),
        ("TELESCOPE_PARK", {"PARK": True}),
        ("TELESCOPE_TIMED_GUIDE_NS", {"TIMED_GUIDE_N": 1000.0}),
    ],
)
async def test_cancelled_anywhere_the_motors_stand_still(vector: str, wish: dict[str, float | bool]) -> None:
    async def operate(driver: mount, client: Client) -> None:
        device = await connect(client)
        await device[vector].set(wish, on_cancel="abort")

    async def still(driver: mount, client: Client) -> None:
        await anyio.sleep(2)  # the abort, or the pulse, may not be over yet, but a slew takes nine seconds
        assert not driver.is_moving

    assert await cancel_everywhere(operate, mount, check=still) > 3


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(mount) == []
