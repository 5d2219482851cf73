"""One peer: what it sends comes out as frames, what it is sent goes through an outbox to one writer.

A :class:`Link` owns no task. Whoever owns the link runs :meth:`Link.read` and :meth:`Link.write` in task groups of
its own, and so decides what ends when. Only the writer sends; everybody else puts into the outbox. A message is one
entry of the outbox, so nothing can come between its bytes.

This is what all peers have in common. Sends that wait for room, which drivers and clients need as well, are in
``_link_waiting.py``, and frames that are taken one by one in ``driver/_link.py``.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

import anyio

from indianyio._model import Outbox, Outgoing
from indianyio._rated_log import RatedLog
from indianyio._vocabulary import MAX_DESCRIPTORS, Limits
from indianyio.exceptions import ConnectionLostError, RemoteProtocolError
from indianyio.protocol import Attachment, Frame, Framer, Unusable
from indianyio.streams import ByteStream

__all__ = ["MOST_UNCLAIMED", "PROMPT_BYTES", "FrameHandler", "Link", "SendingLink", "Turn", "close_all"]

logger = logging.getLogger(__name__)

PROMPT_BYTES = 64 << 10
"""What is sent at once as an answer: any socket holds more."""

# What is handed to a stream at a time, so that it can be seen whether the peer takes anything.
_SLICE_BYTES = 128 << 10


class SendingLink:
    """What is sent to one peer.

    :param stream: the bytes; never closed here.
    :param outbox: where what is sent waits.
    :param drained: called whenever all that waited has been sent, or nothing ever will be.
    """

    def __init__(self, stream: ByteStream, *, outbox: Outbox, drained: Callable[[], None]) -> None:
        self.name = stream.name
        self._stream = stream
        self._outbox = outbox
        self._drained = drained
        self._filled = anyio.Event()
        self._writer_waits = False
        self._asked = False  # something was received, and nothing has been sent since
        self._begun = b""
        self._sent_parts = 0
        self._closed = False

    def push(self) -> None:
        """Let go out what has just been put into the outbox.

        The first message after something has come from the peer is its answer as a rule, and somebody waits for
        that. If nothing else is on its way it is given to the kernel here and now, which saves a change of tasks.
        Whatever else there is the writer sends when its turn comes, many messages at a time.
        """
        if self._asked and self._writer_waits and (data := self._outbox.take_prompt(PROMPT_BYTES)) is not None:
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
                self._drained()
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
            self._drained()

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


def _slices(part: bytes) -> Iterator[bytes | memoryview]:
    if len(part) <= _SLICE_BYTES:
        yield part
    else:
        view = memoryview(part)
        yield from (view[start : start + _SLICE_BYTES] for start in range(0, len(part), _SLICE_BYTES))


# Descriptors that arrived and that no message has claimed yet. Senders put a descriptor beside the first byte of
# its message, so more than a few calls' worth means that the peer sends descriptors and no messages.
MOST_UNCLAIMED = 4 * MAX_DESCRIPTORS

# How long the messages of one peer may keep the event loop: with ten peers that flood at the same time an Abort,
# which needs some turns of the loop, is still answered within a tenth of a second.
_TURN_SECONDS = 0.002

# How many tags are framed at a time: as messages of their own they take ten milliseconds, as parts of longer ones,
# which nearly all are, a few. No piece is so short that it costs more to cut it than to frame it.
_PIECE_TAGS = 2048
_LEAST_PIECE_BYTES = 4 << 10

# A driver that prints on its output does so all night; ten lines of that a minute are enough to see what it is.
_DROPS_SECONDS = 60.0

_IS_PLAIN = attrgetter("plain")

FrameHandler: TypeAlias = Callable[[Frame], Awaitable[None] | None]
"""Deals with a frame, and returns what has to be awaited before the next, if anything."""

PlainHandler: TypeAlias = Callable[[Sequence[Frame], "Turn"], Awaitable[None]]
"""Deals with frames, and gives way whenever its turn is over."""


class Turn:
    """How long one peer's messages have kept the event loop since the others had their turn."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + _TURN_SECONDS

    @property
    def over(self) -> bool:
        """Whether the others are to have their turn now."""
        return time.perf_counter() >= self._end

    async def give_way(self) -> None:
        """Let the others have their turn, and begin a new one."""
        await anyio.lowlevel.checkpoint()
        self._end = time.perf_counter() + _TURN_SECONDS


