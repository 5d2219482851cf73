"""A link on which sends wait for room: what a driver and a client need, whose messages have one author.

A server's peers are different: it never waits for one of them (see ``_routing/_peer_outbox``).
"""

from __future__ import annotations

import logging

import anyio
import anyio.lowlevel

from indianyio._link import Link
from indianyio._model import Outbox, Outgoing
from indianyio._vocabulary import Limits
from indianyio.exceptions import LocalProtocolError, RemoteProtocolError
from indianyio.protocol import Frame, NewBLOBVector, SetBLOBVector, Unusable, WireMessage, decode
from indianyio.protocol._encoder import encode_parts
from indianyio.protocol._relayable import require_size
from indianyio.streams import ByteStream

__all__ = ["SENDING_TURN_BYTES", "WaitingLink", "shown", "wire_logger", "with_attachments"]

logger = logging.getLogger(__name__)
wire_logger = logging.getLogger("indianyio.wire")

# How much of one message a DEBUG line shows: a definition whole, of a BLOB enough to recognise it.
_SHOWN_BYTES = 4096

# For how long a peer must have taken nothing to count as one that does not read, once the end has begun.
_PATIENCE_SECONDS = 0.2

SENDING_TURN_BYTES = 32 << 10
"""How much may be sent before the other tasks have their turn: a millisecond or two."""


class WaitingLink(Link):
    """A link whose sends wait for room in the outbox.

    The peer stands for many: for all the clients of a server, or for all its drivers. So what exceeds a limit costs
    a message and never the connection.

    :param stream: the bytes; the link never closes it.
    :param limits: what the peer may make us hold.
    :param outbox: where what is sent waits, and how much of it before :meth:`send` waits. What the writer has in
        hand and one message that was begun below the limit come on top.
    :param debug: whether the peer's XML is logged at DEBUG on the logger ``indianyio.wire``.
    """

    def __init__(self, stream: ByteStream, *, limits: Limits, outbox: Outbox, debug: bool = False) -> None:
        drained = self._wake_senders
        super().__init__(stream, limits=limits, outbox=outbox, forgiving=True, decoding=True, drained=drained)
        self._turn = anyio.Lock()
        self._room_made = anyio.Event()
        self._senders_wait = False
        self._unyielded_bytes = 0
        self._hurried = False
        self._stalled = False
        self._debug = debug
        self._is_unusual = debug  # whether sending is more than putting into the outbox

    def decode(self, frame: Frame) -> WireMessage | None:
        """Return what a frame says, or ``None`` after logging why not; then the frame knows that, too."""
        try:
            message = decode(frame, self.limits)
        except RemoteProtocolError as error:
            message = frame.decoded = Unusable.made_of(frame, str(error))
        if isinstance(message, Unusable):
            self._report(message)  # not counted: this peer is kept however many there are
            return None
        return message

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
        outgoing = _outgoing(message)
        try:
            await self._send(outgoing)
        except BaseException:
            outgoing.close()  # it was not put in, so nobody else does
            raise

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
        if self._unyielded_bytes >= SENDING_TURN_BYTES or self._deaf:
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
            wire_logger.debug("%s <- %s", self.name, shown(*outgoing.parts))
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
    if isinstance(message, NewBLOBVector | SetBLOBVector):
        return with_attachments(parts, message)
    return Outgoing(parts)


def with_attachments(parts: tuple[bytes, ...], message: NewBLOBVector | SetBLOBVector) -> Outgoing:
    """Return the parts of a BLOB vector with what travels beside them."""
    attached = [(one.attachment, int(one.len or 0)) for one in message.members if one.attachment is not None]
    return Outgoing(parts, tuple(attachment for attachment, _ in attached), sum(length for _, length in attached))


def shown(*parts: bytes) -> str:
    """Return a message for a log line, cut if it is long."""
    size = sum(map(len, parts))
    start = b"".join(part[:_SHOWN_BYTES] for part in parts)[:_SHOWN_BYTES]
    text = start.decode("utf-8", "replace").rstrip()
    return text if size <= _SHOWN_BYTES else f"{text} ... ({size} bytes)"
