"""What a link reads from and writes to, whatever carries the bytes, how it waits, and what is known of its peer.

Every transport has the same two habits. ``receive`` lets the other tasks run *before* it takes anything, so
whenever it is cancelled, nothing that it has taken is lost. ``send`` calls the kernel at once, and waits only when
the kernel takes no more, because a message that first waited for the event loop would be late for no reason.

Whoever serves a client needs only a byte stream. How the bytes travel, whether they are encrypted, and how the
system looks after the connection is the listener's business. So a listener in memory can stand in for a real one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final, Literal, NamedTuple, Protocol

import anyio

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol._elements import Attachment

__all__ = [
    "LONGEST_RECEIVE_BYTES",
    "RECEIVE_BYTES",
    "SCRATCH",
    "Accepted",
    "ByteStream",
    "Connection",
    "Received",
    "WrappingStream",
    "lost",
    "refuse_attachments",
    "until_readable",
    "until_writable",
]

RECEIVE_BYTES = 64 << 10
"""The most that one ``receive`` returns: what a pipe holds, and what libindi sends at a time (protocol.md 3.1).

After a socket has returned this much, it may be asked for more the next time."""

LONGEST_RECEIVE_BYTES = 512 << 10
"""The most that is received at a time: more than a unix socket holds, and part of what a TCP connection holds."""


# Where received bytes land before they are kept. ``recv(65536)`` and ``read(65536)`` allocate an object of that
# size and shrink it to the bytes that arrived, usually a few hundred. The rest goes back to the C library, and much
# of it lies unused between other objects: the process grows although it holds nothing. So everything is received
# into the same memory and kept in objects that have the right length from the beginning; Python takes small ones
# from pools.
class _Scratch(threading.local):
    """One for each thread, because any thread may run an event loop.

    :ivar memory: what bytes are received into; to be copied before anything is awaited.
    """

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(LONGEST_RECEIVE_BYTES))


SCRATCH: Final = _Scratch()


class Received(NamedTuple):
    """What one ``receive`` returned; no bytes and no attachments mean that the stream has ended.

    :ivar data: the next bytes of the stream.
    :ivar attachments: what travelled with them, in stream order; they belong to the receiver, who closes them.
    """

    data: bytes
    attachments: tuple[Attachment, ...] = ()


class ByteStream(Protocol):
    """Two directions of bytes, for one receiving and one sending task at a time."""

    @property
    def name(self) -> str:
        """Who is at the other end, for log lines: ``stdin/stdout``, ``127.0.0.1:53211``."""

    @property
    def carries_attachments(self) -> bool:
        """Whether ``send`` accepts attachments (protocol.md 1.6)."""

    async def receive(self) -> Received:
        """Wait for the next bytes and return them.

        If it is cancelled, it has taken nothing. After the end of the stream nothing more can be received.

        :return: at least one byte, or the end of the stream.
        :raises ConnectionLostError: the connection was reset, or closed at this end.
        :raises RemoteProtocolError: attachments were lost on the way, so the others would go to the wrong BLOBs.
        """

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send all of ``data``; attachments travel with its first byte, and the caller still closes them.

        If it is cancelled, it may have sent a part: the peer is then in the middle of an element, so nothing more
        may be sent on this stream.

        :raises ConnectionLostError: the peer closed the connection, or the stream was closed at this end.
        :raises ValueError: this stream does not carry attachments, or not so many with so few bytes.
        """

    def send_now(self, data: bytes) -> int:
        """Send what can be sent without waiting; only for callers who know that no :meth:`send` is in progress.

        :return: how many bytes were sent. It may be 0 for any reason; the next :meth:`send` raises it if it lasts.
        """

    async def aclose(self) -> None:
        """Close this end at once, without waiting; closing twice does nothing.

        A ``receive`` or ``send`` that is in progress raises :class:`ConnectionLostError`.
        """


