"""Mounts and weather stations hear from a GPS where they stand, and mounts what time it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime

import anyio
import pytest

from indianyio import RefusedError, State
from indianyio.client import Device
from indianyio.instrument import Instrument
from indianyio.simulators import mount, weather
from indianyio.testing import assert_states, driver_client
from tests.instrument.others import OtherDevice

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

GPS = "GPS Simulator"


class Timed(mount):
    """A mount that notes what time it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[str] = []

    async def set_time(self, time: datetime) -> None:
        self.times.append(time.isoformat())


@asynccontextmanager
async def beside_a_gps(driver: Instrument) -> AsyncGenerator[tuple[Device, OtherDevice]]:
    gps = OtherDevice(GPS)
    async with driver_client(driver, wrap=gps.wrap) as (_, client):
        device = await client.device(driver.device.devicename, timeout=5)
        async with device.connected(timeout=5):
            await device.vector("GEOGRAPHIC_COORD", timeout=5)
            yield device, gps


async def stands(gps: OtherDevice, state: str = "Ok", lat: float = 29.1, long: float = 48.5) -> None:
    await gps.says("Number", "GEOGRAPHIC_COORD", state, LAT=lat, LONG=long, ELEV=12)


@pytest.mark.parametrize("make", [mount, weather])
async def test_it_stands_where_the_gps_does_as_soon_as_that_knows(make: type[mount | weather]) -> None:
    async with beside_a_gps(make()) as (device, gps):
        place = device["GEOGRAPHIC_COORD"]
        async with assert_states(place, "Ok"):
            await stands(gps, "Busy", 1, 2)
            await stands(gps, "Ok", 0, 0)
            assert place["LAT"] == 0
            await stands(gps)
        assert (place["LAT"], place["LONG"], place["ELEV"]) == (29.1, 48.5, 12)
        # What a GPS wavers is nothing new.
        async with assert_states(place):
            await stands(gps, "Ok", 29.10001, 48.49999)
        assert place["LAT"] == 29.1


@pytest.mark.parametrize("make", [mount, weather])
async def test_another_gps_is_heard_from_when_it_is_chosen_and_the_one_before_no_more(
    make: type[mount | weather],
) -> None:
    async with beside_a_gps(make()) as (device, gps):
        with pytest.raises(RefusedError, match="is this device itself"):
            await device["ACTIVE_DEVICES"].set(ACTIVE_GPS=device.name)
        await device["ACTIVE_DEVICES"].set(ACTIVE_GPS="Other")
        await stands(gps)
        assert device["GEOGRAPHIC_COORD"]["LAT"] == 0
        gps.name = "Other"
        await stands(gps)
        assert device["GEOGRAPHIC_COORD"]["LAT"] == 29.1
        await device["ACTIVE_DEVICES"].set(ACTIVE_GPS="")
        await stands(gps, lat=30)
        assert device["GEOGRAPHIC_COORD"]["LAT"] == 29.1


async def test_a_mount_takes_the_time_of_now_and_not_that_of_an_earlier_day() -> None:
    driver = Timed()
    async with beside_a_gps(driver) as (device, gps):
        time = device["TIME_UTC"]
        for state, utc in (
            ("Ok", "2026-01-01T00:00:00"),  # what it has said once
            ("Ok", "2026-01-01T00:00:00"),
            ("Busy", "2026-01-02T20:00:00"),
        ):
            await gps.says("Text", "TIME_UTC", state, UTC=utc, OFFSET="1.00")
        assert driver.times == []
        async with assert_states(time, "Ok"):
            await gps.says("Text", "TIME_UTC", "Ok", UTC="2026-01-02T20:00:01", OFFSET="1.00")
        assert driver.times == ["2026-01-02T21:00:01+01:00"]
        assert time["UTC"] == "2026-01-02T20:00:01"


async def test_the_first_fix_of_a_gps_is_the_time_of_now() -> None:
    driver = Timed()
    async with beside_a_gps(driver) as (_, gps):
        await gps.says("Text", "TIME_UTC", "Idle", UTC="", OFFSET="")
        await gps.says("Text", "TIME_UTC", "Ok", UTC="2026-01-02T20:00:01", OFFSET="0")
        assert len(driver.times) == 1


async def test_a_mount_on_its_way_and_one_that_is_not_connected_take_nothing() -> None:
    driver = Timed()
    async with beside_a_gps(driver) as (device, gps):
        await gps.says("Text", "TIME_UTC", "Idle", UTC="", OFFSET="")
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0, wait=False)
        await device["EQUATORIAL_EOD_COORD"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await stands(gps)
        await gps.says("Text", "TIME_UTC", "Ok", UTC="2026-01-02T20:00:01", OFFSET="0")
        assert (driver.times, driver.latitude) == ([], 45.0)
        await device["EQUATORIAL_EOD_COORD"].wait_for(lambda it: it.state is State.OK, timeout=60)
        await device["CONNECTION"].set(DISCONNECT=True)
        await stands(gps)
        assert driver.latitude == 45.0
        await device["CONNECTION"].set(CONNECT=True)
        await device.vector("GEOGRAPHIC_COORD", timeout=5)
        await stands(gps)
        assert driver.latitude == 29.1


async def test_a_mount_that_cannot_take_its_place_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Deaf(mount):
        async def set_location(self, latitude: float, longitude: float, elevation: float) -> None:
            raise RuntimeError("nobody answers")

    async with beside_a_gps(Deaf()) as (device, gps):
        await stands(gps)
        assert device["GEOGRAPHIC_COORD"]["LAT"] == 0
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40)
    assert "nobody answers" in caplog.text


async def test_a_dome_is_heard_under_the_name_that_is_chosen() -> None:
    driver = mount()
    other = OtherDevice("My Dome")
    async with driver_client(driver, wrap=other.wrap) as (_, client):
        device = await client.device(driver.device.devicename, timeout=5)
        async with device.connected(timeout=5):
            parking = await device.vector("TELESCOPE_PARK", timeout=5)
            await parking.set(PARK=True)
            await device["DOME_POLICY"].set(DOME_LOCKS=True)
            await device["ACTIVE_DEVICES"].set(ACTIVE_DOME="My Dome")
            await other.says("Switch", "DOME_PARK", "Ok", PARK="On", UNPARK="Off")
            with pytest.raises(RefusedError, match="My Dome is parked"):
                await parking.set(UNPARK=True)
            await other.says("Switch", "DOME_PARK", "Ok", PARK="Off", UNPARK="On")
            await parking.set(UNPARK=True)
            await anyio.sleep(1)
    assert not driver.is_parked
