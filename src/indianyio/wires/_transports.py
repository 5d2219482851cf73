"""Transports, which carry the bytes of an open wire: the descriptor of a serial port or a socket.

A transport decides nothing. It reads and writes whatever the kernel allows without waiting, and can wait until the
kernel allows more. So a wire always knows what has been sent and what has not, however it is cancelled.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Protocol

import anyio

__all__ = ["READ_BYTES", "DescriptorTransport", "Transport", "socket_transport"]

READ_BYTES = 4096
"""How much is read at a time: as much as the kernel buffers for a serial port. Answers are short."""

# How often the kernel is asked, on closing, whether everything has been sent: a byte takes 1 ms at 9600 baud.
_DRAIN_POLL_SECONDS = 0.005


class Transport(Protocol):
    """An open connection to an instrument."""

    def read(self) -> bytes:
        """Return what has arrived; empty bytes if nothing has.

        :raises OSError: the connection is lost, and there is nothing more to read.
        """

    def write(self, data: bytes) -> int:
        """Send as much as possible without waiting; return how many bytes that was.

        :raises OSError: the connection is lost; nothing of ``data`` was sent.
        """

    async def until_readable(self) -> None:
        """Wait until :meth:`read` has something to return or to raise. If it is cancelled, nothing has been read.

        :raises anyio.ClosedResourceError: the transport is closed, or is closed meanwhile.
        """

    async def until_writable(self) -> None:
        """Wait until :meth:`write` can send something or raises. If it is cancelled, nothing has been sent.

        :raises anyio.ClosedResourceError: the transport is closed, or is closed meanwhile.
        """

    async def until_sent(self) -> None:
        """Wait until what was written has left this computer; the caller must set a time-out."""

    def close(self) -> None:
        """Close it without waiting, and drop what has not been sent; closing it again does nothing."""


class DescriptorTransport:
    """A :class:`Transport` on a descriptor that does not block.

    :param descriptor: its number.
    :param read: reads at most this many bytes; raises :class:`BlockingIOError` if there are none.
    :param write: writes bytes and returns how many; raises :class:`BlockingIOError` if it could write none.
    :param close: closes it.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        read: Callable[[int], bytes],
        write: Callable[[bytes], int],
        close: Callable[[], None],
    ) -> None:
        self._descriptor = descriptor
        self._read = read
        self._write = write
        self._close = close

    def read(self) -> bytes:
        """Return what has arrived, as :meth:`Transport.read` does."""
        self._check_open()
        try:
            return self._read(READ_BYTES)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> int:
        """Send what the kernel accepts, as :meth:`Transport.write` does."""
        self._check_open()
        try:
            return self._write(data)
        except BlockingIOError:
            return 0

    async def until_readable(self) -> None:
        """Wait until there is something to read."""
        self._check_open()
        await anyio.wait_readable(self._descriptor)

    async def until_writable(self) -> None:
        """Wait until something can be written."""
        self._check_open()
        await anyio.wait_writable(self._descriptor)

    async def until_sent(self) -> None:
        """Ask the kernel, again and again, until it has nothing left to send."""
        while self._descriptor >= 0 and unsent_bytes(self._descriptor) > 0:  # noqa: ASYNC110 - there is no event
            await anyio.sleep(_DRAIN_POLL_SECONDS)

    def close(self) -> None:
        """Close the descriptor; whoever is waiting for it gets an error."""
        if self._descriptor >= 0:
            closing, self._descriptor = self._descriptor, -1
            anyio.notify_closing(closing)
            self._close()

    def _check_open(self) -> None:
        if self._descriptor < 0:
            raise anyio.ClosedResourceError


def socket_transport(sock: socket.socket) -> DescriptorTransport:
    """Return a transport over a connected socket that does not block; the transport owns the socket."""
    is_stream = sock.type == socket.SOCK_STREAM

    def read(most_bytes: int) -> bytes:
        data = sock.recv(most_bytes if is_stream else _DATAGRAM_BYTES)
        if is_stream and not data:
            raise ConnectionResetError(errno.ECONNRESET, "closed by the other end")
        return data

    return DescriptorTransport(sock.fileno(), read=read, write=sock.send, close=sock.close)


_DATAGRAM_BYTES = 64 << 10  # no datagram is longer; a smaller buffer would cut one off and lose the rest


def unsent_bytes(descriptor: int) -> int:
    """Return how many bytes the kernel still has to send; 0 if it cannot tell."""
    import struct

    try:
        import fcntl  # here, because the package must be importable where there are no such modules
        import termios

        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))  # for sockets it is called SIOCOUTQ
    except (OSError, ImportError):
        return 0
    return int(struct.unpack("i", answer)[0])
