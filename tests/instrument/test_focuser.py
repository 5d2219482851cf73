"""The focuser: what clients find, and what the simulated one does."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from indianyio import OperationAbortedError, RefusedError, State
from indianyio.client import Client, NumberMember
from indianyio.client import Device as ClientDevice
from indianyio.instrument.focuser import Focuser
from indianyio.simulators import focuser
from indianyio.testing import assert_states, cancel_everywhere, check_driver
from tests.instrument.connecting import connected_to

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Focuser Simulator"


def connected() -> AbstractAsyncContextManager[tuple[ClientDevice, focuser]]:
    return connected_to(focuser(), "FOCUS_TEMPERATURE")


async def test_it_has_what_kstars_and_ccdciel_look_for() -> None:
    async with connected() as (device, _):
        assert int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) & 8
        assert {"FOCUS_MOTION", "ABS_FOCUS_POSITION", "REL_FOCUS_POSITION", "FOCUS_ABORT_MOTION"} <= set(device)
        assert next(iter(device["FOCUS_MAX"].values())) == 100_000


async def test_it_moves_to_a_position_and_tells_where_it_is_on_the_way() -> None:
    async with connected() as (device, driver):
        position = device["ABS_FOCUS_POSITION"]
        async with assert_states(position, "Busy", "Ok", timeout=60):
            await position.set(FOCUS_ABSOLUTE_POSITION=60_000)
        assert position["FOCUS_ABSOLUTE_POSITION"] == driver.motor.position == 60_000


async def test_a_relative_move_goes_in_the_direction_and_shows_at_both() -> None:
    async with connected() as (device, driver):
        await device["FOCUS_MOTION"].set(FOCUS_OUTWARD=True)
        async with assert_states(device["ABS_FOCUS_POSITION"], "Busy", "Ok", timeout=60):
            await device["REL_FOCUS_POSITION"].set(FOCUS_RELATIVE_POSITION=300)
        await device["FOCUS_MOTION"].set(FOCUS_INWARD=True)
        await device["REL_FOCUS_POSITION"].set(FOCUS_RELATIVE_POSITION=1000)
        assert driver.motor.position == device["ABS_FOCUS_POSITION"]["FOCUS_ABSOLUTE_POSITION"] == 49_300


async def test_a_relative_move_beyond_the_end_is_refused_before_anything_moves() -> None:
    async with connected() as (device, driver):
        with pytest.raises(RefusedError, match="-60000 steps would lead to -10000"):
            async with assert_states(device["REL_FOCUS_POSITION"], "Alert"):
                await device["REL_FOCUS_POSITION"].set(FOCUS_RELATIVE_POSITION=60_000)
        assert driver.motor.position == 50_000


async def test_an_abort_leaves_both_positions_idle_where_the_motor_stands() -> None:
    async with connected() as (device, driver):
        async with anyio.create_task_group() as tasks:

            async def move() -> None:
                with pytest.raises(OperationAbortedError):
                    await device["ABS_FOCUS_POSITION"].set(FOCUS_ABSOLUTE_POSITION=0)

            tasks.start_soon(move)
            await anyio.sleep(3)
            await device["FOCUS_ABORT_MOTION"].set(ABORT=True)
        assert device["ABS_FOCUS_POSITION"].state is State.IDLE
        assert driver.motor.position == 35_000
        assert device["ABS_FOCUS_POSITION"]["FOCUS_ABSOLUTE_POSITION"] == 35_000
        await device["ABS_FOCUS_POSITION"].set(FOCUS_ABSOLUTE_POSITION=36_000)


@pytest.mark.parametrize("vector", ["ABS_FOCUS_POSITION", "REL_FOCUS_POSITION"])
async def test_it_is_not_synchronised_while_it_moves(vector: str) -> None:
    async with connected() as (device, driver):
        await device[vector].set({next(iter(device[vector])): 45_000}, wait=False)
        await device[vector].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        with pytest.raises(RefusedError, match="while it moves; abort first"):
            await device["FOCUS_SYNC"].set(FOCUS_SYNC_VALUE=0)
        await device[vector].wait_for(lambda it: it.state is State.OK, timeout=60)
        assert driver.motor.position in (45_000, 5_000)
        await device["FOCUS_SYNC"].set(FOCUS_SYNC_VALUE=0)


@pytest.mark.parametrize("vector", ["ABS_FOCUS_POSITION", "REL_FOCUS_POSITION"])
async def test_a_position_that_abort_has_found_out_is_what_clients_see_then(vector: str) -> None:
    class Slow(Focuser):
        async def move_to(self, steps: int) -> None:
            await anyio.sleep_forever()

        async def abort(self) -> None:
            await anyio.sleep(1)
            self.position.take(steps=123)

    async with connected_to(Slow(), "FOCUS_ABORT_MOTION", vector) as (device, _):
        await device["FOCUS_MOTION"].set(FOCUS_OUTWARD=True)
        await device[vector].set({next(iter(device[vector])): 500}, wait=False)
        await device[vector].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await device["FOCUS_ABORT_MOTION"].set(ABORT=True)
        assert device["ABS_FOCUS_POSITION"]["FOCUS_ABSOLUTE_POSITION"] == 123
        assert device["ABS_FOCUS_POSITION"].state is State.IDLE


async def test_the_greatest_position_becomes_the_limit_of_what_can_be_asked_for() -> None:
    async with connected() as (device, _):
        await device["FOCUS_MAX"].set(FOCUS_MAX_VALUE=60_000)
        member = device["ABS_FOCUS_POSITION"].members["FOCUS_ABSOLUTE_POSITION"]
        assert isinstance(member, NumberMember)
        assert member.max == 60_000
        with pytest.raises(RefusedError, match="from 0 to 60000"):
            await device["ABS_FOCUS_POSITION"].set(FOCUS_ABSOLUTE_POSITION=70_000, validate=False)


async def test_without_a_method_there_is_no_property() -> None:
    class Simple(Focuser):
        async def move_for(self, seconds: float, *, outward: bool) -> None:
            """Move."""

    assert [name for name in Simple().device if name.startswith(("FOCUS", "ABS", "REL"))] == [
        "FOCUS_TIMER",
        "FOCUS_MOTION",
    ]
    with pytest.raises(AttributeError, match=r"does not offer position \(ABS_FOCUS_POSITION\)"):
        _ = Simple().position


async def test_cancelled_anywhere_the_motor_stands_still() -> None:
    async def move(driver: focuser, client: Client) -> None:
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await device.vector("FOCUS_TEMPERATURE", timeout=5)
            await device["ABS_FOCUS_POSITION"].set(FOCUS_ABSOLUTE_POSITION=51_000)

    async def still(driver: focuser, client: Client) -> None:
        assert not driver.motor.is_moving

    assert await cancel_everywhere(move, focuser, check=still) > 3


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(focuser) == []
