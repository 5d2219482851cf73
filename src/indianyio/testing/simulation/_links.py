"""Connections in memory on which bytes are late, come in pieces, stall, are garbled or get lost.

No task carries the bytes. Each piece has the time at which it arrives, and the receiver waits for that. So a line
costs nothing while nothing happens, and what happens depends on the seed alone.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import trio

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import Attachment
from indianyio.streams import RECEIVE_BYTES, Received

__all__ = ["Line", "LineConditions", "LineEnd", "Tap"]

# What hurts a reader of XML most, what noise on a serial line looks like, and some ordinary bytes.
_RUBBISH = b"<>&\"'/\0\x1b\xff" + bytes(range(32, 48))

Tap = Callable[[str, bytes], None]
"""Sees what is received, and at which end of which line; no bytes at the end of the stream."""


@dataclass(slots=True, kw_only=True)
class LineConditions:
    """What a line is like; all of it may change while it is used.

    :ivar delay: the longest time that bytes are under way, in seconds; each piece takes a random time up to this.
    :ivar split: the most bytes that are received at a time, a random number; ``None`` for all that have arrived.
    :ivar partial: whether a send that must not wait may take less than there is room for, as a socket does.
    :ivar capacity_bytes: how many bytes may be under way in each direction before the sender waits, at least 1.
    """

    delay: float = 0.0
    split: int | None = None
    partial: bool = False
    capacity_bytes: int = 64 << 10


class _Way:
    """One direction of a line."""

    def __init__(self, conditions: LineConditions, generator: random.Random) -> None:
        self.conditions = conditions
        self.pieces: deque[tuple[float, bytes]] = deque()
        self.held_bytes = 0
        self.stalled = False
        self.garble = 0.0
        self.sender_closed = False
        self.receiver_closed = False
        self.lost = ""
        self.sent_bytes = 0
        self.garbled_from: int | None = None
        self._generator = generator
        self._last_arrival = -math.inf
        self._changed = trio.Event()

    @property
    def room(self) -> int:
        return max(self.conditions.capacity_bytes - self.held_bytes, 0)

    def put(self, data: bytes | memoryview) -> int:
        """Take what there is room for; return the bytes taken."""
        piece = bytes(data[: self.room])
        if piece:
            self.held_bytes += len(piece)
            delay = self.conditions.delay
            arrival = trio.current_time() + (self._generator.uniform(0, delay) if delay else 0.0)
            # Bytes keep their order: what was sent later arrives later.
            self._last_arrival = max(self._last_arrival, arrival)
            self.pieces.append((self._last_arrival, self._garbled(piece)))
            self.sent_bytes += len(piece)
            self.wake()
        return len(piece)

    def put_now(self, data: bytes) -> int:
        """Take some of it, as a socket that must not wait does."""
        room = self.room
        if self.conditions.partial and room:
            room = self._generator.randint(0, room)
        return self.put(data[:room])

    def get(self) -> bytes | None:
        """Return what has arrived, empty at the end of the stream; ``None`` if one has to wait."""
        if self.stalled:
            return None
        if not self.pieces:
            return b"" if self.sender_closed else None
        limit = (
            RECEIVE_BYTES if self.conditions.split is None else self._generator.randint(1, self.conditions.split)
        )
        parts, now = [], trio.current_time()
        while self.pieces and limit and self.pieces[0][0] <= now:
            arrival, piece = self.pieces.popleft()
            if piece[limit:]:
                self.pieces.appendleft((arrival, piece[limit:]))
            parts.append(piece[:limit])
            limit -= len(parts[-1])
        data = b"".join(parts)
        self.held_bytes -= len(data)
        if data:
            self.wake()
        return data or None

    async def changed(self) -> None:
        """Wait until something was put, taken or closed, or until the next piece arrives."""
        # Stalled, nothing arrives, however long one waits.
        deadline = self.pieces[0][0] if self.pieces and not self.stalled else math.inf
        with trio.move_on_at(deadline if deadline > trio.current_time() else math.inf):
            await self._changed.wait()

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._changed.set()
        self._changed = trio.Event()

    def lose(self, reason: str) -> None:
        """Lose the connection, and what is under way."""
        self.lost = self.lost or reason
        self.pieces.clear()
        self.held_bytes = 0
        self.wake()

    def _garbled(self, piece: bytes) -> bytes:
        share = self.garble
        if not share:
            return piece
        generator = self._generator
        garbled = bytes(generator.choice(_RUBBISH) if generator.random() < share else byte for byte in piece)
        if self.garbled_from is None and garbled != piece:
            same = next(place for place, byte in enumerate(piece) if byte != garbled[place])
            self.garbled_from = self.sent_bytes + same
        return garbled


class LineEnd:
    """One end of a :class:`Line`; a :class:`~indianyio.streams.ByteStream` that carries no attachments."""

    carries_attachments = False

    def __init__(self, name: str, incoming: _Way, outgoing: _Way, tap: Tap | None) -> None:
        self._name = name
        self._incoming = incoming
        self._outgoing = outgoing
        self._tap = tap

    @property
    def name(self) -> str:
        """What log lines call it."""
        return self._name

    async def receive(self) -> Received:
        """Wait for the next bytes, as :meth:`ByteStream.receive` says."""
        await trio.lowlevel.checkpoint()
        way = self._incoming
        while True:
            if way.receiver_closed:
                raise ConnectionLostError(f"{self._name}: closed at this end")
            if way.lost:
                raise ConnectionLostError(f"{self._name}: {way.lost}")
            data = way.get()
            if data is not None:
                if self._tap is not None:
                    self._tap(self._name, data)
                return Received(data)
            await way.changed()

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send all of ``data``, as :meth:`ByteStream.send` says."""
        if attachments:
            raise ValueError(f"{self._name} carries no attachments")
        rest = memoryview(bytes(data))
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._require_open()
            rest = rest[self._outgoing.put(rest) :]
            if not rest:
                break
            await self._outgoing.changed()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def send_now(self, data: bytes) -> int:
        """Send what takes no waiting, as :meth:`ByteStream.send_now` says."""
        way = self._outgoing
        return 0 if way.sender_closed or way.receiver_closed or way.lost else way.put_now(data)

    async def aclose(self) -> None:
        """Close this end; the other one receives what is under way, then the end of the stream."""
        self.close()

    def close(self) -> None:
        """Do what :meth:`aclose` does, without being awaited."""
        self.close_sending()
        self._incoming.receiver_closed = True
        self._incoming.wake()

    def close_sending(self) -> None:
        """Send nothing more; what the other end sends can still be received."""
        self._outgoing.sender_closed = True
        self._outgoing.wake()

    def _require_open(self) -> None:
        way = self._outgoing
        if way.lost or way.sender_closed or way.receiver_closed:
            closed = "closed at this end" if way.sender_closed else "closed by the peer"
            raise ConnectionLostError(f"{self._name}: {way.lost or closed}")


