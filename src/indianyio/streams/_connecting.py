"""A connection to a server, by TCP or by a unix socket, as a stream of ours.

Of the addresses that a name has, one after the other is tried, and each gets its share of the time that is left:
the first may be one that never answers. The kernel looks after the connection: what is silent is asked for a sign
of life, and what does not answer for two minutes is lost, as where somebody pulled a plug.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import anyio

from indianyio.streams._sockets import SocketStream

if TYPE_CHECKING:
    from ssl import SSLContext

    from indianyio.streams._tls import TLSStream

S = TypeVar("S")

__all__ = ["dial", "dial_tls", "dial_unix"]

# A silent peer is asked after a minute, and again every 15 s; what it has not confirmed for 2 minutes is lost with
# it (milliseconds; by default the kernel tries for 15 minutes). Not every system has each of these.
_SIGNS_OF_LIFE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}

# How long to wait before a crowded unix socket is tried again.
_CROWDED_SECONDS = 0.05

_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)


async def dial(host: str, port: int, timeout_seconds: float, *, name: str) -> SocketStream:
    """Connect to a server, by IPv4 or IPv6.

    Cancelled, it leaves nothing open.

    :param timeout_seconds: how long that may take in all.
    :param name: what the stream is called in log lines.
    :raises OSError: there is no such host, or no address of it can be connected to; the last one's error.
    :raises UnicodeError: the host's name cannot be a name in DNS.
    """

    async def stream_over(sock: socket.socket) -> SocketStream:  # noqa: ASYNC124
        return SocketStream(sock, name=name)

    return await _dial(host, port, timeout_seconds, stream_over)


async def dial_tls(host: str, port: int, timeout_seconds: float, context: SSLContext, *, name: str) -> TLSStream:
    """Connect to a server as :func:`dial` does, and encrypt the connection.

    :param timeout_seconds: how long that may take in all, with the handshake.
    :param context: which servers are trusted.
    :raises OSError: also that its certificate is not accepted, or that it does not speak TLS.
    :raises ValueError: the context is made for servers.
    """
    from indianyio.streams._tls import connect_tls  # few connections need it

    async def stream_over(sock: socket.socket) -> TLSStream:
        return await connect_tls(sock, context, host, name=name)

    return await _dial(host, port, timeout_seconds, stream_over)


async def _dial(
    host: str, port: int, timeout_seconds: float, stream_over: Callable[[socket.socket], Awaitable[S]]
) -> S:
    """Return the stream over the first address of a host that can be connected to."""
    deadline = anyio.current_time() + timeout_seconds
    silence = problem = OSError(errno.ETIMEDOUT, f"no answer within {timeout_seconds:g} s")
    with anyio.CancelScope(deadline=deadline):
        addresses = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            share_seconds = (deadline - anyio.current_time()) / (len(addresses) - tried)
            problem = silence
            try:
                with anyio.move_on_after(share_seconds):
                    return await stream_over(await _connected(socket.socket(family, kind, protocol), address))
            except OSError as error:
                problem = error
    raise problem


async def dial_unix(path: str, timeout_seconds: float, *, name: str) -> SocketStream:
    """Connect to a server by its unix socket.

    :param path: where it is, or ``@`` (or a NUL character) and a name for an abstract one.
    :param timeout_seconds: how long that may take.
    :param name: what the stream is called in log lines.
    :raises OSError: there is none, or nobody listens there.
    """
    address = "\0" + path[1:] if path[:1] in ("@", "\0") else path
    with anyio.move_on_after(timeout_seconds):
        while True:
            try:
                return SocketStream(await _connected(socket.socket(socket.AF_UNIX), address), name=name)
            except BlockingIOError:
                # So many are waiting to be accepted that there is no place; only later will there be one.
                await anyio.sleep(_CROWDED_SECONDS)
    raise OSError(errno.ETIMEDOUT, f"no answer within {timeout_seconds:g} s")


async def _connected(sock: socket.socket, address: tuple[str, int] | str) -> socket.socket:
    """Return the socket when it is connected; it is closed if it cannot be."""
    is_unix = isinstance(address, str)
    try:
        sock.setblocking(False)
        problem = sock.connect_ex(address)
        if problem == errno.EAGAIN and is_unix:
            raise BlockingIOError(problem, os.strerror(problem))
        if problem in _UNDER_WAY:
            await anyio.wait_writable(sock)
            problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise OSError(problem, os.strerror(problem))
        if not is_unix and sock.getsockname() == sock.getpeername():
            # Nobody listens, and the kernel gave us the very port that we call: whoever tries for ever gets there.
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        if not is_unix:
            _look_after(sock)
        return sock
    except BaseException:
        sock.close()
        raise


def _look_after(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _SIGNS_OF_LIFE.items():
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
