"""Descriptors that somebody else has opened: how many are held, and how they are closed.

Closing one may take as long as its sender likes: a socket with SO_LINGER waits for its peer, a file for the program
behind its file system, and a unix socket first closes everything that still travels in it. Examining one may take
as long. Only memory (memfd, tmpfs) is known to be harmless, and the kernel recognises it without asking any file
system. So whatever has to be done with other descriptors is done in a thread of its own, never by the event loop.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from indianyio._vocabulary import MAX_DESCRIPTORS

__all__ = [
    "MOST_PER_CALL",
    "PROCESS",
    "Account",
    "adopt_socket",
    "close_memory",
    "close_stranger",
    "hang_up",
    "is_memory",
    "received_descriptors",
    "seals_of",
]

_SOCK_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0)
_LINGER_NOT = struct.pack("ii", 0, 0)
MOST_PER_CALL: Final = 253
"""The most that Linux passes in one call (SCM_MAX_FD). The kernel would close those for which a call has no
room, and would make the caller wait for that; so there is always room for all."""

# Closing the last descriptor frees the memory, at 4 GB/s or faster: this much in a millisecond.
_SOON_CLOSED_BYTES = 4 << 20
_PIECE_BYTES = 64 << 10
_BLOCK_BYTES = 512  # the unit of st_blocks
# What counts as the limit if there is none, or one that nobody will ever reach.
_NO_LIMIT = 1 << 20


class Account:
    """How many descriptors are held for somebody, in proportion to what this process may have.

    Threads and the garbage collector release descriptors too, so this is a set, which changes without a lock.

    :param share: the part of the process's descriptors that may be held, 4 for a quarter; but never less than one
        message may bring.
    :param most: an upper limit, however many the process may have.
    """

    def __init__(self, share: int, most: int = _NO_LIMIT) -> None:
        self._share = share
        self._most = most
        self._held: set[object] = set()

    @property
    def limit(self) -> int:
        """How many may be held now; a program may change its own limit while it runs."""
        return min(self._most, max(MAX_DESCRIPTORS, _process_limit() // self._share))

    @property
    def has_room(self) -> bool:
        """Whether another one may be held."""
        return len(self._held) < self.limit

    def enter(self, ticket: object) -> None:
        """Count one more, within the limit or not."""
        self._held.add(ticket)

    def leave(self, ticket: object) -> None:
        """Count one less; leaving twice does nothing."""
        self._held.discard(ticket)


PROCESS: Final = Account(4)
"""The BLOBs of all peers, received or about to be sent. Three quarters are left for connections."""


def is_memory(descriptor: int) -> bool:
    """Return whether this is a file in memory, which can be examined, read and closed without waiting for anybody.

    Only such a file has seals, and the kernel answers that by itself, whereas fstat() asks the file system.
    """
    return seals_of(descriptor) is not None


def seals_of(descriptor: int) -> int | None:
    """Return what can no longer be done to a file in memory, or ``None`` for anything else."""
    import fcntl  # here, because this package must be importable on systems without that module

    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS, 0)
    except OSError:
        return None


def close_memory(descriptor: int, done: Callable[[], None]) -> None:
    """Close a file in memory at once, or in a thread if it may take longer than a turn of the event loop.

    May be called from any thread and by the garbage collector. Raises nothing.

    :param done: called in whatever thread has closed it; must do next to nothing.
    """
    if is_memory(descriptor) and os.fstat(descriptor).st_blocks * _BLOCK_BYTES <= _SOON_CLOSED_BYTES:
        os.close(descriptor)
        done()
    else:
        _in_a_thread(_close, descriptor, done)


def close_stranger(descriptor: int) -> None:
    """Close a descriptor of any kind. This may wait, so it is for threads. Raises nothing."""
    with suppress(OSError):
        # A connection with unsent data would wait for its peer; told not to, the kernel goes on without us.
        sock = adopt_socket(descriptor)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        sock.detach()
    _close(descriptor, _nothing)


def hang_up(sock: socket.socket) -> None:
    """Close a socket without waiting, even if its peer has sent what nobody read. Closing twice does nothing."""
    if sock.fileno() < 0:
        return
    if sock.family == getattr(socket, "AF_UNIX", None):
        with suppress(OSError):  # the other end was faster
            sock.shutdown(socket.SHUT_RDWR)  # so that nothing more comes in
        _empty(sock)
    sock.close()


def adopt_socket(descriptor: int) -> socket.socket:
    """Return a socket object that owns an inherited descriptor, without changing what others share with it."""
    # By saying that the socket does not block we keep Python from setting O_NONBLOCK on it, as it otherwise does if
    # a program has called socket.setdefaulttimeout().
    return socket.socket(-1, socket.SOCK_STREAM | _SOCK_NONBLOCK, -1, fileno=descriptor)


def _process_limit() -> int:
    try:
        import resource
    except ImportError:  # a system without such limits
        return _NO_LIMIT
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _NO_LIMIT if soft == resource.RLIM_INFINITY else min(soft, _NO_LIMIT)


def _in_a_thread(close: Callable[..., None], *args: object) -> None:
    """Call this in a thread for which nothing waits, not even the end of the process."""
    import _thread

    try:
        # Not threading.Thread: the garbage collector calls this, perhaps while that module holds its own locks.
        _thread.start_new_thread(close, args)
    except RuntimeError:  # no thread can be had, or the process is ending; better slowly than never
        close(*args)


def _close(descriptor: int, done: Callable[[], None]) -> None:
    with suppress(OSError):  # if something was not written, that is its sender's concern
        os.close(descriptor)
    done()


def _empty(sock: socket.socket) -> None:
    """Take out what travels in a socket that nobody serves any more, and close the descriptors in it."""
    room = socket.CMSG_SPACE(MOST_PER_CALL * array.array("i").itemsize)
    with suppress(OSError):  # nothing is left
        while True:
            data, ancillary, *_ = sock.recvmsg(_PIECE_BYTES, room, _DONTWAIT)
            _close_all(received_descriptors(ancillary))
            if not data:
                break


def _close_all(descriptors: Iterable[int]) -> None:
    strangers: list[int] = []
    for descriptor in descriptors:
        if is_memory(descriptor):
            close_memory(descriptor, _nothing)
        else:
            strangers.append(descriptor)
    if strangers:
        _in_a_thread(_close_strangers, strangers)


def _close_strangers(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        close_stranger(descriptor)


def _nothing() -> None:
    """Ignore the end."""


def received_descriptors(ancillary: list[tuple[int, int, bytes]]) -> array.array[int]:
    """Return the descriptors that came with some bytes."""
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return descriptors
