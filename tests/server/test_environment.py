"""A server whose outside is memory: clients, another server and a program in one process, in virtual time."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

import indianyio
from indianyio import IPyServer, _turns, newNumberVector, open_client
from indianyio.client import Client
from indianyio.driver import NewEvent
from indianyio.streams import ByteStream
from tests.driver.gadget import Gadget
from tests.driver.test_life import CancelAtStep
from tests.server.memory_world import BEGINNING, MemoryProgram, World

SECONDS = 50.0

FAR, NEAR = ("far", 7624), ("near", 7625)


async def obey(driver: Gadget, event: NewEvent) -> None:
    """Do what was written, which takes a moment."""
    assert isinstance(event, newNumberVector)
    vector = driver[event.devicename][event.vectorname]
    await vector.send_setVector(state="Busy")
    await anyio.sleep(0.01)
    for member, value in event.items():
        vector[member] = value
    await vector.send_setVector(state="Ok")


class Observatory:
    """A server with a driver, a program and another server with a driver of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.gadgets: list[Gadget] = []
        world.installed["indi_box"] = lambda: self.gadget("Box")
        self.far = IPyServer(self.gadget("Far"), host=FAR[0], port=FAR[1], environment=world)
        self.near = IPyServer(self.gadget("Near"), host=NEAR[0], port=NEAR[1], environment=world)
        self.near.add_exdriver("indi_box", "-v")
        self.near.add_remote(*FAR)

    def gadget(self, device: str) -> Gadget:
        self.gadgets.append(Gadget(on_write=obey, device=device))
        return self.gadgets[-1]

    @property
    def program(self) -> MemoryProgram:
        return self.world.started[-1]

    def client(self) -> AbstractAsyncContextManager[Client]:
        return open_client(*NEAR, environment=self.world, reconnect=True)

    def check_all_left(self) -> None:
        """Whoever ran has left, once, and nothing is left over."""
        assert [gadget.left for gadget in self.gadgets] == [int(gadget.stopped.is_set()) for gadget in self.gadgets]
        assert all(program.status is not None for program in self.world.started)
        assert not self.world.listening


async def look_on(client: Client, who: str, heard: list[str]) -> None:
    """Write down what a client hears, and when."""
    async with client.watch() as changes:
        async for change in changes:
            name = "" if change.vector is None else change.vector.name
            state = "" if change.state is None else change.state.value
            heard.append(f"{anyio.current_time():.6f} {who} {change.kind} {change.device} {name} {state}")


async def talk(observatory: Observatory, heard: list[str]) -> None:
    """Have two clients that write to all three devices and see what comes of it."""
    async with observatory.client() as first, observatory.client() as second, anyio.create_task_group() as tasks:
        tasks.start_soon(look_on, first, "first", heard)
        tasks.start_soon(look_on, second, "second", heard)
        for number, device in enumerate(("Near", "Far", "Box"), 5):
            await (await second.device(device, timeout=SECONDS)).vector("NUMBER", timeout=SECONDS)
            writer = await first.device(device, timeout=SECONDS)
            await writer.vector("NUMBER", timeout=SECONDS)
            await writer.set("NUMBER", position=number, timeout=SECONDS)
            await second.wait_for(lambda s, d=device, n=number: s[d]["NUMBER"]["position"] == n, timeout=SECONDS)  # type: ignore[misc]
        tasks.cancel_scope.cancel("all was said")


async def lose_and_find(observatory: Observatory, heard: list[str]) -> None:
    """Kill the program and end the other server, under the eyes of a client; both come back."""
    async with observatory.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(look_on, client, "third", heard)
        await tasks.start(observatory.far.asyncrun)
        for device in ("Box", "Far"):
            await client.device(device, timeout=SECONDS)
        observatory.program.kill()
        await client.wait_for(lambda s: "Box" not in s, timeout=SECONDS)
        await client.device("Box", timeout=SECONDS)
        observatory.far.shutdown()
        await client.wait_for(lambda s: "Far" not in s, timeout=SECONDS)
        await observatory.far.stopped.wait()
        await tasks.start(observatory.far.asyncrun)
        await client.device("Far", timeout=2 * SECONDS)
        tasks.cancel_scope.cancel("all was seen")


@pytest.mark.anyio
async def test_clients_another_server_and_a_program_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    heard: list[str] = []
    async with anyio.create_task_group() as tasks:
        observatory = Observatory(World(tasks))
        async with observatory.far, observatory.near:
            assert observatory.near.addresses == ["near:7625"]
            await talk(observatory, heard)
            assert set(observatory.near.statistics()) >= {"driver of Near", "indi_box", "far:7624"}
    observatory.check_all_left()
    for who in ("first", "second"):
        for device in ("Near", "Far", "Box"):
            assert any(line.endswith(f"{who} updated {device} NUMBER Ok") for line in heard), heard
    errors = [record.getMessage() for record in caplog.records if record.name == "indianyio.server.driver.indi_box"]
    assert errors == ["it begins", "it ends"]
    assert observatory.program.status == 0, "the end of its input ended it"


@pytest.mark.anyio
async def test_a_program_that_is_not_installed_is_not_there() -> None:
    async with anyio.create_task_group() as tasks:
        server = IPyServer(host="near", environment=World(tasks))
        server.add_exdriver("indi_none")
        with pytest.raises(FileNotFoundError, match="indi_none"):
            await server.asyncrun()


