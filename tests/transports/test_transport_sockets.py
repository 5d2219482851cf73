"""Byte streams over real sockets."""

from __future__ import annotations

import os
import socket
import struct

import anyio
import anyio.lowlevel
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import Received, SocketStream

from .socket_pairs import BIG, close, receive_bytes, tcp_pair, unix_pair

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[unix_pair, tcp_pair], ids=["unix", "tcp"])
def pair(request: pytest.FixtureRequest) -> tuple[SocketStream, SocketStream]:
    made: tuple[SocketStream, SocketStream] = request.param()
    return made


def fill(stream: SocketStream) -> int:
    filled = 0
    while sent := stream._send_now(memoryview(BIG), []):
        filled += sent
    return filled


async def test_a_send_needs_no_turn_of_the_loop(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, b"abort")
        await anyio.lowlevel.checkpoint()
        await anyio.wait_readable(two._socket)
        assert two._receive_now() == Received(b"abort")
    await close(one, two)


async def test_a_reset_is_a_lost_connection() -> None:
    one, two = tcp_pair()
    one._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await one.aclose()
    with pytest.raises(ConnectionLostError, match="127"):
        await two.receive()
    with pytest.raises(ConnectionLostError):
        await two.send(b"to nobody")
    await close(two)


async def test_d1_the_flags_of_a_shared_socket_stay_as_they_were() -> None:
    for blocking in (True, False):
        sock, other = socket.socketpair()
        sock.setblocking(blocking)
        stream, peer = SocketStream(sock), SocketStream(other)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.send, BIG)
            assert await receive_bytes(peer, len(BIG)) == BIG
        assert os.get_blocking(sock.fileno()) is blocking
        await close(stream, peer)


async def test_a_socket_with_a_timeout_does_not_wait_in_python() -> None:
    sock, other = socket.socketpair()
    sock.settimeout(30)
    stream = SocketStream(sock)
    with anyio.move_on_after(0.01) as scope:
        await stream.receive()
    assert scope.cancelled_caught
    await stream.aclose()
    other.close()


async def test_names() -> None:
    one, two = tcp_pair()
    assert one.name.startswith("127.0.0.1:")
    assert not one.carries_attachments
    sock, other = socket.socketpair()
    unnamed = SocketStream(sock)
    assert unnamed.name == f"process {os.getpid()}"
    assert unnamed.carries_attachments
    await close(one, two, unnamed)
    other.close()


async def test_a_peer_in_ipv6() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        one = SocketStream(socket.create_connection(listener.getsockname()[:2]))
    assert one.name.startswith("[::1]:")
    await close(one)


async def test_the_name_of_nobody() -> None:
    stream = SocketStream(socket.socket(socket.AF_INET))
    assert stream.name == "disconnected socket"
    with pytest.raises(ConnectionLostError, match="disconnected socket: "):
        await stream.receive()
    await close(stream)


async def test_a_name_without_peer_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED")
    sock, other = socket.socketpair()
    stream = SocketStream(sock)
    assert stream.name == "unix socket"
    await close(stream)
    other.close()


async def test_a_socket_that_is_full_to_begin_with(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    filled = fill(one)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, b"<abort/>")
        await anyio.wait_all_tasks_blocked()
        data = await receive_bytes(two, filled + 8)
    assert data[-8:] == b"<abort/>"
    await close(one, two)


async def test_tcp_sends_small_messages_at_once() -> None:
    one, two = tcp_pair()
    assert one._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await close(one, two)
