"""The connection to one peer: received bytes become frames, and messages to the peer go through an outbox.

A :class:`Link` owns no task. Its owner runs :meth:`Link.read` and :meth:`Link.write` in task groups of its own, and
so decides what ends when. Only the writer sends; everybody else puts messages into the outbox. A message is one
entry of the outbox, so nothing can get between its bytes.

This is what all peers have in common. Drivers and clients also need sends that wait for room, which are in
``_link_waiting.py``; taking frames one by one is in ``driver/_link.py``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias, cast

import anyio

from indianyio import _turns
from indianyio._model import Outbox, Outgoing
from indianyio._rated_log import RatedLog
from indianyio._vocabulary import MAX_DESCRIPTORS, Limits
from indianyio.exceptions import ConnectionLostError, RemoteProtocolError
from indianyio.protocol import Attachment, Frame, Framer, Unusable
from indianyio.streams import ByteStream

__all__ = [
    "MOST_UNCLAIMED",
    "PROMPT_BYTES",
    "REST_SECONDS",
    "TURN_SECONDS",
    "FrameHandler",
    "Link",
    "SendingLink",
    "Turn",
    "close_all",
    "link_log",
]

logger = logging.getLogger(__name__)

PROMPT_BYTES = 64 << 10
"""The largest answer that is sent at once; the buffer of any socket holds more."""


class SendingLink:
    """The sending half of a link.

    :param stream: the bytes; never closed here.
    :param outbox: holds the messages that wait.
    :param drained: called whenever everything that waited has been sent, or when nothing can be sent any more.
    :ivar asked: whether something was received, and nothing has been sent since.
    """

    def __init__(self, stream: ByteStream, *, outbox: Outbox, drained: Callable[[], None]) -> None:
        self.name = stream.name
        self._stream = stream
        self._outbox = outbox
        self._drained = drained
        self._filled = anyio.Event()
        self._writer_waits = False
        self.asked = False
        self._begun = b""
        self._sent_parts = 0
        self._closed = False

    def push(self) -> None:
        """Start sending what has just been put into the outbox.

        The first message after something was received is usually the answer to it, and somebody waits for that. If
        nothing else is on its way, it is given to the kernel at once, which saves a task switch. The writer sends
        everything else when its turn comes, many messages at a time.
        """
        if self.asked and self._writer_waits and (data := self._outbox.take_prompt(PROMPT_BYTES)):
            self.answer(data)
            self._outbox.release()
        else:
            self._wake_writer()

    def answer(self, data: bytes) -> bool:
        """Give a message that is not in the outbox to the kernel at once, if :meth:`push` would.

        If the kernel takes only a part, the writer sends the rest before anything else.

        :return: whether the link has taken the message; if not, put it into the outbox.
        """
        # A waiting writer has found the outbox empty, so nothing is overtaken here.
        if not (self.asked and self._writer_waits and len(data) <= PROMPT_BYTES):
            return False
        self.asked = False
        sent = self._stream.send_now(data)
        if sent == len(data):
            self._sent_parts += 1
        else:
            self._begun = data[sent:]
            self._wake_writer()
        return True

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
        """Send what is put into the outbox, until the peer is gone, or :meth:`close` was called and all is sent.

        If this is cancelled in the middle of a message, the stream is unusable for sending afterwards.

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
                for piece in _slices(part, self._outbox.slice_bytes):
                    await self._stream.send(piece, attachments)
                    self._sent_parts += 1
                    attachments = ()
        finally:
            outgoing.close()


def _slices(part: bytes, length: int) -> Iterator[bytes | memoryview]:
    if len(part) <= length:
        yield part
    else:
        view = memoryview(part)
        yield from (view[start : start + length] for start in range(0, len(part), length))


# The most descriptors that may have arrived without their message. Senders attach a descriptor to the first byte of
# its message, so more than a few calls' worth means that the peer sends descriptors without messages.
MOST_UNCLAIMED = 4 * MAX_DESCRIPTORS

