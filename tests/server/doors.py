"""A way into a server without a network: socket pairs handed to its run."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from indianyio import IPyDriver
from indianyio._routing import PeerOutbox
from indianyio._tasks import TaskStarter
from indianyio._vocabulary import Limits
from indianyio.server._clients import Clients
from indianyio.server._hub import Hub
from indianyio.server._ports import Tap
from indianyio.server._run import Feeder, ServerRun
from indianyio.streams import SocketStream
from indianyio.streams._base import Accepted, Connection
from indianyio.streams._listening import ConnectionHandler
from indianyio.testing import Peer


class Door:
    """What a listener is to a run; :meth:`knock` makes a connection."""

    address = "the door"

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[socket.socket](100)
        self.closed = False
        self.clients: list[Client] = []
        self._handed_in: list[socket.socket] = []

    async def accept_forever(self, handle: ConnectionHandler, tasks: TaskStarter) -> None:
        async for sock in self._receive:
            tasks.start_soon(_serve, handle, sock)

    def close(self) -> None:
        self.closed = True
        self._send.close()
        self._receive.close()

    async def knock(self) -> Client:
        near, far = socket.socketpair()
        self.clients.append(Client(near))
        self._handed_in.append(far)
        await self._send.send(far)
        return self.clients[-1]

    def tidy(self) -> None:
        """Close both ends of everything, also of what nobody came to open for."""
        for client in self.clients:
            client.wire.close()
        for sock in self._handed_in:
            sock.close()


class Client(Peer):
    """A client of a server, over a socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        self.wire = SocketStream(sock)
        super().__init__(self.wire)


@asynccontextmanager
async def serving(
    *drivers: IPyDriver,
    feeders: Sequence[Feeder] = (),
    most_clients: int = 100,
    grace_seconds: float = 5,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    make_outbox: Callable[[], PeerOutbox] = PeerOutbox,
    taps: Sequence[Tap] = (),
) -> AsyncGenerator[tuple[Door, ServerRun]]:
    """Run a server for the block, and end it in order."""
    door = Door()
    clients = Clients(most=most_clients, make_outbox=make_outbox)
    run = ServerRun(Hub(limits, taps), [door], drivers, feeders, clients, grace_seconds=grace_seconds)
    started = anyio.Event()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.serve, started.set)
            await started.wait()
            try:
                yield door, run
            finally:
                run.end("the test is over")
    finally:
        door.tidy()


async def _serve(handle: ConnectionHandler, sock: socket.socket) -> None:
    with sock:
        await handle(Accepted(Connection("unix"), SocketStream(sock, name="unix socket")))
