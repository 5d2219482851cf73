"""Where clients arrive: listening sockets, and a loop that accepts for as long as the server runs.

Nothing that a client or a busy system does ends that loop. A connection which is gone before it is accepted is
nobody's loss. When the process has no descriptor left, the connection waits in the kernel's queue: the loop pauses,
says so once, and accepts it when there is a descriptor again.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from indianyio._binding import (
    Bound,
    EarlyListening,
    bind,
    cannot_listen,
    distinct_addresses,
    known_addresses,
)
from indianyio.server._access import Connection
from indianyio.streams import hang_up

__all__ = ["ConnectionHandler", "Listener", "open_listeners"]

logger = logging.getLogger(__name__)

ConnectionHandler: TypeAlias = Callable[[socket.socket, Connection], Awaitable[None]]
"""Serves one connection; the socket is closed when it returns."""

# What is wrong with one connection; accept(2) names them. The next may be good.
_GONE = frozenset(
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

# What this system has run out of. There is no event that tells when there is some again.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_PAUSE_SECONDS = 0.1

# A client that has lost its power or its wireless network says nothing any more; the system asks after a minute of
# silence, and gives up after another (by default Linux asks after two hours).
_TCP_OPTIONS: tuple[tuple[int, str, int], ...] = (
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),  # small messages matter most here (an Abort)
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 60),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 15),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
)

# struct ucred of Linux: process, user, group.
_CREDENTIALS = struct.Struct("iII")


async def open_listeners(
    host: str | None, port: int, unix: str | None, early: EarlyListening | None = None
) -> list[Listener]:
    """Listen at every address that is asked for, or at none.

    :param host: where to listen for TCP: a name or an address; ``"localhost"`` means IPv4 and IPv6; ``""`` and
        ``"::"`` mean every address of this machine, of both; ``"0.0.0.0"`` every IPv4 address. ``None``: no TCP.
        Where a host has several addresses, IPv6 ones that this machine does not have are left out.
    :param port: the TCP port, the same for all addresses; 0 picks a free one.
    :param unix: a unix socket: a path, or ``@`` (or a NUL character) and a name for an abstract one, which
        indiserver and libindi's clients write without the ``@`` (protocol.md 2.1, C1). A socket that an earlier
        run has left at the path is replaced, unless somebody answers there. ``None``: no unix socket.
    :param early: what listens at all these since the beginning of the process; then it is taken over.
    :raises ValueError: ``port`` is not within 0..65535, or ``unix`` names nothing.
    :raises OSError: it cannot listen at one of them; the text names it.
    """
    if early is not None:
        await anyio.lowlevel.checkpoint()
        return [Listener(one) for one in early.take(logger.info)]
    addresses = [] if host is None else await _find_addresses(host)
    return [Listener(one) for one in bind(addresses, port, unix, logger.info)]


async def _find_addresses(host: str) -> list[str]:
    """Return the IP addresses of a host.

    :raises OSError: it has none; the text names the host.
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
    """One listening socket; made by :func:`open_listeners`, closed by whoever called that."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._socket = bound.sock
        self._is_exhausted = False

    @property
    def address(self) -> str:
        """Where it listens: ``127.0.0.1:7624``, ``[::1]:7624``, the path or the ``@name`` of a unix socket."""
        return self._bound.address

    async def accept_forever(self, handle: ConnectionHandler, tasks: TaskGroup) -> None:
        """Accept connections and serve each in a task of its own, until :meth:`close` is called.

        Cancelled, it leaves nothing half-way: a connection is either still in the kernel's queue or has its task.

        :param handle: serves one connection; what it raises goes to the task group. It need not close the socket.
        :param tasks: where the connections are served; they may outlast this call.
        :raises OSError: the system says what no listening socket should hear.
        """
        while await self._until_one_waits():
            try:
                sock, peer = self._socket.accept()
            except BlockingIOError:
                continue  # it has gone
            except OSError as exc:
                await self._survive(exc)
            else:
                self._is_exhausted = False
                self._start(sock, peer, handle, tasks)

    def close(self) -> None:
        """Listen no more, and remove the path of a unix socket; :meth:`accept_forever` returns.

        An event loop must be running. Closing twice does nothing.
        """
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            if self._socket.family == getattr(socket, "AF_UNIX", None):
                _hang_up_on_those_who_wait(self._socket)
        self._bound.close()

    async def _until_one_waits(self) -> bool:
        """Wait for a connection; return whether there may be one, ``False`` when this listener is closed."""
        if self._socket.fileno() >= 0:
            with suppress(anyio.ClosedResourceError):
                await anyio.wait_readable(self._socket)
        return self._socket.fileno() >= 0

    async def _survive(self, error: OSError) -> None:
        if error.errno in _GONE:
            logger.debug("%s: a connection was gone before it was accepted: %s", self.address, error)
            return
        if error.errno not in _EXHAUSTED:
            raise error
        if not self._is_exhausted:
            self._is_exhausted = True
            logger.error("%s: no client can be accepted for now: %s", self.address, error)
        await anyio.sleep(_PAUSE_SECONDS)

    def _start(
        self, sock: socket.socket, peer: tuple[str, int] | str, handle: ConnectionHandler, tasks: TaskGroup
    ) -> None:
        try:
            connection = _prepare(sock, peer)
        except OSError as exc:  # some systems say only here that it has gone
            logger.debug("%s: a connection was gone as soon as it was accepted: %s", self.address, exc)
            hang_up(sock)
            return
        tasks.start_soon(_serve, handle, sock, connection, name=connection.name)


def _prepare(sock: socket.socket, peer: tuple[str, int] | str) -> Connection:
    """Set what connections are to be like, and return what is known of this one."""
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        return _local_connection(sock)
    for level, option, value in _TCP_OPTIONS:
        if hasattr(socket, option):
            sock.setsockopt(level, getattr(socket, option), value)
    return Connection("tcp", address=str(peer[0]), port=int(peer[1]))


def _local_connection(sock: socket.socket) -> Connection:
    if not hasattr(socket, "SO_PEERCRED"):
        return Connection("unix")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(credentials)
    return Connection("unix", uid=uid, gid=gid, pid=pid)


async def _serve(handle: ConnectionHandler, sock: socket.socket, connection: Connection) -> None:
    try:
        await handle(sock, connection)
    finally:
        hang_up(sock)


def _hang_up_on_those_who_wait(listening: socket.socket) -> None:
    """Let go of connections that nobody accepted; closed with the listener, what they brought could keep us."""
    with suppress(OSError):  # there are none any more
        listening.shutdown(socket.SHUT_RDWR)  # no more will come
        while True:
            hang_up(listening.accept()[0])
