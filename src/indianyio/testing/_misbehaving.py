"""A stream on which things go wrong, but reproducibly.

Serial lines, wireless networks and overloaded servers deliver late, in pieces, with rubbish, or not at all. A
:class:`Mischief` says what goes wrong in one direction, so that a test shows exactly what it is about.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.lowlevel

from indianyio._vocabulary import MAX_DESCRIPTORS
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import Attachment
from indianyio.streams import ByteStream, Received
from indianyio.streams._base import WrappingStream

__all__ = ["MisbehavingStream", "Mischief"]

# The bytes that a garbled byte may become: those worst for an XML reader, those typical of serial lines, and
# others.
_RUBBISH = b"<>&\"'/\0\x1b\xff" + bytes(range(32, 48))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mischief:
    """What goes wrong in one direction of a stream; nothing by default.

    :ivar pieces: the most bytes that come through at a time; each piece has a random length from 1 up to this.
    :ivar delay: how long each piece takes, in seconds: a random time from 0 up to this.
    :ivar garble: the probability that a byte is replaced by another one, from 0 to 1.
    :ivar stall_at: after this many bytes nothing comes through any more, without notice, until the stream is
        closed.
    :ivar cut_at: immediately after this many bytes the connection is lost, in both directions.
    :raises ValueError: one of them is out of range.
    """

    pieces: int | None = None
    delay: float = 0.0
    garble: float = 0.0
    stall_at: int | None = None
    cut_at: int | None = None

    def __post_init__(self) -> None:
        if self.pieces is not None and self.pieces < 1:
            raise ValueError(f"pieces is {self.pieces}, but must be at least 1")
        if not 0 <= self.delay < math.inf:
            raise ValueError(f"delay is {self.delay}, but must be a number of seconds")
        if not 0 <= self.garble <= 1:
            raise ValueError(f"garble is {self.garble}, but must be from 0 to 1")
        for name, value in (("stall_at", self.stall_at), ("cut_at", self.cut_at)):
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}, but must be a number of bytes")


class MisbehavingStream(WrappingStream):
    """A :class:`~indianyio.streams.ByteStream` around another one, on which things go wrong.

    ::

        near, far = memory_pair()
        bad = MisbehavingStream(far, receiving=Mischief(pieces=3, garble=0.01), seed=7)

    The same seed and the same bytes give the same pieces and the same rubbish; the two directions do not influence
    each other. Attachments travel with the first piece and are not garbled; those that have arrived here but not
    come through when the stream is cut or closed are closed.

    :param stream: the stream around which this one is; closed with this one.
    :param receiving: what goes wrong with bytes that are received from it.
    :param sending: what goes wrong with bytes that are sent to it.
    :param seed: the seed of everything random.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        receiving: Mischief | None = None,
        sending: Mischief | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(stream)
        self._receiving = _Direction(receiving or Mischief(), random.Random(f"{seed} receiving"))
        self._sending = _Direction(sending or Mischief(), random.Random(f"{seed} sending"))
        self._left = Received(b"")
        self._lost = ""
        self._closed = anyio.Event()

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` does, and let things go wrong."""
        await anyio.lowlevel.checkpoint()
        direction = self._receiving
        await self._until_there_is_room(direction)
        if not self._left.data:
            self._left = await self._stream.receive()
        if not self._left.data:
            return self._left
        await self._pause(direction)  # nothing has been removed yet, so nothing is lost if this is cancelled
        data, attachments = self._left
        size = min(direction.piece(), len(data), direction.room())
        self._left = Received(data[size:])
        garbled = direction.garbled(data[:size])
        await self._cut_where_it_is_due(direction)
        return Received(garbled, attachments)

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send, as :meth:`ByteStream.send` does, and let things go wrong."""
        rest = bytes(data)
        direction = self._sending
        await anyio.lowlevel.checkpoint()
        if not rest:
            await self._stream.send(rest, attachments)
        while rest:
            await self._until_there_is_room(direction)
            await self._pause(direction)
            # A piece must have enough bytes for its attachments, of which a byte carries only so many.
            least = -(-len(attachments) // MAX_DESCRIPTORS)
            size = min(max(direction.piece(), least), len(rest), direction.room())
            await self._stream.send(direction.garbled(rest[:size]), attachments)
            rest, attachments = rest[size:], ()
            await self._cut_where_it_is_due(direction)

    def send_now(self, data: bytes) -> int:
        """Send nothing, because sending may have to wait here."""
        return 0

    async def aclose(self) -> None:
        """Close the stream inside; a stalled call raises :exc:`ConnectionLostError`, as on any stream."""
        await self._close("closed at this end")

    async def _until_there_is_room(self, direction: _Direction) -> None:
        """Return at once if more bytes may pass; else raise if the stream is cut, or stall until it is closed."""
        await self._cut_where_it_is_due(direction)
        self._require_open()
        if not direction.room():
            await self._closed.wait()
            self._require_open()

    async def _pause(self, direction: _Direction) -> None:
        """Wait for as long as the next piece takes."""
        if delay := direction.delay():
            with anyio.move_on_after(delay):
                await self._closed.wait()
        self._require_open()

    async def _cut_where_it_is_due(self, direction: _Direction) -> None:
        if direction.is_cut and not self._lost:
            await self._close(f"cut after {direction.passed} bytes")

    async def _close(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._closed.set()
        for attachment in self._left.attachments:  # they have arrived here, but will not come through
            attachment.close()
        self._left = Received(b"")
        with anyio.CancelScope(shield=True):  # a cancellation must not keep what has come through from its receiver
            await self._stream.aclose()

    def _require_open(self) -> None:
        if self._lost:
            raise ConnectionLostError(f"{self.name}: {self._lost}")


class _Direction:
    """One direction: how much has come through, and what happens to the rest."""

    def __init__(self, mischief: Mischief, chance: random.Random) -> None:
        self.passed = 0
        self._mischief = mischief
        self._chance = chance
        # A generator of its own, so that other lengths of pieces do not change the rubbish.
        self._rubbish = random.Random(chance.random())

    @property
    def is_cut(self) -> bool:
        """Whether enough bytes have passed for the connection to be lost."""
        return self._mischief.cut_at is not None and self.passed >= self._mischief.cut_at

    def room(self) -> int:
        """Return how many bytes may pass before the stream stalls or is cut."""
        bounds = [bound for bound in (self._mischief.stall_at, self._mischief.cut_at) if bound is not None]
        return max(min(bounds) - self.passed, 0) if bounds else 1 << 60

    def piece(self) -> int:
        """Return how many bytes come through at once."""
        most = self._mischief.pieces
        return 1 << 60 if most is None else self._chance.randint(1, most)

    def delay(self) -> float:
        """Return how long the next piece takes."""
        return self._chance.uniform(0, self._mischief.delay) if self._mischief.delay else 0.0

    def garbled(self, piece: bytes) -> bytes:
        """Let a piece pass; return it, garbled or not."""
        self.passed += len(piece)
        if not self._mischief.garble:
            return piece
        return bytes(
            self._rubbish.choice(_RUBBISH) if self._rubbish.random() < self._mischief.garble else byte
            for byte in piece
        )
