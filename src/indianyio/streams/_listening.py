"""Where clients arrive: listening sockets, and a loop that accepts connections for as long as the server runs.

Nothing that a client or a busy system does ends that loop. A connection that is lost before it is accepted does no
harm. When the process has no descriptor left, the connection waits in the kernel's queue: the loop logs this once,
pauses, and accepts the connection when there is a descriptor again.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.lowlevel
from anyio import CancelScope

from indianyio._binding import (
    Bound,
    EarlyListening,
    bind,
    cannot_listen,
    distinct_addresses,
    known_addresses,
)
from indianyio._tasks import TaskStarter
from indianyio.streams._base import Accepted, Connection
from indianyio.streams._descriptors import hang_up
from indianyio.streams._handshakes import EncryptedConnection, Handshakes
from indianyio.streams._sockets import SocketStream

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["ConnectionHandler", "Listener", "open_listeners"]

logger = logging.getLogger(__name__)

ConnectionHandler: TypeAlias = Callable[[Accepted], Awaitable[None]]
"""Serves one connection, which is closed when the call returns."""

# Errors of a single connection, as listed in accept(2); the next connection may be good.
_LOST = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EPERM,  # a firewall's answer
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
    }
)

# Errors that mean the system has run out of something. No event tells when there is some again.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_PAUSE_SECONDS = 0.1

# A client that has lost its power or its wireless network falls silent. The system asks after a minute of silence,
# and gives up after another (by default Linux asks after two hours).
_SILENT_SECONDS = 60
_ASKING = {"TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}

# The most that Linux accepts for TCP_KEEPIDLE.
_LONGEST_KEEPALIVE_SECONDS = 32767

# Linux's struct ucred: process, user, group.
_CREDENTIALS = struct.Struct("iII")


async def open_listeners(
    host: str | None,
    port: int,
    unix: str | None,
    early: EarlyListening | None = None,
    *,
    tls: SSLContext | None = None,
    keepalive_seconds: int = _SILENT_SECONDS,
) -> list[Listener]:
    """Listen at every address that is asked for, or at none.

    :param host: where to listen for TCP: a name or an address; ``"localhost"`` means IPv4 and IPv6; ``""`` and
        ``"::"`` mean every address of this machine, of both kinds; ``"0.0.0.0"`` every IPv4 address. ``None``: no
        TCP. If a host has several addresses, IPv6 ones that this machine does not have are left out.
    :param port: the TCP port, the same for all addresses; 0 picks a free one.
    :param unix: a unix socket: a path, or for an abstract one ``@`` (or a NUL character) and its name, which
        indiserver and libindi's clients write without the ``@`` (protocol.md 2.1, C1). A socket that an earlier run
        has left at the path is replaced, unless somebody answers there. ``None``: no unix socket.
    :param early: sockets that have listened at all these since the process began; they are taken over.
    :param tls: a server's context. With it, TCP connections are encrypted; those of unix sockets never are.
    :param keepalive_seconds: after how much silence the system asks whether a TCP client is still there, 0 to
        32767; 0 for never.
    :raises ValueError: ``port`` is not within 0..65535, ``unix`` names nothing, or ``keepalive_seconds`` is out of
        range.
    :raises OSError: it cannot listen at one of the addresses; the text names that address.
    """
    if not 0 <= keepalive_seconds <= _LONGEST_KEEPALIVE_SECONDS:
        raise ValueError(f"a system cannot keep connections alive every {keepalive_seconds} seconds")
    handshakes = None if tls is None else Handshakes(tls)
    if early is not None:
        await anyio.lowlevel.checkpoint()
        bound = early.take(logger.info)
    else:
        addresses = [] if host is None else await _find_addresses(host)
        bound = bind(addresses, port, unix, logger.info)
    return [Listener(one, handshakes=handshakes, keepalive_seconds=keepalive_seconds) for one in bound]


async def _find_addresses(host: str) -> list[str]:
    """Return the IP addresses of a host.

    :raises OSError: it has no address; the text names the host.
    """
    known = known_addresses(host)
    if known is not None:
        await anyio.lowlevel.checkpoint()
        return known
    try:
        found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise cannot_listen(host, exc) from exc
    return distinct_addresses(found)


class Listener:
    """One listening socket; made by :func:`open_listeners`, closed by whoever called that.

    :param bound: the socket.
    :param handshakes: does the TLS handshakes of TCP connections; without it they are not encrypted.
    :param keepalive_seconds: after how much silence the system asks whether a TCP client is still there, 0 for
        never.
    """

    def __init__(
        self, bound: Bound, *, handshakes: Handshakes | None = None, keepalive_seconds: int = _SILENT_SECONDS
    ) -> None:
        self._bound = bound
        self._handshakes = handshakes
        self._keepalive_seconds = keepalive_seconds
        self._socket = bound.sock
        self._is_exhausted = False

    @property
    def address(self) -> str:
        """Where it listens: ``127.0.0.1:7624``, ``[::1]:7624``, the path or the ``@name`` of a unix socket."""
        return self._bound.address

    async def accept_forever(self, handle: ConnectionHandler, tasks: TaskStarter) -> None:
        """Accept connections and serve each in a task of its own, until :meth:`close` is called.

        If it is cancelled, nothing is left half done: each connection is either still in the kernel's queue or has
        its task.

        :param handle: serves one connection; what it raises goes to the task group. It need not close anything.
        :param tasks: where the connections are served; they may outlast this call.
        :raises OSError: the system reports an error that no listening socket should get.
        """
        while await self._until_one_waits():
            try:
                sock, peer = self._socket.accept()
            except BlockingIOError:
                continue  # the connection is lost
            except OSError as exc:
                await self._pause_or_raise(exc)
            else:
                self._is_exhausted = False
                self._start(sock, peer, handle, tasks)

    def close(self) -> None:
        """Stop listening, and remove the path of a unix socket; :meth:`accept_forever` then returns.

        An event loop must be running. Closing twice does nothing.
        """
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            if self._socket.family == getattr(socket, "AF_UNIX", None):
                _drop_waiting_connections(self._socket)
        self._bound.close()
        if self._handshakes is not None:
            self._handshakes.flush_log()

    async def _until_one_waits(self) -> bool:
        """Wait for a connection. Return whether there may be one; ``False`` means that this listener is closed."""
        if self._socket.fileno() >= 0:
            with suppress(anyio.ClosedResourceError):
                await anyio.wait_readable(self._socket)
        return self._socket.fileno() >= 0

    async def _pause_or_raise(self, error: OSError) -> None:
        if error.errno in _LOST:
            logger.debug("%s: a connection was lost before it was accepted: %s", self.address, error)
            return
        if error.errno not in _EXHAUSTED:
            raise error
        if not self._is_exhausted:
            self._is_exhausted = True
            logger.error("%s: no client can be accepted for now: %s", self.address, error)
        await anyio.sleep(_PAUSE_SECONDS)

    def _start(
        self, sock: socket.socket, peer: tuple[str, int] | str, handle: ConnectionHandler, tasks: TaskStarter
    ) -> None:
        try:
            accepted = self._accepted(sock, _prepare(sock, peer))
        except OSError as exc:  # some systems report only here that the connection is lost
            logger.debug("%s: a connection was lost as soon as it was accepted: %s", self.address, exc)
            hang_up(sock)
            return
        tasks.start_soon(_serve, handle, accepted, name=accepted.connection.name)

    def _accepted(self, sock: socket.socket, connection: Connection) -> Accepted:
        if connection.kind == "tcp":
            _keep_alive(sock, self._keepalive_seconds)
            if self._handshakes is not None:
                return EncryptedConnection(connection, sock, self._handshakes)
        return Accepted(connection, SocketStream(sock, name=connection.name))


def _prepare(sock: socket.socket, peer: tuple[str, int] | str) -> Connection:
    """Set the socket's options, and return what is known about the connection."""
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        return _local_connection(sock)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small messages matter most here (an Abort)
    return Connection("tcp", address=str(peer[0]), port=int(peer[1]))


def _keep_alive(sock: socket.socket, seconds: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, seconds > 0)
    if seconds:
        for option, value in {"TCP_KEEPIDLE": seconds, **_ASKING}.items():
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _local_connection(sock: socket.socket) -> Connection:
    if not hasattr(socket, "SO_PEERCRED"):
        return Connection("unix")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(credentials)
    return Connection("unix", uid=uid, gid=gid, pid=pid)


async def _serve(handle: ConnectionHandler, accepted: Accepted) -> None:
    try:
        await handle(accepted)
    finally:
        with CancelScope(shield=True):
            await accepted.aclose()  # it does not wait


def _drop_waiting_connections(listening: socket.socket) -> None:
    """Drop connections that nobody has accepted; closed with the listener, they could block us with their data."""
    with suppress(OSError):  # the socket is not listening any more
        listening.shutdown(socket.SHUT_RDWR)  # so that no more arrive
        while True:
            hang_up(listening.accept()[0])
