"""A set whose caller is cancelled: what is stopped, what is left to go on, and how long that may take."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import anyio
import pytest

from indianyio._vocabulary import State
from indianyio.client import RefusedError
from tests.client.scripted import Script, ends_with, numbers, scripted, set_numbers, set_switches, switches
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


MOUNT, DOME, FOCUS = "TELESCOPE_ABORT_MOTION", "DOME_ABORT_MOTION", "FOCUS_ABORT_MOTION"

STOPPED = [
    ("EQUATORIAL_EOD_COORD", "X", 5.0, MOUNT),
    ("HORIZONTAL_COORD", "X", 5.0, MOUNT),
    ("TELESCOPE_HOME", "GO", True, MOUNT),
    ("CCD_EXPOSURE", "X", 5.0, "CCD_ABORT_EXPOSURE"),
    ("GUIDER_EXPOSURE", "X", 5.0, "GUIDER_ABORT_EXPOSURE"),
    ("SENSOR_INTEGRATION", "X", 5.0, "SENSOR_ABORT_INTEGRATION"),
    ("ABS_FOCUS_POSITION", "X", 5.0, FOCUS),
    ("REL_FOCUS_POSITION", "X", 5.0, FOCUS),
    ("FOCUS_TIMER", "X", 5.0, FOCUS),
    ("DOME_SHUTTER", "SHUTTER_OPEN", True, DOME),
    ("ABS_DOME_POSITION", "X", 5.0, DOME),
    ("REL_DOME_POSITION", "X", 5.0, DOME),
    ("ABS_ROTATOR_ANGLE", "X", 5.0, "ROTATOR_ABORT_MOTION"),
]
LEFT = [
    ("TELESCOPE_PARK", "PARK", True, MOUNT),
    ("DOME_PARK", "PARK", True, DOME),
    ("DOME_SHUTTER", "SHUTTER_CLOSE", True, DOME),
    ("CAP_PARK", "PARK", True, "CAP_ABORT"),
    ("CCD_TEMPERATURE", "X", 5.0, "CCD_ABORT_EXPOSURE"),
    ("CONNECTION", "CONNECT", True, MOUNT),
    ("SOMETHING_ELSE", "X", 5.0, MOUNT),
]


class Cancelled:
    """A set that is cancelled while the device is busy with it, and what was sent then."""

    def __init__(self) -> None:
        self.aborts: list[str] = []
        self.seconds = 0.0


async def cancelled(
    vector: str,
    member: str,
    value: float | bool,
    abort: str,
    *,
    on_cancel: str | None = None,
    answers: bool = True,
) -> Cancelled:
    is_switch = isinstance(value, bool)
    define = switches(vector, "Ok", {member: False}) if is_switch else numbers(vector, "Ok", {member: 0.0})
    say = set_switches if is_switch else set_numbers
    result = Cancelled()
    async with scripted(define, switches(abort, rule="AtMostOne", ABORT=False)) as script:
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                with scope:
                    await script.vector(vector).set({member: value}, validate=False, on_cancel=on_cancel)  # type: ignore[arg-type]
                result.seconds = anyio.current_time() - began
                tasks.cancel_scope.cancel()

            tasks.start_soon(write)
            await script.written(vector)
            await script.say(say(vector, "Busy", {member: value}))
            began = anyio.current_time()
            scope.cancel()
            await listen(script, abort, result, say(vector, "Idle", {member: 0}) if answers else "")
    return result


async def listen(script: Script, abort: str, result: Cancelled, answer: str) -> None:
    while True:
        assert await script.written(abort) == {"ABORT": "On"}
        result.aborts.append(abort)
        if answer:
            await script.peer.send(answer)


@pytest.mark.parametrize(("vector", "member", "value", "abort"), STOPPED)
async def test_it_is_stopped_by_its_own_abort(vector: str, member: str, value: float | bool, abort: str) -> None:
    assert (await cancelled(vector, member, value, abort)).aborts == [abort]


@pytest.mark.parametrize(("vector", "member", "value", "abort"), LEFT)
async def test_what_moves_towards_safety_goes_on(vector: str, member: str, value: float | bool, abort: str) -> None:
    assert (await cancelled(vector, member, value, abort)).aborts == []


async def test_whoever_asks_decides() -> None:
    left = await cancelled("CCD_EXPOSURE", "X", 5.0, "CCD_ABORT_EXPOSURE", on_cancel="leave")
    assert left.aborts == []
    stopped = await cancelled("TELESCOPE_PARK", "PARK", True, MOUNT, on_cancel="abort")
    assert stopped.aborts == [MOUNT]


async def test_a_device_that_does_not_stop_keeps_nobody_for_long(caplog: pytest.LogCaptureFixture) -> None:
    result = await cancelled("CCD_EXPOSURE", "X", 5.0, "CCD_ABORT_EXPOSURE", answers=False)
    assert result.aborts == ["CCD_ABORT_EXPOSURE"]
    assert 4.9 < result.seconds < 7
    assert "CCD_EXPOSURE has not said within 5 s that it has stopped" in caplog.text


async def test_a_block_that_is_cancelled_from_outside_still_stops_the_device() -> None:
    """The connection outlives the cancellation for as long as it takes."""
    heard = anyio.Event()
    with anyio.CancelScope() as outside:
        async with scripted(
            numbers("CCD_EXPOSURE", "Ok", X=0), switches("CCD_ABORT_EXPOSURE", rule="AtMostOne", ABORT=False)
        ) as script:

            async def camera() -> None:
                with anyio.CancelScope(shield=True), anyio.move_on_after(20):
                    await script.written("CCD_EXPOSURE")
                    await script.say(set_numbers("CCD_EXPOSURE", "Busy", X=5))
                    outside.cancel()
                    await script.written("CCD_ABORT_EXPOSURE")
                    heard.set()
                    await script.peer.send(set_numbers("CCD_EXPOSURE", "Idle", X=0))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(camera)
                await script.vector("CCD_EXPOSURE").set(X=5)
    assert heard.is_set()
    assert script.vector("CCD_EXPOSURE").state == State.IDLE


# -- connected -----------------------------------------------------------------------------------------------------


def connection(state: str, *, on: bool, define: bool = False) -> str:
    values = {"CONNECT": on, "DISCONNECT": not on}
    return switches("CONNECTION", state, values) if define else set_switches("CONNECTION", state, values)


async def test_connected_is_disconnected_whatever_the_block_raises() -> None:
    async with scripted(connection("Idle", on=False, define=True)) as script, anyio.create_task_group() as tasks:

        async def driver() -> None:
            assert await script.written("CONNECTION") == {"CONNECT": "On"}
            await script.say(connection("Busy", on=True), connection("Ok", on=True))
            assert await script.written("CONNECTION") == {"DISCONNECT": "On"}
            await script.say(connection("Idle", on=False))

        tasks.start_soon(driver)
        with ends_with(ZeroDivisionError):
            async with script.device.connected() as device:
                assert device.is_connected
                raise ZeroDivisionError
        assert not script.device.is_connected


async def test_what_was_connected_before_stays_so() -> None:
    async with scripted(connection("Ok", on=True, define=True)) as script:
        async with script.device.connected():
            assert script.device.is_connected
        with anyio.move_on_after(0.05) as patience:
            await script.written("CONNECTION")
        assert patience.cancelled_caught


@contextlib.asynccontextmanager
async def connectable() -> AsyncGenerator[tuple[Script, list[str]]]:
    """Yield a device that connects and disconnects at once, and what it was told."""
    told: list[str] = []
    async with scripted(connection("Idle", on=False, define=True)) as script, anyio.create_task_group() as tasks:

        async def driver() -> None:
            while True:
                (member,) = await script.written("CONNECTION")
                told.append(member)
                on = member == "CONNECT"
                await script.say(connection("Busy", on=on), connection("Ok" if on else "Idle", on=on))

        tasks.start_soon(driver)
        yield script, told
        tasks.cancel_scope.cancel()


async def test_the_last_of_several_blocks_disconnects() -> None:
    """Two tasks use one mount: when the first is done, the second must not lose it in the middle of a slew."""
    async with connectable() as (script, told):
        first, second = script.device.connected(), script.device.connected()
        async with contextlib.AsyncExitStack() as cleanup:
            await first.__aenter__()
            await cleanup.enter_async_context(second)
            await first.__aexit__(None, None, None)
            await script.fence()
            assert script.device.is_connected
        assert told == ["CONNECT", "DISCONNECT"]
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(_use, script)
        assert told == ["CONNECT", "DISCONNECT"] * 2


async def test_a_block_waits_no_longer_than_it_may_for_another_that_connects() -> None:
    async with scripted(connection("Idle", on=False, define=True)) as script:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_use, script)
            await script.written("CONNECTION")
            await script.say(connection("Busy", on=True))
            began = anyio.current_time()
            with pytest.raises(TimeoutError, match=r"Scripted.CONNECTION: not done within 0.2 s; it is <Switch"):
                async with script.device.connected(timeout=0.2):
                    pytest.fail("it is not")
            assert anyio.current_time() - began < 2
            tasks.cancel_scope.cancel()
            await script.written("CONNECTION")
            await script.say(connection("Idle", on=False))


async def _use(script: Script) -> None:
    async with script.device.connected():
        assert script.device.is_connected
        await script.fence()
        assert script.device.is_connected


async def test_a_connection_that_nobody_may_write_is_not_written() -> None:
    define = connection("Idle", on=False, define=True).replace('perm="rw"', 'perm="ro"')
    async with scripted(define) as script:
        with pytest.raises(ValueError, match="read-only"):
            async with script.device.connected():
                pytest.fail("it is not")
        with anyio.move_on_after(0.05) as patience:
            await script.written("CONNECTION")
        assert patience.cancelled_caught


async def test_a_driver_that_cannot_connect_says_why() -> None:
    async with scripted(connection("Idle", on=False, define=True)) as script, anyio.create_task_group() as tasks:

        async def driver() -> None:
            await script.written("CONNECTION")
            await script.say(set_switches("CONNECTION", "Alert", CONNECT=False, message="no such port"))

        tasks.start_soon(driver)
        with pytest.raises(RefusedError, match="no such port"):
            async with script.device.connected():
                pytest.fail("it is not")
        with anyio.move_on_after(0.05) as patience:
            await script.written("CONNECTION")
        assert patience.cancelled_caught


async def test_a_set_that_is_cancelled_before_anything_was_heard_waits_for_the_answer_of_its_abort() -> None:
    """What is not Busy yet may be about to begin."""
    async with scripted(
        numbers("ABS_FOCUS_POSITION", "Ok", X=0.0), switches(FOCUS, rule="AtMostOne", ABORT=False)
    ) as script:
        scope, ended = anyio.CancelScope(), anyio.Event()

        async def move() -> None:
            with scope:
                await script.vector("ABS_FOCUS_POSITION").set(X=5.0)
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(move)
            await script.written("ABS_FOCUS_POSITION")
            scope.cancel()
            await script.written(FOCUS)
            await script.fence()
            assert not ended.is_set()
            await script.say(set_numbers("ABS_FOCUS_POSITION", "Busy", X=1.0))
            await script.say(set_switches(FOCUS, "Ok", ABORT=False))
            await script.fence()
            assert not ended.is_set()
            await script.say(set_numbers("ABS_FOCUS_POSITION", "Idle", X=1.0))
            with anyio.fail_after(1):
                await ended.wait()
