"""A link whose sends wait for room in the outbox; drivers and clients use it.

A server uses none: it must never wait for one of its peers (see ``_routing/_outboxes``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import anyio
import anyio.lowlevel

from indianyio._link import Link
from indianyio._model import Outbox, Outgoing
from indianyio._rated_log import shown, wire_logger
from indianyio._vocabulary import Limits
from indianyio.exceptions import LocalProtocolError, RemoteProtocolError
from indianyio.protocol import Frame, NewBLOBVector, SetBLOBVector, Unusable, WireMessage, decode
from indianyio.protocol._encoder import encode_blob_parts, encode_parts
from indianyio.protocol._relayable import require_size
from indianyio.streams import ByteStream

__all__ = ["SENDING_TURN_BYTES", "WaitingLink", "with_attachments"]

logger = logging.getLogger(__name__)

# Once the end has begun, a peer that takes nothing for this long counts as not reading.
_PATIENCE_SECONDS = 0.2

SENDING_TURN_BYTES = 32 << 10
"""How many bytes may be sent before the other tasks have their turn: a millisecond or two."""


class WaitingLink(Link):
    """A link whose sends wait for room in the outbox.

    The peer speaks for many: for all the clients of a server, or for all its drivers. So exceeding a limit costs a
    message, never the connection.

    :param stream: the bytes; the link never closes it.
    :param limits: how much the peer may make us hold.
    :param outbox: holds the messages that wait; at its limit :meth:`send` waits. What the writer is sending, and
        one message that was put in below the limit, may exceed it.
    :param debug: whether the peer's XML is logged at DEBUG on the logger ``indianyio.wire``.
    """

    def __init__(self, stream: ByteStream, *, limits: Limits, outbox: Outbox, debug: bool = False) -> None:
        drained = self._wake_senders
        super().__init__(stream, limits=limits, outbox=outbox, forgiving=True, decoding=True, drained=drained)
        self._turn = anyio.Lock()
        self._room_made = anyio.Event()
        self._senders_wait = False
        self._unyielded_bytes = 0
        self._waits_no_more = False
        self._stalled = False
        self._debug = debug
        self._is_unusual = debug  # whether sending is more than putting into the outbox

    def decode(self, frame: Frame) -> WireMessage | None:
        """Decode a frame; if that fails, log and remember why, and return ``None``."""
        try:
            message = decode(frame, self.limits)
        except RemoteProtocolError as error:
            message = frame.decoded = Unusable.made_of(frame, str(error))
        if isinstance(message, Unusable):
            self._report(message)  # not counted: this peer is kept, however many unusable messages it sends
            return None
        return message

    async def send(
        self,
        message: WireMessage,
        *,
        base64: Mapping[str, Sequence[bytes]] | None = None,
        begun: Callable[[], None] | None = None,
    ) -> None:
        """Put one message into the outbox, waiting while that is full.

        Messages of one task keep their order, and waiting tasks are served first come, first served. If the peer is
        gone, messages are dropped without an error: the reader notices and ends the work. The other tasks have
        their turn every few messages, so that a loop of sends delays no Abort.

        When cancelled, the message has been put in whole or not at all. Nothing is put in for a task that was
        cancelled before the call, such as an exposure whose Abort came at its last moment.

        :param base64: contents of a BLOB vector that are encoded already, by member, in slices.
        :param begun: called when the message is put in: from then on it may reach the peer.
        :raises ValueError: one of its texts has a character that XML cannot carry.
        :raises LocalProtocolError: it is longer than INDI servers accept.
        """
        outgoing = _outgoing(message, base64)
        try:
            await self._send(outgoing, begun)
        except BaseException:
            outgoing.close()  # it never reached the outbox, which would have closed it
            raise

    async def flushed(self) -> None:
        """Wait until everything has been sent, or the peer is gone."""
        while not (self._writer_waits or self._outbox.discarding):
            self._senders_wait = True
            await self._room_made.wait()

    @property
    def has_room(self) -> bool:
        """Whether :meth:`send` would not wait: there is room, and nobody is waiting for some."""
        return self._outbox.discarding or not (self._outbox.full or self._turn.locked())

    def offer(self, message: WireMessage) -> bool:
        """Put one message into the outbox if there is room now; a message that cannot be sent is logged.

        :return: whether the message was taken.
        """
        if self.has_room:
            self.put(message)
            return True
        return False

    def stop_waiting(self) -> None:
        """Stop letting sends wait for a peer that has stopped reading: the driver needs the time to park.

        A send waits only as long as the peer takes something. If the peer takes nothing for a moment, the outbox is
        filled to twice its limit, and any more is dropped.
        """
        self._waits_no_more = self._is_unusual = True
        self._wake_senders()

    def close(self) -> None:
        """Accept nothing more; :meth:`write` sends what waits and returns."""
        self._is_unusual = True
        super().close()

    async def _send(self, outgoing: Outgoing, begun: Callable[[], None] | None = None) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        if self.has_room:
            self._put_and_tell(outgoing, begun)
        else:
            async with self._turn:
                await self._room()
                self._put_and_tell(outgoing, begun)
        if self._unyielded_bytes >= SENDING_TURN_BYTES or self._deaf:
            # After the message, not before it: otherwise another task could put a newer message in front of this
            # one.
            self._unyielded_bytes = 0
            await anyio.lowlevel.cancel_shielded_checkpoint()

    async def _room(self) -> None:
        """Wait for room; once the end has begun, only as long as the peer is reading at all."""
        while self._outbox.full and not (self._outbox.discarding or self._stalled):
            before = self._sent_parts
            self._senders_wait = True
            with anyio.move_on_after(_PATIENCE_SECONDS if self._waits_no_more else float("inf")):
                await self._room_made.wait()
                continue
            self._stalled = self._waits_no_more and self._sent_parts == before

    def put(self, message: WireMessage) -> None:
        """Put one short message into the outbox, even if it is full; a message that cannot be sent is logged."""
        try:
            self._put(_outgoing(message))
        except LocalProtocolError as error:
            logger.error("%s: an answer cannot be sent: %s", self.name, error)

    def _put_and_tell(self, outgoing: Outgoing, begun: Callable[[], None] | None) -> None:
        if begun is not None:
            begun()
        self._put(outgoing)

    def _put(self, outgoing: Outgoing) -> None:
        if self._deaf:
            outgoing.close()
            return
        if self._stalled and self._outbox.queued_bytes >= 2 * self._outbox.limit_bytes:
            logger.warning("%s: does not read; %d bytes of the last words are dropped", self.name, outgoing.size)
            outgoing.close()
            return
        if self._debug:
            wire_logger.debug("%s <- %s", self.name, shown(*outgoing.parts))
        self._unyielded_bytes += outgoing.size
        self._outbox.add(outgoing)
        self.push()

    @property
    def _deaf(self) -> bool:
        """Whether messages are dropped, because nobody is there to read them."""
        return self._closed or self._outbox.discarding

    def _wake_senders(self) -> None:
        """Let those who wait for room look again."""
        if self._senders_wait:
            self._senders_wait = False
            self._room_made.set()
            self._room_made = anyio.Event()


def _outgoing(message: WireMessage, base64: Mapping[str, Sequence[bytes]] | None = None) -> Outgoing:
    if isinstance(message, NewBLOBVector | SetBLOBVector):
        parts = tuple(encode_blob_parts(message, base64 or {}))
        require_size(message, parts)
        return with_attachments(parts, message)
    parts = tuple(encode_parts(message))
    require_size(message, parts)
    return Outgoing(parts)


def with_attachments(parts: tuple[bytes, ...], message: NewBLOBVector | SetBLOBVector) -> Outgoing:
    """Return the parts of a BLOB vector with its attachments."""
    attached = [(one.attachment, int(one.len or 0)) for one in message.members if one.attachment is not None]
    return Outgoing(parts, tuple(attachment for attachment, _ in attached), sum(length for _, length in attached))
