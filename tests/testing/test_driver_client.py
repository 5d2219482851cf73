"""A driver and a client in memory; the states that a vector passes; cancelling anywhere."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from indianyio.client import Client, OperationAbortedError
from indianyio.testing import MisbehavingStream, assert_states, cancel_everywhere, driver_client
from tests.client.scripted import ends_with
from tests.testing.instruments import FOCUSER, Focuser, StuckFocuser

pytestmark = pytest.mark.anyio

VIRTUAL = ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})


async def test_a_client_in_memory() -> None:
    focuser = Focuser()
    with anyio.fail_after(10):
        async with driver_client(focuser) as (driver, indi):
            assert driver is focuser
            assert list(indi) == [FOCUSER]
            position = indi[FOCUSER]["ABS_FOCUS_POSITION"]
            await position.set(FOCUS_ABSOLUTE_POSITION=1)
            assert dict(position) == {"FOCUS_ABSOLUTE_POSITION": 1}
            assert focuser.left == 0
    assert focuser.left == 1


async def test_what_the_block_raises_comes_out_bare() -> None:
    focuser = Focuser()
    with ends_with(ZeroDivisionError):
        async with driver_client(focuser):
            raise ZeroDivisionError
    assert focuser.left == 1


async def test_what_the_driver_raises_comes_out() -> None:
    class Failing(Focuser):
        async def hardware(self) -> None:
            await anyio.sleep(0.05)
            raise ZeroDivisionError("the motor is gone")

    with anyio.fail_after(10), pytest.raises(ExceptionGroup, match="the driver's own code failed") as caught:
        async with driver_client(Failing()):
            await anyio.sleep(5)
    assert caught.group_contains(ZeroDivisionError, match="the motor is gone")


async def test_over_bad_connections() -> None:
    with anyio.fail_after(20):
        async with driver_client(
            Focuser(),
            driver_stream=lambda stream: MisbehavingStream(stream, pieces=3, seed=1),
            client_stream=lambda stream: MisbehavingStream(stream, pieces=1, delay=0.0001, seed=2),
        ) as (_, indi):
            position = await indi[FOCUSER].set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=2)
            assert position["FOCUS_ABSOLUTE_POSITION"] == 2


async def test_the_states_that_were_expected() -> None:
    with anyio.fail_after(10):
        async with driver_client(Focuser()) as (_, indi):
            position = indi[FOCUSER]["ABS_FOCUS_POSITION"]
            async with assert_states(position, "Busy", "Ok"):
                await position.set(FOCUS_ABSOLUTE_POSITION=1, wait=False)
            async with assert_states(position):
                pass


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        (("Ok",), r"Focuser.ABS_FOCUS_POSITION was Busy, Ok, and should have been Ok; it said: moving$"),
        (("Busy", "Idle"), r"was Busy, Ok, and should have been Busy, Idle"),
        (("Busy", "Ok", "Idle"), r"was Busy, Ok, and should have been Busy, Ok, Idle"),
        ((), r"was Busy, Ok, and should have been not updated"),
    ],
)
async def test_states_that_were_not_expected(expected: tuple[str, ...], told: str) -> None:
    async with driver_client(Focuser()) as (_, indi):
        position = indi[FOCUSER]["ABS_FOCUS_POSITION"]
        with anyio.fail_after(10), ends_with(AssertionError, told):
            async with assert_states(position, *expected, timeout=0.05):
                await position.set(FOCUS_ABSOLUTE_POSITION=1)


async def test_another_failure_of_the_block_comes_before_the_states() -> None:
    async with driver_client(Focuser()) as (_, indi):
        with ends_with(ZeroDivisionError):
            async with assert_states(indi[FOCUSER]["ABS_FOCUS_POSITION"], "Ok"):
                raise ZeroDivisionError


async def move(driver: Focuser, indi: Client) -> None:
    await indi[FOCUSER].set(
        "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=float(driver.position["FOCUS_ABSOLUTE_POSITION"]) + 1
    )


async def test_cancelled_everywhere() -> None:
    with anyio.fail_after(60):
        assert 2 < await cancel_everywhere(Focuser, move) < 50


async def test_a_failure_of_the_operation_comes_out() -> None:
    async def fail(driver: Focuser, indi: Client) -> None:
        await anyio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with ends_with(ZeroDivisionError):
        await cancel_everywhere(Focuser, fail)


@pytest.mark.parametrize("anyio_backend", [VIRTUAL])
class TestInVirtualTime:
    async def test_a_long_way_takes_no_time(self) -> None:
        async with driver_client(Focuser()) as (_, indi):
            position = indi[FOCUSER]["ABS_FOCUS_POSITION"]
            async with assert_states(position, "Busy", "Ok"):
                await position.set(FOCUS_ABSOLUTE_POSITION=1000, timeout=200)

    async def test_an_abort(self) -> None:
        async with driver_client(Focuser()) as (_, indi):
            position = indi[FOCUSER]["ABS_FOCUS_POSITION"]
            async with assert_states(position, "Busy", "Idle"), anyio.create_task_group() as tasks:

                async def abort() -> None:
                    await anyio.sleep(10)
                    await indi[FOCUSER].set("FOCUS_ABORT_MOTION", ABORT=True)

                tasks.start_soon(abort)
                with pytest.raises(OperationAbortedError):
                    await position.set(FOCUS_ABSOLUTE_POSITION=1000)

    async def test_cancelled_everywhere_on_a_long_way(self) -> None:
        async def far(driver: Focuser, indi: Client) -> None:
            await indi[FOCUSER].set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1000)

        assert await cancel_everywhere(Focuser, far) > 2

    async def test_a_driver_that_stays_busy_is_found(self) -> None:
        with (
            anyio.fail_after(60),
            ends_with(AssertionError, r"cancelled at wait \d+: .* still Busy: Focuser.ABS_FOCUS"),
        ):
            await cancel_everywhere(StuckFocuser, move, settle=0.2)
