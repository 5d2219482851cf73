"""indipyclient 0.9.4, in a process of its own, as a client of our server."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from indianyio.server import IPyServer
from tests.driver.gadget import Gadget
from tests.server.interop_drivers import SORTS, Sorts
from tests.server.network import at_work
from tests.server.processes import ROOT

pytest.importorskip("indipyclient")
pytestmark = pytest.mark.anyio

SECONDS = 40.0

Event = dict[str, object]

# What it tells its user of itself; all else that names no device is a complaint about what it got.
CHATTER = ("Attempting to connect", "Connected to", "Connection", "getProperties sent", "Sending Error")


class IndipyClient:
    """The program at work."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin = process.stdin
        self._stdout = TextReceiveStream(process.stdout)
        self._rest = ""
        self.events: list[Event] = []

    async def do(self, command: str, *arguments: object) -> None:
        await self._stdin.send(json.dumps([command, *arguments]).encode() + b"\n")

    async def write(self, vector: str, **members: object) -> None:
        await self.do("send_newVector", SORTS, vector, members)

    async def next(self) -> Event:
        while "\n" not in self._rest:
            self._rest += await self._stdout.receive()
        line, self._rest = self._rest.split("\n", 1)
        self.events.append(json.loads(line))
        return self.events[-1]

    async def expect(self, eventtype: str, vector: str | None = None, **values: str) -> Event:
        """Return the next event of this type; those before it are kept in ``events``."""
        with anyio.fail_after(SECONDS):
            while True:
                event = await self.next()
                if event["eventtype"] == eventtype and event["vectorname"] == vector and has(event, values):
                    return event

    def complaints(self) -> list[Event]:
        said = [event for event in self.events if event["eventtype"] == "Message" and not event["devicename"]]
        return [event for event in said if not str(event["message"]).startswith(CHATTER)]


def has(event: Event, values: Mapping[str, str]) -> bool:
    held = event["values"]
    assert isinstance(held, dict)
    return values.items() <= held.items()


@asynccontextmanager
async def indipyclient(port: int) -> AsyncGenerator[IndipyClient]:
    """Run it for the block; after it, it must not have complained of anything."""
    command = [sys.executable, "-m", "tests.server.indipy_client", str(port)]
    async with await anyio.open_process(command, cwd=ROOT, stderr=None) as process:
        try:
            client = IndipyClient(process)
            yield client
            assert client.complaints() == []
        finally:
            process.kill()


def port_in(addresses: list[str]) -> int:
    return int(addresses[0].rpartition(":")[2])


async def learned(client: IndipyClient) -> dict[object, Event]:
    """Return the definitions of all vectors of the driver."""
    found: dict[object, Event] = {}
    while found.keys() < {"text", "number", "switch", "light", "blob"}:
        event = await client.next()
        if event["devicename"] == SORTS:
            found[event["vectorname"]] = event
    return found


async def test_it_learns_a_driver_whose_members_have_only_names() -> None:
    async with at_work(IPyServer(Sorts(), host="127.0.0.1", port=0)) as network:
        async with indipyclient(port_in(network.addresses)) as client:
            with anyio.fail_after(SECONDS):
                found = await learned(client)
    assert {name: event["eventtype"] for name, event in found.items()} == {
        "text": "Define", "number": "Define", "switch": "Define", "light": "Define", "blob": "DefineBLOB",
    }  # fmt: skip
    assert found["text"]["values"] == {"note": "", "other": "<&>"}
    assert found["number"]["labels"] == {name: [name, "%g", "0", "0", "0"] for name in ("plain", "rest")}
    assert found["switch"]["values"] == {"delete": "Off", "define": "Off"}
    assert found["light"]["values"] == {"text": "Idle", "number": "Idle", "blob": "Idle"}


async def test_it_writes_every_kind_and_gets_what_it_wrote() -> None:
    data = os.urandom(100_000)
    async with at_work(IPyServer(Sorts(), host="127.0.0.1", port=0)) as network:
        async with indipyclient(port_in(network.addresses)) as client:
            with anyio.fail_after(SECONDS):
                await learned(client)
            await client.write("text", note='a < "b" & ü')
            answer = await client.expect("Set", "text", note='a < "b" & ü', other="<&>")
            assert answer["state"] == "Ok"
            await client.expect("Set", "light", text="Ok")
            await client.write("number", plain=-12.5)
            await client.expect("Set", "number", plain="-12.5")
            await client.expect("Set", "light", number="Ok")
            await client.write("switch", define="On")
            await client.expect("Define", "text", note='a < "b" & ü')
            await client.expect("Set", "switch", define="On", delete="Off")
            await client.do("send_enableBLOB", "Also", SORTS)
            content = base64.b64encode(data).decode("ascii")
            await client.write("blob", file=content)
            await client.expect("SetBLOB", "blob", file=content)
            await client.do("send_enableBLOB", "Never", SORTS, "blob")
            await client.write("blob", file=content)
            await client.expect("Set", "light", blob="Ok")
    assert [event["eventtype"] for event in client.events].count("SetBLOB") == 1


async def test_it_sees_a_vector_go_and_come_back() -> None:
    async with at_work(IPyServer(Sorts(), host="127.0.0.1", port=0)) as network:
        async with indipyclient(port_in(network.addresses)) as client:
            with anyio.fail_after(SECONDS):
                await learned(client)
            await client.write("switch", delete="On")
            gone = await client.expect("Delete", "text")
            assert gone["message"] == "it was told to go"
            await client.expect("Set", "switch", delete="On")
            await client.write("switch", define="On")
            await client.expect("Define", "text")
            await client.write("text", note="here again")
            await client.expect("Set", "text", note="here again")


async def test_it_hears_no_requests_of_others() -> None:
    """Not what another client asks for, and not what a driver snoops."""
    driver = Gadget()
    driver.snoop(SORTS, "number", 30)
    async with at_work(IPyServer(Sorts(), driver, host="127.0.0.1", port=0)) as network:
        async with indipyclient(port_in(network.addresses)) as client:
            with anyio.fail_after(SECONDS):
                await learned(client)
            other = await network.greeted()
            await other.send('<getProperties version="1.7" device="Nobody" name="x"/>')
            await driver.send_getProperties("Nobody", "y")
            await client.write("number", plain=1)
            await client.expect("Set", "light", number="Ok")
            await other.close()
    assert [event for event in client.events if event["eventtype"] == "getProperties"] == []


async def nudge(client: IndipyClient) -> None:
    """Let it write, again and again."""
    while True:
        await client.do("send_getProperties")
        await anyio.sleep(0.1)


async def test_it_comes_back_after_the_server_was_restarted() -> None:
    """It finds out only when it writes, so it is told to; then it waits five seconds, as it always does."""
    server = IPyServer(Sorts(), host="127.0.0.1", port=0)
    with anyio.fail_after(2 * SECONDS):
        async with anyio.create_task_group() as tasks:
            server.port = port_in(await tasks.start(server.asyncrun))
            async with indipyclient(server.port) as client:
                await learned(client)
                server.shutdown()
                await server.stopped.wait()
                async with anyio.create_task_group() as nudging:
                    nudging.start_soon(nudge, client)
                    await client.expect("ConnectionLost")
                    nudging.cancel_scope.cancel()
                await tasks.start(server.asyncrun)
                await client.expect("ConnectionMade")
                await learned(client)
                await client.write("number", rest=7)
                await client.expect("Set", "number", rest="7")
            server.shutdown()
