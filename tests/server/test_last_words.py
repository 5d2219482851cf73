"""What a peer wrote before its end is read and passed on, even if sending is what notices the end."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from indianyio import IPyServer, open_client
from indianyio._vocabulary import Limits, State
from indianyio.exceptions import RefusedError
from indianyio.protocol import DefTextVector, DelProperty, GetProperties, Message, SetTextVector
from indianyio.server import Accepted
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._hub import Hub
from indianyio.server._remotes import RemoteServer
from indianyio.streams import MemoryStream, memory_pair
from tests.driver.gadget import Gadget, new_abort
from tests.server.memory_world import MemoryProgram, World
from tests.server.programs import write
from tests.server.watching import Watcher, errors, feeding, texts
from tests.virtual_time import hold, virtual_backend

pytestmark = pytest.mark.anyio

DEFINITION = (
    b'<defTextVector device="Box" name="T" label="T" group="G" state="Ok" perm="rw">'
    b'<defText name="t" label="t">new</defText></defTextVector>'
)
LAST_WORDS = (
    b'<setTextVector device="Box" name="T" state="Alert" message="the motor is hot">'
    b'<oneText name="t">parked</oneText></setTextVector>'
)

# Small, so that whoever reads needs many turns, and whoever writes has the first one.
CUT = 10

FAR, NEAR = ("far", 7624), ("near", 7625)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


Hear: TypeAlias = Callable[["Speaker"], AbstractAsyncContextManager[Watcher]]
End: TypeAlias = Callable[[MemoryStream], None]


def close(stream: MemoryStream) -> None:
    """End as a program does that exits."""
    stream.close()


def close_input(stream: MemoryStream) -> None:
    """Read no more, and stay."""
    stream._incoming.close_receiver()


class Speaker:
    """A driver that defines its vector, and then does only what it is told to."""

    def __init__(self) -> None:
        self.stream: MemoryStream | None = None

    async def speak(self, stream: MemoryStream) -> None:
        self.stream = stream
        await stream.receive()
        await stream.send(DEFINITION)
        await anyio.sleep_forever()

    def part(self, watcher: Watcher, end: End) -> None:
        """Say its last words and end, at the moment at which a client writes to it."""
        assert self.stream is not None
        assert self.stream.send_now(LAST_WORDS) == len(LAST_WORDS)
        end(self.stream)
        watcher.say(write("too late"))


class SpeakingProgram(MemoryProgram):
    """A program whose driver is a speaker; it goes on when its connection is closed, until it gets a signal."""

    speaker: Speaker

    async def run(self) -> None:
        with self._life:
            await self.speaker.speak(self._inside)
        self.status = self.status or self._told_to_end
        self._inside.close()
        await self._error.aclose()
        self._ended.set()

    def terminate(self) -> None:
        self.kill()


class EndingWhileHeld(SpeakingProgram):
    """A program that ends in order while something holds the event loop of its server."""

    signals = 0

    def close_input(self) -> None:
        super().close_input()
        hold(60.0)
        self.status = 0
        self._life.cancel("it has ended")

    def terminate(self) -> None:
        type(self).signals += 1

    def kill(self) -> None:
        type(self).signals += 1


@asynccontextmanager
async def program_heard(speaker: Speaker, kind: type[SpeakingProgram] = SpeakingProgram) -> AsyncGenerator[Watcher]:
    kind.speaker = speaker

    class Machine(World):
        program: type[MemoryProgram] = kind

    async with anyio.create_task_group() as tasks:
        world = Machine(tasks)
        world.installed["indi_box"] = Gadget
        world.cut = CUT
        async with feeding(Hub(Limits(), environment=world), ExternalDriver("indi_box", restarts=0)) as watcher:
            yield watcher


@asynccontextmanager
async def far_server(speaker: Speaker) -> AsyncGenerator[World]:
    """Let a speaker be what a server far away says to whoever connects."""

    async def serve(accepted: Accepted) -> None:
        stream = await accepted.open()
        assert isinstance(stream, MemoryStream)
        await speaker.speak(stream)

    async with anyio.create_task_group() as tasks:
        world = World(tasks)
        world.cut = CUT
        (listener,) = await world.listen(*FAR, None)
        tasks.start_soon(listener.accept_forever, serve, tasks)
        yield world
        tasks.cancel_scope.cancel("the test is over")


@asynccontextmanager
async def server_heard(speaker: Speaker) -> AsyncGenerator[Watcher]:
    async with (
        far_server(speaker) as world,
        feeding(Hub(Limits(), environment=world), RemoteServer(*FAR)) as watcher,
    ):
        yield watcher


@pytest.mark.parametrize("heard", [program_heard, server_heard])
@pytest.mark.parametrize("end", [close, close_input])
async def test_the_last_words_of_what_feeds_a_server_are_relayed(heard: Hear, end: End) -> None:
    speaker = Speaker()
    async with heard(speaker) as watcher:
        await watcher.expect(DefTextVector)
        speaker.part(watcher, end)
        assert (await watcher.expect(SetTextVector)).message == "the motor is hot"
        assert "stopped reading" in ((await watcher.expect(Message, device="Box")).message or "")
        await watcher.expect(DelProperty, device="Box")


@pytest.mark.parametrize("heard", [program_heard, server_heard])
async def test_a_command_is_refused_while_a_driver_that_no_longer_reads_is_heard_out(
    heard: Hear, caplog: pytest.LogCaptureFixture
) -> None:
    speaker = Speaker()
    async with heard(speaker) as watcher:
        await watcher.expect(DefTextVector)
        assert speaker.stream is not None
        close_input(speaker.stream)
        watcher.say(write("what makes the server notice"))
        await anyio.sleep(0.01)
        watcher.say(write("what nobody can carry out"))
        watcher.say(GetProperties(device="Box"))
        answers = [message for message in watcher.received if isinstance(message, SetTextVector)]
        assert [answer.state for answer in answers] == [State.ALERT]
        assert (answers[0].message or "").endswith("no longer takes commands")
        await watcher.expect(DelProperty, device="Box")
    # A request for definitions gets no answer, and needs no line.
    assert sum("no longer takes commands" in text for text in texts(caplog, logging.WARNING)) == 1


async def test_a_command_is_refused_while_a_driver_of_the_server_leaves() -> None:
    async def be_slow_to_leave(driver: Gadget) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + 1):
                await anyio.sleep_forever()

    leaving, staying = Gadget(work=be_slow_to_leave), Gadget(device="Other")
    async with anyio.create_task_group() as tasks:
        world = World(tasks)
        async with IPyServer(leaving, staying, host=NEAR[0], port=NEAR[1], environment=world):
            client = await world.connect(*NEAR, 10.0, name="a client")
            assert isinstance(client, MemoryStream)
            await client.send(b"<getProperties version='1.7' device='Gadget'/>")
            await received_until(client, b"</defBLOBVector>")
            leaving.shutdown()
            await anyio.sleep(0.1)
            await client.send(new_abort().encode())
            said = await received_until(client, b"delProperty")
    assert leaving.events == []
    refusal, _, _ = said.partition(b"delProperty")
    assert b'name="ABORT" state="Alert"' in refusal
    assert b"no longer takes commands" in refusal


@pytest.mark.parametrize("heard", [program_heard, server_heard])
@pytest.mark.parametrize("goes_on", [False, True])
async def test_what_has_closed_only_its_input_is_heard_for_no_more_than_a_moment(
    heard: Hear, goes_on: bool
) -> None:
    speaker = Speaker()

    async def go_on() -> None:
        assert speaker.stream is not None
        while goes_on:
            speaker.stream.send_now(LAST_WORDS)
            await anyio.sleep(0.01)

    async with heard(speaker) as watcher, anyio.create_task_group() as tasks:
        await watcher.expect(DefTextVector)
        began = anyio.current_time()
        speaker.part(watcher, close_input)
        tasks.start_soon(go_on)
        await watcher.expect(DelProperty, device="Box")
        # A program has its grace to end by itself.
        assert anyio.current_time() - began < 11 + goes_on
        tasks.cancel_scope.cancel("it has ended")


async def test_a_program_that_has_closed_its_input_may_speak_until_it_has_parked() -> None:
    """The server ends, and the program has the time that it is always given."""
    speaker = Speaker()

    async def park() -> None:
        await anyio.sleep(2)
        assert speaker.stream is not None
        speaker.stream.send_now(LAST_WORDS)

    async with anyio.create_task_group() as tasks:
        async with program_heard(speaker) as watcher:
            await watcher.expect(DefTextVector)
            assert speaker.stream is not None
            close_input(speaker.stream)
            watcher.say(write("too late"))
            await anyio.sleep(0.01)
            tasks.start_soon(park)
        assert [message.message for message in watcher.received if isinstance(message, SetTextVector)]


@pytest.mark.parametrize("heard", [program_heard, server_heard])
async def test_last_words_are_read_although_something_has_held_the_event_loop(heard: Hear) -> None:
    """It wakes up late: there are the last words to be read, and the time for that is over already."""
    speaker = Speaker()
    async with heard(speaker) as watcher:
        await watcher.expect(DefTextVector)
        assert speaker.stream is not None
        close_input(speaker.stream)
        watcher.say(write("too late"))
        await anyio.sleep(0.01)
        speaker.stream.send_now(LAST_WORDS)
        hold(5.0)
        assert (await watcher.expect(SetTextVector)).message == "the motor is hot"


async def test_the_end_of_the_server_is_told_to_a_driver_that_has_closed_its_input() -> None:
    """What it has said is relayed, although the server ends before the time in which it is heard."""
    speaker = Speaker()
    async with program_heard(speaker) as watcher:
        await watcher.expect(DefTextVector)
        speaker.part(watcher, close_input)
        await anyio.sleep(0.01)
    await watcher.expect(DelProperty, device="Box")
    assert [message.message for message in watcher.received if isinstance(message, SetTextVector)]


async def test_a_program_that_has_ended_is_not_said_to_run_because_the_server_is_late(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with program_heard(Speaker(), EndingWhileHeld) as watcher:
        await watcher.expect(DefTextVector)
    assert not errors(caplog)
    assert "runs on" not in caplog.text
    assert EndingWhileHeld.signals == 0


async def test_a_command_of_a_client_that_leaves_at_once_is_carried_out() -> None:
    gadget = Gadget()
    async with anyio.create_task_group() as tasks:
        world = World(tasks)
        world.cut = CUT
        async with IPyServer(gadget, host=NEAR[0], port=NEAR[1], environment=world):
            client = await world.connect(*NEAR, 10.0, name="a client")
            assert isinstance(client, MemoryStream)
            await client.send(b"<getProperties version='1.7'/>")
            await received_until(client, b"</defBLOBVector>")
            client.send_now(new_abort().encode())
            client.close()
            await gadget.light.send_setVector(state="Busy")
            await anyio.sleep(1)
    assert [event.vectorname for event in gadget.events] == ["ABORT"]


async def test_an_abort_is_carried_out_by_a_driver_that_notices_the_end_of_its_peer_in_sending() -> None:
    gone = anyio.Event()

    async def report(driver: Gadget) -> None:
        await gone.wait()
        await driver.light.send_setVector(state="Busy")
        await anyio.sleep_forever()

    gadget = Gadget(work=report)
    near, far = memory_pair()
    far.cut = CUT
    async with anyio.create_task_group() as tasks:
        await tasks.start(gadget.asyncrun, far)
        await anyio.wait_all_tasks_blocked()
        gone.set()
        near.send_now(new_abort().encode())
        near.close()
        began = anyio.current_time()
    assert [event.vectorname for event in gadget.events] == ["ABORT"]
    assert gadget.left == 1
    assert anyio.current_time() == began, "the end of its input ends the wait for more"


async def test_a_driver_whose_output_is_closed_is_heard_out_and_leaves() -> None:
    """Nobody closes its input, so it waits a moment."""

    async def report(driver: Gadget) -> None:
        await anyio.sleep(1)
        await driver.light.send_setVector(state="Busy")
        await anyio.sleep_forever()

    gadget = Gadget(work=report)
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        await tasks.start(gadget.asyncrun, far)
        close_input(near)
        await anyio.sleep(1.01)
        near.send_now(new_abort().encode())
        began = anyio.current_time()
    assert [event.vectorname for event in gadget.events] == ["ABORT"]
    assert gadget.left == 1
    assert anyio.current_time() - began < 0.2


async def test_what_is_written_to_a_driver_long_after_its_output_was_closed_is_not_carried_out() -> None:
    """Nobody could be told what became of it."""

    async def report(driver: Gadget) -> None:
        await driver.light.send_setVector(state="Busy")
        await anyio.sleep_forever()

    gadget = Gadget(work=report)
    near, far = memory_pair()
    close_input(near)
    async with anyio.create_task_group() as tasks:
        await tasks.start(gadget.asyncrun, far)
        await anyio.sleep(0.5)
        assert gadget.left == 1
        near.send_now(new_abort().encode())
    assert gadget.events == []


@pytest.mark.parametrize("held", [0.0, 0.3])
async def test_a_held_event_loop_does_not_keep_a_driver_whose_output_is_closed_from_leaving(held: float) -> None:
    async def report(driver: Gadget) -> None:
        while True:
            await driver.light.send_setVector(state="Busy")
            hold(held)
            await anyio.sleep(0.01)

    gadget = Gadget(work=report)
    near, far = memory_pair()
    close_input(near)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        await tasks.start(gadget.asyncrun, far)
    assert gadget.left == 1
    assert anyio.current_time() - began < 0.2 + 5 * held


async def test_a_client_takes_the_last_words_of_a_server() -> None:
    speaker = Speaker()
    async with far_server(speaker) as world, open_client(*FAR, environment=world) as client:
        box = await client.device("Box", timeout=10)
        await box.vector("T", timeout=10)
        assert speaker.stream is not None
        speaker.stream.send_now(LAST_WORDS)
        speaker.stream.close()
        with pytest.raises(RefusedError, match="the motor is hot"):
            await box["T"].set(t="too late", timeout=10)


async def received_until(stream: MemoryStream, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        received = await stream.receive()
        assert received.data
        data += received.data
    return data
