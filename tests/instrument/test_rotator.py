"""The rotator: what clients find, and what the simulated one does."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from indianyio import OperationAbortedError, RefusedError, State
from indianyio.client import Client
from indianyio.client import Device as ClientDevice
from indianyio.simulators import rotator
from indianyio.testing import assert_states, cancel_everywhere, check_driver
from tests.instrument.connecting import connected_to

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Rotator Simulator"


def connected() -> AbstractAsyncContextManager[tuple[ClientDevice, rotator]]:
    return connected_to(rotator(), "ROTATOR_LIMITS")


async def test_it_turns_and_tells_the_angle() -> None:
    async with connected() as (device, driver):
        assert int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) == 4096
        async with assert_states(device["ABS_ROTATOR_ANGLE"], "Busy", "Ok", timeout=60):
            await device["ABS_ROTATOR_ANGLE"].set(ANGLE=90)
        assert device["ABS_ROTATOR_ANGLE"]["ANGLE"] == driver.motor.position == 90


async def test_aborted_it_says_ok_as_libindi_does_and_where_it_stands() -> None:
    async with connected() as (device, driver):
        async with anyio.create_task_group() as tasks:

            async def turn() -> None:
                with pytest.raises(OperationAbortedError):
                    await device["ABS_ROTATOR_ANGLE"].set(ANGLE=90)

            tasks.start_soon(turn)
            await anyio.sleep(3)
            await device["ROTATOR_ABORT_MOTION"].set(ABORT=True)
        assert device["ABS_ROTATOR_ANGLE"].state is State.OK
        assert device["ABS_ROTATOR_ANGLE"]["ANGLE"] == driver.motor.position == 30


async def test_it_is_not_synchronised_while_it_turns() -> None:
    async with connected() as (device, driver):
        await device["ABS_ROTATOR_ANGLE"].set(ANGLE=90, wait=False)
        await anyio.sleep(1)
        with pytest.raises(RefusedError, match="while it turns; abort first"):
            await device["SYNC_ROTATOR_ANGLE"].set(ANGLE=0)
        await device["ABS_ROTATOR_ANGLE"].wait_for(lambda it: it.state is State.OK, timeout=60)
        assert driver.motor.position == 90


async def test_limits_count_from_where_it_was_synchronised_across_zero() -> None:
    async with connected() as (device, driver):
        await device["SYNC_ROTATOR_ANGLE"].set(ANGLE=350)
        await device["ROTATOR_LIMITS"].set(ROTATOR_LIMITS_VALUE=30)
        with pytest.raises(RefusedError, match="40 degrees are 50 away from 350, and ROTATOR_LIMITS allows 30"):
            async with assert_states(device["ABS_ROTATOR_ANGLE"], "Alert"):
                await device["ABS_ROTATOR_ANGLE"].set(ANGLE=40)
        assert driver.motor.position == 350
        await device["ABS_ROTATOR_ANGLE"].set(ANGLE=10)


async def test_home_is_a_button_and_excludes_turning() -> None:
    async with connected() as (device, driver):
        driver.motor.place(50)
        await device["ROTATOR_HOME"].set(HOME=True)
        await device["ROTATOR_HOME"].wait_for(lambda it: it.state is State.OK, timeout=60)
        assert device["ROTATOR_HOME"]["HOME"] is False
        assert device["ABS_ROTATOR_ANGLE"]["ANGLE"] == driver.motor.position == 0


async def test_cancelled_anywhere_the_motor_stands_still() -> None:
    async def turn(driver: rotator, client: Client) -> None:
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await device.vector("ROTATOR_LIMITS", timeout=5)
            await device["ABS_ROTATOR_ANGLE"].set(ANGLE=20)

    async def still(driver: rotator, client: Client) -> None:
        assert not driver.motor.is_moving

    assert await cancel_everywhere(turn, rotator, check=still) > 3


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(rotator) == []
