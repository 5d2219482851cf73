"""The way between a driver and its peer: frames are taken one by one, and sends wait for room.

Whoever holds the reader's role (see ``_readers``) takes the next frame, from what was received before if there is
any. So nothing that has arrived is in anybody's hands while a handler runs, and however a reader is cancelled,
nothing is lost. The outbox is bounded in bytes: :meth:`StreamLink.send` waits for room, :meth:`StreamLink.offer`
says whether there was any.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread

from indianyio import _turns
from indianyio._link import MOST_UNCLAIMED, TURN_SECONDS, close_all
from indianyio._link_waiting import SENDING_TURN_BYTES, WaitingLink, with_attachments
from indianyio._model import Outbox, Outgoing
from indianyio._rated_log import shown, wire_logger
from indianyio._vocabulary import Limits
from indianyio.exceptions import ConnectionLostError, RemoteProtocolError
from indianyio.protocol import Frame, PingRequest, SetBLOBVector, Unusable, WireMessage, decode, encode
from indianyio.protocol._encoder import encode_blob_parts
from indianyio.protocol._frames import Head
from indianyio.protocol._messages import CONTENT_TAGS
from indianyio.protocol._relayable import SURELY_SENDABLE_BYTES, require_encoded_size, require_size
from indianyio.streams import ByteStream

__all__ = ["DriverLink", "StreamLink"]

logger = logging.getLogger(__name__)

# How much may be taken before the other tasks have their turn: a millisecond or two.
_TURN_BYTES = 16 << 10

# From this size on decoding a BLOB would hold up the event loop for milliseconds.
_LONG_BYTES = 1 << 20


class DriverLink(Protocol):
    """What a driver needs of the link to its peer, be that a byte stream or the server in the same process."""

    @property
    def name(self) -> str:
        """Who the peer is, for log lines."""

    @property
    def limits(self) -> Limits:
        """What the peer may make us hold."""

    @property
    def carries_attachments(self) -> bool:
        """Whether BLOBs may travel as descriptors."""

    @property
    def has_room(self) -> bool:
        """Whether :meth:`send` would not wait."""

    @property
    def end_reason(self) -> str:
        """Why :meth:`take` has nothing more to return, in words for a log line; empty until then."""

    async def take(self) -> Frame | None:
        """Wait for the next frame and return it; ``None`` once the peer sends nothing more.

        The frame's attachments are the caller's. Cancelled, it has taken nothing. The other tasks have their turn
        now and then, however much there is to take.
        """

    def stop_reading(self, reason: str) -> None:
        """Let go of whatever has arrived and was not taken; :meth:`take` returns nothing more."""

    def decode(self, frame: Frame) -> WireMessage | None:
        """Return what a frame says; if it cannot be read, log why, note that in the frame and return ``None``."""

    async def send(self, message: WireMessage) -> None:
        """Send a message, waiting while there is no room for it."""

    async def send_encoded(self, data: bytes, head: Head) -> None:
        """Send a message without BLOBs that is encoded already, as :meth:`send` does.

        :param data: its bytes, with the end of the message.
        :param head: its tag, device and vector.
        """

    async def send_made(self, make: Callable[[], Iterable[WireMessage]]) -> None:
        """Send what ``make`` returns, calling it when there is room, with nothing between."""

    async def send_blobs(
        self, update: SetBLOBVector, base64: Mapping[str, Sequence[bytes]], ping: PingRequest
    ) -> None:
        """Send a BLOB vector and the ping behind it."""

    def offer(self, message: WireMessage) -> bool:
        """Send a message if there is room for it now, and return whether there was."""

    def stop_waiting(self) -> None:
        """Let no send wait from now on."""

    def close(self) -> None:
        """Accept nothing more."""

    async def write(self) -> str:
        """Send until :meth:`close` was called and all is sent; return why it ended, in words for a log line."""

    async def hear_out(self, *, is_over: Callable[[], Awaitable[object]]) -> None:
        """Wait until what the peer wrote before its end is taken; see :meth:`indianyio._link.Link.hear_out`."""


class StreamLink(WaitingLink):
    """A driver's :class:`DriverLink` over a stream of bytes; see :class:`~indianyio._link_waiting.WaitingLink`."""

    def __init__(self, stream: ByteStream, *, limits: Limits, outbox: Outbox, debug: bool = False) -> None:
        super().__init__(stream, limits=limits, outbox=outbox, debug=debug)
        self.end_reason = ""
        self._items: deque[Frame | Unusable] = deque()
        self._taken_bytes = 0
        self._turn_ends = 0.0

    # -- what arrives ------------------------------------------------------------------------------------------

    async def take(self) -> Frame | None:
        """Wait for the next frame and return it, as :meth:`DriverLink.take` says.

        What cannot be used is logged and skipped.
        """
        items = self._items
        while not self.end_reason:
            if not items:
                await self._receive()
            elif self._taken_bytes >= _TURN_BYTES or _turns.clock() >= self._turn_ends:
                await anyio.lowlevel.checkpoint()
                self._begin_turn()
            else:
                await anyio.lowlevel.checkpoint_if_cancelled()
            while items:
                item = items[0]
                if isinstance(item, Frame) and len(item.data) > _LONG_BYTES and _is_to_be_decoded(item):
                    await self._decode_long(item)
                    continue
                items.popleft()
                self._taken_bytes += len(item.data) if isinstance(item, Frame) else item.size
                if isinstance(item, Frame):
                    if item.attached:
                        item.attachments = tuple(self._claim(item.attached))
                    if self._debug:
                        wire_logger.debug("%s -> %s", self.name, shown(item.data))
                    return item
                close_all(self._claim(item.attached))
                refused = item.refused_write()
                if refused is not None:
                    return refused  # so that its sender is answered; it is reported when it is decoded
                self._report(item)
        return None

    async def _decode_long(self, frame: Frame) -> None:
        """Decode a long BLOB vector in a thread, so that it is decoded when it is taken.

        Its frame stays in the queue meanwhile: whoever is cancelled here has taken nothing. Nobody else can take
        it, as one task at a time holds the role of reading; but :meth:`stop_reading` may let go of it.
        """
        try:
            await anyio.to_thread.run_sync(decode, frame, self.limits)
        except RemoteProtocolError as error:
            frame.decoded = Unusable.made_of(frame, str(error))

    def stop_reading(self, reason: str) -> None:
        """Let go of whatever has arrived and was not taken; its descriptors are closed."""
        self.end_reason = self.end_reason or reason
        self._items.clear()
        self._log.flush()
        close_all(self._arrived)

    async def _receive(self) -> None:
        """Wait for bytes and make frames of them; whatever ends the stream goes into ``end_reason``."""
        try:
            if self._framer.failure is not None:
                raise self._framer.failure
            if len(self._arrived) > MOST_UNCLAIMED:
                raise RemoteProtocolError(f"{len(self._arrived)} descriptors without a message that uses them")
            self._waits = True
            received = await self._stream.receive()
        except RemoteProtocolError as error:
            self._log.log("given up", logging.ERROR, "%s: giving up on this peer: %s", self.name, error)
            self.stop_reading(f"the peer broke the protocol: {error}")
            return
        except ConnectionLostError as error:
            self.stop_reading(f"the connection was lost: {error}")
            return
        finally:
            self._waits = False
            self._receipts += 1
        self.asked = True
        self._begin_turn()
        if received.attachments:
            self._arrived.extend(received.attachments)
        if received.data:
            self._items.extend(self._framer.feed(received.data))
        else:
            self._report_rest()
            self.stop_reading("the peer closed the stream")

    def _begin_turn(self) -> None:
        self._taken_bytes = self._unyielded_bytes = 0
        self._turn_ends = _turns.clock() + TURN_SECONDS

    # -- what is sent ------------------------------------------------------------------------------------------

    async def send_encoded(self, data: bytes, head: Head) -> None:
        """Put a message that is encoded already into the outbox, as :meth:`send` does."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        outbox = self._outbox
        if (
            len(data) > SURELY_SENDABLE_BYTES
            or self._is_unusual
            or outbox.queued_bytes >= outbox.limit_bytes
            or outbox.discarding
            or self._turn.locked()
        ):
            require_encoded_size(data, head)
            await self._send(Outgoing((data,)))
            return
        self._unyielded_bytes += len(data)
        if not (self.asked and self.answer(data)):  # which is the way of most answers
            outbox.add_small(data)
            if self._writer_waits:
                self._wake_writer()
        if self._unyielded_bytes >= SENDING_TURN_BYTES:
            self._unyielded_bytes = 0
            await anyio.lowlevel.cancel_shielded_checkpoint()

    async def send_made(self, make: Callable[[], Iterable[WireMessage]]) -> None:
        """Put in what ``make`` returns, as :meth:`send` does, but call that only when there is room.

        So the messages say what holds when they are sent, however long that takes, and nothing comes between them.
        One that cannot be sent is logged, and costs the others nothing.
        """
        async with self._turn:
            await self._room()
            for message in make():
                self.put(message)

    async def send_blobs(
        self, update: SetBLOBVector, base64: Mapping[str, Sequence[bytes]], ping: PingRequest
    ) -> None:
        """Put a BLOB vector and the ping behind it into the outbox, as :meth:`send` does, with nothing between.

        :param update: the BLOBs. Their attachments are the link's to close once this has returned; until then, and
            when it is cancelled, they are the caller's.
        :param base64: the contents of those that have no attachment, by member, in slices.
        :param ping: asks the peer whether it has taken them.
        """
        parts = encode_blob_parts(update, base64)
        require_size(update, parts)
        await self._send(with_attachments((*parts, encode(ping)), update))


def _is_to_be_decoded(frame: Frame) -> bool:
    """Tell whether a frame has content that nobody has decoded; what is attached is read when its turn comes."""
    return frame.tag in CONTENT_TAGS and frame.decoded is None and not frame.attached