class Link(SendingLink):
    """One peer's connection, from the first byte to the last.

    :param stream: the bytes; the link never closes it.
    :param limits: what the peer may make us hold.
    :param outbox: where what is sent waits.
    :param forgiving: whether the peer stands for many, as a server does for its clients: then what exceeds a limit
        costs the message and not the connection, which others need.
    :param decoding: whether every message is going to be decoded (see :class:`~indianyio.protocol.Framer`).
    :param drained: called whenever the writer has sent what it took out of the outbox, and when it ends.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        limits: Limits,
        outbox: Outbox,
        forgiving: bool = False,
        decoding: bool = False,
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(stream, outbox=outbox, drained=drained)
        self.carries_attachments = stream.carries_attachments
        self.limits = limits
        self._framer = Framer(limits, forgiving=forgiving, decoding=decoding)
        self._forgiving = forgiving
        self._arrived: deque[Attachment] = deque()
        self._dropped = RatedLog(logger, clock=anyio.current_time, seconds=_DROPS_SECONDS)

    async def read(self, handle: FrameHandler, handle_plain: PlainHandler | None = None) -> str:
        """Hand every frame to ``handle``, in order, until the peer stops sending.

        A frame's attachments are closed when it was dealt with, unless ``handle`` took them off the frame. What
        cannot be used is logged and skipped. A peer that exceeds a limit is not read any further, unless the link
        forgives. However much comes at once, the other tasks have their turn every two milliseconds.

        :param handle: called with each frame.
        :param handle_plain: called, if there is one, with plain frames instead, as many as have come in a row. That
            saves a server most of its time.
        :return: why the reading ended, in words for a log line.
        """
        try:
            while self._framer.failure is None:
                received = await self._stream.receive()
                self._arrived.extend(received.attachments)
                self._asked = True
                if not received.data:
                    self._report_rest()
                    return "the peer closed the stream"
                await self._take_in(received.data, handle, handle_plain)
                if len(self._arrived) > MOST_UNCLAIMED:
                    raise RemoteProtocolError(f"{len(self._arrived)} descriptors without a message that uses them")
            raise self._framer.failure
        except RemoteProtocolError as error:
            logger.error("%s: giving up on this peer: %s", self.name, error)
            return f"the peer broke the protocol: {error}"
        except ConnectionLostError as error:
            return f"the connection was lost: {error}"
        finally:
            self._dropped.flush()
            close_all(self._arrived)

    async def _take_in(self, data: bytes, handle: FrameHandler, handle_plain: PlainHandler | None) -> None:
        # Before each step, not behind it: receiving gives way as well, and twice would be once too often.
        turn = Turn()
        for piece in _pieces(data):
            if turn.over:
                await turn.give_way()
            for plain, items in groupby(self._framer.feed(piece), _IS_PLAIN):
                if plain and handle_plain is not None:
                    await handle_plain([item for item in items if isinstance(item, Frame)], turn)
                    continue
                for item in items:
                    if turn.over:
                        await turn.give_way()
                    await self._dispatch(item, handle)

    def note(self, unusable: Unusable | None) -> None:
        """Take note of what came of a frame: why it could not be used, or ``None`` if it was good."""
        if unusable is None:
            self._framer.count_good()
        else:
            self._framer.count_unusable(unusable)
            self._report(unusable)

    async def _dispatch(self, item: Frame | Unusable, handle: FrameHandler) -> None:
        if isinstance(item, Unusable):
            close_all(self._claim(item.attached))
            refused = item.refused_write()
            if refused is None:
                self._report(item)
                return
            item = refused  # so that its sender is answered; it is reported as any frame that cannot be read
        if item.attached:
            item.attachments = tuple(self._claim(item.attached))
        try:
            rest = handle(item)
            if rest is not None:
                await rest
        except RemoteProtocolError:
            raise
        except Exception:
            # One message must not cost a connection on which others depend, not even by a fault of our own.
            if not self._forgiving:
                raise
            logger.exception("%s: a message could not be dealt with: %r", self.name, item.data[:120])
        finally:
            if item.attachments:
                close_all(deque(item.attachments))

    def _claim(self, count: int) -> deque[Attachment]:
        """Take one message's descriptors: its n-th attached BLOB owns the n-th received (docs/protocol.md W36)."""
        return deque(self._arrived.popleft() for _ in range(min(count, len(self._arrived))))

    def _report(self, dropped: Unusable) -> None:
        text = "%s: dropped %d bytes: %s: %r"
        self._dropped.warning("dropped", text, self.name, dropped.size, dropped.reason, dropped.excerpt)

    def _report_rest(self) -> None:
        for dropped in self._framer.close():
            self._report(dropped)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield what was received in pieces none of which has more messages than can be framed in a moment."""
    tags = data.count(b"<")
    if tags <= _PIECE_TAGS:
        yield data
    else:
        size = max(_LEAST_PIECE_BYTES, len(data) * _PIECE_TAGS // tags)
        yield from (data[start : start + size] for start in range(0, len(data), size))


def close_all(attachments: deque[Attachment]) -> None:
    """Close attachments that nobody wants, and forget them."""
    while attachments:
        attachments.popleft().close()
