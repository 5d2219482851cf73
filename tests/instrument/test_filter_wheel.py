"""The filter wheel: what clients find, and what the simulated one does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from indianyio import RefusedError, State
from indianyio.client import Client
from indianyio.simulators import filter_wheel
from indianyio.testing import assert_states, cancel_everywhere, check_driver, driver_client

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Filter Simulator"


async def test_it_turns_and_the_slot_changes_only_at_the_end() -> None:
    async with driver_client(filter_wheel()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            slot = await device.vector("FILTER_SLOT", timeout=5)
            names = await device.vector("FILTER_NAME", timeout=5)
            assert int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) == 16
            assert list(names.values())[:2] == ["Luminance", "Red"]
            async with assert_states(slot, "Busy", "Ok"):
                await slot.set(FILTER_SLOT_VALUE=3, wait=False)
                await slot.wait_for(lambda it: it.state is State.BUSY, timeout=5)
                assert slot["FILTER_SLOT_VALUE"] == 1
                await slot.wait_for(lambda it: it.state is State.OK, timeout=5)
                assert slot["FILTER_SLOT_VALUE"] == driver.turned_to == 3
            assert driver.filter() == "Green"


async def test_while_it_turns_another_filter_is_refused_and_a_slot_beyond_the_last_always() -> None:
    async with driver_client(filter_wheel()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            slot = await device.vector("FILTER_SLOT", timeout=5)
            async with assert_states(slot, "Busy", "Alert", "Ok"):
                await slot.set(FILTER_SLOT_VALUE=4, wait=False)
                await slot.wait_for(lambda it: it.state is State.BUSY, timeout=5)
                await slot.set(FILTER_SLOT_VALUE=2, wait=False)
                await slot.wait_for(lambda it: it.state is State.OK, timeout=5)
            assert driver.turned_to == 4
            with pytest.raises(RefusedError, match="from 1 to 8"):
                await slot.set(FILTER_SLOT_VALUE=9, validate=False)


async def test_filters_can_be_named_anew_and_keep_their_names_in_the_settings() -> None:
    async with driver_client(filter_wheel()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            names = await device.vector("FILTER_NAME", timeout=5)
            await names.set(FILTER_SLOT_NAME_1="Clear")
            assert driver.filter() == "Clear"
            await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True)
    async with driver_client(filter_wheel()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            names = await device.vector("FILTER_NAME", timeout=5)
            await names.wait_for(lambda it: it["FILTER_SLOT_NAME_1"] == "Clear", timeout=5)
            assert names["FILTER_SLOT_NAME_2"] == "Red"


class SmallWheel(filter_wheel):
    """Has a smaller carousel than before."""

    filters: ClassVar[Sequence[str]] = ("Luminance", "Red")


async def test_a_wheel_with_fewer_slots_keeps_the_names_of_those_that_are_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with driver_client(filter_wheel()) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await (await device.vector("FILTER_NAME", timeout=5)).set(FILTER_SLOT_NAME_2="Clear")
            await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True)
    async with driver_client(SmallWheel(NAME)) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            names = await device.vector("FILTER_NAME", timeout=5)
            await names.wait_for(lambda it: it["FILTER_SLOT_NAME_2"] == "Clear", timeout=5)
            assert dict(names) == {"FILTER_SLOT_NAME_1": "Luminance", "FILTER_SLOT_NAME_2": "Clear"}
            with pytest.raises(RefusedError, match="FILTER_SLOT_NAME_8, which no longer exist"):
                await device["CONFIG_PROCESS"].set(CONFIG_LOAD=True)
    assert "the setting of FILTER_NAME is loaded without FILTER_SLOT_NAME_3, FILTER_SLOT_NAME_4" in caplog.text


async def test_cancelled_anywhere_it_says_where_it_is() -> None:
    async def turn(driver: filter_wheel, client: Client) -> None:
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            slot = await device.vector("FILTER_SLOT", timeout=5)
            await slot.set(FILTER_SLOT_VALUE=3)

    assert await cancel_everywhere(turn, filter_wheel) > 3


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(filter_wheel) == []