@pytest.mark.anyio
async def test_a_program_in_memory_that_does_not_end_gets_both_signals(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(MemoryProgram):
        def close_input(self) -> None:
            pass

        def terminate(self) -> None:
            raise PermissionError(1, "Operation not permitted")

    class Stubborner(World):
        program: type[MemoryProgram] = Stubborn

    async with anyio.create_task_group() as tasks:
        world = Stubborner(tasks)
        observatory = Observatory(world)
        observatory.near.exdrivers[0]._least_grace_seconds = 0.01
        async with observatory.near, observatory.client() as client:
            await client.device("Box", timeout=SECONDS)
    assert observatory.program.status == -9
    assert "indi_box: cannot send it SIGTERM: [Errno 1]" in caplog.text
    assert "sending it SIGKILL" in caplog.text


@pytest.mark.anyio
async def test_the_environment_decides_at_what_time_of_day_a_server_speaks() -> None:
    class Still(World):
        def time_of_day(self) -> datetime:
            return BEGINNING

    async with anyio.create_task_group() as tasks:
        world = Still(tasks)
        async with IPyServer(Gadget(), host=NEAR[0], port=NEAR[1], environment=world) as server:
            client = await world.connect(*NEAR, SECONDS, name="a client")
            with anyio.fail_after(SECONDS):
                await client.send(b"<getProperties version='1.7'/>")
                await received_until(client, b"</defNumberVector>")
                await client.send(b"<newNumberVector device='Gadget' name='NUMBER'><oneNumber></newNumberVector>")
                refused = await received_until(client, b"Alert.*>")
                await server.send_message("clouds")
                told = await received_until(client, b"clouds.*>")
                server.shutdown("closing")
                farewell = await received_until(client, b"closing.*>")
            await client.aclose()
    for said in (refused, told, farewell):
        assert b'timestamp="2031-05-06T07:08:09"' in said


async def received_until(stream: ByteStream, pattern: bytes) -> bytes:
    """Receive until something matches, and return what came."""
    data = b""
    while not re.search(pattern, data, re.DOTALL):
        received = await stream.receive()
        assert received.data
        data += received.data
    return data


# -- in virtual time ---------------------------------------------------------------------------------------------


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let trio's scheduler take its chance from a seed, and nobody's turn end by real time."""
    monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    with _turns.measured_by(lambda: 0.0):
        yield


async def night(seed: int) -> list[str]:
    heard: list[str] = []
    async with anyio.create_task_group() as tasks:
        observatory = Observatory(World(tasks, seed))
        async with observatory.near:
            async with observatory.far:
                await talk(observatory, heard)
            # It was lost when it ended; it is tried again ever later, and found when it is back.
            await lose_and_find(observatory, heard)
    killed, *others = observatory.world.started
    assert killed.status == -9
    assert [one.status for one in others] == [0]
    assert not observatory.world.listening
    return heard


def run(seed: int) -> list[str]:
    trio._core._run._r.seed(seed)
    return trio.run(night, seed, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.usefixtures("seeded")
def test_a_night_of_one_seed_is_always_the_same() -> None:
    first = run(1)
    assert len(first) > 60
    for _ in range(3):
        assert run(1) == first
    assert run(2) != first


@pytest.mark.parametrize("stride", [41, pytest.param(1, marks=pytest.mark.long)])
def test_cancelled_at_any_step_everybody_leaves_and_nothing_is_left(stride: int) -> None:
    for step in range(1, 100_000, stride):
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)

        async def main(scope: trio.CancelScope = scope) -> Observatory:
            async with trio.open_nursery() as nursery:
                observatory = Observatory(World(nursery))
                with scope:
                    async with observatory.far, observatory.near:
                        await talk(observatory, [])
            return observatory

        clock = trio.testing.MockClock(autojump_threshold=0)
        observatory = trio.run(main, clock=clock, instruments=[instrument])
        assert clock.current_time() < 30, f"step {step}"
        observatory.check_all_left()
        if instrument.left > 0:
            assert step > 100
            return


# -- nobody goes round it ------------------------------------------------------------------------------------------


SOURCES = Path(indianyio.__file__).parent
# What reaches outside, and the module that may.
OUTSIDE = {
    *(
        "random",
        "secrets",
        "socket",
        "subprocess",
        "uuid",
        "anyio.to_thread",
        "anyio.to_process",
        "asyncio",
        "trio",
    ),
    *("anyio.connect_tcp", "anyio.connect_unix", "anyio.create_tcp_listener", "anyio.create_unix_listener"),
    *("anyio.getaddrinfo", "anyio.open_process", "anyio.run_process", "anyio.current_time", "time.time"),
    *("time.monotonic", "indianyio._binding.bind", "indianyio.streams._programs", "indianyio.streams._connecting"),
    *("indianyio.streams.dial", "indianyio.streams.dial_tls", "indianyio.streams.dial_unix"),
    *("indianyio.streams.dial_socket", "os.urandom", "os.fork", "os.system", "datetime.datetime.today"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today", "time.time_ns", "time.gmtime"),
}


def names_used(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, and the attributes that it takes of what it imports, by their full names."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}"
                yield str(node.module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            yield f"{known[node.value.id]}.{node.attr}"


@pytest.mark.parametrize("folder", ["server", "indiserver"])
def test_no_module_of_a_server_reaches_outside_by_itself(folder: str) -> None:
    modules = sorted((SOURCES / folder).glob("*.py"))
    assert len(modules) > 5
    found = {
        f"{path.name}: {name}"
        for path in modules
        for name in names_used(ast.parse(path.read_text(encoding="utf-8")))
        if name in OUTSIDE
    }
    assert not found


def test_what_looks_for_that_finds_it() -> None:
    text = "import anyio, socket as s\nfrom anyio import to_thread\nfrom random import random\nanyio.current_time()"
    assert OUTSIDE & set(names_used(ast.parse(text))) == {
        *("anyio.current_time", "socket", "anyio.to_thread", "random"),
    }
