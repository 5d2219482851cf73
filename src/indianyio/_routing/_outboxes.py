"""What waits for one of a server's peers, how it is counted, and what happens to a peer that does not read it.

A server cannot wait for a slow peer: that would hold up the instrument and all other peers. So everything is queued
at once, and the queue is bounded. There are two kinds of outbox.

A client that does not read is disconnected. A client that is behind does not get frames of a video, because the
next frames are better than these; one that is too far behind even for other messages is disconnected (protocol.md
2.8). The limit is checked before a message is added, as in indiserver: a single image may be longer than the limit,
and a peer that keeps up must still get it. A message costs its bytes and the memory for the objects that hold it,
so that a million empty messages are not free. The writer gets no more than a batch at a time, because what it has
in hand is no longer counted.

A driver or another server is never disconnected for what is sent to it: whoever sends too much is refused, not the
receiver (see ``_fair_queue``).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Final

import msgspec
from msgspec.structs import asdict

from indianyio._model._outbox import Outbox, Outgoing, joined
from indianyio._routing._fair_queue import HOLDING_BYTES, ORDINARY, FairQueue, Rank, Room, rank_of
from indianyio._routing._fan_out import Relayed
from indianyio._vocabulary import MAX_DESCRIPTORS

__all__ = [
    "DROP_STREAM_BYTES",
    "OUTBOX_BYTES",
    "DriverOutbox",
    "PeerOutbox",
    "PeerStatistics",
    "Traffic",
    "Verdict",
]

OUTBOX_BYTES = 64 << 20
"""How much may wait for a peer before it is given up: some images, or minutes of everything else."""

DROP_STREAM_BYTES = 5 << 20
"""How much may wait for a peer before frames of a video are left out, as in indiserver (protocol.md 2.1)."""

# An Outgoing, its tuple, the header of its bytes and its place in the queue: measured at 153 bytes at most.
_HOLDING_BYTES: Final = 153
# A round of the event loop costs as much as copying some 200 kB, and this takes about half a millisecond to send.
# Only clients get pieces of this size, because nobody waits for one to take something.
_CLIENT_SLICE_BYTES: Final = 1 << 20
# A batch takes a few calls to send, and is short compared to the limit.
_BATCH_BYTES = 1 << 20
# A peer gets base64 long before this many descriptors wait for it; one that gets here nevertheless is disconnected.
_MOST_ATTACHMENTS = 256


class Verdict(Enum):
    """What happened to a message that was offered."""

    SENT = auto()
    """It is queued."""

    DROPPED = auto()
    """It was a frame of a video, and the peer is behind; there may be room for the next ones."""

    OVERFLOW = auto()
    """The peer is too far behind. Nothing more is queued, and it must be disconnected; reported once."""

    GONE = auto()
    """The peer has disconnected, or is being disconnected; it gets nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatistics:
    """What has passed between a server and one peer so far.

    :ivar messages_in: messages received from it.
    :ivar bytes_in: their bytes, without attachments.
    :ivar messages_out: messages queued for it.
    :ivar bytes_out: their bytes, attachments included.
    :ivar queued_bytes: how much waits for it now, as counted against the limit.
    :ivar highest_queued_bytes: the most that has ever waited for it.
    :ivar dropped_blobs: frames of videos that it missed because it was behind.
    :ivar restarts: how often it was restarted; whoever restarts it fills this in.
    """

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    queued_bytes: int = 0
    highest_queued_bytes: int = 0
    dropped_blobs: int = 0
    restarts: int = 0


class Traffic(msgspec.Struct):
    """Counts what passes between a server and one peer; see :class:`PeerStatistics`."""

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    highest_queued_bytes: int = 0
    dropped_blobs: int = 0

    def count_sent(self, size_bytes: int, messages: int, queued_bytes: int) -> None:
        """Count what was queued for the peer, and how much waits for it now."""
        self.messages_out += messages
        self.bytes_out += size_bytes
        if queued_bytes > self.highest_queued_bytes:
            self.highest_queued_bytes = queued_bytes

    def statistics(self, queued_bytes: int) -> PeerStatistics:
        """Return what has passed so far; ``restarts`` is filled in by others."""
        return PeerStatistics(queued_bytes=queued_bytes, **asdict(self))


