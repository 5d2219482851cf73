"""The way between a server and a driver in the same process: frames, not bytes.

It is both a port for the hub and a link for the driver. What the driver says is encoded once, because clients get
bytes, but never parsed again: the frame carries the message. Messages for the driver wait in a queue in which every
sender has its share, as with external drivers.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence

import anyio
import anyio.lowlevel

from indianyio import _turns
from indianyio._link import TURN_SECONDS
from indianyio._rated_log import RatedLog
from indianyio._routing import OUTBOX_BYTES, FairQueue, PeerStatistics, PlainRelay, Relayed, Room, Traffic, rank_of
from indianyio._vocabulary import Limits
from indianyio.exceptions import LocalProtocolError, RemoteProtocolError
from indianyio.protocol import Frame, PingRequest, SetBLOBVector, Unusable, WireMessage, decode, encode
from indianyio.protocol._blob_forms import attached_bytes
from indianyio.protocol._encoder import encode_blob_parts
from indianyio.protocol._frames import MESSAGE_END, Head, element_of
from indianyio.protocol._relayable import SURELY_SENDABLE_BYTES, require_encoded_size, require_size
from indianyio.server._heavy import is_heavy
from indianyio.server._hub import Hub
from indianyio.streams import attachments_supported

__all__ = ["LocalLink"]

logger = logging.getLogger(__name__)

# How many bytes a driver may send before the other tasks have their turn, as on a wire.
_TURN_BYTES = 16 << 10

# What a descriptor counts for beside its contents: a process has about a thousand, and one sender must not use them
# up.
_DESCRIPTOR_BYTES = 128 << 10


class LocalLink:
    """The link of a driver in the server's own process.

    :param hub: the other end.
    :param name: the driver, for log lines and for its clients.
    :param limits: what a message may be.
    """

    def __init__(self, hub: Hub, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self.carries_attachments = attachments_supported()
        self.has_room = True
        self.attaches = None
        self.progress = 0
        self._hub = hub
        self._queue: FairQueue[Frame] = FairQueue(_close_attachments, limit_bytes=OUTBOX_BYTES)
        self._arrived = anyio.Event()
        self._turn_ends = 0.0
        self._closed = anyio.Event()
        self._refused: str | None = None
        self._unyielded_bytes = 0
        self._traffic = Traffic()
        self._log = RatedLog(logger)

    # -- for the hub -------------------------------------------------------------------------------------------

    def deliver(self, relay: Relayed) -> Room | None:
        """Queue messages for the driver; see :meth:`indianyio.server._ports.Port.deliver`."""
        if self._refused is not None or self._closed.is_set():
            return Room.CLOSED
        taken = True
        for frame in relay.received if type(relay) is PlainRelay else relay.frames():
            taken &= self._queue_one(frame, relay.sender)
        return self._queue.room_for(relay.sender, taken=taken)

    def _queue_one(self, frame: Frame, sender: Hashable) -> bool:
        size, rank = len(frame.data), rank_of(frame)
        if frame.attached:
            size += attached_bytes(frame)
        cost = size + _DESCRIPTOR_BYTES * len(frame.attachments)
        queue = self._queue
        if not queue.offer(sender, frame, cost, urgent=rank.urgent, key=rank.key):
            _close_attachments(frame)
            return False
        traffic = self._traffic
        traffic.messages_out += 1
        traffic.bytes_out += size
        if queue.waiting_bytes > traffic.highest_queued_bytes:
            traffic.highest_queued_bytes = queue.waiting_bytes
        self._arrived.set()
        return True

    def is_behind(self, sender: object) -> bool:
        """Tell whether a sender has used up its share with large messages, so that waiting helps."""
        return self._queue.is_behind(sender)

    def refuse(self, reason: str) -> None:
        """Let the driver's run end."""
        self._refused = self._refused or reason
        self._arrived.set()

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far."""
        return self._traffic.statistics(self._queue.waiting_bytes)

    # -- for the driver ----------------------------------------------------------------------------------------

    @property
    def end_reason(self) -> str:
        """Why the driver gets nothing more; empty until then."""
        return self._refused or ""

    async def take(self) -> Frame | None:
        """Wait for the next frame, whose attachments are the caller's; ``None`` once the driver is refused."""
        if self._queue.waiting_bytes:
            await self._take_turns()
        # With an empty queue the wait below lets other tasks run and can be cancelled, so no checkpoint is needed.
        while self._refused is None:
            frame = self._queue.take()
            if frame is not None:
                self.progress += 1
                return frame
            await self._arrived.wait()
            self._arrived = anyio.Event()
            self._turn_ends = _turns.clock() + TURN_SECONDS
        logger.error("%s: %s", self.name, self._refused)
        return None

    async def _take_turns(self) -> None:
        if _turns.clock() >= self._turn_ends:
            await anyio.lowlevel.checkpoint()
            self._turn_ends = _turns.clock() + TURN_SECONDS
        else:
            await anyio.lowlevel.checkpoint_if_cancelled()

    def stop_reading(self, reason: str) -> None:
        """Close the attachments of what waits for the driver."""
        self._refused = self._refused or reason
        self._log.flush()
        for frame in self._queue.drain():
            _close_attachments(frame)

    def decode(self, frame: Frame) -> WireMessage | None:
        """Return what a frame says, or ``None`` after logging why it cannot be used."""
        try:
            message = decode(frame, self.limits)
        except RemoteProtocolError as error:
            # If the driver's own limits are narrower, that must not end the driver, and the server with it.
            message = Unusable.made_of(frame, str(error))
        if isinstance(message, Unusable):
            self._log.warning("dropped", "%s: dropped %d bytes: %s", self.name, message.size, message.reason)
            return None
        return message

    async def send(self, message: WireMessage) -> None:
        """Hand a message to the server; the other tasks have their turn every few messages."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        self._hand_over(_framed(message))
        await self._give_way()

    async def send_encoded(self, data: bytes, head: Head) -> None:
        """Hand over a message that is encoded already."""
        if len(data) > SURELY_SENDABLE_BYTES:
            require_encoded_size(data, head)
        await anyio.lowlevel.checkpoint_if_cancelled()
        self._hand_over(Frame(head[0], data.removesuffix(MESSAGE_END), known_head=head))
        await self._give_way()

    async def send_made(self, make: Callable[[], Iterable[WireMessage]]) -> None:
        """Hand over what ``make`` returns; there is always room. What cannot be sent is logged."""
        for message in make():
            self.offer(message)
        await self._give_way()

    async def _give_way(self) -> None:
        # After the message, not before it: otherwise another task could put a newer message in front of this one.
        if self._unyielded_bytes >= _TURN_BYTES or self._closed.is_set():
            self._unyielded_bytes = 0
            await anyio.lowlevel.cancel_shielded_checkpoint()

    async def send_blobs(
        self, update: SetBLOBVector, base64: Mapping[str, Sequence[bytes]], ping: PingRequest
    ) -> None:
        """Hand over a BLOB vector and the ping behind it, which the server answers."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        attachments = tuple(one.attachment for one in update.members if one.attachment is not None)
        parts = encode_blob_parts(update, base64)
        require_size(update, parts)
        parts[-1] = element_of(parts[-1])
        frame = Frame(update.tag, await self._hub.heavy.joined(parts), attachments, len(attachments), safe=True)
        if self._count(frame):
            if is_heavy(frame, self._hub.limits):
                await self._hub.forward_heavy(self, frame)
            else:
                self._hub.forward(self, frame)
        self.offer(ping)
        await self._give_way()

    def offer(self, message: WireMessage) -> bool:
        """Hand a message to the server; one that cannot be sent is logged."""
        try:
            self._hand_over(_framed(message))
        except LocalProtocolError as error:
            logger.error("%s: an answer cannot be sent: %s", self.name, error)
        return True

    def stop_waiting(self) -> None:
        """Do nothing: no send waits."""

    def close(self) -> None:
        """Accept nothing more."""
        self._closed.set()

    async def write(self) -> str:
        """Wait for :meth:`close`; what was sent is in the clients' outboxes already."""
        await self._closed.wait()
        return "everything was sent"

    async def hear_out(self, *, is_over: Callable[[], Awaitable[object]]) -> None:
        """Do nothing: what is sent to a server in this process cannot fail."""

    def _hand_over(self, frame: Frame) -> None:
        if self._count(frame):
            self._hub.forward(self, frame)

    def _count(self, frame: Frame) -> bool:
        """Count what the driver says; return whether it may still send."""
        if self._closed.is_set():
            _close_attachments(frame)
            return False
        size = len(frame.data)
        if frame.attached:
            size += attached_bytes(frame)
        self._unyielded_bytes += size
        self._traffic.messages_in += 1
        self._traffic.bytes_in += size
        return True


def _framed(message: WireMessage) -> Frame:
    data = encode(message)
    require_size(message, (data,))
    return Frame.of(message, data)


def _close_attachments(frame: Frame) -> None:
    for attachment in frame.attachments:
        attachment.close()
