"""How a run begins and ends: every cause, on both back ends."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio
import trio.testing

from indianyio.driver import NewEvent
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import DefTextVector, SetLightVector, SetNumberVector
from indianyio.streams import MemoryStream, memory_pair
from indianyio.testing import Peer, running
from tests.driver.gadget import DEVICE, Gadget, new_number

pytestmark = pytest.mark.anyio


async def everything(stream: MemoryStream) -> bytes:
    """Return all that the driver still sends."""
    parts = []
    while data := (await stream.receive()).data:
        parts.append(data)
    return b"".join(parts)


async def test_end_of_stream_ends_the_driver_in_order() -> None:
    """End of file ends the driver."""
    driver = Gadget(work=lambda _: anyio.sleep_forever())
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        assert not driver.stop
        await near.aclose()
    assert driver.left == 1
    assert driver.stop
    assert driver.shutdownrequested.is_set()
    assert driver.stopped.is_set()


async def test_last_states_are_sent_when_cancelled_from_outside() -> None:
    """leave() can still send, whatever ended the run."""
    driver = Gadget(work=lambda _: anyio.sleep_forever())
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        tasks.cancel_scope.cancel()
    assert driver.left == 1
    assert b"left" in await everything(near)


async def test_shutdown_from_hardware() -> None:
    """shutdown() ends what does not look at any flag."""

    async def work(driver: Gadget) -> None:
        driver.shutdown()
        assert driver.stop
        await anyio.sleep_forever()

    driver = Gadget(work=work)
    near, far = memory_pair()
    with anyio.fail_after(60):
        await driver.asyncrun(far)
    assert driver.left == 1
    assert b"left" in await everything(near)


async def test_shutdown_from_a_handler_and_twice() -> None:
    async def on_write(driver: Gadget, event: NewEvent) -> None:
        driver.shutdown()
        driver.shutdown()
        await anyio.sleep_forever()

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        await peer.send(new_number(5))
        await peer.expect(SetLightVector, state="Idle")
        await driver.stopped.wait()
    assert driver.left == 1


async def test_shutdown_from_a_thread() -> None:
    driver = Gadget(work=lambda _: anyio.sleep_forever())
    async with running(driver):
        await anyio.wait_all_tasks_blocked()
        assert await anyio.to_thread.run_sync(threading.get_ident) != threading.get_ident()
        await anyio.to_thread.run_sync(driver.shutdown)
        await driver.shutdownrequested.wait()
        await driver.stopped.wait()
    assert driver.left == 1


async def test_shutdown_before_the_run_ends_it_at_once_and_a_later_run_is_whole() -> None:
    started = 0

    async def work(_: Gadget) -> None:
        nonlocal started
        started += 1
        await anyio.sleep_forever()

    driver = Gadget(work=work)
    driver.shutdown()
    assert driver.stop
    near, far = memory_pair()
    with anyio.fail_after(60):
        await driver.asyncrun(far)
    assert driver.left == 1
    assert started == 0
    assert b"left" in await everything(near)
    async with running(driver) as peer:
        assert not driver.stop
        await peer.get_properties()
        await peer.expect(DefTextVector)
    assert started == 1
    assert driver.left == 2


async def test_a_run_can_follow_a_run() -> None:
    """A driver is not used up by its first run, its background work included."""
    runs: list[int] = []

    async def background(number: int) -> None:
        runs.append(number)
        await anyio.sleep_forever()

    driver = Gadget()
    driver.add_background(background, 7)
    for _ in range(3):
        async with running(driver) as peer:
            await peer.get_properties()
            await peer.expect(DefTextVector)
    assert runs == [7, 7, 7]


async def test_one_run_at_a_time() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.get_properties()
        await peer.expect(DefTextVector)
        _, other = memory_pair()
        with pytest.raises(RuntimeError, match="running already"):
            await driver.asyncrun(other)


async def test_an_error_of_hardware_ends_the_driver_with_that_error() -> None:
    async def work(_: Gadget) -> None:
        raise OSError("the mount does not answer")

    driver = Gadget(work=work)
    near, far = memory_pair()
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="does not answer"), flatten_subgroups=True):
        await driver.asyncrun(far)
    assert driver.left == 1
    assert b"left" in await everything(near)
    assert driver.stopped.is_set()


async def test_an_error_of_leave_comes_out_and_what_was_sent_arrives() -> None:
    class Failing(Gadget):
        async def leave(self) -> None:
            await super().leave()
            raise OSError("the shutter is stuck")

    near, far = memory_pair()
    driver = Failing()
    driver.shutdown()
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="stuck"), flatten_subgroups=True):
        await driver.asyncrun(far)
    assert b"left" in await everything(near)


async def test_coroutine_objects_run_once_and_unused_ones_are_closed() -> None:
    """A coroutine object that no run took is closed; a warning would fail this test."""
    runs = []

    async def background(name: str) -> None:
        runs.append(name)
        await anyio.sleep_forever()

    driver = Gadget()
    driver.add_background(background("before"))
    async with running(driver) as peer:
        driver.add_background(background("during"))
        await peer.get_properties()
        await peer.expect(DefTextVector)
    driver.add_background(background("never"))
    driver.shutdown()
    near, far = memory_pair()
    await driver.asyncrun(far)
    await near.aclose()
    assert sorted(runs) == ["before", "during"]
    with pytest.raises(TypeError, match="async function or a coroutine"):
        driver.add_background(5)  # type: ignore[arg-type]


async def test_an_error_of_background_work_ends_the_driver() -> None:
    async def background() -> None:
        raise ValueError("no dome")

    driver = Gadget()
    driver[DEVICE].add_background(background)
    _, far = memory_pair()
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="no dome"), flatten_subgroups=True):
        await driver.asyncrun(far)
    assert driver.left == 1


async def clean_up_slowly(*_: object) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        for _step in range(3):
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)


@pytest.mark.parametrize("how", ["shutdown", "cancelled"])
async def test_cleaning_up_slowly_is_no_failure(how: str) -> None:
    driver = Gadget(work=clean_up_slowly, on_write=clean_up_slowly)
    driver.add_background(clean_up_slowly)
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        await Peer(near).send(new_number(5))
        await anyio.wait_all_tasks_blocked()
        if how == "shutdown":
            driver.shutdown()
        else:
            tasks.cancel_scope.cancel()
    assert [event.devicename for event in driver.events] == [DEVICE]
    assert driver.left == 1
    assert b"Alert" not in await everything(near)


async def test_a_peer_that_is_gone_takes_everything() -> None:
    """Nobody fails in a send because the peer has gone; the scope ends the work."""
    sent = 0

    async def work(driver: Gadget) -> None:
        nonlocal sent
        while True:
            await driver.number.send_setVector()
            sent += 1
            await anyio.lowlevel.checkpoint()

    driver = Gadget(work=work)
    async with running(driver) as peer:
        await peer.expect(SetNumberVector)
    assert sent > 0
    assert driver.left == 1


# -- bounded ends, in virtual time ---------------------------------------------------------------------------------

on_virtual_time = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="mock-trio")],
)


@on_virtual_time
async def test_the_end_is_bounded_when_nobody_reads() -> None:
    """A peer that reads nothing cannot keep the driver."""

    async def work(driver: Gadget) -> None:
        while True:
            await driver.text.send_setVector(message="x" * 1000)

    driver = Gadget(work=work)
    near, far = memory_pair(capacity_bytes=1000)
    start = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        await anyio.sleep(60)
        driver.shutdown()
    assert anyio.current_time() - start <= 60 + 2 * driver.grace + 0.1
    await near.aclose()


@on_virtual_time
async def test_a_leave_that_hangs_is_cut_off() -> None:
    class Hanging(Gadget):
        async def leave(self) -> None:
            await anyio.sleep_forever()

    driver = Hanging()
    driver.grace = 3
    driver.shutdown()
    _, far = memory_pair()
    start = anyio.current_time()
    await driver.asyncrun(far)
    assert anyio.current_time() - start == pytest.approx(3)


@on_virtual_time
async def test_work_that_ignores_its_cancellation_does_not_keep_the_instrument_unsafe() -> None:
    released = anyio.Event()

    async def work(driver: Gadget) -> None:
        with anyio.CancelScope(shield=True):
            await released.wait()

    driver = Gadget(work=work)
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        driver.shutdown()
        assert b"left" in await everything_until(near, b"left")
        assert driver.left == 1
        assert not driver.stopped.is_set()
        released.set()
    assert driver.stopped.is_set()


async def everything_until(stream: MemoryStream, wanted: bytes) -> bytes:
    """Return what the driver sends, up to and with ``wanted``."""
    data = b""
    while wanted not in data:
        received = await stream.receive()
        if not received.data:
            raise ConnectionLostError("the driver has ended")
        data += received.data
    return data


# -- cancelled at every step -----------------------------------------------------------------------------------


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope after so many task steps."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.scope = scope
        self.left = step

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


async def session(driver: Gadget, near: MemoryStream) -> None:
    """Talk to a driver a little, then go away."""
    peer = Peer(near)
    await peer.get_properties()
    await peer.expect(DefTextVector)
    await peer.write(DEVICE, "TEXT", word="new")
    await peer.send(new_number(1000))
    await peer.expect(SetNumberVector, state="Alert")
    await peer.close()


def sweep(drive: Callable[[Gadget, trio.CancelScope], Awaitable[None]]) -> int:
    """Cancel a lifetime after step n, for every n, and check the promises; return how many steps there were."""
    for step in range(1, 10_000):
        driver = Gadget(work=lambda _: anyio.sleep(1))
        driver.add_background(anyio.sleep, 2)
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)

        async def main(driver: Gadget = driver, scope: trio.CancelScope = scope) -> float:
            start = trio.current_time()
            with scope:
                await drive(driver, scope)
            return trio.current_time() - start

        clock = trio.testing.MockClock(autojump_threshold=0)
        took = trio.run(main, clock=clock, instruments=[instrument])
        assert took <= 3 * driver.grace + 1, f"step {step}"
        # Before the run began there is nothing to leave; from then on leave() runs, once.
        assert driver.left == (1 if driver.stopped.is_set() else 0), f"step {step}"
        if instrument.left > 0:
            return step
    raise AssertionError("the lifetime does not end")


def test_cancel_sweep_over_a_run() -> None:
    async def drive(driver: Gadget, scope: trio.CancelScope) -> None:
        near, far = memory_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session, driver, near)
            await driver.asyncrun(far)

    assert sweep(drive) > 30


def test_cancel_sweep_over_a_start_in_a_nursery() -> None:
    async def drive(driver: Gadget, scope: trio.CancelScope) -> None:
        near, far = memory_pair()
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(driver.asyncrun, far))
            await session(driver, near)

    assert sweep(drive) > 30


# -- at home in trio -------------------------------------------------------------------------------------------


@pytest.mark.trio
async def test_embedded_in_a_trio_nursery(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    near, far = memory_pair()
    driver = Gadget()
    await nursery.start(partial(driver.asyncrun, far))
    peer = Peer(near)
    await peer.get_properties()
    await peer.expect(DefTextVector)
    driver.shutdown()
    await driver.stopped.wait()
