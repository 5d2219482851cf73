"""What must not be taken for the answer to a write, or for the end of what it began, however the updates fall."""

from __future__ import annotations

import asyncio
from functools import partial

import anyio
import pytest
import trio
from trio.testing import MockClock

from indianyio._environment import Environment
from indianyio.client import OperationAbortedError, RefusedError, UnknownMemberError, open_client
from indianyio.protocol import GetProperties
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing import Peer
from tests.client.scripted import (
    Script,
    deleted,
    numbers,
    scripted,
    set_numbers,
    set_switches,
    switches,
)
from tests.client.test_client_settling import seen, writing
from tests.virtual_time import VirtualLoop, virtual_backend

pytestmark = pytest.mark.anyio

GOTO, ABORT = "ABS_FOCUS_POSITION", "FOCUS_ABORT_MOTION"
TEXT = '<defTextVector device="Scripted" name="T" perm="rw"><defText name="text">a</defText></defTextVector>'


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


# -- before it is sent ---------------------------------------------------------------------------------------------


async def fill(script: Script) -> None:
    """Write so much to a server that does not read that nothing more can be sent."""
    while True:
        with anyio.move_on_after(0.2) as patience:
            await script.vector("T").set(text="x" * 900_000, wait=False)
        if patience.cancelled_caught:
            return


async def test_what_comes_before_there_is_room_for_the_write_is_no_answer() -> None:
    """Another client's goto, while ours still waits in this program."""
    async with scripted(numbers(GOTO, "Ok", P=1), TEXT) as script, anyio.create_task_group() as tasks:
        await fill(script)
        ended = anyio.Event()

        async def write() -> None:
            await script.vector(GOTO).set(P=7)
            ended.set()

        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        await script.say(set_numbers(GOTO, "Busy", P=3), set_numbers(GOTO, "Ok", P=5))
        assert await script.written(GOTO) == {"P": "7.0"}
        await anyio.wait_all_tasks_blocked()
        assert not ended.is_set()
        await script.say(set_numbers(GOTO, "Busy", P=6), set_numbers(GOTO, "Ok", P=7))
        await ended.wait()


async def test_the_time_to_answer_begins_when_the_write_is_sent() -> None:
    async with scripted(numbers(GOTO, "Ok", P=1), TEXT) as script, anyio.create_task_group() as tasks:
        await fill(script)

        async def write() -> None:
            await script.vector(GOTO).set(P=7, start_timeout=1.5)

        tasks.start_soon(write)
        await anyio.sleep(1.7)
        await script.written(GOTO)
        await script.say(set_numbers(GOTO, "Ok", P=7))


async def test_what_was_never_sent_is_not_stopped() -> None:
    """The abort would stop what somebody else is doing."""
    async with scripted(
        numbers(GOTO, "Ok", P=1), numbers("N", "Ok", X=1), switches(ABORT, rule="AtMostOne", ABORT=False), TEXT
    ) as script:
        await fill(script)

        async def write() -> None:
            with anyio.move_on_after(0.05):
                await script.vector(GOTO).set(P=7)
            await script.vector("N").set(X=8, wait=False)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await anyio.sleep(0.1)
            names: list[str] = []
            while names[-1:] != ["N"]:
                message = await script.peer.receive()
                names.append(getattr(message, "name", ""))
        assert GOTO not in names
        assert ABORT not in names


async def test_members_that_have_gone_while_a_write_waited_for_its_turn_are_not_written() -> None:
    async with scripted(numbers("N", "Ok", X=1, Y=1)) as script:
        vector = script.vector("N")
        failures: list[Exception] = []

        async def second() -> None:
            try:
                await vector.set(Y=7)
            except Exception as error:  # noqa: BLE001 - looked at below
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            async with writing(script, "N", X=5):
                tasks.start_soon(second)
                await anyio.wait_all_tasks_blocked()
                await script.say(numbers("N", "Busy", X=2), set_numbers("N", "Ok", X=5))
        assert [type(error) for error in failures] == [UnknownMemberError]


