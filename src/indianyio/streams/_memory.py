"""A connection inside this process: two ends, each of which receives what the other sends.

It behaves like a connected socket, with back-pressure, partial sends, an end of the stream and a lost peer, so that
what works over it works over a real one. It can also be told to deliver the bytes in pieces of any size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import anyio
import anyio.lowlevel

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol._elements import Attachment
from indianyio.streams._attachments import SharedMemory, as_shared_memory
from indianyio.streams._base import RECEIVE_BYTES, Received, refuse_attachments

__all__ = ["MemoryStream", "memory_pair"]


class _Pipe:
    """One direction: the bytes on their way, who waits for them, and which of its ends are closed.

    Each wait uses an event of its own, and nothing is awaited between looking at the state and making the event, so
    no wake-up is missed.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.held_bytes = 0
        self.pieces: deque[tuple[memoryview, tuple[SharedMemory, ...]]] = deque()
        self.sender_closed = False
        self.receiver_closed = False
        self._waiting: list[anyio.Event] = []

    def put(self, data: memoryview, attached: Sequence[SharedMemory]) -> int:
        """Take as many bytes as there is room for, with the attachments; return how many were taken."""
        piece = data[: self.capacity_bytes - self.held_bytes]
        if piece:
            self.pieces.append((piece, tuple(attachment.duplicate() for attachment in attached)))
            self.held_bytes += len(piece)
            self._wake()
        return len(piece)

    def get(self, limit_bytes: int) -> Received:
        """Return at most this many of the bytes here, and attachments only with the bytes they came with."""
        piece, attachments = self.pieces.popleft()
        data = [piece[:limit_bytes]]
        room = limit_bytes - len(data[0])
        if piece[limit_bytes:]:
            self.pieces.appendleft((piece[limit_bytes:], ()))
        # As in a socket, bytes without attachments are joined.
        while room and self.pieces and not self.pieces[0][1]:
            piece, _ = self.pieces.popleft()
            data.append(piece[:room])
            if piece[room:]:
                self.pieces.appendleft((piece[room:], ()))
            room -= len(data[-1])
        self.held_bytes -= limit_bytes - room
        self._wake()
        return Received(b"".join(data), attachments)

    def close_sender(self) -> None:
        """Note that nothing more will be sent; what is on its way still arrives."""
        self.sender_closed = True
        self._wake()

    def close_receiver(self) -> None:
        """Note that nobody receives any more; what is on its way is lost."""
        self.receiver_closed = True
        for _, attachments in self.pieces:
            for attachment in attachments:
                attachment.close()
        self.pieces.clear()
        self.held_bytes = 0
        self._wake()

    async def changed(self) -> None:
        """Wait until something has been put, taken or closed."""
        event = anyio.Event()
        self._waiting.append(event)
        try:
            await event.wait()
        finally:
            if event in self._waiting:
                self._waiting.remove(event)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()
        self._waiting.clear()


class MemoryStream:
    """One end of a :func:`memory_pair`; a :class:`~indianyio.streams._base.ByteStream`.

    :ivar cut: the most bytes that a ``receive`` returns, to cut a stream anywhere in tests; ``None`` for the usual.
    """

    def __init__(self, incoming: _Pipe, outgoing: _Pipe, *, name: str, carries_attachments: bool) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._name = name
        self._carries_attachments = carries_attachments
        self.cut: int | None = None

    @property
    def name(self) -> str:
        """What log lines call this stream, as given to :func:`memory_pair`."""
        return self._name

    @property
    def carries_attachments(self) -> bool:
        """Whether attachments are handed over, as given to :func:`memory_pair`."""
        return self._carries_attachments

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` says."""
        await anyio.lowlevel.checkpoint()
        while True:
            if self._incoming.receiver_closed:
                raise ConnectionLostError(f"{self._name}: closed at this end")
            if self._incoming.pieces:
                return self._incoming.get(min(self.cut or RECEIVE_BYTES, RECEIVE_BYTES))
            if self._incoming.sender_closed:
                return Received(b"")
            await self._incoming.changed()

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send all of ``data``, as :meth:`ByteStream.send` says; wait while the other end's buffer is full.

        :raises TypeError: an attachment is not :class:`SharedMemory`.
        """
        if not self._carries_attachments:
            refuse_attachments(self._name, attachments)
        if attachments and not data:
            raise ValueError("attachments cannot travel on 0 bytes")
        attached = as_shared_memory(attachments)
        rest = memoryview(bytes(data))  # copies a view, whose owner may go on to change it, but never bytes
        await anyio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._check_connected()
            if taken := self._outgoing.put(rest, attached):
                attached = []
            rest = rest[taken:]
            if not rest:
                break
            await self._outgoing.changed()
        await anyio.lowlevel.cancel_shielded_checkpoint()

    def send_now(self, data: bytes) -> int:
        """Send as much as there is room for, as :meth:`ByteStream.send_now` says."""
        if self._outgoing.sender_closed or self._outgoing.receiver_closed:
            return 0
        return self._outgoing.put(memoryview(data), ())

    def close_sending(self) -> None:
        """Stop sending: the other end receives what is on its way, then the end of the stream.

        This end still receives. A ``send`` in progress raises ``ConnectionLostError``.
        """
        self._outgoing.close_sender()

    async def aclose(self) -> None:
        """Close this end; the other one receives what is on its way, then the end of the stream."""
        self.close()

    def close(self) -> None:
        """Do what :meth:`aclose` does, for callers that cannot await."""
        self._outgoing.close_sender()
        self._incoming.close_receiver()

    def _check_connected(self) -> None:
        if self._outgoing.sender_closed:
            raise ConnectionLostError(f"{self._name}: closed at this end")
        if self._outgoing.receiver_closed:
            raise ConnectionLostError(f"{self._name}: closed by the peer")


def memory_pair(
    *,
    capacity_bytes: int = 1 << 20,
    names: tuple[str, str] = ("a", "b"),
    carries_attachments: bool = False,
) -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of a connection in memory.

    :param capacity_bytes: how much each direction holds before its sender waits; at least 1.
    :param names: what the two streams are called, in order; each name is for the log of whoever holds that end.
    :param carries_attachments: whether attachments are delivered, as duplicates.
    :raises ValueError: the capacity is not positive.
    """
    if capacity_bytes < 1:
        raise ValueError(f"capacity_bytes is {capacity_bytes}; it must be at least 1")
    forth, back = _Pipe(capacity_bytes), _Pipe(capacity_bytes)
    first = MemoryStream(back, forth, name=names[0], carries_attachments=carries_attachments)
    second = MemoryStream(forth, back, name=names[1], carries_attachments=carries_attachments)
    return first, second
