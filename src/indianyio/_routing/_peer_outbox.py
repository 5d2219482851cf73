"""What waits for one of a server's peers, and what becomes of a peer that does not read it.

A server cannot wait for a slow peer: that would hold up the instrument and all others. So everything is queued at
once, and what is queued is bounded. Frames of a video are left out for a peer that is behind, for the next ones are
better than these; a peer that is too far behind for anything else is lost (protocol.md 2.8).

The bound is looked at before a message is added, as indiserver does: one image may be longer than the bound, and is
still to be had by a peer that keeps up. A message costs its bytes and what it takes to hold them, so that a million
empty messages are not free. The writer is given no more than a batch at a time, for what it has in hand is no
longer counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from indianyio._model._outbox import Outbox, Outgoing
from indianyio._routing._fair_queue import Room
from indianyio._routing._fan_out import Relayed
from indianyio._vocabulary import MAX_DESCRIPTORS

__all__ = ["DROP_STREAM_BYTES", "OUTBOX_BYTES", "PeerOutbox", "PeerStatistics", "Traffic", "Verdict"]

OUTBOX_BYTES = 64 << 20
"""What may wait for a peer before it is given up: some images, or minutes of everything else."""

DROP_STREAM_BYTES = 5 << 20
"""What may wait for a peer before frames of a video are left out, as with indiserver (protocol.md 2.1)."""

# An Outgoing, its tuple, the head of its bytes and its place in the queue, measured at 153 bytes.
_HOLDING_BYTES = 153
# A batch is a few calls to send, and short beside the bound.
_BATCH_BYTES = 1 << 20
# A peer gets base64 long before so many descriptors wait for it; whoever queues them all the same loses it.
_MOST_ATTACHMENTS = 256


class Verdict(Enum):
    """What became of a message that was offered."""

    SENT = auto()
    """It is queued."""

    DROPPED = auto()
    """It was a frame of a video, and the peer is behind; the next ones may find room."""

    OVERFLOW = auto()
    """The peer is too far behind. Nothing is queued any more, and it is to be disconnected; said once."""

    GONE = auto()
    """The peer has gone, or is being disconnected; it gets nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatistics:
    """What has passed between a server and one peer so far.

    :ivar messages_in: messages received from it.
    :ivar bytes_in: their bytes, without attachments.
    :ivar messages_out: messages queued for it.
    :ivar bytes_out: their bytes, attachments included.
    :ivar queued_bytes: what waits for it now, as it counts for the bound.
    :ivar highest_queued_bytes: the most that ever waited for it.
    :ivar dropped_blobs: frames of videos that it missed, being behind.
    :ivar restarts: how often it was started again; whoever does that fills it in.
    """

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    queued_bytes: int = 0
    highest_queued_bytes: int = 0
    dropped_blobs: int = 0
    restarts: int = 0


class Traffic:
    """Counts what passes between a server and one peer."""

    def __init__(self) -> None:
        self._messages_in = self._bytes_in = 0
        self._messages_out = self._bytes_out = 0
        self._highest_queued_bytes = 0
        self.dropped_blobs = 0

    def count_received(self, size_bytes: int, messages: int = 1) -> None:
        """Count what came from the peer."""
        self._messages_in += messages
        self._bytes_in += size_bytes

    def count_sent(self, size_bytes: int, messages: int, queued_bytes: int) -> None:
        """Count what was queued for the peer, and how much waits for it now."""
        self._messages_out += messages
        self._bytes_out += size_bytes
        self._highest_queued_bytes = max(self._highest_queued_bytes, queued_bytes)

    def statistics(self, queued_bytes: int) -> PeerStatistics:
        """Return what has passed so far; ``restarts`` is for others to know."""
        return PeerStatistics(
            messages_in=self._messages_in,
            bytes_in=self._bytes_in,
            messages_out=self._messages_out,
            bytes_out=self._bytes_out,
            queued_bytes=queued_bytes,
            highest_queued_bytes=self._highest_queued_bytes,
            dropped_blobs=self.dropped_blobs,
        )


