"""A driver with its client in memory; the states that a vector passes; and cancelling at each await."""

from __future__ import annotations

import gc

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from indianyio import NewEvent
from indianyio.client import Client, RefusedError, UnknownVectorError, Vector
from indianyio.streams import ByteStream
from indianyio.testing import (
    assert_states,
    cancel_at,
    cancel_everywhere,
    check_driver,
    driver_client,
    running,
)
from tests.testing.slider import DEVICE, BrokenRailError, Slider, move

pytestmark = pytest.mark.anyio


async def position_of(client: Client) -> Vector[float]:
    device = await client.device(DEVICE, timeout=5)
    vector: Vector[float] = await device.vector("ABS_FOCUS_POSITION", timeout=5)
    return vector


# -- driver_client ---------------------------------------------------------------------------------------------


async def test_a_driver_and_its_client() -> None:
    slider = Slider(seconds=0)
    async with driver_client(slider) as (driver, client):
        assert driver is slider
        await move(driver, client)
        assert driver.position["FOCUS_ABSOLUTE_POSITION"] == "2"
        assert driver.left == 0
    assert slider.left == 1
    assert slider.stopped.is_set()
    assert not client.is_connected


async def test_what_the_block_raises_comes_out_bare() -> None:
    slider = Slider()
    with pytest.raises(LookupError, match="mine"):
        async with driver_client(slider):
            raise LookupError("mine")
    assert slider.left == 1


async def test_a_driver_can_be_run_again() -> None:
    slider = Slider(seconds=0)
    for _ in range(2):
        async with driver_client(slider) as (_, client):
            await position_of(client)
    assert slider.left == 2


async def test_a_driver_that_fails_ends_the_block_with_its_error() -> None:
    slider = Slider(seconds=0, breaks_at=1)
    with pytest.RaisesGroup(BrokenRailError, flatten_subgroups=True):
        async with driver_client(slider) as (_, client):
            await move(slider, client)
    assert slider.left == 1


async def test_the_client_checks_what_it_writes_unless_told_not_to() -> None:
    async with driver_client(Slider()) as (_, client):
        with pytest.raises(ValueError, match="100"):
            await (await position_of(client)).set(FOCUS_ABSOLUTE_POSITION=1000)
    async with driver_client(Slider(), validate=False) as (_, client):
        with pytest.raises(RefusedError):
            await (await position_of(client)).set(FOCUS_ABSOLUTE_POSITION=1000)


async def test_what_is_no_driver_is_refused_at_once() -> None:
    told = r"Slider'> is not a driver; give an instance, as Slider\(\)"
    with pytest.raises(TypeError, match=told):
        async with driver_client(Slider, wrap=pytest.fail):  # type: ignore[type-var, arg-type]
            pytest.fail("there is no driver")
    with pytest.raises(TypeError, match=told):
        async with running(Slider):  # type: ignore[arg-type]
            pytest.fail("there is no driver")
    with pytest.raises(TypeError, match="makes no drivers; give the class"):
        await cancel_everywhere(move, Slider())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="None is not a driver"):
        await cancel_everywhere(move, lambda: None)  # type: ignore[misc]
    with pytest.raises(TypeError, match="None is neither a driver nor a program nor a stream"):
        await check_driver(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="None is not a driver"):
        await check_driver(lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="empty list"):
        await check_driver([])
    with pytest.raises(ValueError, match="the first await is number 1"):
        await cancel_at(0, anyio.sleep_forever)


async def test_the_stream_of_the_client_can_be_wrapped() -> None:
    wrapped: list[ByteStream] = []

    def wrap(stream: ByteStream) -> ByteStream:
        wrapped.append(stream)
        return stream

    async with driver_client(Slider(), wrap=wrap) as (_, client):
        await position_of(client)
    assert len(wrapped) == 1


# -- assert_states ---------------------------------------------------------------------------------------------


async def test_the_states_of_a_block() -> None:
    async with driver_client(Slider(seconds=0)) as (driver, client):
        vector = await position_of(client)
        async with assert_states(vector, "Busy", "Ok") as states:
            await move(driver, client)
        assert states.seen == ["Busy", "Ok"]


async def test_the_block_waits_for_what_is_missing() -> None:
    async with driver_client(Slider(seconds=0.01)) as (_, client):
        vector = await position_of(client)
        async with assert_states(vector, "Busy", "Ok"):
            await vector.set(FOCUS_ABSOLUTE_POSITION=3, wait=False)
        assert vector["FOCUS_ABSOLUTE_POSITION"] == 3


