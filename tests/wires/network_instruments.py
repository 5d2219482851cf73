"""Instruments at an address on this machine: their end of a TCP connection or of datagrams."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import anyio
from anyio.abc import SocketStream

__all__ = ["Requests", "Talk", "datagram_socket", "listening"]

Talk = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk) -> AsyncGenerator[int]:
    """Talk to each who connects to the port that this yields; a connection ends when its talk ends."""

    async def serve(stream: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError):  # who asked has gone
            async with stream:
                await talk(stream)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


class Requests:
    """What is asked over a connection, up to each ``#``, until it ends."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._heard = b""

    def __aiter__(self) -> Requests:
        return self

    async def __anext__(self) -> bytes:
        while b"#" not in self._heard:
            try:
                self._heard += await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                raise StopAsyncIteration from None
        request, _, self._heard = self._heard.partition(b"#")
        return request


@contextmanager
def datagram_socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock
