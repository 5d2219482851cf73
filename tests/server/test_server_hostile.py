"""Peers that mean harm, or whose machines do: the server serves all others as if nothing were."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import struct
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from indianyio import BLOBMember, BLOBVector, Device, IPyDriver
from indianyio._rated_log import RatedLog
from indianyio._routing import PeerOutbox
from indianyio.protocol import (
    DefTextVector,
    DelProperty,
    EnableBLOB,
    Message,
    SetBLOBVector,
    SetTextVector,
)
from indianyio.server import IPyServer
from tests.driver.gadget import DEVICE, Gadget, new_number
from tests.server.doors import Client, serving
from tests.server.network import Echo, Network, at_work, fence, is_let_go, listening, open_descriptors, talk
from tests.server.programs import Programs, write
from tests.server.watching import until

pytestmark = pytest.mark.anyio

LINGER_NOT = struct.pack("ii", 1, 0)


# -- they come and go ------------------------------------------------------------------------------------------


async def test_who_comes_and_goes_without_end_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="indianyio.server._clients")
    async with serving(Gadget()) as (door, run):
        run.clients._log = RatedLog(logging.getLogger("indianyio.server._clients"), clock=lambda: 0.0)
        for _ in range(30):
            client = await door.knock()
            await client.get_properties()
            await client.expect(DefTextVector)
            await client.close()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 22
    assert sum(": connected, full" in line for line in lines) == 11
    assert sum(line.endswith("more of this is only counted for 10 s") for line in lines) == 2
    assert [line.partition("; ")[2] for line in lines[-2:]] == ["19 such lines before it were left out"] * 2


async def leave_cleanly(network: Network) -> None:
    client = await network.greeted()
    await client.close()


async def reset(network: Network) -> None:
    sock = network.dial()
    client = Client(sock)
    await client.get_properties()
    await client.receive()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    client.wire.close()


async def close_half(network: Network) -> None:
    sock = network.dial()
    client = Client(sock)
    await client.get_properties()
    sock.shutdown(socket.SHUT_WR)
    assert await is_let_go(client)
    client.wire.close()


async def leave_in_the_middle(network: Network) -> None:
    client = network.connect()
    await client.send(new_number(5)[:-20])
    await client.close()


WAYS: list[Callable[[Network], Awaitable[None]]] = [leave_cleanly, reset, close_half, leave_in_the_middle]


async def come_and_go(times: int) -> None:
    """Connect and leave so often; nothing of it may remain."""
    driver = Echo()
    # A hang is noticed, and a machine that has other things to do as well is none.
    async with listening(driver, seconds=60 + times / 20) as (network, server):
        healthy = await network.greeted()
        for way in WAYS:
            await way(network)
        tracemalloc.start()
        try:
            before = await remains(server)
            for number in range(times):
                await WAYS[number % len(WAYS)](network)
                network.tidy(keep=1)
                await fence(healthy)  # it has seen what was defined for the others
                healthy.received.clear()
            after = await remains(server)
        finally:
            tracemalloc.stop()
        assert after[:2] == before[:2], "descriptors, tasks"
        assert after[2] - before[2] < 300_000, "bytes"
        assert driver.events == []


async def remains(server: IPyServer) -> tuple[int, int, int]:
    """Return descriptors, tasks and memory when all have gone but the driver and one client."""
    await until(lambda: len(server.statistics()) == 2)
    with anyio.fail_after(10):
        # A task that spins at the end of its stream would never let this return.
        await anyio.wait_all_tasks_blocked()
    gc.collect()  # what waits for the collector remains no longer than until it comes
    return open_descriptors(), len(anyio.get_running_tasks()), tracemalloc.get_traced_memory()[0]


@pytest.mark.long
async def test_s1_three_hundred_come_and_go_in_four_ways(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # what is captured would count as memory
    await come_and_go(300)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("clients", [2_500, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_s1_thousands_come_and_go_in_four_ways(clients: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    await come_and_go(clients)


# -- they do not read ------------------------------------------------------------------------------------------


async def count(sock: socket.socket, what: bytes, wanted: int) -> None:
    """Read until this has come so often, and keep nothing."""
    seen, rest = 0, b""
    while seen < wanted:
        await anyio.wait_readable(sock)
        data = sock.recv(1 << 16)
        assert data, f"the server let it go after {seen}"
        seen += (rest + data).count(what)
        rest = (rest + data)[-len(what) + 1 :]


async def stall(caplog: pytest.LogCaptureFixture, updates: int, limit_bytes: int) -> None:
    """Have one client that reads nothing and two that do, and send so many updates of 1 kB."""
    caplog.set_level(logging.INFO)
    driver = Gadget()
    async with serving(driver, make_outbox=partial(PeerOutbox, limit_bytes)) as (door, run):
        for _ in range(3):
            client = await door.knock()
            await client.send(f'<getProperties version="1.7" device="{DEVICE}" name="NUMBER"/>')
            await client.receive()
        readers = [client.wire._socket for client in door.clients[1:]]
        tracemalloc.start()
        try:
            async with anyio.create_task_group() as tasks:
                for sock in readers:
                    tasks.start_soon(count, sock, b"</setNumberVector>", updates)
                for _ in range(updates):
                    await driver.number.send_setVector(message="x" * 1000)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(run.clients.ports) == 2
        assert peak < 2 * limit_bytes
    assert [text for text in caplog.messages if "(client 1): " in text and "bytes" in text]


@pytest.mark.long
async def test_s2_six_thousand_updates_pass_a_client_that_does_not_read(caplog: pytest.LogCaptureFixture) -> None:
    await stall(caplog, 6_000, 2 << 20)


async def test_s2_who_watches_a_video_slowly_loses_frames_and_nothing_else() -> None:
    video = BLOBVector("VIDEO", "Video", "Main", "ro", "Ok", [BLOBMember("frame", blobformat=".stream")])
    driver = IPyDriver(Device("Camera", [video]))
    frames, frame_bytes = 30, 1 << 20
    async with listening(driver) as (network, server):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # or the kernel takes half of the film
        sock.connect(network.dial().getpeername())
        client = Client(sock)
        await client.get_properties()
        await client.send(EnableBLOB(device="Camera", value="Also"))
        await fence(client)
        for number in range(frames):
            video["frame"] = bytes([number]) * frame_bytes
            await video.send_setVectorMembers(members=["frame"])
        await driver.send_message("the film is over")
        await client.expect(Message)
        shown = [one.members[0].data or b"" for one in client.received if isinstance(one, SetBLOBVector)]
        dropped = sum(one.dropped_blobs for one in server.statistics().values())
        assert 4 <= len(shown) == frames - dropped < frames
        assert all(len(data) == frame_bytes and len(set(data)) == 1 for data in shown)
        await fence(client)
        await client.close()


# -- drivers ---------------------------------------------------------------------------------------------------

HALF_A_BLOB = """
while True:
    hear()
    show(os.getpid())
    say('<setBLOBVector device="Box" name="B" state="Ok"><oneBLOB name="b" size="3000000" format=".fits">')
    say('QUJD' * 300000)