TURN_SECONDS = 0.002
"""How long the messages of one peer, or handlers that never wait, may keep the event loop.

Even with ten peers flooding the server at once, an Abort, which needs a few rounds of the loop, is then answered
within a tenth of a second.
"""

# How many tags are framed at a time. If each is a message of its own, that takes ten milliseconds; nearly always
# they are parts of longer messages, and it takes a few. Pieces have a minimum size, since cutting costs time too.
_PIECE_TAGS = 2048
_LEAST_PIECE_BYTES = 4 << 10

# A driver that prints to its standard output does so all night; ten log lines a minute are enough to see what it
# is.
_DROPS_SECONDS = 60.0

REST_SECONDS = 1.0
"""How long reading may take of what a peer had written before its end; at most some 200 kB, so milliseconds do."""

# The reader has its turn in each step, also if something has held the event loop. In one of them it may only begin.
_STEP_SECONDS = 0.02
_QUIET_STEPS = 2
_LEAST_STEPS = 10

_IS_PLAIN = attrgetter("plain")

FrameHandler: TypeAlias = Callable[[Frame], Awaitable[None] | None]
"""Deals with a frame, and returns what has to be awaited before the next, if anything."""

PlainHandler: TypeAlias = Callable[[Sequence[Frame], "Turn"], Awaitable[None]]
"""Deals with one or more frames; if its turn is over, it gives way before the next one."""


class Turn:
    """How long one peer's messages have kept the event loop since the others had their turn."""

    def __init__(self) -> None:
        self._end = _turns.clock() + TURN_SECONDS

    @property
    def over(self) -> bool:
        """Whether other tasks should have their turn now."""
        return _turns.clock() >= self._end

    async def give_way(self) -> None:
        """Let the others have their turn, and begin a new one."""
        await anyio.lowlevel.checkpoint()
        self._end = _turns.clock() + TURN_SECONDS


