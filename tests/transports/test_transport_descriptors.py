"""Descriptors that travel over real Unix sockets (protocol.md 1.6)."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from indianyio.exceptions import RemoteProtocolError
from indianyio.streams import Received, SharedMemory, SocketStream

from .socket_pairs import BIG, close, memory, tcp_pair, unix_pair

pytestmark = pytest.mark.anyio


def open_descriptors() -> set[str]:
    return {
        f"{name} {os.readlink(f'/proc/self/fd/{name}')}" for name in os.listdir("/proc/self/fd") if _is_open(name)
    }


def _is_open(name: str) -> bool:
    return Path(f"/proc/self/fd/{name}").is_symlink()  # the listing's own descriptor is gone by now


@pytest.fixture
def no_leaks() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() - before == set()


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


async def test_received_descriptors_are_not_inherited_without_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indianyio.streams._sockets._CMSG_CLOEXEC", 0)
    one, two = unix_pair()
    attached = memory(b"content")
    await one.send(b"<x/>", [attached])
    (arrived,) = (await two.receive()).attachments
    assert isinstance(arrived, SharedMemory)
    assert not os.get_inheritable(arrived.fileno())
    arrived.close()
    attached.close()
    await close(one, two)
