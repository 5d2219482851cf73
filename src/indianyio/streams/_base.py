"""What a link reads from and writes to, whatever carries it; and how its waits end.

Every transport follows the same two habits. ``receive`` gives the other tasks their turn *before* it takes
anything, so however it is cancelled, nothing that it took is lost. ``send`` calls the kernel at once and waits
only when the kernel takes no more, because a message that waits for the event loop is late for no reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import anyio

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol._elements import Attachment

__all__ = [
    "RECEIVE_BYTES",
    "ByteStream",
    "Received",
    "WrappingStream",
    "lost",
    "refuse_attachments",
    "until_readable",
    "until_writable",
]

RECEIVE_BYTES = 64 << 10
"""The most that one ``receive`` returns: what a pipe holds, and what libindi sends at a time (protocol.md 3.1).

A socket that brings as much as this may be asked for more the next time."""


class Received(NamedTuple):
    """What one ``receive`` brought; no bytes and no attachments mean that the stream has ended.

    :ivar data: the next bytes of the stream.
    :ivar attachments: what travelled with them, in stream order; it belongs to the receiver, who closes it.
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

        Cancelled, it has taken nothing. After the end of the stream there is nothing more to receive.

        :return: at least one byte, or the end of the stream.
        :raises ConnectionLostError: the connection was reset, or closed at this end.
        :raises RemoteProtocolError: attachments were lost on the way, so that the rest would go to the wrong BLOBs.
        """

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send all of ``data``; attachments travel with its first byte and stay the caller's to close.

        Cancelled, it may have sent a part: the peer is then in the middle of an element, so nothing may be sent
        on this stream any more.

        :raises ConnectionLostError: the peer has gone, or the stream was closed at this end.
        :raises ValueError: this stream carries no attachments, or not so many on so few bytes.
        """

    def send_now(self, data: bytes) -> int:
        """Send what takes no waiting; for callers who know that no :meth:`send` is under way.

        :return: how many bytes have gone. None may have, for any reason: the next :meth:`send` will tell.
        """

    async def aclose(self) -> None:
        """Close this end at once, without waiting; closing twice does nothing.

        A ``receive`` or ``send`` that is under way raises :class:`ConnectionLostError`.
        """


class WrappingStream:
    """A stream around another one, which does all that it does; subclasses do some of it in their own way.

    :param stream: the stream inside; closed with this one.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    @property
    def name(self) -> str:
        """What the stream inside is called."""
        return self._stream.name

    @property
    def carries_attachments(self) -> bool:
        """Whether the stream inside accepts attachments."""
        return self._stream.carries_attachments

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` says."""
        return await self._stream.receive()

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send all of ``data``, as :meth:`ByteStream.send` says."""
        await self._stream.send(data, attachments)

    def send_now(self, data: bytes) -> int:
        """Send what takes no waiting, as :meth:`ByteStream.send_now` says."""
        return self._stream.send_now(data)

    async def aclose(self) -> None:
        """Close the stream inside."""
        await self._stream.aclose()


def lost(name: str, cause: OSError) -> ConnectionLostError:
    """Return the error that says what the operating system said."""
    return ConnectionLostError(f"{name}: {cause.strerror or cause}")


def refuse_attachments(name: str, attachments: Sequence[Attachment]) -> None:
    """Raise ``ValueError`` if there are any, for streams that cannot carry them."""
    if attachments:
        raise ValueError(f"{name} carries no attachments")


async def until_readable(descriptor: int, name: str) -> None:
    """Wait until there is something to read, be it the end of the stream or an error.

    :raises ConnectionLostError: the descriptor is closed, or is closed meanwhile.
    """
    try:
        _check_open(descriptor)
        await anyio.wait_readable(descriptor)
    except anyio.ClosedResourceError as exc:
        raise ConnectionLostError(f"{name}: closed at this end") from exc


async def until_writable(descriptor: int, name: str) -> None:
    """Wait until something can be written, or an error is there to be had.

    :raises ConnectionLostError: the descriptor is closed, or is closed meanwhile.
    """
    try:
        _check_open(descriptor)
        await anyio.wait_writable(descriptor)
    except anyio.ClosedResourceError as exc:
        raise ConnectionLostError(f"{name}: closed at this end") from exc


def _check_open(descriptor: int) -> None:
    if descriptor < 0:
        raise anyio.ClosedResourceError
