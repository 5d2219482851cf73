"""The way between a driver and its peer: frames are taken one by one, and sends wait for room.

Whoever holds the reader's role (see ``_readers``) takes the next frame, from what was received before if there is
any. So nothing that has arrived is in anybody's hands while a handler runs, and however a reader is cancelled,
nothing is lost. The outbox is bounded in bytes: :meth:`StreamLink.send` waits for room, :meth:`StreamLink.offer`
says whether there was any.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Protocol

import anyio
import anyio.lowlevel

from indianyio._link import MOST_UNCLAIMED, Link, close_all
from indianyio._link_sending import PROMPT_BYTES
from indianyio._model import Outbox, Outgoing
from indianyio._vocabulary import Limits
from indianyio.exceptions import ConnectionLostError, LocalProtocolError, RemoteProtocolError
from indianyio.protocol import Frame, PingRequest, SetBLOBVector, Unusable, WireMessage, decode, encode
from indianyio.protocol._encoder import encode_blob_parts, encode_parts
from indianyio.protocol._frames import Head
from indianyio.protocol._relayable import SURELY_SENDABLE_BYTES, require_encoded_size, require_size
from indianyio.streams import ByteStream

__all__ = ["TURN_SECONDS", "DriverLink", "StreamLink"]

logger = logging.getLogger(__name__)
wire_logger = logging.getLogger("indianyio.wire")

# How much of one message a DEBUG line shows: a definition whole, of a BLOB enough to recognise it.
_SHOWN_BYTES = 4096

# For how long a peer must have taken nothing to count as one that does not read, once the end has begun.
_PATIENCE_SECONDS = 0.2

# How much may be taken, and how much sent, before the other tasks have their turn: a millisecond or two of either.
_TURN_BYTES = 16 << 10
_SENDING_TURN_BYTES = 32 << 10

TURN_SECONDS = 0.002
"""How long handlers that never wait may go on before the other tasks have their turn."""


class DriverLink(Protocol):
    """What a driver needs of the way to its peer: a stream of bytes has it, and so has a server's own driver."""

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
        """Return what a frame says, or ``None`` after logging why not; then the frame knows that, too."""

    async def send(self, message: WireMessage) -> None:
        """Send a message, waiting while there is no room for it."""

    async def send_encoded(self, data: bytes, head: Head) -> None:
        """Send a message without BLOBs that is encoded already, as :meth:`send` does.

        :param data: its bytes, with the newline behind it.
        :param head: its tag, device and vector.
        """

    async def send_made(self, make: Callable[[], Iterable[WireMessage]]) -> None:
        """Send what ``make`` returns, calling it when there is room, with nothing between."""

    async def send_blobs(
        self, update: SetBLOBVector, base64: Mapping[str, Sequence[bytes]], ping: PingRequest
    ) -> None:
        """Send a BLOB vector and the ping behind it."""

    def offer(self, message: WireMessage) -> bool:
        """Send a message if that takes no waiting, and return whether it did not."""

    def hurry(self) -> None:
        """Let no send wait any more."""

    def close(self) -> None:
        """Accept nothing more."""

    async def write(self) -> str:
        """Send until :meth:`close` was called and all is sent; return why it ended, in words for a log line."""


