"""A stream that arrives as streams do on bad days: late, in pieces, garbled, not at all."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

import anyio

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import Attachment
from indianyio.streams import ByteStream, Received

__all__ = ["MisbehavingStream"]

# What replaces a garbled byte: what a serial line or a bad cable makes of XML, and what hurts it most.
_GARBAGE = b"<>&\"'=/ \x00\xff\xc3a"


class MisbehavingStream:
    """Another stream, with faults in what is received through it; what is sent goes through unchanged.

    Wrap the other end as well for faults in the other direction. The same seed makes the same faults, whatever the
    pieces are in which the bytes arrive. Closing it closes the stream inside.

    :param stream: the stream inside; it belongs to this one from now on.
    :param seed: of the random choices.
    :param pieces: the most bytes that arrive at a time; each piece has a random length up to that.
    :param delay: the longest wait before a piece, in seconds; each is random up to that.
    :param garble: how likely each byte is to become another one, from 0 to 1.
    :param stall_after: after so many bytes nothing arrives any more, for ever.
    :param end_after: after so many bytes the stream ends, as if the peer had closed it.
    :param lose_after: after so many bytes the connection is lost, as if the peer's machine had gone down.
    :raises ValueError: a parameter is out of its range.
    :ivar received_bytes: how many bytes have arrived so far.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        seed: int = 0,
        pieces: int | None = None,
        delay: float = 0.0,
        garble: float = 0.0,
        stall_after: int | None = None,
        end_after: int | None = None,
        lose_after: int | None = None,
    ) -> None:
        if pieces is not None and pieces < 1:
            raise ValueError(f"pieces is {pieces}, it must be at least 1")
        if not 0 <= garble <= 1 or delay < 0:
            raise ValueError(f"garble is {garble} and delay {delay}; garble is from 0 to 1, and delay at least 0")
        self._stream = stream
        self._cuts, self._delays, self._garbling = (
            random.Random(f"{what} {seed}") for what in ("cut", "wait", "x")
        )
        self._pieces = pieces
        self._delay = delay
        self._garble = garble
        self._stall_after = stall_after
        self._end_after = end_after
        self._lose_after = lose_after
        self._waiting: deque[bytes] = deque()
        self._attachments: tuple[Attachment, ...] = ()
        self.received_bytes = 0

    @property
    def name(self) -> str:
        """The name of the stream inside."""
        return self._stream.name

    @property
    def carries_attachments(self) -> bool:
        """Whether the stream inside does."""
        return self._stream.carries_attachments

    async def receive(self) -> Received:
        """Wait for the next bytes, and for what goes wrong with them; cancelled, it has taken nothing."""
        if not self._waiting:
            await self._fill()
        if self._delay:
            await anyio.sleep(self._delays.uniform(0, self._delay))
        room = await self._room()
        if not self._waiting:
            return Received(b"")
        data = self._waiting.popleft()
        if len(data) > room:
            self._waiting.appendleft(data[room:])
            data = data[:room]
        attachments, self._attachments = self._attachments, ()
        self.received_bytes += len(data)
        return Received(data, attachments)

    async def _fill(self) -> None:
        received = await self._stream.receive()
        self._attachments = received.attachments
        rest = self._garbled(received.data)
        while rest:
            length = len(rest) if self._pieces is None else self._cuts.randint(1, self._pieces)
            self._waiting.append(rest[:length])
            rest = rest[length:]

    def _garbled(self, data: bytes) -> bytes:
        if not self._garble:
            return data
        chance = self._garbling
        return bytes(chance.choice(_GARBAGE) if chance.random() < self._garble else byte for byte in data)

    async def _room(self) -> int:
        """Return how many bytes may still arrive now, once it is clear that any may."""
        if self.received_bytes == self._stall_after:
            await anyio.sleep_forever()
        if self.received_bytes == self._lose_after:
            raise ConnectionLostError(f"{self.name}: lost after {self.received_bytes} bytes, as the test wants it")
        if self.received_bytes == self._end_after:
            self._waiting.clear()
        limits = [self._stall_after, self._end_after, self._lose_after]
        return (
            min([limit - self.received_bytes for limit in limits if limit is not None], default=1 << 62) or 1 << 62
        )

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send through the stream inside."""
        await self._stream.send(data, attachments)

    def send_now(self, data: bytes) -> int:
        """Send at once through the stream inside."""
        return self._stream.send_now(data)

    async def aclose(self) -> None:
        """Close the stream inside."""
        await self._stream.aclose()
