"""Listening sockets: the addresses that a user asked for are all opened, or none of them is.

Names are resolved first, which is the only step that takes time; then everything is opened in one go. If the system
is to pick the port, it is the same port at every address: the first address picks it, and if it is taken at another
address, all of them try another port.

This needs no event loop and imports little, so that a program can listen before it imports the rest of itself and
its drivers. Clients that connect meanwhile wait in the system's queue.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from types import FrameType
from typing import NamedTuple, TypeAlias

__all__ = [
    "Bound",
    "EarlyListening",
    "bind",
    "cannot_listen",
    "distinct_addresses",
    "find_addresses",
    "known_addresses",
]

Remark: TypeAlias = Callable[[str], None]
"""Takes a line for the log."""

_EVERYWHERE = ("0.0.0.0", "::")

# These are fixed, whatever /etc/hosts says.
_HOSTS = {
    "localhost": ("127.0.0.1", "::1"),
    "": _EVERYWHERE,
    "::": _EVERYWHERE,
    # IPv4 only, as it says: an access rule written for IPv4 would not hold over IPv6.
    "0.0.0.0": ("0.0.0.0",),
}

# How a machine without IPv6 answers.
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

# Signals that end a process at once unless they are handled. SIGINT is not among them: Python turns it into an
# exception, so cleanup runs.
_ENDING = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]

# A port that is free at one address is usually free at the other too. So many failures in a row are not bad luck.
_PORT_ATTEMPTS = 20

# The kernel's queue of connections that wait to be accepted; it matters when this process is short of descriptors.
_BACKLOG = 128


class Bound(NamedTuple):
    """A socket that listens.

    :ivar sock: the socket itself, non-blocking.
    :ivar address: where it listens, in words: ``127.0.0.1:7624``, ``[::1]:7624``, a path, ``@name``.
    :ivar file: the file of a unix socket at a path.
    """

    sock: socket.socket
    address: str
    file: _OwnFile | None = None

    def close(self) -> None:
        """Stop listening and remove the file; no task may be waiting on the socket. Closing twice does nothing."""
        if self.sock.fileno() < 0:
            return
        if self.file is not None:
            # The file is removed first: once nobody answers at the path, another server that starts now would take
            # the file for a leftover.
            self.file.remove()
        self.sock.close()


class _OwnFile(NamedTuple):
    """A file by path and identity, so that we never remove a file that another server has put in its place."""

    path: str
    identity: tuple[int, int]

    @classmethod
    def at(cls, path: str) -> _OwnFile:
        absolute = os.path.abspath(path)  # the working directory may change
        return cls(absolute, _identity(absolute))

    def remove(self) -> None:
        # It may be gone already, or its folder read-only by now; then the next run replaces it.
        with suppress(OSError):
            if _identity(self.path) == self.identity:
                os.unlink(self.path)


class EarlyListening:
    """Sockets that listen from now on, or the error that prevented it; :meth:`take` hands over either.

    Parameters as for :func:`bind`, with a host in place of the addresses; ``None`` for no TCP.

    :param tidies: whether SIGTERM and SIGHUP, which end the process at once as long as nobody handles them, close
        the sockets first. Only in the main thread.
    """

    def __init__(self, host: str | None, port: int, unix: str | None, *, tidies: bool = False) -> None:
        self._bound: list[Bound] = []
        self._remarks: list[str] = []
        self._failure: OSError | ValueError | None = None
        addresses: Sequence[str] = ()
        try:
            if host is not None:
                addresses = find_addresses(host)
            with _held_back(_ENDING) if tidies else nullcontext():
                self._bound = bind(addresses, port, unix, self._remarks.append)
                if tidies:
                    self._tidy_when_killed()
        except (OSError, ValueError) as exc:
            self._failure = exc

    def _tidy_when_killed(self) -> None:
        """Remove a socket's file before a signal ends the process.

        Drivers are imported first, which may take seconds; once the server runs, it handles the signals itself.
        Signals that are ignored, as under ``nohup``, stay ignored.
        """

        def end(number: int, _: FrameType | None) -> None:
            self.close()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, end)

    def take(self, remark: Remark) -> list[Bound]:
        """Return the sockets, which belong to the caller from now on.

        :param remark: gets the lines for the log.
        :raises ValueError: there is no such port or unix socket.
        :raises OSError: it cannot listen there.
        """
        for text in self._remarks:
            remark(text)
        if self._failure is not None:
            raise self._failure
        taken, self._bound = self._bound, []
        return taken

    def close(self) -> None:
        """Close the sockets that nobody has taken."""
        for bound in self._bound:
            bound.close()


@contextmanager
def _held_back(numbers: Iterable[int]) -> Iterator[None]:
    """Block these signals until the block ends; do nothing on systems that cannot."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def known_addresses(host: str) -> list[str] | None:
    """Return the addresses of a host that needs no look-up, ``None`` for any other host."""
    return list(_HOSTS[host]) if host in _HOSTS else None


