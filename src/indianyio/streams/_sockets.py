"""A byte stream over a connected socket, TCP or Unix; on a Unix socket with descriptors.

Nothing here depends on the socket's O_NONBLOCK flag, because everyone who shares the socket shares the flag:
indiserver gives its driver one socket as standard input and output (protocol.md S6), and a parent may have set the
flag or not. Each call says for itself that it must not wait (MSG_DONTWAIT).

Descriptors form one queue per connection (protocol.md W36). If one were lost, all that follow would go to the wrong
BLOBs. So a truncated control message ends the stream, and a descriptor that is refused keeps its place.
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
from indianyio.streams._attachments import Arrivals, SharedMemory, as_shared_memory, attachments_supported
from indianyio.streams._base import (
    LONGEST_RECEIVE_BYTES,
    RECEIVE_BYTES,
    SCRATCH,
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

__all__ = ["SocketStream"]

# Some systems lack some of these; 0 asks for nothing. They are plain numbers, because joining two members of an
# enum takes a microsecond, and this is done for every message.
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))
_SENDING = _DONTWAIT | int(getattr(socket, "MSG_NOSIGNAL", 0))
_CMSG_CLOEXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_RECEIVING = _DONTWAIT | _CMSG_CLOEXEC
_CTRUNC = int(getattr(socket, "MSG_CTRUNC", 0))
_ANCILLARY_BYTES = socket.CMSG_SPACE(MOST_PER_CALL * array.array("i").itemsize) if attachments_supported() else 0
# How many of one peer's descriptors may be open, as a share of what the process may have, and at most: four
# messages full of BLOBs on their way to a driver, or one image for each client that is slow to fetch it.
_PEERS_SHARE = 16
_PEERS_MOST = 4 * MAX_DESCRIPTORS


class SocketStream:
    """A :class:`~indianyio.streams._base.ByteStream` over a connected stream socket."""

    def __init__(self, sock: socket.socket, *, name: str | None = None, is_shared: bool = False) -> None:
        """Take over a socket, which is closed with this stream.

        :param name: for log lines; derived from the peer's address unless given.
        :param is_shared: whether the connection outlives this stream, because another descriptor has the same
            socket.
        """
        # Python itself waits, in poll(), on a socket that has a timeout. Setting it to 0 changes no flag, because
        # setting a timeout has already set O_NONBLOCK. Without MSG_DONTWAIT the flag is the only way not to wait.
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
        """The peer: ``127.0.0.1:53211``, ``[::1]:53211``, ``process 4711``, or the name that was given."""
        return self._name

    @property
    def carries_attachments(self) -> bool:
        """Whether this is a Unix socket on a system that passes descriptors."""
        return self._carries_attachments

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` says, and until their descriptors are examined."""
        received = None
        if self._receive_bytes > RECEIVE_BYTES and self._arrived is None:
            # The last receive was filled to the brim, so there is more to read now.
            await anyio.lowlevel.checkpoint()
            received = self._receive_now()
        while received is None and self._arrived is None:
            # The same as until_readable(), which would add two calls to the way of each message.
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
        attached = self._attachable(attachments, len(rest)) if attachments else []
        await anyio.lowlevel.checkpoint_if_cancelled()
        while True:
            rest = rest[self._send_now(rest, attached) :]
            if not rest:
                break
            # The socket is nearly always full; if not, this returns at once, and the other tasks have had their
            # turn.
            await until_writable(self._socket.fileno(), self._name)
        await anyio.lowlevel.cancel_shielded_checkpoint()

    def send_now(self, data: bytes) -> int:
        """Send what the kernel takes at once, as :meth:`ByteStream.send_now` says."""
        try:
            return self._socket.send(data, _SENDING)
        except OSError:
            return 0

    async def aclose(self) -> None:
        """Close the socket; a ``receive`` or ``send`` in progress raises ``ConnectionLostError``."""
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
        """Return what has arrived; ``None`` if nothing has, or if descriptors came with it."""
        landing = SCRATCH.memory[: self._receive_bytes]
        ancillary: list[tuple[int, int, bytes]] = []
        flags = 0
        try:
            if self._carries_attachments:
                length, ancillary, flags, _ = self._socket.recvmsg_into((landing,), _ANCILLARY_BYTES, _RECEIVING)
            else:
                length = self._socket.recv_into(landing, 0, _DONTWAIT)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise lost(self._name, exc) from exc
        data = bytes(landing[:length])
        if length == self._receive_bytes:
            # It filled all the room there was, so it is a BLOB, and more is asked for the next time.
            self._receive_bytes = LONGEST_RECEIVE_BYTES
        elif length < RECEIVE_BYTES:
            self._receive_bytes = RECEIVE_BYTES
        is_truncated = bool(flags & _CTRUNC)
        if not (ancillary or is_truncated):
            return Received(data)
        descriptors = received_descriptors(ancillary)
        if not (descriptors or is_truncated):
            return Received(data)
        self._arrived = data, self._arrivals(descriptors, truncated=is_truncated)
        return None

    async def _receive_arrived(self) -> Received:
        """Return what arrived with descriptors, once these are examined."""
        data, arrivals = self._arrived or (b"", Arrivals((), self._account))
        attachments = await arrivals.attachments()
        self._arrived = None
        return Received(data, attachments)

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
            attachment.fileno()  # if it is closed, this raises now, while nothing has been sent
        return attached

    def _send_now(self, rest: memoryview, attached: list[SharedMemory]) -> int:
        """Send what the kernel takes; return how many bytes, and take the attachments sent off the list."""
        try:
            if not attached:
                return self._socket.send(rest, _SENDING)
            # A call takes 16; each further call needs a byte of its own for its attachments to travel on.
            batch = array.array("i", [attachment.fileno() for attachment in attached[:MAX_DESCRIPTORS]])
            piece = rest if len(attached) <= MAX_DESCRIPTORS else rest[:1]
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, batch)]
            sent = self._socket.sendmsg([piece], control, _SENDING)
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
    # A client of a Unix socket usually has no address, but it is a process on this machine.
    process = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return f"process {process}"
