"""A connection to a server, by TCP or by a unix socket, as a byte stream.

If a name has several addresses, they are tried one after the other, and each gets its share of the time that is
left, because the first may be one that never answers. The kernel looks after the connection: it asks a silent peer
for a sign of life, and gives up a peer that does not answer for two minutes, for example because somebody pulled a
plug.
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

__all__ = ["dial", "dial_socket", "dial_tls", "dial_unix"]

# A silent peer is asked after a minute, and again every 15 s. The connection is lost when the peer has not
# confirmed something for 2 minutes (in milliseconds; by default the kernel tries for 15 minutes). Some systems lack
# some of these.
_KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}

# How long to wait before trying a crowded unix socket again.
_RETRY_SECONDS = 0.05

_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK)


async def dial(host: str, port: int, timeout_seconds: float, *, name: str) -> SocketStream:
    """Connect to a server, by IPv4 or IPv6.

    If it is cancelled, it leaves nothing open.

    :param timeout_seconds: how long this may take in all.
    :param name: what the stream is called in log lines.
    :raises OSError: there is no such host, or none of its addresses can be connected to; then the last one's error.
    :raises UnicodeError: the host's name cannot be a name in DNS.
    """

    async def stream_over(sock: socket.socket) -> SocketStream:  # noqa: ASYNC124
        return SocketStream(sock, name=name)

    return await _dial(host, port, timeout_seconds, stream_over)


async def dial_socket(
    host: str, port: int, timeout_seconds: float, *, kind: socket.SocketKind = socket.SOCK_STREAM
) -> socket.socket:
    """Connect as :func:`dial` does, and return the socket itself, which does not block.

    :param timeout_seconds: how long this may take in all.
    :param kind: a stream, or datagrams; for datagrams connecting only says with whom they are exchanged.
    :raises OSError: there is no such host, or none of its addresses can be connected to; then the last one's error.
    :raises UnicodeError: the host's name cannot be a name in DNS.
    """

    async def itself(sock: socket.socket) -> socket.socket:  # noqa: ASYNC124
        return sock

    return await _dial(host, port, timeout_seconds, itself, kind)


async def dial_tls(host: str, port: int, timeout_seconds: float, context: SSLContext, *, name: str) -> TLSStream:
    """Connect to a server as :func:`dial` does, and encrypt the connection.

    :param timeout_seconds: how long this may take in all, including the handshake.
    :param context: which servers are trusted.
    :raises OSError: as in :func:`dial`; or the certificate is not accepted, or the server does not speak TLS.
    :raises ValueError: the context is made for servers.
    """
    from indianyio.streams._tls import connect_tls  # few connections need it

    async def stream_over(sock: socket.socket) -> TLSStream:
        return await connect_tls(sock, context, host, name=name)

    return await _dial(host, port, timeout_seconds, stream_over)


async def _dial(
    host: str,
    port: int,
    timeout_seconds: float,
    stream_over: Callable[[socket.socket], Awaitable[S]],
    kind: socket.SocketKind = socket.SOCK_STREAM,
) -> S:
    """Return the stream over the first address of a host that can be connected to."""
    deadline = anyio.current_time() + timeout_seconds
    silence = problem = OSError(errno.ETIMEDOUT, f"no answer within {timeout_seconds:g} s")
    with anyio.CancelScope(deadline=deadline):
        addresses = await anyio.getaddrinfo(host, port, type=kind)
        for tried, (family, _, protocol, _, address) in enumerate(addresses):
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

    :param path: where it is, or for an abstract one ``@`` (or a NUL character) and its name.
    :param timeout_seconds: how long this may take.
    :param name: what the stream is called in log lines.
    :raises OSError: there is no such socket, or nobody listens there.
    """
    address = "\0" + path[1:] if path[:1] in ("@", "\0") else path
    with anyio.move_on_after(timeout_seconds):
        while True:
            try:
                return SocketStream(await _connected(socket.socket(socket.AF_UNIX), address), name=name)
            except BlockingIOError:
                # So many clients are waiting to be accepted that the queue is full; try again in a moment.
                await anyio.sleep(_RETRY_SECONDS)
    raise OSError(errno.ETIMEDOUT, f"no answer within {timeout_seconds:g} s")


async def _connected(sock: socket.socket, address: tuple[str, int] | str) -> socket.socket:
    """Return the socket once it is connected; close it if it cannot be connected."""
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
            # Nobody listens, and the kernel chose as our port the one we call; trying for ever leads there.
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        if not is_unix and sock.type == socket.SOCK_STREAM:
            _enable_keepalive(sock)
        return sock
    except BaseException:
        sock.close()
        raise


def _enable_keepalive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE_OPTIONS.items():
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
