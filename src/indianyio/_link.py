"""One peer: what it sends comes out as frames, what it shall get goes through an outbox to one writer.

A :class:`Link` owns no task. Whoever owns the link runs :meth:`Link.read` and :meth:`Link.write` in task groups of
its own, and so decides what ends when. Only the writer sends; everybody else puts into the outbox. A message is one
entry of the outbox, so nothing can come between its bytes.

This is what a server's and a driver's peers have in common. What a driver needs beyond it, sends that wait for room
and frames that are taken one by one, is in ``driver/_link.py``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

import anyio

from indianyio._drop_log import DropLog
from indianyio._transports import ByteStream
from indianyio._vocabulary import MAX_DESCRIPTORS, Limits
from indianyio.exceptions import ConnectionLostError, RemoteProtocolError
from indianyio.model import Outbox, Outgoing
from indianyio.protocol import Attachment, Frame, Framer, Unusable

__all__ = ["MOST_UNCLAIMED", "PROMPT_BYTES", "FrameHandler", "Link", "close_all"]

logger = logging.getLogger(__name__)

# Descriptors that arrived and that no message has claimed yet. Senders put a descriptor beside the first byte of
# its message, so more than a few calls' worth means that the peer sends descriptors and no messages.
MOST_UNCLAIMED = 4 * MAX_DESCRIPTORS

# What is sent at once as an answer: any socket holds more.
PROMPT_BYTES = 64 << 10

_IS_PLAIN = attrgetter("plain")

FrameHandler: TypeAlias = Callable[[Frame], None]
PlainHandler: TypeAlias = Callable[[Sequence[Frame]], None]


class Link:
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
        self.name = stream.name
        self.carries_attachments = stream.carries_attachments
        self.limits = limits
        self._stream = stream
        self._framer = Framer(limits, forgiving=forgiving, decoding=decoding)
        self._forgiving = forgiving
        self._arrived: deque[Attachment] = deque()
        self._outbox = outbox
        self._drained = drained
        self._filled = anyio.Event()
        self._writer_waits = False
        self._asked = False  # something was received, and nothing has been sent since
        self._begun = b""
        self._sent_parts = 0
        self._closed = False
        self._drops = DropLog(logger, stream.name)

    # -- what arrives ------------------------------------------------------------------------------------------

    async def read(self, handle: FrameHandler, handle_plain: PlainHandler | None = None) -> str:
        """Hand every frame to ``handle``, in order, until the peer stops sending.

        A frame's attachments are closed when ``handle`` returns, unless it took them off the frame. What cannot be
        used is logged and skipped. A peer that exceeds a limit is not read any further, unless the link forgives.

        :param handle: called with each frame; must not wait.
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
                for plain, items in groupby(self._framer.feed(received.data), _IS_PLAIN):
                    if plain and handle_plain is not None:
                        handle_plain([item for item in items if isinstance(item, Frame)])
                    else:
                        for item in items:
                            self._dispatch(item, handle)
                if len(self._arrived) > MOST_UNCLAIMED:
                    raise RemoteProtocolError(f"{len(self._arrived)} descriptors without a message that uses them")
            raise self._framer.failure
        except RemoteProtocolError as error:
            logger.error("%s: giving up on this peer: %s", self.name, error)
            return f"the peer broke the protocol: {error}"
        except ConnectionLostError as error:
            return f"the connection was lost: {error}"
        finally:
            self._drops.flush()
            close_all(self._arrived)

    def note(self, unusable: Unusable | None) -> None:
        """Take note of what came of a frame: why it could not be used, or ``None`` if it was good."""
        if unusable is None:
            self._framer.count_good()
        else:
            self._framer.count_unusable(unusable)
            self._report(unusable)

    def _dispatch(self, item: Frame | Unusable, handle: FrameHandler) -> None:
        if isinstance(item, Unusable):
            close_all(self._claim(item.attached))
            self._report(item)
            return
        if item.attached:
            item.attachments = tuple(self._claim(item.attached))
        try:
            handle(item)
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
        """Take the descriptors of one message: the n-th attached BLOB owns the n-th received (protocol.md W36)."""
        return deque(self._arrived.popleft() for _ in range(min(count, len(self._arrived))))

    def _report(self, dropped: Unusable) -> None:
        self._drops.report(dropped, anyio.current_time())

    def _report_rest(self) -> None:
        for dropped in self._framer.close():
            self._report(dropped)

    # -- what is sent ------------------------------------------------------------------------------------------

    def push(self, outgoing: Outgoing) -> None:
        """Let a message go out that has just been put into the outbox.

        The first message after something has come from the peer is its answer as a rule, and somebody waits for
        that. If nothing else is on its way it is given to the kernel here and now, which saves a change of tasks.
        Whatever else there is the writer sends when its turn comes, many messages at a time.
        """
        if self._asked and self._writer_waits and not outgoing.attachments and outgoing.size <= PROMPT_BYTES:
            # The box was empty, or the writer would not wait; so there is nothing else in it.
            self._asked = False
            data = b"".join(part for taken in self._outbox.take() for part in taken.parts)
            sent = self._stream.send_now(data)
            if data and sent == len(data):
                self._sent_parts += 1
                return
            self._begun = data[sent:]
        self._wake_writer()

    def _wake_writer(self) -> None:
        self._writer_waits = False
        self._filled.set()

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
                await self._stream.send(part, attachments)
                self._sent_parts += 1
                attachments = ()
        finally:
            outgoing.close()


def close_all(attachments: deque[Attachment]) -> None:
    """Close attachments that nobody wants, and forget them."""
    while attachments:
        attachments.popleft().close()