class PeerOutbox(Outbox):
    """The queue of one peer of a server.

    :param limit_bytes: how many bytes may wait before the peer is given up, at least 1.
    :param drop_stream_bytes: how many bytes may wait before frames of a video are left out; 0 for never, as for
        drivers.
    :ivar failure: why the peer must be disconnected, in words for a log line, or ``None``.
    :ivar traffic: what has passed.
    :ivar holding_bytes: what a waiting message costs besides its bytes.
    :ivar slice_bytes: how much the writer hands to the stream at a time.
    :raises ValueError: a limit is negative, or ``limit_bytes`` is 0.
    """

    holding_bytes: ClassVar[int] = _HOLDING_BYTES
    slice_bytes: ClassVar[int] = _CLIENT_SLICE_BYTES

    def __init__(self, limit_bytes: int = OUTBOX_BYTES, *, drop_stream_bytes: int = DROP_STREAM_BYTES) -> None:
        if limit_bytes < 1 or drop_stream_bytes < 0:
            raise ValueError(f"an outbox cannot be bounded to {limit_bytes} and {drop_stream_bytes} bytes")
        super().__init__(limit_bytes)
        self.failure: str | None = None
        self._drop_stream_bytes = drop_stream_bytes
        self._queued_attachments = 0
        self.traffic = Traffic()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits; the writer may have something in hand."""
        return not self.queued_bytes

    @property
    def has_room_for_attachments(self) -> bool:
        """Whether another message with descriptors may wait.

        A process has few descriptors, and those that wait for one peer would be missing elsewhere. A peer that is
        behind gets base64, which every reader understands.
        """
        return self._queued_attachments < MAX_DESCRIPTORS

    def offer(self, outgoing: Outgoing, *, is_stream: bool) -> Verdict:
        """Queue a message unless the peer is behind; either way its attachments now belong to the outbox.

        After an overflow the outbox is empty and discards everything.

        :param is_stream: whether it is a frame of a video (:func:`~indianyio.protocol._blob_forms.is_stream`).
        """
        if self.discarding:
            outgoing.close()
            return Verdict.GONE
        if is_stream and 0 < self._drop_stream_bytes < self.queued_bytes:
            outgoing.close()
            self.traffic.dropped_blobs += 1
            return Verdict.DROPPED
        self.failure = self._excess()
        if self.failure is not None:
            outgoing.close()
            self.discard()
            return Verdict.OVERFLOW
        self.add(outgoing)
        return Verdict.SENT

    def accept(self, relay: Relayed, *, attach: bool) -> Room | None:
        """Queue messages that are forwarded, unless the peer is behind; see :meth:`offer`.

        :param attach: whether BLOBs may travel as descriptors, if there is room for these.
        :return: that there was room; ``None`` if they are left out for this peer, which concerns nobody else.
        :raises ValueError: an attached BLOB cannot be read.
        """
        outgoing = relay.outgoing(attach=attach and self.has_room_for_attachments)
        verdict = self.offer(outgoing, is_stream=relay.is_stream)
        return Room.ENOUGH if verdict is Verdict.SENT else None

    def is_behind(self, sender: object) -> bool:
        """Return whether a sender should wait for the peer; nobody waits for a client."""
        return False

    def add(self, outgoing: Outgoing) -> None:
        """Queue a message, whatever is waiting already; from now on its attachments belong to the outbox."""
        if self.discarding:
            outgoing.close()
            return
        size = outgoing.size
        self._queue.append(outgoing)
        self.queued_bytes += size + _HOLDING_BYTES
        self._queued_attachments += len(outgoing.attachments)
        self.traffic.count_sent(size, outgoing.messages, self.queued_bytes)

    def take(self) -> list[Outgoing]:
        """Return what is queued, in order, up to about 1 MiB; the caller owns the attachments.

        There may be more; see :attr:`queued_bytes`.
        """
        count = taken_bytes = 0
        for outgoing in self._queue:
            if taken_bytes >= _BATCH_BYTES:
                break
            count += 1
            taken_bytes += outgoing.size + _HOLDING_BYTES
            self._queued_attachments -= len(outgoing.attachments)
        rest, rest_bytes = self._queue[count:], self.queued_bytes - taken_bytes
        del self._queue[count:]
        taken = super().take()
        self._queue, self.queued_bytes = rest, rest_bytes
        return taken

    def clear(self) -> None:
        """Drop everything that is queued, and close its attachments."""
        while self.queued_bytes:
            super().clear()

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far; ``restarts`` is filled in by others."""
        return self.traffic.statistics(self.queued_bytes)

    def _excess(self) -> str | None:
        if self.queued_bytes > self.limit_bytes:
            return f"it does not read: {self.queued_bytes} bytes wait for it, more than {self.limit_bytes}"
        if self._queued_attachments > _MOST_ATTACHMENTS:
            return f"it does not read: {self._queued_attachments} descriptors wait for it"
        return None