class Line:
    """A connection between two ends, and what can be done to it from outside.

    :param name: of the line; its ends are called ``name.a`` and ``name.b`` unless ``names`` says otherwise.
    :param generator: decides what the conditions leave to chance, see :func:`chance`.
    :param conditions: what the line is like; the usual conditions of a good one if absent.
    :param tap: sees what is received, for a record of the run.
    :param names: of the two ends, as log lines call them.
    :ivar a: one end.
    :ivar b: the other end.
    :ivar conditions: what it is like; what is changed here holds for what is sent from then on.
    """

    def __init__(
        self,
        name: str,
        generator: random.Random,
        conditions: LineConditions | None = None,
        *,
        tap: Tap | None = None,
        names: tuple[str, str] | None = None,
    ) -> None:
        self.name = name
        self.conditions = LineConditions() if conditions is None else conditions
        # Each way draws for itself: what one side sends must not change what becomes of the other's bytes.
        forth, back = (_Way(self.conditions, random.Random(generator.random())) for _ in range(2))
        first, second = names or (f"{name}.a", f"{name}.b")
        self._ways = (forth, back)
        self.a = LineEnd(first, back, forth, tap)
        self.b = LineEnd(second, forth, back, tap)

    @property
    def is_open(self) -> bool:
        """Whether neither end was closed and the connection was not lost."""
        return not any(way.lost or way.sender_closed or way.receiver_closed for way in self._ways)

    @property
    def is_over(self) -> bool:
        """Whether nothing can arrive any more: the connection was lost, or nobody is left to receive."""
        return all(way.lost or way.receiver_closed for way in self._ways)

    def stall(self) -> None:
        """Let nothing arrive any more, and tell nobody, until :meth:`go_on`; what is sent meanwhile waits."""
        self._set_stalled(True)

    def go_on(self) -> None:
        """Let what has waited arrive."""
        self._set_stalled(False)

    def garble(self, share: float, *, to: Literal["a", "b"]) -> None:
        """Replace some of the bytes that are sent to one of the ends by others, from now on.

        :param share: the probability for each byte, from 0, which ends it, to 1.
        """
        self._ways["ba".index(to)].garble = share

    def garbled_from(self, *, to: Literal["a", "b"]) -> int | None:
        """Return how many bytes were sent to one of the ends before the first that was replaced.

        :return: the number of bytes, which all arrive as they were sent; ``None`` if no byte was replaced.
        """
        return self._ways["ba".index(to)].garbled_from

    def cut(self, reason: str = "connection reset by peer") -> None:
        """Lose the connection; what is under way is lost, and both ends are told."""
        for way in self._ways:
            way.lose(reason)

    def _set_stalled(self, stalled: bool) -> None:
        for way in self._ways:
            way.stalled = stalled
            way.wake()
