"""The dust cap and the light box, as one instrument: what clients find, and what the simulated one does."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from indianyio import State
from indianyio.client import Client
from indianyio.client import Device as ClientDevice
from indianyio.simulators import flat_panel
from indianyio.testing import assert_states, cancel_everywhere, check_driver, driver_client
from tests.instrument.connecting import connected_to

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Flat Panel Simulator"


def connected() -> AbstractAsyncContextManager[tuple[ClientDevice, flat_panel]]:
    return connected_to(flat_panel(), "CAP_PARK", "CAP_ABORT", "FLAT_LIGHT_CONTROL", "FLAT_LIGHT_INTENSITY")


async def test_the_cap_opens_and_closes_and_shows_where_it_is_going() -> None:
    async with connected() as (device, driver):
        assert int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) == 512 + 1024
        cap = device["CAP_PARK"]
        assert cap["PARK"] is True
        async with assert_states(cap, "Busy", "Ok"):
            await cap.set(UNPARK=True)
        assert (cap["UNPARK"], driver.lid.position) == (True, 90)
        await cap.set(PARK=True)
        assert (cap["PARK"], driver.lid.position) == (True, 0)


async def test_a_cap_that_was_stopped_is_neither_open_nor_closed() -> None:
    async with connected() as (device, driver):
        cap = device["CAP_PARK"]
        await cap.set(UNPARK=True, wait=False)
        await cap.wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await device["CAP_ABORT"].set(ABORT=True)
        assert not any(cap.values())
        assert cap.state is State.IDLE
        assert not driver.lid.is_moving
        await cap.set(PARK=True)


async def test_the_light_is_switched_and_dimmed_at_once_and_off_at_the_end() -> None:
    async with driver_client(flat_panel()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        await device.set("CONNECTION", CONNECT=True)
        await device.set("FLAT_LIGHT_INTENSITY", FLAT_LIGHT_INTENSITY_VALUE=100)
        async with assert_states(await device.vector("FLAT_LIGHT_CONTROL", timeout=5), "Ok"):
            await device["FLAT_LIGHT_CONTROL"].set(FLAT_LIGHT_ON=True)
        assert (driver.is_lit, driver.brightness) == (True, 100)
    assert not driver.is_lit


async def test_the_light_is_off_when_a_client_has_disconnected_it() -> None:
    async with connected() as (device, driver):
        await device["FLAT_LIGHT_CONTROL"].set(FLAT_LIGHT_ON=True)
        assert driver.is_lit
        await device.set("CONNECTION", DISCONNECT=True)
        assert not driver.is_lit
        await device.set("CONNECTION", CONNECT=True)
        light = await device.vector("FLAT_LIGHT_CONTROL", timeout=5)
        assert light["FLAT_LIGHT_ON"] is False


async def test_cancelled_anywhere_the_lid_stands_still() -> None:
    async def open_it(driver: flat_panel, client: Client) -> None:
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await device.vector("FLAT_LIGHT_INTENSITY", timeout=5)
            await device.set("CAP_PARK", UNPARK=True, on_cancel="abort")

    async def still(driver: flat_panel, client: Client) -> None:
        assert not driver.lid.is_moving

    assert await cancel_everywhere(open_it, flat_panel, check=still) > 3


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(flat_panel) == []
