"""The dome in real time on both back ends, with motors that are fast."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from indianyio import OperationAbortedError, State
from indianyio.client import Device as ClientDevice
from indianyio.simulators import dome
from indianyio.testing import assert_states
from tests.instrument.connecting import connected_to

pytestmark = pytest.mark.anyio


def connected(degrees_per_second: float) -> AbstractAsyncContextManager[tuple[ClientDevice, dome]]:
    driver = dome()
    driver.rotation.speed, driver.curtain.speed = degrees_per_second, 1000.0
    return connected_to(driver, "Goto")


async def test_it_parks_closes_its_shutter_and_opens_it_again() -> None:
    async with connected(1e6) as (device, driver):
        await device["DOME_SHUTTER_PARK_POLICY"].set(SHUTTER_CLOSE_ON_PARK=True, SHUTTER_OPEN_ON_UNPARK=True)
        await device["DOME_SHUTTER"].set(SHUTTER_OPEN=True)
        async with assert_states(device["DOME_PARK"], "Busy", "Ok"):
            await device["DOME_PARK"].set(PARK=True)
        assert (driver.rotation.position, driver.curtain.position) == (90, 0)
        await device["DOME_PARK"].set(UNPARK=True)
        assert driver.curtain.position == 1


async def test_an_abort_stops_a_turn_and_a_motion_by_hand() -> None:
    async with connected(1.0) as (device, driver):
        async with anyio.create_task_group() as tasks:

            async def turn() -> None:
                with pytest.raises(OperationAbortedError):
                    await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=90)

            tasks.start_soon(turn)
            await device["ABS_DOME_POSITION"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
            await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert device["ABS_DOME_POSITION"].state is State.IDLE
        assert not driver.is_moving
        await device["DOME_MOTION"].set(DOME_CW=True, wait=False)
        await device["DOME_MOTION"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert device["DOME_MOTION"].state is State.IDLE
        assert not driver.is_moving
