"""What is on its way to one peer: messages as bytes, in order, counted.

Keeping to the limit is up to the caller, because only the caller knows what a full outbox means: a driver waits,
while a message that must go out now (an answer to a write) is added in any case. The writer takes everything that
is queued and sends it in few system calls, with neighbouring small messages joined. What has been taken is no
longer counted, so with one writer at most twice the limit, and one message, is in memory.

A message with descriptors is not joined, because they have to travel on its own first byte (docs/protocol.md W37).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from indianyio.protocol._elements import Attachment

__all__ = ["Outbox", "Outgoing", "joined"]

# A system call costs about as much as copying this many bytes; larger messages are passed on without a copy.
_SMALL_BYTES = 16 << 10
# A peer that takes something every now and then is alive, so that must show, on a slow line too.
_SLICE_BYTES = 128 << 10
# indiserver and libindi read and write no more than this at once (docs/protocol.md 3.1), so joining more would save
# nothing.
_JOINED_BYTES = 64 << 10


class Outgoing(msgspec.Struct, frozen=True):
    """One message as bytes, or several joined.

    :ivar parts: the bytes, in slices.
    :ivar attachments: the descriptors that travel with the first byte; whoever holds this object must close them.
    :ivar attached_bytes: how many bytes the attachments hold.
    :ivar messages: how many messages these are.
    """

    parts: tuple[bytes, ...]
    attachments: tuple[Attachment, ...] = ()
    attached_bytes: int = 0
    messages: int = 1

    @property
    def size(self) -> int:
        """Bytes of the message, attachments included."""
        return sum(map(len, self.parts)) + self.attached_bytes

    def close(self) -> None:
        """Close the attachments; closing twice does nothing."""
        for attachment in self.attachments:
            attachment.close()


class Outbox:
    """The queue of one peer.

    :param limit_bytes: how many bytes make it full.
    :ivar queued_bytes: how many bytes are queued, attachments included.
    :ivar discarding: whether everything is dropped because the peer has disconnected.
    :ivar slice_bytes: how much the writer hands to the stream at a time.
    """

    slice_bytes: ClassVar[int] = _SLICE_BYTES

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._queue: list[Outgoing] = []
        self._run: list[bytes] = []  # the small messages that were added last; they follow all that is in the queue
        self._run_bytes = 0
        self.queued_bytes = 0
        self.discarding = False

    @property
    def full(self) -> bool:
        """Whether the limit is reached; a single message may have gone far beyond it."""
        return self.queued_bytes >= self.limit_bytes

    def add(self, outgoing: Outgoing) -> None:
        """Queue a message, full or not; from now on its attachments belong to the outbox."""
        if self.discarding:
            outgoing.close()
            return
        if self._run:
            self._end_run()
        self._queue.append(outgoing)
        self.queued_bytes += outgoing.size

    def add_small(self, data: bytes) -> None:
        """Queue a small message of one piece, as :meth:`add` does, in less than half the time."""
        if self.discarding:
            return
        self._run.append(data)
        self._run_bytes += len(data)
        self.queued_bytes += len(data)
        if self._run_bytes >= _JOINED_BYTES:
            self._end_run()

    def _end_run(self) -> None:
        self._queue.append(Outgoing((b"".join(self._run),), messages=len(self._run)))
        self._run.clear()
        self._run_bytes = 0

    def take(self) -> list[Outgoing]:
        """Return everything that is queued, in order, and empty the outbox; the caller now owns the attachments."""
        if self._run:
            self._end_run()
        queue, self._queue = self._queue, []
        self.queued_bytes = 0
        return list(joined(queue))

    def take_prompt(self, most_bytes: int) -> bytes | None:
        """Take everything, if it is little enough to be sent at once and has no descriptors.

        :param most_bytes: how much may be sent at once.
        :return: the bytes, or ``None`` if everything stays in the outbox.
        """
        if self.queued_bytes > most_bytes or any(outgoing.attachments for outgoing in self._queue):
            return None
        return b"".join(part for outgoing in self.take() for part in outgoing.parts)

    def release(self) -> None:
        """Note that everything taken has been sent; that makes no difference here."""

    def clear(self) -> None:
        """Drop everything that is queued, and close its attachments."""
        for outgoing in self.take():
            outgoing.close()

    def discard(self) -> None:
        """Drop everything, including what is added from now on: the peer has disconnected."""
        self.discarding = True
        self.clear()


def joined(queue: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Yield messages the way they are sent: small neighbours joined, unless they have attachments."""
    run: list[bytes] = []
    run_bytes = 0
    for outgoing in queue:
        small = not outgoing.attachments and outgoing.size <= _SMALL_BYTES
        if run and not (small and run_bytes + outgoing.size <= _JOINED_BYTES):
            yield Outgoing((b"".join(run),))
            run, run_bytes = [], 0
        if small:
            run.extend(outgoing.parts)
            run_bytes += outgoing.size
        else:
            yield outgoing
    if run:
        yield Outgoing((b"".join(run),))
