"""What waits for a driver or another server at the end of a byte stream, and how it is counted.

No flood of messages ends a driver, as it would end a client that does not read: who sends too much is refused, not
who is sent too much (see ``_fair_queue``).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Final

from indianyio._model._outbox import Outbox, Outgoing, joined
from indianyio._routing._fair_queue import FairQueue, Room
from indianyio._routing._fan_out import Relayed
from indianyio._routing._peer_outbox import OUTBOX_BYTES, PeerStatistics, Traffic
from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import EnableBLOB

__all__ = ["DriverOutbox", "Rank", "rank_of"]

# What the writer has in hand nothing can overtake; so it is little, as much as a pipe holds.
_BATCH_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Rank:
    """How a message waits for a driver.

    :ivar urgent: whether it is a write, which overtakes the messages of others.
    :ivar key: what newer ones replace it; ``None`` for no newer one.
    :ivar by_server: whether it is the server's own, whoever was the cause.
    """

    urgent: bool = False
    key: Hashable | None = None
    by_server: bool = False


_ORDINARY: Final = Rank()
_WRITE: Final = Rank(urgent=True)


def rank_of(frame: Frame) -> Rank:
    """Return how a message waits for a driver."""
    kind = frame.tag[:3]
    if kind == "new":
        return _WRITE
    if kind in ("set", "def"):
        return Rank(key=frame.head)
    if frame.tag == EnableBLOB.tag:
        # What our clients together want of another server; it has to know before it is written to.
        return Rank(key=frame.head, by_server=True)
    return _ORDINARY


class DriverOutbox(Outbox):
    """The queue of a driver or another server, with a share for each sender.

    :param limit_bytes: how many bytes may wait in all, at least 1.
    :ivar failure: ``None``: a driver is never disconnected for what waits for it.
    :ivar has_room_for_attachments: ``False``: drivers and other servers get base64 (protocol.md S32).
    :raises ValueError: ``limit_bytes`` is less.
    """

    failure: ClassVar[None] = None
    has_room_for_attachments: ClassVar[bool] = False

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
        """Tell whether a sender has used up its share with large messages, for which it can wait."""
        return self._fair.is_behind(sender)

    def offer(self, outgoing: Outgoing, sender: Hashable, rank: Rank = _ORDINARY) -> bool:
        """Queue a message unless its sender has used up its share; its attachments are the box's either way.

        :return: whether it was taken, or the driver has gone and takes everything.
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
        """Queue messages that are handed on, each unless its sender has used up its share.

        :param attach: whether BLOBs may go as descriptors, for which there is no room here.
        :return: what room there was.
        :raises ValueError: an attached BLOB cannot be read.
        """
        taken = True
        for frame, outgoing in relay.each(attach=attach and self.has_room_for_attachments):
            taken &= self.offer(outgoing, relay.sender, rank_of(frame))
        return self._fair.room_for(relay.sender, taken=taken)

    def add(self, outgoing: Outgoing) -> None:
        """Queue a message of the server's own."""
        self.offer(outgoing, None)

    def take(self) -> list[Outgoing]:
        """Return what is next, as much as may be sent at once; attachments are the caller's now.

        There may be more, and :attr:`queued_bytes` tells. What was taken before has been sent.
        """
        taken = list(joined(self._fair.take_some(_BATCH_BYTES)))
        self._recount()
        return taken

    def release(self) -> None:
        """Take note that all that was taken has been sent, and count it for its senders no more."""
        self._fair.release()
        self._recount()

    def clear(self) -> None:
        """Drop everything that is queued, and close its attachments."""
        for outgoing in self._fair.drain():
            outgoing.close()
        self._recount()

    def _recount(self) -> None:
        self.queued_bytes = self._fair.waiting_bytes

    def count_received(self, size_bytes: int, messages: int = 1) -> None:
        """Count what came from the driver."""
        self.traffic.count_received(size_bytes, messages)

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far; ``restarts`` is for others to know."""
        return self.traffic.statistics(self.queued_bytes)