def distinct_addresses(found: Iterable[tuple[object, object, object, object, tuple[object, ...]]]) -> list[str]:
    """Return the IP addresses that the resolver found, in its order, without duplicates."""
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def cannot_listen(where: str, error: OSError | UnicodeError) -> OSError:
    """Return an error that says where listening failed, and why."""
    if isinstance(error, UnicodeError):  # the name is too long, or has characters that no host name may have
        return OSError(errno.EINVAL, f"cannot listen on {where}: {error}")
    # Given an errno, OSError picks the subclass of the cause: PermissionError for a port below 1024.
    return OSError(error.errno or errno.EINVAL, f"cannot listen on {where}: {error.strerror or error}")


def bind(addresses: Sequence[str], port: int, unix: str | None, remark: Remark) -> list[Bound]:
    """Listen on one port at all of these addresses, and on a unix socket; if one fails, listen at none.

    IPv6 addresses that this machine does not have are left out, unless none would remain.

    :param port: 0 picks a free one.
    :param unix: a path, or ``@`` or NUL and the name of an abstract socket; ``None`` for no unix socket.
    :param remark: gets the lines for the log.
    :raises ValueError: the port is out of range; or the unix socket's name is empty or has a NUL in its middle.
    :raises OSError: listening failed at one of them, perhaps because another program listens there; the text names
        it.
    """
    with ExitStack() as on_failure:
        bound = _bind_tcp(addresses, port, remark)
        for one in bound:
            on_failure.callback(one.close)
        if unix is not None:
            bound.append(_bind_unix(unix, remark))
        on_failure.pop_all()
    return bound


def find_addresses(host: str) -> list[str]:
    """Return the IP addresses of a host; this blocks while a name server is asked.

    :raises OSError: the host has no address; the text names it.
    """
    known = known_addresses(host)
    if known is not None:
        return known
    try:
        return distinct_addresses(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as exc:
        raise cannot_listen(host, exc) from exc


def _bind_tcp(addresses: Sequence[str], port: int, remark: Remark) -> list[Bound]:
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is a number from 0 to 65535, not {port}")
    attempts = 1 if port else _PORT_ATTEMPTS
    while True:
        attempts -= 1
        try:
            return _bind_all(addresses, port, remark)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE or not attempts:
                raise


def _bind_unix(name: str, remark: Remark) -> Bound:
    is_abstract = name.startswith(("@", "\0"))
    rest = name[1:] if is_abstract else name
    if not rest or "\0" in rest:
        raise ValueError(f"{name!r} names no unix socket")
    try:
        if is_abstract:
            # Exactly the name after one NUL, without padding: what indiserver binds (docs/protocol.md 2.1).
            return Bound(_listening(socket.AF_UNIX, f"\0{rest}"), f"@{rest}")
        return Bound(_listening_at_path(rest, remark), rest, _OwnFile.at(rest))
    except OSError as exc:
        raise cannot_listen(f"@{rest}" if is_abstract else rest, exc) from exc


def _bind_all(addresses: Sequence[str], port: int, remark: Remark) -> list[Bound]:
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
                remark(f"left out: {exc}")
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
        raise cannot_listen(form.format(address, port), exc) from exc
    return Bound(sock, form.format(address, sock.getsockname()[1]))


def _listening(family: int, address: str | tuple[str, int]) -> socket.socket:
    with ExitStack() as on_failure:
        sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setblocking(False)
        if family != socket.AF_UNIX and os.name == "posix":
            # So a restarted server need not wait for the last connections of its predecessor to time out. (On
            # Windows the option would let two servers share a port.)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Each family has its own socket, so an IPv4 client never shows up with an IPv6 address.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        on_failure.pop_all()
    return sock


def _listening_at_path(path: str, remark: Remark) -> socket.socket:
    try:
        return _listening(socket.AF_UNIX, path)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE or not _is_leftover(path):
            raise
    remark(f"{path}: replacing the socket of a server that is gone")
    os.unlink(path)
    return _listening(socket.AF_UNIX, path)


def _is_leftover(path: str) -> bool:
    """Return whether there is a socket at the path that nobody listens on."""
    # The type is checked first: connecting to any other file is refused too, and that file is not ours to remove.
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
