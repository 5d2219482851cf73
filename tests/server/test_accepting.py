"""The accept loop: what a connection is like, and what does not end it."""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio.testing
from anyio.abc import TaskGroup

from indianyio._binding import Bound
from indianyio.streams import SocketStream
from indianyio.streams._base import Accepted, Connection
from indianyio.streams._listening import Listener, open_listeners

from .crowded_server import MOST_DESCRIPTORS

pytestmark = pytest.mark.anyio

virtual_time = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="mock-trio")],
)


class Guests:
    """Keeps those who come until they are told to leave."""

    def __init__(self) -> None:
        self.present: list[tuple[socket.socket, Connection]] = []
        self.leave = anyio.Event()
        self._came = anyio.Event()

    async def receive(self, accepted: Accepted) -> None:
        stream = await accepted.open()
        assert isinstance(stream, SocketStream)
        self.present.append((stream._socket, accepted.connection))
        self._came.set()
        self._came = anyio.Event()
        await self.leave.wait()

    async def come(self, count: int) -> None:
        await self._until(lambda: len(self.present) >= count)

    async def come_from(self, client: socket.socket) -> None:
        """Wait for this client, and so for those who connected before it."""
        port = client.getsockname()[1]
        await self._until(lambda: any(connection.port == port for _, connection in self.present))

    async def _until(self, reached: Callable[[], bool]) -> None:
        with anyio.fail_after(30):
            while not reached():
                await self._came.wait()


@asynccontextmanager
async def accepting(*listeners: Listener) -> AsyncGenerator[tuple[Guests, TaskGroup]]:
    guests = Guests()
    try:
        async with anyio.create_task_group() as tasks:
            for listener in listeners:
                tasks.start_soon(listener.accept_forever, guests.receive, tasks)
            yield guests, tasks
            tasks.cancel_scope.cancel()
    finally:
        for listener in listeners:
            listener.close()


def connected(listener: Listener) -> socket.socket:
    """Connect to a listener; the kernel answers, accepted or not."""
    sock = socket.socket(listener._socket.family)
    sock.connect(listener._socket.getsockname())
    return sock


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_tcp_connection(host: str) -> None:
    (listener,) = await open_listeners(host, 0, None)
    async with accepting(listener) as (guests, _):
        with connected(listener) as client:
            await guests.come(1)
            sock, connection = guests.present[0]
            assert connection == Connection("tcp", address=host, port=client.getsockname()[1])
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            assert not os.get_inheritable(sock.fileno())
            assert not sock.getblocking()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="this system does not tell")
@pytest.mark.parametrize("kind", ["path", "abstract"])
async def test_a_unix_connection_tells_whose_process_it_is(kind: str, tmp_path: Path) -> None:
    name = str(tmp_path / "indi") if kind == "path" else f"@indianyio-{uuid4()}"
    (listener,) = await open_listeners(None, 0, name)
    async with accepting(listener) as (guests, _):
        with connected(listener):
            await guests.come(1)
            _, connection = guests.present[0]
            assert connection == Connection("unix", uid=os.getuid(), gid=os.getgid(), pid=os.getpid())


async def test_all_listeners_serve_at_once(tmp_path: Path) -> None:
    listeners = await open_listeners("localhost", 0, str(tmp_path / "indi"))
    async with accepting(*listeners) as (guests, _):
        with ExitStack() as clients:
            for listener in listeners * 10:
                clients.enter_context(connected(listener))
            await guests.come(30)


async def test_a_socket_is_closed_when_its_handler_returns() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0, None)
    async with accepting(listener) as (guests, _):
        guests.leave.set()
        with connected(listener) as client:
            client.setblocking(False)
            with anyio.fail_after(30):
                await anyio.wait_readable(client)
            assert client.recv(1) == b""
            assert guests.present[0][0].fileno() < 0


async def test_close_ends_the_loop_and_leaves_the_connections() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0, None)
    guests = Guests()
    async with anyio.create_task_group() as outer:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.accept_forever, guests.receive, outer)
                client = connected(listener)
                await guests.come(1)
                await anyio.wait_all_tasks_blocked()
                listener.close()
        sock, _ = guests.present[0]
        client.sendall(b"still here")
        await anyio.wait_readable(sock)
        assert sock.recv(100) == b"still here"
        outer.cancel_scope.cancel()
    client.close()
    assert sock.fileno() < 0


async def test_a_closed_listener_accepts_nothing() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0, None)
    listener.close()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            await listener.accept_forever(Guests().receive, tasks)


async def test_what_a_handler_raises_goes_to_its_task_group() -> None:
    async def fail(accepted: Accepted) -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError(accepted.connection.name)

    (listener,) = await open_listeners("127.0.0.1", 0, None)
    with connected(listener), pytest.RaisesGroup(LookupError):
        async with anyio.create_task_group() as tasks:
            await listener.accept_forever(fail, tasks)
    listener.close()


async def test_many_who_leave_at_once_leave_nothing_behind() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0, None)
    async with accepting(listener) as (guests, _):
        guests.leave.set()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            for leave in (reset, socket.socket.close) * 20:
                leave(connected(listener))
            with connected(listener) as last:
                await guests.come_from(last)
        await anyio.wait_all_tasks_blocked()
        assert len(os.listdir("/proc/self/fd")) == before


# -- trouble ---------------------------------------------------------------------------------------------------