class PeerOutbox(Outbox):
    """The queue of one peer of a server.

    :param limit_bytes: how many bytes may wait before the peer is given up, at least 1.
    :param drop_stream_bytes: how many bytes may wait before frames of a video are left out; 0 for never, as for
        drivers.
    :ivar failure: why the peer is to be disconnected, in words for a log line, or ``None``.
    :raises ValueError: a bound is negative, or ``limit_bytes`` is 0.
    """

    def __init__(self, limit_bytes: int = OUTBOX_BYTES, *, drop_stream_bytes: int = DROP_STREAM_BYTES) -> None:
        if limit_bytes < 1 or drop_stream_bytes < 0:
            raise ValueError(f"an outbox cannot be bounded to {limit_bytes} and {drop_stream_bytes} bytes")
        super().__init__(limit_bytes)
        self.failure: str | None = None
        self._drop_stream_bytes = drop_stream_bytes
        self._queued_attachments = 0
        self._traffic = Traffic()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits; the writer may have something in hand."""
        return not self.queued_bytes

    @property
    def has_room_for_attachments(self) -> bool:
        """Whether another message with descriptors may wait.

        A process has few descriptors, and those that wait for one peer would be missing elsewhere. A peer that is
        behind gets base64, which every reader takes.
        """
        return self._queued_attachments < MAX_DESCRIPTORS

    def offer(self, outgoing: Outgoing, *, is_stream: bool) -> Verdict:
        """Queue a message unless the peer is behind; its attachments are the box's either way.

        After an overflow the box is empty and discards everything.

        :param is_stream: whether it is a frame of a video (:func:`~indianyio.protocol._blob_forms.is_stream`).
        """
        if self.discarding:
            outgoing.close()
            return Verdict.GONE
        if is_stream and 0 < self._drop_stream_bytes < self.queued_bytes:
            outgoing.close()
            self._traffic.dropped_blobs += 1
            return Verdict.DROPPED
        self.failure = self._excess()
        if self.failure is not None:
            outgoing.close()
            self.discard()
            return Verdict.OVERFLOW
        self.add(outgoing)
        return Verdict.SENT

    def accept(self, relay: Relayed, *, attach: bool) -> Room | None:
        """Queue messages that are handed on, unless the peer is behind; see :meth:`offer`.

        :param attach: whether BLOBs may go as descriptors, if there is room for these.
        :return: that there was room; ``None`` if they are left out for this peer, which is nobody else's matter.
        :raises ValueError: an attached BLOB cannot be read.
        """
        outgoing = relay.outgoing(attach=attach and self.has_room_for_attachments)
        verdict = self.offer(outgoing, is_stream=relay.is_stream)
        return Room.ENOUGH if verdict is Verdict.SENT else None

    def is_behind(self, sender: object) -> bool:
        """Tell whether a sender is to wait for the peer; nobody waits for a client."""
        return False

    def add(self, outgoing: Outgoing) -> None:
        """Queue a message whatever waits already; its attachments are the box's from now on."""
        if self.discarding:
            outgoing.close()
            return
        size = outgoing.size
        self._queue.append(outgoing)
        self.queued_bytes += size + _HOLDING_BYTES
        self._queued_attachments += len(outgoing.attachments)
        self._traffic.count_sent(size, outgoing.messages, self.queued_bytes)

    def take(self) -> list[Outgoing]:
        """Return what is queued, in order, up to about 1 MiB; attachments are the caller's now.

        There may be more, and :attr:`queued_bytes` tells.
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

    def count_received(self, size_bytes: int, messages: int = 1) -> None:
        """Count what came from the peer."""
        self._traffic.count_received(size_bytes, messages)

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far; ``restarts`` is for others to know."""
        return self._traffic.statistics(self.queued_bytes)

    def _excess(self) -> str | None:
        if self.queued_bytes > self.limit_bytes:
            return f"it does not read: {self.queued_bytes} bytes wait for it, more than {self.limit_bytes}"
        if self._queued_attachments > _MOST_ATTACHMENTS:
            return f"it does not read: {self._queued_attachments} descriptors wait for it"
        return None