class Link(SendingLink):
    """One peer's connection, from the first byte to the last.

    :param stream: the bytes; the link never closes it.
    :param limits: how much the peer may make us hold.
    :param outbox: holds the messages that wait.
    :param forgiving: whether the peer speaks for many, as a server does for its clients. Then exceeding a limit
        costs only the message, not the connection, which others need.
    :param decoding: whether every message is going to be decoded (see :class:`~indianyio.protocol.Framer`).
    :param drained: called whenever the writer has sent what it took out of the outbox, and when it ends.
    :param log: where lines about what the peer does go; a :func:`link_log` of its own if absent. A peer that
        connects again and again needs one that outlasts the link.
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
        log: RatedLog | None = None,
    ) -> None:
        super().__init__(stream, outbox=outbox, drained=drained)
        self.carries_attachments = stream.carries_attachments
        self.limits = limits
        self._framer = Framer(limits, forgiving=forgiving, decoding=decoding)
        self._forgiving = forgiving
        self._arrived: deque[Attachment] = deque()
        self._log = link_log() if log is None else log
        self._waits = False
        self._receipts = 0

    async def read(self, handle: FrameHandler, handle_plain: PlainHandler | None = None) -> str:
        """Hand every frame to ``handle``, in order, until the peer stops sending.

        A frame's attachments are closed when ``handle`` is done, unless it took them off the frame. Unusable input
        is logged and skipped. A peer that exceeds a limit is not read any further, unless the link is forgiving.
        However much arrives at once, the other tasks have their turn every two milliseconds.

        :param handle: called with each frame.
        :param handle_plain: if given, called instead with each run of plain frames. That saves a server most of its
            time.
        :return: why the reading ended, in words for a log line.
        """
        try:
            while self._framer.failure is None:
                self._waits = True
                received = await self._stream.receive()
                self._waits = False
                self._receipts += 1
                self._arrived.extend(received.attachments)
                self.asked = True
                if not received.data:
                    self._report_rest()
                    return "the peer closed the stream"
                await self._take_in(received.data, handle, handle_plain)
                if len(self._arrived) > MOST_UNCLAIMED:
                    raise RemoteProtocolError(f"{len(self._arrived)} descriptors without a message that uses them")
            raise self._framer.failure
        except RemoteProtocolError as error:
            self._log.log("given up", logging.ERROR, "%s: giving up on this peer: %s", self.name, error)
            return f"the peer broke the protocol: {error}"
        except ConnectionLostError as error:
            return f"the connection was lost: {error}"
        finally:
            self._log.flush()
            close_all(self._arrived)

    async def hear_out(
        self, seconds: float = REST_SECONDS, is_over: Callable[[], Awaitable[object]] = anyio.sleep_forever
    ) -> None:
        """Wait until the reader has taken what was written by a peer that does not read any more.

        Sending may be what notices the end of a peer. What the peer had written before that, perhaps an Abort or
        the reason of its end, is still in the kernel then, and takes some milliseconds. What it writes later is not
        waited for: nobody could answer it.

        :param seconds: how long a peer is heard that does not stop writing.
        :param is_over: returns when there is nothing to wait for any more.
        """
        limit = anyio.current_time() + seconds
        steps = quiet = 0
        while quiet < _QUIET_STEPS and (steps < _LEAST_STEPS or anyio.current_time() < limit):
            before = self._receipts
            waited = self._waits
            with anyio.move_on_after(_STEP_SECONDS):
                await is_over()
                return
            steps += 1
            quiet = quiet + 1 if waited and self._waits and self._receipts == before else 0

    async def _take_in(self, data: bytes, handle: FrameHandler, handle_plain: PlainHandler | None) -> None:
        # We give way before each step, not after the last: receiving gives way too, and twice would be once too
        # often.
        turn = Turn()
        for number, piece in enumerate((data,) if len(data) <= _PIECE_TAGS else _pieces(data)):
            if number and turn.over:
                await turn.give_way()
            for plain, items in groupby(self._framer.feed(piece), _IS_PLAIN):
                if plain and handle_plain is not None:
                    await handle_plain(cast("list[Frame]", list(items)), turn)
                    continue
                for item in items:
                    if turn.over:
                        await turn.give_way()
                    await self._dispatch(item, handle)

    def note(self, unusable: Unusable | None) -> None:
        """Note whether a frame was good (``None``), or why it could not be used."""
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
            item = refused  # handled like any unreadable frame, so that the sender gets an answer
        if item.attached:
            item.attachments = tuple(self._claim(item.attached))
        try:
            rest = handle(item)
            if rest is not None:
                await rest
        except RemoteProtocolError:
            raise
        except Exception:
            # One message must not cost a connection on which others depend, even if the fault is ours.
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
        self._log.warning("dropped", text, self.name, dropped.size, dropped.reason, dropped.excerpt)

    def _report_rest(self) -> None:
        for dropped in self._framer.close():
            self._report(dropped)


def link_log() -> RatedLog:
    """Return a log for what peers do: ten lines of each kind in a minute."""
    return RatedLog(logger, clock=anyio.current_time, seconds=_DROPS_SECONDS)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield what was received in pieces that can each be framed in a moment."""
    # Most pieces of an image have no tag at all; finding that out is ten times faster than counting.
    first = data.find(b"<")
    tags = 0 if first < 0 else data.count(b"<", first)
    if tags <= _PIECE_TAGS:
        yield data
    else:
        size = max(_LEAST_PIECE_BYTES, len(data) * _PIECE_TAGS // tags)
        yield from (data[start : start + size] for start in range(0, len(data), size))


def close_all(attachments: deque[Attachment]) -> None:
    """Close attachments that nobody wants, and forget them."""
    while attachments:
        attachments.popleft().close()
