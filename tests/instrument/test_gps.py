"""The GPS receiver: time and place."""

from __future__ import annotations

import pytest

from indianyio import RefusedError, State
from indianyio.instrument.gps import Fix
from indianyio.simulators import gps
from indianyio.testing import check_driver, driver_client

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "GPS Simulator"


async def test_time_and_place_are_told_when_it_is_connected_and_when_a_client_wants_it() -> None:
    async with driver_client(gps()) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            place = await device.vector("GEOGRAPHIC_COORD", timeout=5)
            await place.wait_for(lambda it: it.state is State.OK, timeout=5)
            assert (place["LAT"], place["LONG"], place["ELEV"]) == (29.1, 48.5, 12)
            await (await device.vector("TIME_UTC", timeout=5)).wait_for(lambda it: it.state is State.OK, timeout=5)
            assert device["TIME_UTC"]["OFFSET"] == "0.00"
            assert len(device["TIME_UTC"]["UTC"]) == len("2026-01-01T00:00:00")
            await device["GPS_REFRESH"].set(REFRESH=True)
            assert place.state is State.OK
            assert device["GPS_REFRESH"]["REFRESH"] is False


async def test_a_receiver_without_a_fix_is_alert() -> None:
    class Blind(gps):
        async def fix(self) -> Fix:
            raise TimeoutError("no satellites")

    async with driver_client(Blind()) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            place = await device.vector("GEOGRAPHIC_COORD", timeout=5)
            await place.wait_for(lambda it: it.state is State.ALERT, timeout=5)
            with pytest.raises(RefusedError, match="no satellites"):
                await device["GPS_REFRESH"].set(REFRESH=True)


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(gps) == []