class StreamLink(Link):
    """A driver's :class:`DriverLink` over a stream of bytes.

    The peer stands for many, all the clients of a server: what exceeds a limit costs a message and never the
    connection.

    :param stream: the bytes; the link never closes it.
    :param limits: what the peer may make us hold.
    :param outbox: where what is sent waits, and how much of it before :meth:`send` waits. What the writer has in
        hand and one message that was begun below the limit come on top.
    :param debug: whether the peer's XML is logged at DEBUG on the logger ``indianyio.wire``.
    """

    def __init__(self, stream: ByteStream, *, limits: Limits, outbox: Outbox, debug: bool = False) -> None:
        drained = self._wake_senders
        super().__init__(stream, limits=limits, outbox=outbox, forgiving=True, decoding=True, drained=drained)
        self.end_reason = ""
        self._items: deque[Frame | Unusable] = deque()
        self._taken_bytes = 0
        self._turn_ends = 0.0
        self._turn = anyio.Lock()
        self._room_made = anyio.Event()
        self._senders_wait = False
        self._unyielded_bytes = 0
        self._hurried = False
        self._stalled = False
        self._debug = debug
        self._is_unusual = debug  # whether sending is more than putting into the outbox

    # -- what arrives ------------------------------------------------------------------------------------------

    async def take(self) -> Frame | None:
        """Wait for the next frame and return it, as :meth:`DriverLink.take` says.

        What cannot be used is logged and skipped.
        """
        items = self._items
        while not self.end_reason:
            if not items:
                await self._receive()
            elif self._taken_bytes >= _TURN_BYTES or perf_counter() >= self._turn_ends:
                await anyio.lowlevel.checkpoint()
                self._begin_turn()
            else:
                await anyio.lowlevel.checkpoint_if_cancelled()
            while items:
                item = items.popleft()
                self._taken_bytes += len(item.data) if isinstance(item, Frame) else item.size
                if isinstance(item, Frame):
                    if item.attached:
                        item.attachments = tuple(self._claim(item.attached))
                    if self._debug:
                        wire_logger.debug("%s -> %s", self.name, _shown(item.data))
                    return item
                close_all(self._claim(item.attached))
                self._report(item)
        return None

    def stop_reading(self, reason: str) -> None:
        """Let go of whatever has arrived and was not taken; its descriptors are closed."""
        self.end_reason = self.end_reason or reason
        self._items.clear()
        self._dropped.flush()
        close_all(self._arrived)

    async def _receive(self) -> None:
        """Wait for bytes and make frames of them; whatever ends the stream goes into ``end_reason``."""
        try:
            if self._framer.failure is not None:
                raise self._framer.failure
            if len(self._arrived) > MOST_UNCLAIMED:
                raise RemoteProtocolError(f"{len(self._arrived)} descriptors without a message that uses them")
            received = await self._stream.receive()
        except RemoteProtocolError as error:
            logger.error("%s: giving up on this peer: %s", self.name, error)
            self.stop_reading(f"the peer broke the protocol: {error}")
            return
        except ConnectionLostError as error:
            self.stop_reading(f"the connection was lost: {error}")
            return
        self._asked = True
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
        self._turn_ends = perf_counter() + TURN_SECONDS

    def decode(self, frame: Frame) -> WireMessage | None:
        """Return what a frame says, as :meth:`DriverLink.decode` does."""
        try:
            message = decode(frame, self.limits)
        except RemoteProtocolError as error:
            message = frame.decoded = Unusable.made_of(frame, str(error))
        if isinstance(message, Unusable):
            self._report(message)  # not counted: this peer is kept however many there are
            return None
        return message

    # -- what is sent ------------------------------------------------------------------------------------------

    async def send(self, message: WireMessage) -> None:
        """Put one message into the outbox, waiting while that is full.

        Messages of one task keep their order, and tasks that wait are served in the order in which they came. A
        peer that has gone takes everything: its reader ends the work, and until then nobody should fail here. The
        other tasks have their turn every few messages, so that a loop of sends delays no Abort.

        Cancelled, it has put in the message whole or not at all; it puts in nothing for a task that was cancelled
        before, as an exposure is whose Abort came in its last moment.

        :raises ValueError: XML cannot carry a text of it.
        :raises LocalProtocolError: it is longer than INDI servers take.
        """
        await self._send(_outgoing(message))

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
        size = len(data)
        self._unyielded_bytes += size
        if self._asked and self._writer_waits and size <= PROMPT_BYTES and not outbox.queued_bytes:
            # As in push(), without a detour through the outbox: this is the way of most answers.
            self._asked = False
            sent = self._stream.send_now(data)
            if sent == size:
                self._sent_parts += 1
            else:
                self._begun = data[sent:]
                self._wake_writer()
        else:
            outbox.add_small(data)
            if self._writer_waits:
                self._wake_writer()
        if self._unyielded_bytes >= _SENDING_TURN_BYTES:
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
                self._put_answer(message)

    async def send_blobs(
        self, update: SetBLOBVector, base64: Mapping[str, Sequence[bytes]], ping: PingRequest
    ) -> None:
        """Put a BLOB vector and the ping behind it into the outbox, as :meth:`send` does, with nothing between.

        :param update: the BLOBs. Their attachments are the link's to close once this has returned; until then, and
            when it is cancelled, they are the caller's.
        :param base64: the contents of those that have no attachment, by member, in slices.
        :param ping: asks the peer whether it has taken them.
        """
        attached = [one for one in update.members if one.attachment is not None]
        parts = encode_blob_parts(update, base64)
        require_size(update, parts)
        outgoing = Outgoing(
            (*parts, encode(ping)),
            tuple(one.attachment for one in attached if one.attachment is not None),
            sum(int(one.len or 0) for one in attached),
        )
        await self._send(outgoing)

    @property
    def has_room(self) -> bool:
        """Whether :meth:`send` would not wait: there is room, and nobody is waiting for some."""
        return self._outbox.discarding or not (self._outbox.full or self._turn.locked())

    def offer(self, message: WireMessage) -> bool:
        """Put one message into the outbox if that takes no waiting; one that cannot be sent is logged.

        :return: whether the message was taken.
        """
        if self.has_room:
            self._put_answer(message)
            return True
        return False

    def hurry(self) -> None:
        """Let no send wait for a peer that has stopped reading: the time that is left belongs to the instrument.

        A send waits only as long as the peer takes something. If it does not for a moment, the outbox is filled to
        twice its size, and what comes beyond is dropped.
        """
        self._hurried = self._is_unusual = True
        self._wake_senders()

    def close(self) -> None:
        """Accept nothing more; :meth:`write` sends what there is and returns."""
        self._is_unusual = True
        super().close()

    async def _send(self, outgoing: Outgoing) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        if self.has_room:
            self._put(outgoing)
        else:
            async with self._turn:
                await self._room()
                self._put(outgoing)
        if self._unyielded_bytes >= _SENDING_TURN_BYTES or self._deaf:
            # Behind the message, not before it: another task would put a newer one in front of it.
            self._unyielded_bytes = 0
            await anyio.lowlevel.cancel_shielded_checkpoint()

    async def _room(self) -> None:
        """Wait for room; once the end has begun, only as long as the peer is reading at all."""
        while self._outbox.full and not (self._outbox.discarding or self._stalled):
            before = self._sent_parts
            self._senders_wait = True
            with anyio.move_on_after(_PATIENCE_SECONDS if self._hurried else float("inf")):
                await self._room_made.wait()
                continue
            self._stalled = self._hurried and self._sent_parts == before

    def _put_answer(self, message: WireMessage) -> None:
        """Put in what nobody waits for who could be told of a failure."""
        try:
            self._put(_outgoing(message))
        except LocalProtocolError as error:
            logger.error("%s: an answer cannot be sent: %s", self.name, error)

    def _put(self, outgoing: Outgoing) -> None:
        if self._deaf:
            outgoing.close()
            return
        if self._stalled and self._outbox.queued_bytes >= 2 * self._outbox.limit_bytes:
            logger.warning("%s: does not read; %d bytes of the last words are dropped", self.name, outgoing.size)
            outgoing.close()
            return
        if self._debug:
            wire_logger.debug("%s <- %s", self.name, _shown(b"".join(outgoing.parts)))
        self._unyielded_bytes += outgoing.size
        self._outbox.add(outgoing)
        self.push()

    @property
    def _deaf(self) -> bool:
        """Whether whatever is sent is dropped, because nobody is there to read it."""
        return self._closed or self._outbox.discarding

    def _wake_senders(self) -> None:
        """Let those who wait for room look again."""
        if self._senders_wait:
            self._senders_wait = False
            self._room_made.set()
            self._room_made = anyio.Event()


def _outgoing(message: WireMessage) -> Outgoing:
    parts = tuple(encode_parts(message))
    require_size(message, parts)
    return Outgoing(parts)


def _shown(data: bytes) -> str:
    text = data[:_SHOWN_BYTES].decode("utf-8", "replace").rstrip()
    return text if len(data) <= _SHOWN_BYTES else f"{text} ... ({len(data)} bytes)"