class TroubledSocket(socket.socket):
    """A listening socket with a list of errors to come; a connection waits meanwhile."""

    def __init__(self, troubles: Iterable[int]) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.troubles = list(troubles)
        self.bind(("127.0.0.1", 0))
        self.listen()
        self.setblocking(False)

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if self.troubles:
            error = self.troubles.pop(0)
            raise OSError(error, os.strerror(error))
        return super().accept()


def troubled(*troubles: int) -> Listener:
    return Listener(Bound(TroubledSocket(troubles), "the listener"))


@pytest.mark.parametrize("trouble", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EAGAIN])
async def test_a_connection_that_is_gone_is_nobodys_loss(trouble: int, caplog: pytest.LogCaptureFixture) -> None:
    listener = troubled(*[trouble] * 20)
    with connected(listener):
        async with accepting(listener) as (guests, _):
            await guests.come(1)
    assert not caplog.records


@virtual_time
@pytest.mark.parametrize("trouble", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_a_system_that_is_exhausted_is_asked_again_soon(
    trouble: int, caplog: pytest.LogCaptureFixture
) -> None:
    listener = troubled(*[trouble] * 50)
    start = anyio.current_time()
    with connected(listener):
        async with accepting(listener) as (guests, _):
            await guests.come(1)
    assert anyio.current_time() - start == pytest.approx(5)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert f"the listener: no client can be accepted for now: [Errno {trouble}]" in record.getMessage()


@virtual_time
async def test_each_exhaustion_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    listener = troubled(errno.EMFILE, errno.EMFILE)
    async with accepting(listener) as (guests, _):
        with connected(listener), connected(listener):
            await guests.come(2)
            assert isinstance(listener._socket, TroubledSocket)
            listener._socket.troubles += [errno.EMFILE, errno.ENFILE]
            with connected(listener):
                await guests.come(3)
    assert len(caplog.records) == 2


@virtual_time
async def test_close_ends_a_loop_that_pauses(caplog: pytest.LogCaptureFixture) -> None:
    listener = troubled(*[errno.EMFILE] * 1000)
    start = anyio.current_time()
    with connected(listener):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.accept_forever, Guests().receive, tasks)
            await anyio.sleep(0.55)
            listener.close()
    assert anyio.current_time() - start == pytest.approx(0.6)


async def test_what_no_listening_socket_should_hear_is_raised() -> None:
    listener = troubled(errno.EINVAL)
    with connected(listener), pytest.RaisesGroup(pytest.RaisesExc(OSError, match="Invalid argument")):
        async with anyio.create_task_group() as tasks:
            await listener.accept_forever(Guests().receive, tasks)
    listener.close()


async def test_a_connection_that_cannot_be_asked_about_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def refuse(connection: object, peer: object) -> Connection:
        nonlocal asked
        asked += 1
        raise OSError(errno.EINVAL, "Invalid argument")

    (listener,) = await open_listeners("127.0.0.1", 0, None)
    monkeypatch.setattr("indianyio.streams._listening._prepare", refuse)
    async with accepting(listener) as (guests, _):
        with connected(listener) as client:
            client.setblocking(False)
            with anyio.fail_after(30):
                await anyio.wait_readable(client)
            assert client.recv(1) == b""
    assert asked == 1
    assert not guests.present


def crowd(server: subprocess.Popen[str]) -> tuple[int, bytes]:
    """Have more clients than the server has descriptors, let them go, and come back."""
    assert server.stdout is not None
    host, _, port = server.stdout.readline().strip().rpartition(":")
    address = (host, int(port))
    with ExitStack() as clients:
        crowd = [clients.enter_context(socket.create_connection(address, 30)) for _ in range(MOST_DESCRIPTORS + 8)]
        welcomed = 0
        for client in crowd:
            client.settimeout(1 if welcomed < MOST_DESCRIPTORS // 2 else 0.3)
            try:
                welcomed += client.recv(100) == b"welcome"
            except TimeoutError:
                break
    with socket.create_connection(address, 30) as late:
        return welcomed, late.recv(100)


async def test_without_descriptors_it_accepts_again_when_there_are_some(anyio_backend_name: str) -> None:
    command = [sys.executable, "-m", "tests.server.crowded_server", anyio_backend_name]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as server:  # type: ignore[call-overload]  # noqa: ASYNC220
        try:
            welcomed, late = await anyio.to_thread.run_sync(crowd, server)
            _, log = await anyio.to_thread.run_sync(lambda: server.communicate(timeout=30))
        finally:
            server.kill()
    assert 10 < welcomed < MOST_DESCRIPTORS
    assert late == b"welcome"
    assert server.returncode == 0
    (line,) = log.splitlines()
    assert line.startswith("ERROR 127.0.0.1:")
    assert "no client can be accepted for now: [Errno 24] Too many open files" in line


@pytest.mark.parametrize(
    ("connection", "origin"),
    [
        (Connection("tcp", "192.168.1.7", 50_000), "192.168.1.7"),
        (Connection("tcp", "::ffff:192.168.1.7", 50_000), "192.168.1.7"),
        (Connection("tcp", "2001:db8::1:2:3:4", 50_000), "2001:db8::/64"),
        (Connection("tcp", "fe80::1%eth0", 50_000), "fe80::/64"),
        (Connection("unix", uid=1000, gid=1000, pid=4711), "user 1000"),
        (Connection("unix"), "unix socket"),
    ],
)
def test_one_machine_or_user_is_one_origin(connection: Connection, origin: str) -> None:
    assert connection.origin == origin
