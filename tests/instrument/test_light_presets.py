"""A light box is as bright as a client wants it for the filter in the beam."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from indianyio import RefusedError, State
from indianyio.client import Device
from indianyio.instrument import LightBox
from indianyio.simulators import flat_panel
from indianyio.testing import assert_states, driver_client
from tests.instrument.others import OtherDevice

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

WHEEL = "Filter Simulator"
PRESETS = "FLAT_LIGHT_FILTER_INTENSITY"


class Wheel(OtherDevice):
    """What a filter wheel says."""

    async def has(self, *names: str) -> None:
        slots = {f"FILTER_SLOT_NAME_{slot}": name for slot, name in enumerate(names, 1)}
        await self.says("Text", "FILTER_NAME", "Idle", **slots)

    async def turns_to(self, slot: int, state: str = "Ok") -> None:
        await self.says("Number", "FILTER_SLOT", state, FILTER_SLOT_VALUE=slot)


@asynccontextmanager
async def beside_a_wheel() -> AsyncGenerator[tuple[Device, flat_panel, Wheel]]:
    wheel = Wheel(WHEEL)
    async with driver_client(flat_panel(), wrap=wheel.wrap) as (driver, client):
        device = await client.device(driver.device.devicename, timeout=5)
        async with device.connected(timeout=5):
            await device.vector("FLAT_LIGHT_INTENSITY", timeout=5)
            yield device, driver, wheel


async def test_it_is_as_bright_as_is_wanted_for_the_filter() -> None:
    async with beside_a_wheel() as (device, driver, wheel):
        assert PRESETS not in device
        await wheel.has("Red", "H Alpha", "Red", "")
        presets = await device.vector(PRESETS, timeout=5)
        assert list(presets) == ["Red", "H Alpha", "Filter 4"]
        async with assert_states(presets, "Ok"):
            await presets.set({"Red": 30, "H Alpha": 200})
        assert driver.brightness == 0
        intensity = device["FLAT_LIGHT_INTENSITY"]
        async with assert_states(intensity, "Ok"):
            await wheel.turns_to(2, "Busy")
            assert driver.brightness == 0
            await wheel.turns_to(2)
        assert driver.brightness == intensity["FLAT_LIGHT_INTENSITY_VALUE"] == 200
        await wheel.turns_to(3)
        assert driver.brightness == 30
        # Nothing is wanted for this one, and there is no fifth.
        await wheel.turns_to(4)
        await wheel.turns_to(5)
        assert driver.brightness == 30


async def test_what_a_client_chose_since_stays_when_the_wheel_says_again_where_it_is() -> None:
    async with beside_a_wheel() as (device, driver, wheel):
        await wheel.has("Red", "Green")
        await (await device.vector(PRESETS, timeout=5)).set(Red=30)
        await wheel.turns_to(1)
        await device["FLAT_LIGHT_INTENSITY"].set(FLAT_LIGHT_INTENSITY_VALUE=77)
        await wheel.turns_to(1)
        await wheel.has("Red", "Green")
        assert driver.brightness == 77


async def test_the_filters_of_another_wheel_take_the_place_of_those_before() -> None:
    async with beside_a_wheel() as (device, driver, wheel):
        await wheel.has("Red", "Green")
        await (await device.vector(PRESETS, timeout=5)).set(Red=30)
        await wheel.has("Blue", "Red", "Clear")
        await anyio.sleep(0.1)
        assert dict(device[PRESETS]) == {"Blue": 0, "Red": 30, "Clear": 0}
        with pytest.raises(RefusedError, match="is this device itself"):
            await device["ACTIVE_DEVICES"].set(ACTIVE_FILTER=device.name)
        await device["ACTIVE_DEVICES"].set(ACTIVE_FILTER="")
        await anyio.sleep(0.1)
        assert PRESETS not in device
        await wheel.turns_to(2)
        assert driver.brightness == 0


async def test_presets_are_kept_in_the_settings_until_the_wheel_is_heard(home: Path) -> None:
    async with beside_a_wheel() as (device, _, wheel):
        await wheel.has("Red", "Green")
        await (await device.vector(PRESETS, timeout=5)).set(Red=30, Green=40)
        await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True, timeout=1e6)
    assert (home / "Flat Panel Simulator_config.xml").exists()
    async with beside_a_wheel() as (device, driver, wheel):
        await wheel.has("Red", "Green")
        presets = await device.vector(PRESETS, timeout=5)
        await presets.wait_for(lambda it: it["Green"] == 40, timeout=5)
        assert driver.brightness == 0
        await wheel.turns_to(2)
        assert driver.brightness == 40


async def test_disconnected_it_is_dimmed_by_nobody_and_knows_the_filters_afterwards() -> None:
    async with beside_a_wheel() as (device, driver, wheel):
        await wheel.has("Red", "Green")
        await (await device.vector(PRESETS, timeout=5)).set(Red=30)
        await device["CONNECTION"].set(DISCONNECT=True)
        await wheel.turns_to(1)
        await wheel.has("Red", "Green", "Blue")
        assert driver.brightness == 0
        await device["CONNECTION"].set(CONNECT=True)
        presets = await device.vector(PRESETS, timeout=5)
        assert dict(presets) == {"Red": 30, "Green": 0, "Blue": 0}


async def test_a_box_that_cannot_be_dimmed_hears_no_wheel() -> None:
    class Plain(LightBox):
        async def switch_light(self, on: bool) -> None:
            """Switch."""

    assert not {"ACTIVE_DEVICES", PRESETS, "FLAT_LIGHT_INTENSITY"} & set(Plain().device)


async def test_a_panel_that_fails_to_be_dimmed_is_still_there(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(flat_panel):
        async def dim(self, intensity: int) -> None:
            raise RuntimeError("nobody answers")

    wheel = Wheel(WHEEL)
    async with driver_client(Broken(), wrap=wheel.wrap) as (driver, client):
        device = await client.device(driver.device.devicename, timeout=5)
        async with device.connected(timeout=5):
            await wheel.has("Red")
            await (await device.vector(PRESETS, timeout=5)).set(Red=30)
            await wheel.turns_to(1)
            await device["FLAT_LIGHT_CONTROL"].set(FLAT_LIGHT_ON=True)
            assert device["FLAT_LIGHT_CONTROL"].state is State.OK
    assert "nobody answers" in caplog.text
