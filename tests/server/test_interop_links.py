"""Links between servers, seen from inside: asked anew after a reconnect, at rest in a circle."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from indianyio._routing import PeerStatistics
from indianyio.protocol import DefSwitchVector, DelProperty, SetNumberVector
from indianyio.server import IPyServer
from tests.libindi.libindi_harness import Client as BlockingClient
from tests.libindi.libindi_harness import free_port, indiserver, installed, tcp_client
from tests.server.doors import Client
from tests.server.interop_drivers import OTHER, SORTS, THIRD, Sorts
from tests.server.network import at_work, fence
from tests.server.watching import errors

pytestmark = pytest.mark.anyio

FOCUSER, WHEEL = "Focuser Simulator", "Filter Simulator"
DEVICES = SORTS, OTHER, THIRD


# -- a reconnect -----------------------------------------------------------------------------------------------


def has_been_running(client: BlockingClient) -> None:
    """Return when both drivers have answered, so that what they say by themselves at their start is over."""
    client.ask()
    missing = {FOCUSER, WHEEL}
    while missing:
        missing.discard(client.expect(DefSwitchVector, "CONNECTION").device)


async def connections(client: Client) -> None:
    """Return when both drivers are defined."""
    while not {(FOCUSER, "CONNECTION"), (WHEEL, "CONNECTION")} <= client.definitions.keys():
        await client.receive()


@pytest.mark.libindi
@pytest.mark.skipif(not installed("indi_simulator_focus"), reason="no simulators (Debian: indi-bin)")
async def test_s12_every_device_of_an_indiserver_is_back_after_a_reconnect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also those whose drivers do not answer the ``*`` of servers, and though no client asks again."""
    with indiserver(tmp_path, "indi_simulator_focus", "indi_simulator_wheel") as theirs:
        with tcp_client(theirs) as other:
            has_been_running(other)
            server = IPyServer(host="127.0.0.1", port=0)
            server.add_remote("localhost", theirs.port)
            async with at_work(server) as network:
                client = network.connect()
                await client.get_properties()
                await connections(client)
                port = server.remotes[0].port
                assert port is not None
                port.refuse("the cable was cut")
                assert {(await client.expect(DelProperty)).device for _ in range(2)} == {FOCUSER, WHEEL}
                await connections(client)
    assert errors(caplog) == []


# -- a circle --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def ring() -> AsyncGenerator[tuple[list[IPyServer], list[Client]]]:
    """Run three servers, each with the next one behind it and the first behind the last, and a client of each."""
    servers = [IPyServer(Sorts(device), host="127.0.0.1", port=free_port()) for device in DEVICES]
    for server, behind in zip(servers, [*servers[1:], servers[0]], strict=True):
        server.add_remote("127.0.0.1", behind.port)
    async with at_work(servers[0]) as first, at_work(servers[1]) as second, at_work(servers[2]) as third:
        clients = [network.connect() for network in (first, second, third)]
        for client, device, behind_it in zip(clients, DEVICES, [*DEVICES[1:], DEVICES[0]], strict=True):
            await client.get_properties()
            while not {(device, "light"), (behind_it, "light")} <= client.definitions.keys():
                await client.receive()
        yield servers, clients


def counters(servers: list[IPyServer]) -> list[dict[str, PeerStatistics]]:
    return [server.statistics() for server in servers]


async def at_rest(servers: list[IPyServer]) -> list[dict[str, PeerStatistics]]:
    """Return the counters when for a while nothing has passed any more."""
    before: list[dict[str, PeerStatistics]] = []
    with anyio.fail_after(20):
        while before != (before := counters(servers)):  # noqa: ASYNC110 - there is no event
            await anyio.sleep(0.3)
    return before


async def test_three_servers_in_a_circle_say_nothing_when_nobody_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with ring() as (servers, clients):
        settled = await at_rest(servers)
        assert sum(len(peers) for peers in settled) == 3 * 4  # a driver, a client, one server on either side
        assert sum(one.messages_in for peers in settled for one in peers.values()) < 500
        await anyio.sleep(1)
        assert counters(servers) == settled
        writer, reader = clients[0], clients[2]
        await writer.write(SORTS, "number", plain=3)
        for client in (writer, reader):
            await client.expect(SetNumberVector, device=SORTS, state="Ok", plain=3)
        again = await at_rest(servers)
        passed = sum(one.messages_in for peers in again for one in peers.values()) - sum(
            one.messages_in for peers in settled for one in peers.values()
        )
        assert passed < 10, "each message passes each link once at most"
        for client in clients:
            await fence(client)
    assert errors(caplog) == []


async def test_a_blob_passes_a_circle_once() -> None:
    async with ring() as (servers, clients):
        await at_rest(servers)
        writer, reader = clients[0], clients[2]
        for client in (writer, reader):
            await client.send(f'<enableBLOB device="{SORTS}">Also</enableBLOB>')
            await fence(client)
        await at_rest(servers)
        await writer.write(SORTS, "blob", file=b"round and round")
        for client in (writer, reader):
            while client.received[-1].tag != "setBLOBVector":
                await client.receive()
        await at_rest(servers)
        for client in clients:
            await fence(client)
        tags = [[one.tag for one in client.received].count("setBLOBVector") for client in clients]
        assert tags == [1, 0, 1]
