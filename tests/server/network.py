"""A server on real sockets, and the clients that come to it."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from indianyio import Device, IPyDriver, TextMember, TextVector, newTextVector
from indianyio.driver import NewEvent
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import DefBLOBVector, PingReply, SetTextVector
from indianyio.server import IPyServer
from tests.driver.gadget import DEVICE, Gadget
from tests.server.doors import Client

SECONDS = 60.0


class Echo(Gadget):
    """Sets its text to what it is told."""

    async def rxevent(self, event: NewEvent) -> None:
        if isinstance(event, newTextVector):
            self.text["word"] = event["word"]
            await self.text.send_setVector(state="Ok")


class Teller(IPyDriver):
    """Has one text, ``t`` of ``T``, which it sets to what it is told."""

    def __init__(self, device: str) -> None:
        self.text = TextVector("T", "T", "Main", "rw", "Idle", [TextMember("t")])
        super().__init__(Device(device, [self.text]))

    async def rxevent(self, event: NewEvent) -> None:
        assert isinstance(event, newTextVector)
        self.text["t"] = event["t"]
        await self.text.send_setVector(state="Ok")


class Network:
    """Where a server listens."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self._opened: list[socket.socket] = []

    def dial(self, address: str | None = None) -> socket.socket:
        """Connect to one of the addresses, the first by default; the kernel answers, so nothing waits."""
        sock = dial(address or self.addresses[0])
        self._opened.append(sock)
        return sock

    def connect(self, address: str | None = None) -> Client:
        return Client(self.dial(address))

    async def greeted(self, address: str | None = None, device: str = DEVICE) -> Client:
        """Return a client that has asked for everything and has what the gadget answers."""
        client = self.connect(address)
        await client.get_properties()
        await client.expect(DefBLOBVector, device=device)
        await fence(client)
        return client

    def tidy(self, *, keep: int = 0) -> None:
        """Close all connections but the first so many."""
        for sock in self._opened[keep:]:
            sock.close()
        del self._opened[keep:]


@asynccontextmanager
async def listening(
    *drivers: IPyDriver,
    unix: str | None = None,
    host: str | None = "127.0.0.1",
    most_clients: int = 100,
    seconds: float = 4 * SECONDS,
) -> AsyncGenerator[tuple[Network, IPyServer]]:
    """Run a server of these drivers for the block, and end it in order."""
    server = IPyServer(*drivers, host=host, port=0, maxconnections=most_clients, unix=unix)
    async with at_work(server, seconds) as network:
        yield network, server


@asynccontextmanager
async def at_work(server: IPyServer, seconds: float = 4 * SECONDS) -> AsyncGenerator[Network]:
    """Run this server for the block, and end it in order; a test that hangs fails."""
    network = Network([])
    try:
        with anyio.fail_after(seconds):
            async with anyio.create_task_group() as tasks:
                network.addresses = await tasks.start(server.asyncrun)
                try:
                    yield network
                finally:
                    server.shutdown()
    finally:
        network.tidy()


def dial(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if port.isdigit():
        return socket.create_connection((host.strip("[]"), int(port)))
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError:
        sock.close()
        raise
    return sock


async def fence(client: Client) -> None:
    """Return when the client has received everything that was queued for it so far."""
    await client.send('<pingRequest uid="fence"/>')
    while (await client.expect(PingReply)).uid != "fence":
        pass


async def talk(client: Client, enough: anyio.Event) -> None:
    """Write to an :class:`Echo` and get the answer, again and again."""
    words = 0
    while not enough.is_set() or not words:
        words += 1
        await client.write(DEVICE, "TEXT", word=f"word {words}")
        await client.expect(SetTextVector, device=DEVICE, state="Ok", word=f"word {words}")


async def is_let_go(client: Client) -> bool:
    """Receive whatever there is left, until the server has closed the connection."""
    with anyio.fail_after(SECONDS):
        try:
            while True:
                await client.receive()
        except ConnectionLostError:
            return True


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