# -- too early -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", ["again", "without a state"])
async def test_an_alert_that_was_there_before_is_no_refusal(update: str) -> None:
    """A focuser that has failed once says so with each position it reports, until it moves again."""
    before = set_numbers("N", "Alert", X=1)
    if update == "without a state":
        before = before.replace(' state="Alert"', "")
    async with scripted(numbers("N", "Alert", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            assert await seen(script, write, before) == "waiting"
            assert await seen(script, write, '<message device="Scripted" message="moving"/>') == "waiting"
            assert await seen(script, write, before) == "waiting"
            assert await seen(script, write, set_numbers("N", "Busy", X=2)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Ok", X=5)) == "done"


async def test_an_alert_that_was_there_before_and_stays_is_a_refusal_in_the_end() -> None:
    async with scripted(numbers("N", "Alert", X=1)) as script:
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            await script.say(set_numbers("N", "Alert", X=1))
        assert isinstance(write.error, RefusedError)
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            await script.say(set_numbers("N", "Alert", X=1), '<message device="Scripted" message="[ERROR] stuck"/>')
        assert "[ERROR] stuck" in str(write.error)
        async with writing(script, "N", X=5) as write:
            again = set_numbers("N", "Alert", X=1, message="still stuck")
            assert await seen(script, write, again) == "RefusedError"


@pytest.mark.parametrize(
    ("name", "member"), [("DOME_SHUTTER", "SHUTTER_CLOSE"), ("TELESCOPE_MOTION_NS", "MOTION_NORTH")]
)
async def test_an_operation_with_all_switches_off_is_not_done(name: str, member: str) -> None:
    """Only a button is Off again in the answer: a shutter that is neither open nor closed is not closed."""
    async with scripted(switches(name, "Ok", {member: False}, rule="AtMostOne")) as script:
        async with writing(script, name, **{member: True}) as write:
            assert await seen(script, write, set_switches(name, "Ok", {member: False})) == "waiting"
            await script.say(set_switches(name, "Busy", {member: True}), set_switches(name, "Ok", {member: True}))
        assert write.outcome == "done"


@pytest.mark.parametrize(
    ("name", "state"), [("N", "Ok"), ("N", "Idle"), ("CCD_EXPOSURE", "Ok"), ("TELESCOPE_TIMED_GUIDE_NS", "Idle")]
)
async def test_a_driver_that_is_started_again_has_not_done_what_the_one_before_was_doing(
    name: str, state: str
) -> None:
    async with scripted(numbers(name, "Idle", X=0)) as script:
        async with writing(script, name, X=5) as write:
            await script.say(set_numbers(name, "Busy", X=5), set_numbers(name, "Busy", X=4), deleted())
            assert await seen(script, write, numbers(name, state, X=0)) == "OperationAbortedError"
        assert isinstance(write.error, OperationAbortedError)
        assert "defined again" in str(write.error)


# -- too late ------------------------------------------------------------------------------------------------------


async def test_what_is_deleted_is_given_up_however_much_else_the_device_says() -> None:
    """A weather station goes on reporting, once a second."""
    async with scripted(numbers("N", X=1), numbers("M", X=1)) as script:
        began = anyio.current_time()
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            await script.say(set_numbers("N", "Busy", X=2), deleted("N"))
            while anyio.current_time() < began + 1 and not write.done.is_set():
                await script.say(set_numbers("M", "Ok", X=2))
                await anyio.sleep(0.1)
            assert write.done.is_set()
        assert isinstance(write.error, OperationAbortedError)


async def test_what_has_arrived_while_the_loop_was_held_up_counts(anyio_backend_name: str) -> None:
    """A program that counts stars for longer than the driver may take; which task is next is then chance."""
    async with scripted(numbers("N", X=1)) as script:
        for _ in range(20):
            async with writing(script, "N", X=5, start_timeout=0.02) as write:
                script.peer._stream.send_now(set_numbers("N", "Busy", X=2).encode())
                if anyio_backend_name == "trio":
                    clock = trio.lowlevel.current_clock()
                    assert isinstance(clock, MockClock)
                    clock.jump(0.1)
                else:
                    loop = asyncio.get_running_loop()
                    assert isinstance(loop, VirtualLoop)
                    loop.jump(0.1)
                await script.say(set_numbers("N", "Ok", X=5))
            assert write.outcome == "done", write.error


async def test_a_text_that_the_driver_has_trimmed_is_the_one_that_was_written() -> None:
    """As libindi does, of which drivers then say what is left."""
    async with scripted(TEXT) as script, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(script.vector("T").set, text="  M 31 "))
        await script.written("T")
        await script.say(
            '<setTextVector device="Scripted" name="T" state="Ok">'
            '<oneText name="text">M 31</oneText></setTextVector>'
        )


# -- stopping ------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_stopped_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted(numbers(GOTO, "Ok", P=1)) as script, anyio.create_task_group() as tasks:

        async def write() -> None:
            with anyio.move_on_after(0.1):
                await script.vector(GOTO).set(P=7)

        tasks.start_soon(write)
        await script.written(GOTO)
        await script.say(set_numbers(GOTO, "Busy", P=2))
    assert "Scripted.ABS_FOCUS_POSITION goes on: there is no FOCUS_ABORT_MOTION" in caplog.text


@pytest.mark.parametrize("how", ["deleted", "lost"])
async def test_nobody_waits_for_the_stop_of_what_is_not_heard_of_any_more(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With a client that reconnects, which could wait until it is back."""
    near, far = memory_pair()
    another = anyio.Event()

    class Once(Environment):
        async def connect(self, *_: object, **__: object) -> ByteStream:  # noqa: ASYNC124
            if another.is_set():
                raise OSError("nobody is there")
            another.set()
            return far

    peer = Peer(near)
    async with open_client("nowhere", reconnect=True, environment=Once()) as client:
        script = Script(peer, client)
        await peer.expect(GetProperties)
        await script.say(numbers(GOTO, "Ok", P=1), switches(ABORT, rule="AtMostOne", ABORT=False))
        took: list[float] = []

        async def write() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await script.vector(GOTO).set(P=7)
            took.append(anyio.current_time() - began)

        scopes: list[anyio.CancelScope] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await script.written(GOTO)
            await script.say(set_numbers(GOTO, "Busy", P=2))
            began = anyio.current_time()
            scopes[0].cancel()
            assert await script.written(ABORT) == {"ABORT": "On"}
            if how == "lost":
                await near.aclose()
            else:
                await script.peer.send(deleted())
    assert took[0] < 2
    assert "is still Busy" not in caplog.text
    assert "it is not known whether Scripted.ABS_FOCUS_POSITION has stopped" in caplog.text
    await near.aclose()
