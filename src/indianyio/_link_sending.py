"""The sending half of a link: an outbox, those who put messages into it, and one writer that sends them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import anyio
import anyio.lowlevel

from indianyio._transports import ByteStream
from indianyio.exceptions import ConnectionLostError, LocalProtocolError
from indianyio.model import Outbox, Outgoing
from indianyio.protocol import PingRequest, SetBLOBVector, WireMessage, encode
from indianyio.protocol._encoder import encode_blob_parts, encode_parts
from indianyio.protocol._relay import require_size

__all__ = ["SendingLink", "shown"]

logger = logging.getLogger(__name__)
wire_logger = logging.getLogger("indianyio.wire")

# How much of one message a DEBUG line shows: a definition whole, of a BLOB enough to recognise it.
_SHOWN_BYTES = 4096

# For how long a peer must have taken nothing to count as one that does not read, once the end has begun.
_PATIENCE_SECONDS = 0.2

# What is sent at once as an answer: any socket holds more.
_PROMPT_BYTES = 64 << 10

# How much a task may send before the others have their turn: some tens of messages, one or two milliseconds.
_TURN_BYTES = 16 << 10

# What is handed to a stream at a time, so that it can be seen whether the peer takes anything.
_SLICE_BYTES = 128 << 10


class SendingLink:
    """What is sent to one peer.

    :param stream: the bytes; never closed here.
    :param outbox: where what is sent waits.
    :param debug: whether the XML is logged at DEBUG on the logger ``indianyio.wire``.
    """

    def __init__(self, stream: ByteStream, *, outbox: Outbox, debug: bool) -> None:
        self.name = stream.name
        self._stream = stream
        self._outbox = outbox
        self._turn = anyio.Lock()
        self._filled = anyio.Event()
        self._drained = anyio.Event()
        self._senders_wait = False
        self._writer_waits = False
        self._asked = False
        self._begun = b""
        self._unyielded_bytes = 0
        self._hurried = False
        self._stalled = False
        self._sent_parts = 0
        self._closed = False
        self._debug = debug

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

    def push(self) -> None:
        """Let go out what has just been put into the outbox, for whoever does that without :meth:`send`.

        The first message after something has come from the peer is its answer as a rule, and somebody waits for
        that. If nothing else is on its way it is given to the kernel here and now, which saves a change of tasks.
        Whatever else there is the writer sends when its turn comes, many messages at a time.
        """
        if self._asked and self._writer_waits and (data := self._outbox.take_prompt(_PROMPT_BYTES)) is not None:
            self._asked = False
            sent = self._stream.send_now(data)
            self._outbox.release()
            if data and sent == len(data):
                self._sent_parts += 1
                return
            self._begun = data[sent:]
        self._wake_writer()

    def _wake_writer(self) -> None:
        self._writer_waits = False
        self._filled.set()

    def hurry(self) -> None:
        """Let no send wait for a peer that has stopped reading: the time that is left belongs to the instrument.

        A send waits only as long as the peer takes something. If it does not for a moment, the outbox is filled to
        twice its size, and what comes beyond is dropped.
        """
        self._hurried = True
        self._wake_senders()

    @property
    def progress(self) -> int:
        """A number that grows whenever the peer takes something."""
        return self._sent_parts

    def close(self) -> None:
        """Accept nothing more; :meth:`write` sends what there is and returns."""
        self._closed = True
        self._wake_writer()

    async def write(self) -> str:
        """Send what is put into the outbox until :meth:`close` was called and all is sent, or the peer has gone.

        Cancelled in the middle of a message it leaves the stream unusable for sending.

        :return: why the writing ended, in words for a log line.
        """
        try:
            while True:
                await self._write_begun()
                for outgoing in self._outbox.take():
                    await self._write_one(outgoing)
                self._outbox.release()
                self._wake_senders()
                if self._outbox.queued_bytes:
                    continue
                if self._closed:
                    return "everything was sent"
                self._writer_waits = not self._filled.is_set()
                await self._filled.wait()
                self._filled = anyio.Event()
        except ConnectionLostError as error:
            return f"the peer stopped reading: {error}"
        finally:
            self._writer_waits = False
            self._outbox.discard()
            self._wake_senders()

    async def _send(self, outgoing: Outgoing) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        if self.has_room:
            self._put(outgoing)
        else:
            async with self._turn:
                await self._room()
                self._put(outgoing)
        if self._unyielded_bytes >= _TURN_BYTES or self._deaf:
            # Behind the message, not before it: another task would put a newer one in front of it.
            self._unyielded_bytes = 0
            await anyio.lowlevel.cancel_shielded_checkpoint()

    async def _room(self) -> None:
        """Wait for room; once the end has begun, only as long as the peer is reading at all."""
        while self._outbox.full and not (self._outbox.discarding or self._stalled):
            before = self._sent_parts
            self._senders_wait = True
            with anyio.move_on_after(_PATIENCE_SECONDS if self._hurried else float("inf")):
                await self._drained.wait()
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
            wire_logger.debug("%s <- %s", self.name, shown(b"".join(outgoing.parts)))
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
            self._drained.set()
            self._drained = anyio.Event()

    async def _write_begun(self) -> None:
        """Send the rest of an answer that did not go at once."""
        if self._begun:
            data, self._begun = self._begun, b""
            await self._stream.send(data)

    async def _write_one(self, outgoing: Outgoing) -> None:
        attachments = outgoing.attachments
        try:
            for part in outgoing.parts:
                for piece in _slices(part):
                    await self._stream.send(piece, attachments)
                    self._sent_parts += 1
                    attachments = ()
        finally:
            outgoing.close()


def _outgoing(message: WireMessage) -> Outgoing:
    parts = tuple(encode_parts(message))
    require_size(message, parts)
    return Outgoing(parts)


def _slices(part: bytes) -> Iterator[bytes | memoryview]:
    if len(part) <= _SLICE_BYTES:
        yield part
    else:
        view = memoryview(part)
        yield from (view[start : start + _SLICE_BYTES] for start in range(0, len(part), _SLICE_BYTES))


def shown(data: bytes) -> str:
    """Return a message for a log line, cut if it is long."""
    text = data[:_SHOWN_BYTES].decode("utf-8", "replace").rstrip()
    return text if len(data) <= _SHOWN_BYTES else f"{text} ... ({len(data)} bytes)"