class WrappingStream:
    """A stream around another one. It does what the inner one does; subclasses do some of that in their own way.

    :param stream: the inner stream; it is closed with this one.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    @property
    def name(self) -> str:
        """The name of the inner stream."""
        return self._stream.name

    @property
    def carries_attachments(self) -> bool:
        """Whether the inner stream accepts attachments."""
        return self._stream.carries_attachments

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` says."""
        return await self._stream.receive()

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send all of ``data``, as :meth:`ByteStream.send` says."""
        await self._stream.send(data, attachments)

    def send_now(self, data: bytes) -> int:
        """Send what can be sent without waiting, as :meth:`ByteStream.send_now` says."""
        return self._stream.send_now(data)

    async def aclose(self) -> None:
        """Close the inner stream."""
        await self._stream.aclose()


def lost(name: str, cause: OSError) -> ConnectionLostError:
    """Return the error that reports what the operating system said."""
    return ConnectionLostError(f"{name}: {cause.strerror or cause}")


def refuse_attachments(name: str, attachments: Sequence[Attachment]) -> None:
    """Raise ``ValueError`` if there are any; for streams that cannot carry them."""
    if attachments:
        raise ValueError(f"{name} carries no attachments")


async def until_readable(descriptor: int, name: str) -> None:
    """Wait until there is something to read, which may also be the end of the stream or an error.

    :raises ConnectionLostError: the descriptor is closed already, or is closed meanwhile.
    """
    try:
        _check_open(descriptor)
        await anyio.wait_readable(descriptor)
    except anyio.ClosedResourceError as exc:
        raise ConnectionLostError(f"{name}: closed at this end") from exc


async def until_writable(descriptor: int, name: str) -> None:
    """Wait until something can be written, or there is an error to report.

    :raises ConnectionLostError: the descriptor is closed already, or is closed meanwhile.
    """
    try:
        _check_open(descriptor)
        await anyio.wait_writable(descriptor)
    except anyio.ClosedResourceError as exc:
        raise ConnectionLostError(f"{name}: closed at this end") from exc


def _check_open(descriptor: int) -> None:
    if descriptor < 0:
        raise anyio.ClosedResourceError


# -- a client that has connected -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known about a client before it says anything.

    :ivar kind: how it is connected.
    :ivar address: the IP address it comes from; ``None`` on a unix socket.
    :ivar port: the TCP port it comes from; ``None`` on a unix socket.
    :ivar uid: the user who runs its process; only known on unix sockets, and only where the system tells.
    :ivar gid: the group of that process, likewise.
    :ivar pid: the number of that process, likewise; 0 if this process cannot see it (in another container).
    :ivar certificate: the verified TLS certificate of the client, in the form of
        :meth:`ssl.SSLSocket.getpeercert`; ``None`` if there is none.
    """

    kind: Literal["tcp", "unix"]
    address: str | None = None
    port: int | None = None
    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    certificate: Mapping[str, object] | None = field(default=None, hash=False)

    @property
    def name(self) -> str:
        """What log lines call the client: ``127.0.0.1:53211``, ``[::1]:53211``, ``process 4711``."""
        if self.kind == "unix":
            return "unix socket" if self.pid is None else f"process {self.pid}"
        return f"[{self.address}]:{self.port}" if ":" in str(self.address) else f"{self.address}:{self.port}"

    @property
    def origin(self) -> str:
        """Where the client comes from, for what is counted for each: an IPv4 address, an IPv6 network, or a user.

        One machine with IPv6 has all the addresses of a network of 64 bits.
        """
        if self.kind == "unix":
            return "unix socket" if self.uid is None else f"user {self.uid}"
        address = ip_address(str(self.address))
        if not isinstance(address, IPv6Address):
            return str(address)
        return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))

    @property
    def common_name(self) -> str | None:
        """The common name in the certificate's subject, or ``None`` if there is none."""
        subject = (self.certificate or {}).get("subject", ())
        if not isinstance(subject, tuple):
            return None
        names = [value for attributes in subject for key, value in attributes if key == "commonName"]
        # The last one is the most specific, which is why RFC 4514 writes a subject backwards.
        return str(names[-1]) if names else None


class Accepted:
    """A connection that a listener has accepted and nobody has served yet.

    :param connection: what is known about the client.
    :param stream: its bytes; the listener closes it when the client has been served.
    :ivar connection: what is known about the client by now.
    :ivar certificate_follows: whether the client may still show a certificate in :meth:`open`.
    """

    certificate_follows = False

    def __init__(self, connection: Connection, stream: ByteStream) -> None:
        self.connection = connection
        self._stream = stream

    async def open(self) -> ByteStream | None:
        """Do what has to come before the client's first byte, such as a TLS handshake, and return the stream.

        :return: the stream, which the listener closes; ``None`` if the listener turns the client away, for a reason
            that it has logged.
        :raises ConnectionLostError: the client has disconnected, or cannot do what is asked of it.
        """
        return self._stream

    async def aclose(self) -> None:
        """Close the connection at once, opened or not."""
        await self._stream.aclose()