"""


async def process_of_the_box(client: Client) -> int:
    """Write to the driver when it is there, and return its process."""
    while True:
        message = await client.receive()
        if isinstance(message, DefTextVector) and message.device == "Box":
            await client.send(write("go"))
        if isinstance(message, SetTextVector) and message.device == "Box":
            return int(message.members[0].value)


async def test_s9_a_driver_that_is_killed_in_the_middle_of_a_blob(tmp_path: Path) -> None:
    server = IPyServer(Echo(), host="127.0.0.1", port=0)
    server.exdrivers.append(Programs(tmp_path).driver(HALF_A_BLOB, restarts=1))
    async with at_work(server) as network:
        client, healthy = network.connect(), await network.greeted()
        await client.send('<getProperties version="1.7"/><enableBLOB>Also</enableBLOB>')
        enough = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk, healthy, enough)
            os.kill(await process_of_the_box(client), signal.SIGKILL)
            assert "SIGKILL" in ((await client.expect(Message, device="Box")).message or "")
            assert (await client.expect(DelProperty, device="Box")).name is None
            os.kill(await process_of_the_box(client), signal.SIGTERM)
            await client.expect(DelProperty, device="Box")
            enough.set()
        assert not [one for one in client.received if isinstance(one, SetBLOBVector)]


async def test_s6_hardware_that_raises_takes_nobody_with_it(caplog: pytest.LogCaptureFixture) -> None:
    async def burn(driver: Gadget) -> None:
        await on_fire.wait()
        raise OSError("smoke from the mount")

    on_fire = anyio.Event()
    async with listening(Echo(), Gadget(device="Mount", work=burn)) as (network, server):
        client = await network.greeted(device="Mount")
        on_fire.set()
        assert "smoke from the mount" in ((await client.expect(Message, device="Mount")).message or "")
        await client.expect(DelProperty, device="Mount")
        enough = anyio.Event()
        enough.set()
        await talk(client, enough)
        assert not server.stop
        late = await network.greeted()
        assert {device for device, _ in late.definitions} == {DEVICE}
    assert "smoke from the mount" in caplog.text