async def test_the_states_of_what_is_under_way() -> None:
    async with driver_client(Slider(seconds=0)) as (_, client):
        vector = await position_of(client)
        await vector.set(FOCUS_ABSOLUTE_POSITION=3, wait=False)
        assert await assert_states(vector, "Busy", "Busy", "Ok") == ["Busy", "Ok"]


async def test_other_states_are_shown() -> None:
    async with driver_client(Slider(seconds=0)) as (_, client):
        vector = await position_of(client)
        with pytest.raises(AssertionError) as caught:
            async with assert_states(vector, "Busy", "Alert"):
                await vector.set(FOCUS_ABSOLUTE_POSITION=1)
    first, *updates = str(caught.value).splitlines()
    assert first == "Slider.ABS_FOCUS_POSITION was Ok, and passed through Busy, Ok instead of Busy, Alert:"
    assert updates[0] == "  updated: <NumberVector Slider.ABS_FOCUS_POSITION Busy: FOCUS_ABSOLUTE_POSITION=0>"
    assert updates[-1] == "  updated: <NumberVector Slider.ABS_FOCUS_POSITION Ok: FOCUS_ABSOLUTE_POSITION=1>"


async def test_one_state_too_many_is_too_many() -> None:
    async with driver_client(Slider(seconds=0)) as (_, client):
        vector = await position_of(client)
        with pytest.raises(AssertionError, match="passed through Busy, Ok instead of Busy:"):
            async with assert_states(vector, "Busy"):
                await vector.set(FOCUS_ABSOLUTE_POSITION=1)
        with pytest.raises(AssertionError, match="instead of no state"):
            async with assert_states(vector):
                await vector.set(FOCUS_ABSOLUTE_POSITION=2)
        async with assert_states(vector):
            await anyio.lowlevel.checkpoint()


async def test_states_that_do_not_come() -> None:
    async with driver_client(Slider(seconds=0)) as (_, client):
        vector = await position_of(client)
        with pytest.raises(AssertionError, match=r"passed through no state within 0\.01 s instead of Busy"):
            await assert_states(vector, "Busy", timeout=0.01)


async def test_an_error_of_the_block_comes_out_with_the_states() -> None:
    async with driver_client(Slider(seconds=0)) as (_, client):
        vector = await position_of(client)
        states = assert_states(vector, "Busy", "Alert")
        with pytest.raises(LookupError, match="mine") as caught:  # noqa: PT012
            async with states:
                await vector.set(FOCUS_ABSOLUTE_POSITION=1)
                raise LookupError("mine")
        assert "passed through Busy, Ok instead of Busy, Alert" in caught.value.__notes__[0]


class Late(Slider):
    """Defines its position only when it is told to."""

    def __init__(self) -> None:
        super().__init__(seconds=0)
        self.position.enable = False
        self.due = anyio.Event()

    async def hardware(self) -> None:
        await self.due.wait()
        self.position.enable = True
        await self.position.send_defVector()
        await super().hardware()


async def test_a_vector_that_is_to_come_is_waited_for() -> None:
    async with driver_client(Late()) as (driver, client):
        device = await client.device(DEVICE, timeout=5)
        assert "ABS_FOCUS_POSITION" not in device
        driver.due.set()  # it gets its turn when the next line waits
        async with assert_states(device, "ABS_FOCUS_POSITION", "Busy", "Ok") as states:
            assert states.seen == []
            await move(driver, client)


async def test_a_vector_that_never_comes_is_told() -> None:
    async with driver_client(Slider()) as (_, client):
        device = await client.device(DEVICE, timeout=5)
        with pytest.raises(UnknownVectorError, match="no vector 'ABS_ROTATOR_ANGLE'; it has 'ABS_FOCUS"):
            await assert_states(device, "ABS_ROTATOR_ANGLE", "Busy")


async def test_words_that_are_no_states() -> None:
    async with driver_client(Slider()) as (_, client):
        with pytest.raises(ValueError, match="Bussy"):
            assert_states(await position_of(client), "Bussy")


async def test_of_what_is_no_vector() -> None:
    async with driver_client(Slider()) as (_, client):
        with pytest.raises(AttributeError):
            assert_states(client, "Busy")  # type: ignore[call-overload]
        gc.collect()  # and nothing is complained of here


async def test_forgotten_it_warns() -> None:
    async with driver_client(Slider()) as (_, client):
        vector = await position_of(client)
        with pytest.warns(RuntimeWarning, match="neither awaited nor entered"):
            forget(vector)


