"""Byte streams over real sockets."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from indianyio._transports import ByteStream, Received, SharedMemory, SocketStream
from indianyio.exceptions import ConnectionLostError, RemoteProtocolError

pytestmark = pytest.mark.anyio

BIG = os.urandom(1 << 20) * 8


def open_descriptors() -> set[str]:
    return {
        f"{name} {os.readlink(f'/proc/self/fd/{name}')}" for name in os.listdir("/proc/self/fd") if _is_open(name)
    }


def _is_open(name: str) -> bool:
    return Path(f"/proc/self/fd/{name}").is_symlink()  # the listing's own descriptor is gone by now


def memory(content: bytes) -> SharedMemory:
    made = SharedMemory.create("test")
    made.write(content)
    made.seal()
    return made


def unix_pair() -> tuple[SocketStream, SocketStream]:
    one, two = socket.socketpair()
    return SocketStream(one, name="one"), SocketStream(two, name="two")


def tcp_pair() -> tuple[SocketStream, SocketStream]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        two, _ = listener.accept()
    return SocketStream(one), SocketStream(two)


@pytest.fixture(params=[unix_pair, tcp_pair], ids=["unix", "tcp"])
def pair(request: pytest.FixtureRequest) -> tuple[SocketStream, SocketStream]:
    made: tuple[SocketStream, SocketStream] = request.param()
    return made


@pytest.fixture
def no_leaks() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() - before == set()


async def receive_bytes(stream: ByteStream, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        received = await stream.receive()
        assert received.data
        data += received.data
    return bytes(data)


async def send_for_ever(stream: ByteStream) -> None:
    while True:
        await stream.send(BIG)


def fill(stream: SocketStream) -> int:
    filled = 0
    while sent := stream._send_now(memoryview(BIG), []):
        filled += sent
    return filled


async def close(*streams: SocketStream) -> None:
    for stream in streams:
        await stream.aclose()


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


async def test_received_descriptors_are_not_inherited_without_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indianyio._transports._sockets._CMSG_CLOEXEC", 0)
    one, two = unix_pair()
    attached = memory(b"content")
    await one.send(b"<x/>", [attached])
    (arrived,) = (await two.receive()).attachments
    assert isinstance(arrived, SharedMemory)
    assert not os.get_inheritable(arrived.fileno())
    arrived.close()
    attached.close()
    await close(one, two)


async def test_tcp_sends_small_messages_at_once() -> None:
    one, two = tcp_pair()
    assert one._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await close(one, two)


# -- attachments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 16, 17, 40])
@pytest.mark.usefixtures("no_leaks")
async def test_attachments_arrive_in_order(count: int) -> None:
    one, two = unix_pair()
    sent = [memory(f"content {number}".encode()) for number in range(count)]
    await one.send(b"<setBLOBVector/>", sent)
    data, arrived = b"", list[bytes]()
    while len(data) < 16:
        received = await two.receive()
        data += received.data
        for attachment in received.attachments:
            assert isinstance(attachment, SharedMemory)
            assert not os.get_inheritable(attachment.fileno())
            arrived.append(attachment.read(attachment.size))
            attachment.close()
    assert data == b"<setBLOBVector/>"
    assert arrived == [f"content {number}".encode() for number in range(count)]
    for made in sent:
        made.close()
    await close(one, two)


@pytest.mark.usefixtures("no_leaks")
async def test_attachments_come_no_later_than_their_bytes() -> None:
    one, two = unix_pair()
    attached = memory(b"content")
    await one.send(b"<plain/>")
    await one.send(b"<attached/>", [attached])
    await one.send(b"<plain/>")
    data, seen_at = b"", -1
    while len(data) < 27:
        received = await two.receive()
        if received.attachments:
            seen_at = len(data)
            received.attachments[0].close()
        data += received.data
    assert data == b"<plain/><attached/><plain/>"
    assert 0 <= seen_at <= len(b"<plain/>")
    attached.close()
    await close(one, two)


@pytest.mark.usefixtures("no_leaks")
async def test_attachments_on_a_big_message_travel_once() -> None:
    one, two = unix_pair()
    attached = memory(b"content")
    count, size = 0, 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, BIG, [attached])
        while size < len(BIG):
            received = await two.receive()
            size += len(received.data)
            count += len(received.attachments)
            for attachment in received.attachments:
                attachment.close()
    assert (count, size) == (1, len(BIG))
    attached.close()
    await close(one, two)


def send_raw(stream: SocketStream, data: bytes, descriptors: list[int]) -> None:
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    stream._socket.sendmsg([data], control)


@pytest.mark.usefixtures("no_leaks")
async def test_too_many_attachments_at_a_time_end_the_link() -> None:
    one, two = unix_pair()
    attached = memory(b"content")
    send_raw(one, b"<x/>", [attached.fileno()] * 17)
    with pytest.raises(RemoteProtocolError, match="attachments were lost"):
        await two.receive()
    attached.close()
    await close(one, two)


@pytest.mark.usefixtures("no_leaks")
async def test_attachments_nobody_received_are_not_leaked() -> None:
    one, two = unix_pair()
    attached = memory(b"content")
    await one.send(b"<x/>", [attached])
    await one.send(b"<y/>", [attached])
    (await two.receive()).attachments[0].close()
    attached.close()
    await close(one, two)


@pytest.mark.usefixtures("no_leaks")
async def test_a_hostile_descriptor_keeps_its_place_and_fails_when_read() -> None:
    one, two = unix_pair()
    good = memory(b"content")
    reading, writing = os.pipe()
    send_raw(one, b"<x/>", [reading, one._socket.fileno(), good.fileno()])
    received = await two.receive()
    for hostile in received.attachments[:2]:
        with pytest.raises(ValueError, match="not a file"):
            hostile.read(1)
    assert received.attachments[2].read(7) == b"content"
    for attachment in (*received.attachments, good):
        attachment.close()
    os.close(reading)
    os.close(writing)
    await close(one, two)


async def test_what_cannot_be_attached_is_refused_before_anything_is_sent() -> None:
    one, two = unix_pair()
    attached, closed = memory(b"content"), memory(b"content")
    closed.close()
    with pytest.raises(ValueError, match="0 bytes"):
        await one.send(b"", [attached])
    with pytest.raises(ValueError, match="17 attachments"):
        await one.send(b"<", [attached] * 17)
    with pytest.raises(ValueError, match="closed"):
        await one.send(b"<x/>", [attached, closed])
    with pytest.raises(TypeError, match="SharedMemory"):
        await one.send(b"<x/>", [NotShared()])
    await one.send(b"")
    await one.send(b"<fine/>")
    assert await two.receive() == Received(b"<fine/>")
    attached.close()
    await close(one, two)


class NotShared:
    def read(self, length: int) -> bytes:
        return bytes(length)

    def close(self) -> None:
        pass


async def test_tcp_carries_no_attachments() -> None:
    one, two = tcp_pair()
    attached = memory(b"content")
    with pytest.raises(ValueError, match="carries no attachments"):
        await one.send(b"<x/>", [attached])
    attached.close()
    await close(one, two)
