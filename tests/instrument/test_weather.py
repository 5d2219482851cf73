"""The weather station: the verdict, and what makes it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
import pytest

from indianyio import RefusedError, State
from indianyio.simulators import weather
from indianyio.testing import check_driver, driver_client

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Weather Simulator"


async def test_it_has_what_kstars_and_ccdciel_look_for_and_measures_when_it_is_connected() -> None:
    async with driver_client(weather()) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            status = await device.vector("WEATHER_STATUS", timeout=5)
            await status.wait_for(lambda it: it.state is State.OK, timeout=5)
            assert int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) == 128
            assert {"WEATHER_PARAMETERS", "WEATHER_UPDATE", "WEATHER_REFRESH"} <= set(device)
            assert device["WEATHER_PARAMETERS"]["WEATHER_TEMPERATURE"] == 12
            assert "WEATHER_WIND_GUST" not in status


@pytest.mark.parametrize(
    ("made", "light", "state"),
    [
        ({"Temperature": 12}, "WEATHER_TEMPERATURE", "Ok"),
        ({"Temperature": 27}, "WEATHER_TEMPERATURE", "Busy"),
        ({"Temperature": -11}, "WEATHER_TEMPERATURE", "Alert"),
        ({"Wind": 0}, "WEATHER_WIND_SPEED", "Ok"),
        ({"Wind": 18}, "WEATHER_WIND_SPEED", "Busy"),
        ({"Wind": 21}, "WEATHER_WIND_SPEED", "Alert"),
        ({"Precip": 1}, "WEATHER_RAIN_HOUR", "Alert"),
        ({"Gust": 50}, "WEATHER_WIND_SPEED", "Ok"),
    ],
)
async def test_the_verdict_is_the_worst_of_the_lights(made: dict[str, float], light: str, state: str) -> None:
    async with driver_client(weather()) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            status = await device.vector("WEATHER_STATUS", timeout=5)
            await (await device.vector("WEATHER_CONTROL", timeout=5)).set(made)
            await (await device.vector("WEATHER_REFRESH", timeout=5)).set(REFRESH=True)
            assert device["WEATHER_REFRESH"]["REFRESH"] is False
            assert status[light] == status.state == state
            assert device["SAFETY_STATUS"].state == ("Alert" if state == "Alert" else "Ok")


async def test_other_limits_change_the_verdict_at_once_and_an_override_makes_it_good() -> None:
    async with driver_client(weather()) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            status = await device.vector("WEATHER_STATUS", timeout=5)
            await status.wait_for(lambda it: it.state is State.OK, timeout=5)
            limits = await device.vector("WEATHER_TEMPERATURE", timeout=5)
            await limits.set(MAX_OK=10)
            assert status.state == "Alert"
            await device["WEATHER_OVERRIDE"].set(OVERRIDE=True, wait=False)
            await status.wait_for(lambda it: it.state is State.OK, timeout=5)
            await device["WEATHER_OVERRIDE"].set(OVERRIDE=False)
            assert device["WEATHER_OVERRIDE"].state == "Idle"
            assert status.state == "Alert"
            await limits.set(ALERT_TYPE=1)
            assert status.state == "Ok"


async def test_weather_that_cannot_be_measured_is_not_safe() -> None:
    class Broken(weather):
        is_broken = True

        async def measure(self) -> dict[str, float]:
            if self.is_broken:
                raise OSError("no answer")
            return dict(await super().measure())

    async with driver_client(Broken()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            status = await device.vector("WEATHER_STATUS", timeout=5)
            await status.wait_for(lambda it: it.state is State.ALERT, timeout=5)
            assert device["SAFETY_STATUS"].state is State.ALERT
            refresh = await device.vector("WEATHER_REFRESH", timeout=5)
            with pytest.raises(RefusedError, match="no answer"):
                await refresh.set(REFRESH=True)
            driver.is_broken = False
            await refresh.set(REFRESH=True)
            assert status.state is State.OK


async def test_the_period_counts_at_once_and_0_is_never() -> None:
    async with driver_client(weather()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            status = await device.vector("WEATHER_STATUS", timeout=5)
            await status.wait_for(lambda it: it.state is State.OK, timeout=5)
            await device["WEATHER_UPDATE"].set(PERIOD=0)
            driver.made.take(wind=90)
            with pytest.raises(TimeoutError):
                await status.wait_for(lambda it: it.state is State.ALERT, timeout=200)
            await device["WEATHER_UPDATE"].set(PERIOD=5)
            await status.wait_for(lambda it: it.state is State.ALERT, timeout=6)
            assert device["WEATHER_PARAMETERS"]["WEATHER_WIND_SPEED"] == 90


async def hang() -> dict[str, float]:
    await anyio.sleep_forever()
    return {}


async def not_a_number() -> dict[str, float]:
    return {"WEATHER_TEMPERATURE": math.nan}


async def nothing() -> dict[str, float]:
    return {}


@pytest.mark.parametrize("measure", [hang, not_a_number, nothing])
async def test_no_verdict_outlives_what_it_was_made_of(measure: Callable[[], Awaitable[dict[str, float]]]) -> None:
    async with driver_client(weather()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            status = await device.vector("WEATHER_STATUS", timeout=5)
            await status.wait_for(lambda it: it.state is State.OK, timeout=5)
            driver.measure = measure  # type: ignore[method-assign, assignment]
            await status.wait_for(lambda it: it.state is State.ALERT, timeout=400)
            await device["SAFETY_STATUS"].wait_for(lambda it: it.state is State.ALERT, timeout=5)


async def test_connected_again_it_does_not_call_good_what_was_so_before() -> None:
    async with driver_client(weather()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await (await device.vector("WEATHER_STATUS", timeout=5)).wait_for(
                lambda it: it.state is State.OK, timeout=5
            )
        driver.measure = hang  # type: ignore[method-assign]
        await client.wait_for(lambda it: "WEATHER_STATUS" not in device, timeout=5)
        async with device.connected(timeout=5):
            for name in ("WEATHER_STATUS", "SAFETY_STATUS"):
                assert (await device.vector(name, timeout=5)).state is State.IDLE


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(weather) == []


async def test_a_verdict_that_is_overridden_is_busy_and_that_is_what_was_wanted() -> None:
    async with driver_client(weather()) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            override = await device.vector("WEATHER_OVERRIDE", timeout=5)
            await override.set(OVERRIDE=True, timeout=5)
            assert override.state == "Busy"
            await override.set(OVERRIDE=False, timeout=5)
            assert override.state == "Idle"