# -- for drivers and other servers -----------------------------------------------------------------------------


# Nothing can overtake what the writer has in hand, so it gets little: as much as a pipe holds.
_DRIVER_BATCH_BYTES = 64 << 10


class DriverOutbox(Outbox):
    """The queue of a driver or another server, with a share for each sender.

    :param limit_bytes: how many bytes may wait in all, at least 1.
    :ivar failure: ``None``: a driver is never disconnected for what waits for it.
    :ivar has_room_for_attachments: ``False``: drivers and other servers get base64 (protocol.md S32).
    :ivar holding_bytes: what a waiting message costs besides its bytes.
    :ivar traffic: what has passed.
    :raises ValueError: ``limit_bytes`` is less than 1.
    """

    failure: ClassVar[None] = None
    has_room_for_attachments: ClassVar[bool] = False
    holding_bytes: ClassVar[int] = HOLDING_BYTES

    def __init__(self, limit_bytes: int = OUTBOX_BYTES) -> None:
        if limit_bytes < 1:
            raise ValueError(f"an outbox cannot be bounded to {limit_bytes} bytes")
        super().__init__(limit_bytes)
        self.traffic = Traffic()
        self._fair: FairQueue[Outgoing] = FairQueue(Outgoing.close, limit_bytes=limit_bytes)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and what was taken has been sent."""
        return self._fair.is_empty

    def is_behind(self, sender: Hashable) -> bool:
        """Return whether a sender has used up its share with large messages, for which it can wait."""
        return self._fair.is_behind(sender)

    def offer(self, outgoing: Outgoing, sender: Hashable, rank: Rank = ORDINARY) -> bool:
        """Queue a message unless its sender has used up its share; its attachments belong to the outbox either way.

        :return: whether it was accepted; also true once the driver has ended, and everything is dropped.
        """
        if self.discarding:
            outgoing.close()
            return True
        who = None if rank.by_server else sender
        if not self._fair.offer(who, outgoing, outgoing.size, urgent=rank.urgent, key=rank.key):
            outgoing.close()
            return False
        self._recount()
        self.traffic.count_sent(outgoing.size, outgoing.messages, self.queued_bytes)
        return True

    def accept(self, relay: Relayed, *, attach: bool) -> Room:
        """Queue messages that are forwarded, each unless its sender has used up its share.

        :param attach: whether BLOBs may travel as descriptors, for which there is no room here.
        :return: what room there was.
        :raises ValueError: an attached BLOB cannot be read.
        """
        if self.discarding:
            return Room.CLOSED
        taken = True
        for frame, outgoing in relay.each(attach=attach and self.has_room_for_attachments):
            taken &= self.offer(outgoing, relay.sender, rank_of(frame))
        return self._fair.room_for(relay.sender, taken=taken)

    def add(self, outgoing: Outgoing) -> None:
        """Queue a message of the server's own."""
        self.offer(outgoing, None)

    def take(self) -> list[Outgoing]:
        """Return what is next, as much as may be sent at once; the caller owns the attachments.

        There may be more; see :attr:`queued_bytes`. What was taken before counts as sent.
        """
        taken = list(joined(self._fair.take_some(_DRIVER_BATCH_BYTES)))
        self._recount()
        return taken

    def release(self) -> None:
        """Note that everything taken has been sent, so that it no longer counts for its senders."""
        self._fair.release()
        self._recount()

    def clear(self) -> None:
        """Drop everything that is queued, and close its attachments."""
        for outgoing in self._fair.drain():
            outgoing.close()
        self._recount()

    def _recount(self) -> None:
        self.queued_bytes = self._fair.waiting_bytes

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far; ``restarts`` is filled in by others."""
        return self.traffic.statistics(self.queued_bytes)