def forget(vector: Vector[float]) -> None:
    assert_states(vector, "Busy")
    gc.collect()


# -- cancelling ------------------------------------------------------------------------------------------------


async def test_a_move_is_cancelled_at_each_await() -> None:
    seen = []

    async def check(driver: Slider, client: Client) -> None:
        seen.append((driver.position["FOCUS_ABSOLUTE_POSITION"], str((await position_of(client)).state)))

    count = await cancel_everywhere(move, lambda: Slider(seconds=0.002), check=check)
    assert 3 <= count < 40
    assert len(seen) == count + 1
    assert seen[-1] == ("2", "Ok")
    assert any(state == "Idle" for _, state in seen)


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})])
async def test_a_driver_that_cannot_be_stopped_is_found() -> None:
    with pytest.raises(AssertionError, match="still Busy after 10 s") as caught:
        await cancel_everywhere(move, lambda: Slider(seconds=1000, lags=True), settle_seconds=10)
    assert "Slider.ABS_FOCUS_POSITION" in str(caught.value)
    assert caught.value.__notes__[0].startswith("the operation was cancelled at its await number ")


virtual = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})]
)


async def only_send(driver: Slider, client: Client) -> None:
    """Send a write and end, so that nothing of it has happened yet."""
    await (await position_of(client)).set(FOCUS_ABSOLUTE_POSITION=2, wait=False)


@virtual
async def test_what_is_still_on_its_way_counts() -> None:
    with pytest.raises(AssertionError, match=r"still Busy after 10 s:\n  <NumberVector Slider\.ABS_FOCUS"):
        await cancel_everywhere(only_send, lambda: Slider(seconds=1000), settle_seconds=10)


@virtual
async def test_a_handler_that_does_not_end_is_found() -> None:
    class Deaf(Slider):
        async def rxevent(self, event: NewEvent) -> None:
            await anyio.sleep(1000)

    told = r"newNumberVector for Slider\.ABS_FOCUS_POSITION\), which has not ended"
    with pytest.raises(AssertionError, match=told):
        await cancel_everywhere(only_send, Deaf, settle_seconds=10)
    assert await cancel_everywhere(only_send, Deaf, settle_seconds=2000) > 2


@virtual
async def test_what_only_the_driver_takes_for_busy_is_found() -> None:
    class Forgetful(Slider):
        async def rxevent(self, event: NewEvent) -> None:
            self.position.state = "Busy"

    with pytest.raises(AssertionError, match=r"Slider\.ABS_FOCUS_POSITION, although the client does not see it"):
        await cancel_everywhere(only_send, Forgetful, settle_seconds=10)


async def test_the_same_driver_may_be_used_each_time() -> None:
    slider = Slider(seconds=0)
    assert await cancel_everywhere(move, lambda: slider) > 2


async def test_a_driver_that_does_not_leave_is_found() -> None:
    class Unleaving(Slider):
        async def asyncrun(self, *args: object, **options: object) -> None:
            leave, self.leave = self.leave, super().leave  # type: ignore[method-assign]
            try:
                await super().asyncrun(*args, **options)  # type: ignore[arg-type]
            finally:
                self.leave = leave  # type: ignore[method-assign]

    with pytest.raises(AssertionError, match=r"leave\(\) has run 0 times"):
        await cancel_everywhere(move, Unleaving)


async def test_an_error_of_the_operation_comes_out_and_says_where() -> None:
    async def wrong(driver: Slider, client: Client) -> None:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        await cancel_everywhere(wrong, Slider)
    assert caught.value.__notes__ == ["the operation was cancelled at its await number 3"]


async def test_cancelled_at_its_second_await() -> None:
    passed: list[int] = []

    async def three() -> None:
        for number in range(3):
            await anyio.lowlevel.checkpoint()
            passed.append(number)

    assert await cancel_at(2, three)
    assert len(passed) <= 1
    passed.clear()
    assert not await cancel_at(100, three)
    assert passed == [0, 1, 2]


async def test_what_is_awaited_gets_its_values_and_its_errors() -> None:
    found: list[object] = []

    async def mixed() -> None:
        send, receive = anyio.create_memory_object_stream[int](0)
        with send, receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send.send, 5)
                found.append(await receive.receive())
            with anyio.move_on_after(0.01) as scope:
                await anyio.sleep(10)
            found.append(scope.cancelled_caught)
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.01):
                    await receive.receive()

    assert not await cancel_at(1000, mixed)
    assert found == [5, True]
