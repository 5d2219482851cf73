"""A byte stream over a connected socket, TCP or Unix; on a Unix socket with descriptors.

Nothing here depends on the socket's O_NONBLOCK, which belongs to everyone who shares the socket: indiserver gives
its driver one socket as standard input and output (protocol.md S6), and a parent may have set the flag or not.
Each call says for itself that it must not wait (MSG_DONTWAIT).

Descriptors form one queue per connection (protocol.md W36). One that is lost would shift all that follow to
the wrong BLOBs, hence a truncated control message ends the stream, and one that is refused keeps its place.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Sequence

import anyio
import anyio.lowlevel

from indianyio._vocabulary import MAX_DESCRIPTORS
from indianyio.exceptions import ConnectionLostError, RemoteProtocolError
from indianyio.protocol._elements import Attachment
from indianyio.streams._arrivals import Arrivals
from indianyio.streams._attachments import SharedMemory, as_shared_memory, attachments_supported
from indianyio.streams._base import (
    RECEIVE_BYTES,
    Received,
    lost,
    refuse_attachments,
    until_writable,
)
from indianyio.streams._descriptors import (
    MOST_PER_CALL,
    Account,
    hang_up,
    received_descriptors,
)
from indianyio.streams._scratch import LONGEST_RECEIVE_BYTES, scratch

__all__ = ["SocketStream"]

# Not every system has every one of these; 0 asks for nothing.
_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0)
_NOSIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
_CMSG_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_ANCILLARY_BYTES = socket.CMSG_SPACE(MOST_PER_CALL * array.array("i").itemsize) if attachments_supported() else 0
# How many of one peer's descriptors may be open, as a share of what the process may have and at most: four messages
# full of BLOBs on their way to a driver, or one image for each of those who are late to fetch it.
_PEERS_SHARE = 16
_PEERS_MOST = 4 * MAX_DESCRIPTORS


class SocketStream:
    """A :class:`~indianyio.streams._base.ByteStream` over a connected stream socket."""

    def __init__(self, sock: socket.socket, *, name: str | None = None, is_shared: bool = False) -> None:
        """Take over a socket, which is closed with this stream.

        :param name: for log lines; derived from the peer's address unless given.
        :param is_shared: whether the connection goes on without this stream, by another descriptor of the socket.
        """
        # Python itself waits, in poll(), on a socket that has a timeout; setting it to 0 changes no flag then,
        # because a timeout had set O_NONBLOCK already. Without MSG_DONTWAIT the flag is the only way.
        if sock.gettimeout() or not _DONTWAIT:
            sock.setblocking(False)
        self._socket = sock
        self._receive_bytes = RECEIVE_BYTES
        is_unix = hasattr(socket, "AF_UNIX") and sock.family == socket.AF_UNIX
        self._carries_attachments = is_unix and attachments_supported()
        self._is_shared = is_shared
        self._account = Account(_PEERS_SHARE, _PEERS_MOST)
        self._arrived: tuple[bytes, Arrivals] | None = None
        self._name = _peer_name(sock) if name is None else name
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Small messages matter most here (an Abort); they must not wait for an acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def name(self) -> str:
        """The peer: ``127.0.0.1:53211``, ``[::1]:53211``, ``process 4711``, or what was given."""
        return self._name

    @property
    def carries_attachments(self) -> bool:
        """Whether this is a Unix socket on a system that passes descriptors."""
        return self._carries_attachments

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` says, and for a look at what came with them."""
        received = None
        if self._receive_bytes > RECEIVE_BYTES and self._arrived is None:
            # More was there the last time than was asked for, so there is something now.
            await anyio.lowlevel.checkpoint()
            received = self._receive_now()
        while received is None and self._arrived is None:
            # As until_readable() does, which would be two more calls on the way of each message.
            try:
                if self._socket.fileno() < 0:
                    raise anyio.ClosedResourceError
                await anyio.wait_readable(self._socket)
            except anyio.ClosedResourceError as exc:
                raise ConnectionLostError(f"{self._name}: closed at this end") from exc
            received = self._receive_now()
        return received or await self._receive_arrived()

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send all of ``data``, as :meth:`ByteStream.send` says.

        :raises TypeError: an attachment is not :class:`SharedMemory`.
        :raises ValueError: this is not a Unix socket, an attachment is closed, or there are more than 16 for each
            byte of data.
        """
        rest = memoryview(data).cast("B")
        attached = self._attachable(attachments, len(rest))
        await anyio.lowlevel.checkpoint_if_cancelled()
        while True:
            rest = rest[self._send_now(rest, attached) :]
            if not rest:
                break
            # The socket is full, as a rule; if not, the wait is over at once, and the other tasks had their turn.
            await until_writable(self._socket.fileno(), self._name)
        await anyio.lowlevel.cancel_shielded_checkpoint()

    def send_now(self, data: bytes) -> int:
        """Send what the kernel takes at once, as :meth:`ByteStream.send_now` says."""
        try:
            return self._socket.send(data, _DONTWAIT | _NOSIGNAL)
        except OSError:
            return 0

    async def aclose(self) -> None:
        """Close the socket; a ``receive`` or ``send`` under way raises ``ConnectionLostError``."""
        self.close()

    def close(self) -> None:
        """Do what :meth:`aclose` does, for callers that cannot await; an event loop must be running."""
        if self._arrived is not None:
            self._arrived[1].discard()
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            if self._is_shared:
                self._socket.close()
            else:
                hang_up(self._socket)

    def _receive_now(self) -> Received | None:
        """Return what is there; ``None`` if nothing is there yet, or if descriptors came with it."""
        landing = scratch(self._receive_bytes)
        try:
            if not self._carries_attachments:
                return Received(self._sized(landing, self._socket.recv_into(landing, 0, _DONTWAIT)))
            length, ancillary, flags, _ = self._socket.recvmsg_into(
                (landing,), _ANCILLARY_BYTES, _DONTWAIT | _CMSG_CLOEXEC
            )
            data = self._sized(landing, length)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise lost(self._name, exc) from exc
        descriptors = received_descriptors(ancillary)
        if not descriptors and not flags & socket.MSG_CTRUNC:
            return Received(data)
        self._arrived = data, self._arrivals(descriptors, truncated=bool(flags & socket.MSG_CTRUNC))
        return None

    async def _receive_arrived(self) -> Received:
        """Return what came with descriptors, once these are looked at."""
        data, arrivals = self._arrived or (b"", Arrivals((), self._account))
        attachments = await arrivals.attachments()
        self._arrived = None
        return Received(data, attachments)

    def _sized(self, landing: memoryview, length: int) -> bytes:
        """Return what has come, and ask for more the next time if that was all there was room for: a BLOB, then."""
        if length == self._receive_bytes:
            self._receive_bytes = LONGEST_RECEIVE_BYTES
        elif length < RECEIVE_BYTES:
            self._receive_bytes = RECEIVE_BYTES
        return bytes(landing[:length])

    def _arrivals(self, descriptors: Sequence[int], *, truncated: bool) -> Arrivals:
        if not _CMSG_CLOEXEC:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
        arrivals = Arrivals(descriptors, self._account)
        if truncated or len(descriptors) > MAX_DESCRIPTORS:
            arrivals.discard()
            raise RemoteProtocolError(
                f"{self._name}: attachments were lost: more than {MAX_DESCRIPTORS} at a time, "
                "or this process has no descriptor left"
            )
        return arrivals

    def _attachable(self, attachments: Sequence[Attachment], length: int) -> list[SharedMemory]:
        if not self._carries_attachments:
            refuse_attachments(self._name, attachments)
        if len(attachments) > MAX_DESCRIPTORS * length:
            raise ValueError(f"{len(attachments)} attachments cannot travel on {length} bytes")
        attached = as_shared_memory(attachments)
        for attachment in attached:
            attachment.fileno()  # raises now, while nothing has been sent, if it is closed
        return attached

    def _send_now(self, rest: memoryview, attached: list[SharedMemory]) -> int:
        """Send what the kernel takes; return the bytes sent and take the attachments sent off the list."""
        try:
            if not attached:
                return self._socket.send(rest, _DONTWAIT | _NOSIGNAL)
            # A call takes 16; those that remain need a byte of their own to travel on.
            batch = array.array("i", [attachment.fileno() for attachment in attached[:MAX_DESCRIPTORS]])
            piece = rest if len(attached) <= MAX_DESCRIPTORS else rest[:1]
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, batch)]
            sent = self._socket.sendmsg([piece], control, _DONTWAIT | _NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise lost(self._name, exc) from exc
        del attached[:MAX_DESCRIPTORS]
        return sent


def _peer_name(sock: socket.socket) -> str:
    try:
        address = sock.getpeername()
    except OSError:
        return "disconnected socket"  # the first receive will tell why
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not hasattr(socket, "SO_PEERCRED"):
        return "unix socket"
    # A client of a Unix socket has no address as a rule, but it is a process on this machine.
    process = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return f"process {process}"
