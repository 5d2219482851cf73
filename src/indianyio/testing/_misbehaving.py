"""A stream on which things go wrong, in a way that can be repeated.

Serial lines, wireless networks and overloaded servers deliver late, in pieces, with rubbish, or not at all. What
goes wrong in one direction is a value (:class:`Mischief`), so a test says exactly what it is about.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import anyio.lowlevel

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import Attachment
from indianyio.streams import ByteStream, Received
from indianyio.streams._base import WrappingStream

__all__ = ["MisbehavingStream", "Mischief"]

# What a garbled byte becomes: what hurts a reader of XML most, what a serial line makes of a byte, and any other.
_RUBBISH = b"<>&\"'/\0\x1b\xff" + bytes(range(32, 48))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mischief:
    """What goes wrong in one direction of a stream; nothing by default.

    :ivar pieces: the most bytes that come through at a time; each piece has a length of 1 up to this, at random.
    :ivar delay: how long each piece takes, in seconds: from none up to this, at random.
    :ivar garble: the probability with which a byte is exchanged for another one, from 0 to 1.
    :ivar stall_at: after so many bytes nothing comes through any more, and nobody is told.
    :ivar cut_at: after so many bytes the connection is lost, for both directions.
    :raises ValueError: one of them is outside its range.
    """

    pieces: int | None = None
    delay: float = 0.0
    garble: float = 0.0
    stall_at: int | None = None
    cut_at: int | None = None

    def __post_init__(self) -> None:
        if self.pieces is not None and self.pieces < 1:
            raise ValueError(f"pieces is {self.pieces}, it must be at least 1")
        if not 0 <= self.delay < math.inf:
            raise ValueError(f"delay is {self.delay}, it must be a number of seconds")
        if not 0 <= self.garble <= 1:
            raise ValueError(f"garble is {self.garble}, it must be from 0 to 1")
        for name, value in (("stall_at", self.stall_at), ("cut_at", self.cut_at)):
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}, it must be a number of bytes")


class MisbehavingStream(WrappingStream):
    """A :class:`~indianyio.streams.ByteStream` around another one, on which things go wrong.

    ::

        near, far = memory_pair()
        bad = MisbehavingStream(far, receiving=Mischief(pieces=3, garble=0.01), seed=7)

    The same seed and the same bytes give the same pieces and the same rubbish; the direction in which they go does
    not matter for that of the other. Attachments travel with the first piece.

    :param stream: the stream around which this is; closed with this one.
    :param receiving: what goes wrong with what is received from it.
    :param sending: what goes wrong with what is sent to it.
    :param seed: where chance begins.
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

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` says, and for what goes wrong with them."""
        await anyio.lowlevel.checkpoint()
        direction = self._receiving
        room = direction.room()
        if room == 0:
            await self._end(direction)
        if not self._left.data:
            self._left = await self._stream.receive()
        if not self._left.data:
            return self._left
        await direction.pause()  # nothing is taken before this, so nothing is lost if it is cancelled
        data, attachments = self._left
        size = min(direction.piece(), len(data), room)
        self._left = Received(data[size:])
        return Received(direction.garbled(data[:size]), attachments)

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send, as :meth:`ByteStream.send` says, and let go wrong what is to go wrong."""
        rest = bytes(data)
        direction = self._sending
        await anyio.lowlevel.checkpoint()
        while rest:
            room = direction.room()
            if room == 0:
                await self._end(direction)
            await direction.pause()
            size = min(direction.piece(), len(rest), room)
            await self._stream.send(direction.garbled(rest[:size]), attachments)
            rest, attachments = rest[size:], ()

    def send_now(self, data: bytes) -> int:
        """Send nothing: what is sent may have to wait here."""
        return 0

    async def _end(self, direction: _Direction) -> None:
        """Be where nothing comes through any more: lost, or stalled until somebody cancels."""
        if direction.is_cut:
            await self._stream.aclose()
            raise ConnectionLostError(f"{self.name}: cut after {direction.passed} bytes")
        await anyio.sleep_forever()


class _Direction:
    """What has come through in one direction, and what becomes of the rest."""

    def __init__(self, mischief: Mischief, chance: random.Random) -> None:
        self.passed = 0
        self._mischief = mischief
        self._chance = chance
        # Of its own, so that pieces of other lengths do not change the rubbish.
        self._rubbish = random.Random(chance.random())

    @property
    def is_cut(self) -> bool:
        """Whether so many bytes have passed that the connection is lost."""
        return self._mischief.cut_at is not None and self.passed >= self._mischief.cut_at

    def room(self) -> int:
        """Return how many bytes may pass before the stream stalls or is cut."""
        bounds = [bound for bound in (self._mischief.stall_at, self._mischief.cut_at) if bound is not None]
        return max(min(bounds) - self.passed, 0) if bounds else 1 << 60

    def piece(self) -> int:
        """Return how many bytes come through at once."""
        most = self._mischief.pieces
        return 1 << 60 if most is None else self._chance.randint(1, most)

    async def pause(self) -> None:
        """Wait as long as the next piece takes."""
        if self._mischief.delay:
            await anyio.sleep(self._chance.uniform(0, self._mischief.delay))

    def garbled(self, piece: bytes) -> bytes:
        """Let a piece pass; return what has become of it."""
        self.passed += len(piece)
        if not self._mischief.garble:
            return piece
        return bytes(
            self._rubbish.choice(_RUBBISH) if self._rubbish.random() < self._mischief.garble else byte
            for byte in piece
        )
