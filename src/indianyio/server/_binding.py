"""Listening sockets: from what a user writes to what the system opens, all of it or nothing.

Names are resolved first, which is the only thing that takes time; then everything is opened in one go. A port
that is left to the system is one port: the first address picks it, and should it be taken at another address, they
all try another.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import anyio
import anyio.lowlevel

from indianyio._transports import hang_up

__all__ = ["Bound", "bind_tcp", "bind_unix", "find_addresses"]

logger = logging.getLogger(__name__)

_EVERYWHERE = ("0.0.0.0", "::")

# What these mean does not depend on what the machine's tables say.
_HOSTS = {
    "localhost": ("127.0.0.1", "::1"),
    "": _EVERYWHERE,
    "0.0.0.0": _EVERYWHERE,
    "::": _EVERYWHERE,
}

# How a machine without IPv6 answers.
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

# A port that is free for one address is free for the other, as a rule; this often is beyond chance.
_PORT_ATTEMPTS = 20

# The kernel's queue of connections that wait to be accepted; it matters when this process is short of descriptors.
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that listens.

    :ivar sock: it, non-blocking.
    :ivar address: where it listens, in words: ``127.0.0.1:7624``, ``[::1]:7624``, a path, ``@name``.
    :ivar file: what it has made at its path.
    """

    sock: socket.socket
    address: str
    file: _OwnFile | None = None

    def close(self) -> None:
        """Listen no more and remove the file; an event loop must be running. Closing twice does nothing."""
        if self.sock.fileno() < 0:
            return
        if self.file is not None:
            # First: a path at which nobody answers would look like a leftover to another server that starts now.
            self.file.remove()
        anyio.notify_closing(self.sock)
        if self.sock.family == getattr(socket, "AF_UNIX", None):
            self._hang_up_on_those_who_wait()
        self.sock.close()

    def _hang_up_on_those_who_wait(self) -> None:
        """Let go of connections that nobody accepted; closed with the listener, what they brought could keep us."""
        with suppress(OSError):  # there are none any more
            self.sock.shutdown(socket.SHUT_RDWR)  # no more will come
            while True:
                hang_up(self.sock.accept()[0])


@dataclass(frozen=True, slots=True)
class _OwnFile:
    """A file by path and identity: what another server has put in its place meanwhile is not ours to remove."""

    path: str
    identity: tuple[int, int]

    @classmethod
    def at(cls, path: str) -> _OwnFile:
        absolute = os.path.abspath(path)  # the program may change its folder
        return cls(absolute, _identity(absolute))

    def remove(self) -> None:
        # It may be gone, or in a folder that may no longer be written; the next run replaces it then.
        with suppress(OSError):
            if _identity(self.path) == self.identity:
                os.unlink(self.path)


async def find_addresses(host: str) -> list[str]:
    """Return the IP addresses of a host, in the resolver's order, each once.

    :raises OSError: it has none; the text names the host.
    """
    if host in _HOSTS:
        await anyio.lowlevel.checkpoint()
        return list(_HOSTS[host])
    try:
        found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise _cannot_listen(host, exc) from exc
    except UnicodeError as exc:  # too long for a name, or not of letters
        raise OSError(errno.EINVAL, f"cannot listen on {host}: {exc}") from exc
    return list(dict.fromkeys(address[0] for *_, address in found))


def bind_tcp(addresses: Sequence[str], port: int) -> list[Bound]:
    """Listen at all of these addresses, on one port.

    IPv6 addresses that this machine does not have are left out, unless none would remain.

    :param port: 0 picks a free one.
    :raises ValueError: there is no such port.
    :raises OSError: one of the addresses cannot be listened at; the text names it, and none is open.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is a number from 0 to 65535, not {port}")
    attempts = 1 if port else _PORT_ATTEMPTS
    while True:
        attempts -= 1
        try:
            return _bind_all(addresses, port)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE or not attempts:
                raise


def bind_unix(name: str) -> Bound:
    """Listen on a unix socket.

    :param name: a path, or ``@`` or NUL and the name of an abstract socket.
    :raises ValueError: the name is empty, or a path with a NUL in it.
    :raises OSError: it cannot be listened at, or somebody else does; the text names it.
    """
    is_abstract = name.startswith(("@", "\0"))
    rest = name[1:] if is_abstract else name
    if not rest or "\0" in rest:
        raise ValueError(f"{name!r} names no unix socket")
    try:
        if is_abstract:
            # Exactly the name after one NUL, without padding: what indiserver binds (protocol.md 2.1).
            return Bound(_listening(socket.AF_UNIX, f"\0{rest}"), f"@{rest}")
        return Bound(_listening_at_path(rest), rest, _OwnFile.at(rest))
    except OSError as exc:
        raise _cannot_listen(f"@{rest}" if is_abstract else rest, exc) from exc


def _bind_all(addresses: Sequence[str], port: int) -> list[Bound]:
    bound: list[Bound] = []
    missing: OSError | None = None
    with ExitStack() as on_failure:
        for address in addresses:
            try:
                bound.append(_bind_one(address, port))
            except OSError as exc:
                if ":" not in address or exc.errno not in _NO_IPV6:
                    raise
                missing = exc
                logger.info("left out: %s", exc)
                continue
            on_failure.callback(bound[-1].close)
            port = bound[-1].sock.getsockname()[1]
        if missing is not None and not bound:
            raise missing
        on_failure.pop_all()
    return bound


def _bind_one(address: str, port: int) -> Bound:
    family, form = (socket.AF_INET6, "[{}]:{}") if ":" in address else (socket.AF_INET, "{}:{}")
    try:
        sock = _listening(family, (address, port))
    except OSError as exc:
        raise _cannot_listen(form.format(address, port), exc) from exc
    return Bound(sock, form.format(address, sock.getsockname()[1]))


def _listening(family: int, address: str | tuple[str, int]) -> socket.socket:
    with ExitStack() as on_failure:
        sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setblocking(False)
        if family != socket.AF_UNIX and os.name == "posix":
            # A server that is started again need not wait for the last connections of the one before. (Elsewhere
            # the option lets two servers share a port.)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Each family has a socket of its own; clients' addresses are what they look like.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        on_failure.pop_all()
    return sock


def _listening_at_path(path: str) -> socket.socket:
    try:
        return _listening(socket.AF_UNIX, path)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE or not _is_leftover(path):
            raise
    logger.info("%s: replacing the socket of a server that is gone", path)
    os.unlink(path)
    return _listening(socket.AF_UNIX, path)


def _is_leftover(path: str) -> bool:
    """Return whether there is a socket at the path and nobody behind it."""
    # Asked first: connecting to any other file is refused as well, and it is not ours to remove.
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False  # such as a full queue: somebody is there and busy
    return False


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _cannot_listen(where: str, error: OSError) -> OSError:
    # Built with the number, it is of the same class as its cause: PermissionError for a port below 1024.
    return OSError(error.errno or errno.EINVAL, f"cannot listen on {where}: {error.strerror or error}")
