"""Pairs of connected socket streams, and what their tests share."""

from __future__ import annotations

import socket

from indianyio.streams import ByteStream, SharedMemory, SocketStream

BIG = bytes(range(256)) * (8 << 12)


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


async def receive_bytes(stream: ByteStream, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        received = await stream.receive()
        assert received.data
        data += received.data
    return bytes(data)


async def close(*streams: SocketStream) -> None:
    for stream in streams:
        await stream.aclose()
