"""Byte streams over real sockets."""

from __future__ import annotations

import os
import socket
import struct

import anyio
import anyio.lowlevel
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream, Received, SocketStream

from .socket_pairs import BIG, close, receive_bytes, tcp_pair, unix_pair

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[unix_pair, tcp_pair], ids=["unix", "tcp"])
def pair(request: pytest.FixtureRequest) -> tuple[SocketStream, SocketStream]:
    made: tuple[SocketStream, SocketStream] = request.param()
    return made


async def send_for_ever(stream: ByteStream) -> None:
    while True:
        await stream.send(BIG)


def fill(stream: SocketStream) -> int:
    filled = 0
    while sent := stream._send_now(memoryview(BIG), []):
        filled += sent
    return filled


async def test_both_directions_at_once(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    received = dict[str, bytes]()

    async def collect(stream: SocketStream, key: str) -> None:
        received[key] = await receive_bytes(stream, len(BIG))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.send, BIG)
            tasks.start_soon(two.send, memoryview(BIG))
            tasks.start_soon(collect, one, "one")
            tasks.start_soon(collect, two, "two")
    assert received == {"one": BIG, "two": BIG}
    await close(one, two)


async def test_a_send_needs_no_turn_of_the_loop(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, b"abort")
        await anyio.lowlevel.checkpoint()
        await anyio.wait_readable(two._socket)
        assert two._receive_now() == Received(b"abort")
    await close(one, two)


async def test_the_end_of_the_stream(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    await one.send(b"last")
    await one.aclose()
    await one.aclose()
    assert await two.receive() == Received(b"last")
    assert await two.receive() == Received(b"")
    await close(two)


async def test_a_reset_is_a_lost_connection() -> None:
    one, two = tcp_pair()
    one._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await one.aclose()
    with pytest.raises(ConnectionLostError, match="127"):
        await two.receive()
    with pytest.raises(ConnectionLostError):
        await two.send(b"to nobody")
    await close(two)


async def test_sending_to_a_peer_that_has_gone(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    await two.aclose()
    with anyio.fail_after(10), pytest.raises(ConnectionLostError):
        await send_for_ever(one)
    await close(one)


async def test_closing_wakes_both_waits(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    raised = list[ConnectionLostError]()

    async def receive() -> None:
        try:
            await one.receive()
        except ConnectionLostError as exc:
            raised.append(exc)

    async def send() -> None:
        try:
            await one.send(BIG)
        except ConnectionLostError as exc:
            raised.append(exc)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            await one.aclose()
    assert len(raised) == 2
    with pytest.raises(ConnectionLostError):
        await one.receive()
    with pytest.raises(ConnectionLostError):
        await one.send(b"x")
    await close(two)


async def test_a_cancelled_receive_loses_nothing(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    received = bytearray()

    async def receive() -> None:
        received.extend((await two.receive()).data)

    for turn in range(200):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            for _ in range(turn % 5):
                await anyio.lowlevel.checkpoint()
            await one.send(bytes([turn]))
            tasks.cancel_scope.cancel()
    received += await receive_bytes(two, 200 - len(received))
    assert received == bytes(range(200))
    await close(one, two)


async def test_a_send_under_way_can_be_cancelled(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, BIG)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await close(one, two)


async def test_d12_a_peer_that_does_not_read_stops_nobody_else(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    beats = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, BIG)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
            beats += 1
        tasks.cancel_scope.cancel()
    assert beats == 10
    await close(one, two)


async def test_a_fast_peer_does_not_starve_the_other_tasks(pair: tuple[SocketStream, SocketStream]) -> None:
    one, two = pair
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        for _ in range(100):
            await one.send(b"tick")
            await two.receive()
        tasks.cancel_scope.cancel()
    assert beats > 100
    await close(one, two)


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
