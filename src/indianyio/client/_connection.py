"""One connection to a server, from the first byte to the last: reading, writing, and noticing that it is lost."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from indianyio._link_waiting import WaitingLink
from indianyio._model import Outbox
from indianyio._vocabulary import Limits
from indianyio.client._spooling import Spooler, SpoolProgress
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import Attachment, Frame, PingReply, PingRequest, SetBLOBVector, WireMessage
from indianyio.streams import ByteStream, Received, RefusedAttachment, SharedMemory
from indianyio.streams._base import WrappingStream

__all__ = ["Connection", "Receive"]

_OUTBOX_BYTES = 8 << 20

# What a client's pings are called; drivers answer the pings of others, and servers pass that on to everybody.
_PING = "indianyio"

# A server that has sent nothing for so long is asked, and has so long to answer.
_SILENT_SECONDS = 20.0
_ANSWER_SECONDS = 10.0
# When the event loop itself was late, what has been received meanwhile is looked at first.
_GRACE_SECONDS = 0.5

# How much is read at a time by those behind: some hundred messages, which are dealt with before others have a turn.
_TURN_BYTES = 32 << 10

Receive = Callable[[WireMessage], None]
"""Takes a message; owns the attachments of a BLOB vector from then on."""


class Connection:
    """A connection that is there.

    :param stream: the bytes; closed when the connection ends.
    :param receive: takes the messages.
    :param report: is told how far a large BLOB has come.
    :param folder: where large BLOBs are kept; where temporary files go if ``None``.
    :ivar ended: set when it has ended.
    :ivar failure: what the server did that cannot be lived with; ``None`` if it was merely lost.
    """

    def __init__(
        self,
        stream: ByteStream,
        receive: Receive,
        report: Callable[[SpoolProgress], None],
        folder: str | None = None,
    ) -> None:
        limits = Limits()
        self.ended = anyio.Event()
        self.failure: RemoteProtocolError | None = None
        self._stream = _HeardStream(stream, limits, report, folder)
        # A server stands for all its drivers: what one of them does wrong costs its message and nothing else.
        self._link = WaitingLink(self._stream, limits=limits, outbox=Outbox(_OUTBOX_BYTES))
        self._receive = receive
        self._scope = anyio.CancelScope()
        self._finishing = False
        self._reason = "it was closed at this end"
        self._answers_pings = anyio.Event()

    async def run(
        self, greeting: Sequence[WireMessage], meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None
    ) -> str:
        """Read and write until the connection ends.

        :param greeting: what is sent first.
        :param meanwhile: is to be done while there is this connection.
        :return: why it ended, in words.
        """
        for message in greeting:
            self._link.offer(message)
        # Whoever answers this will be asked again when it has been silent for long. Old servers do not.
        self._link.offer(PingRequest(uid=_PING))
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._write)
                    tasks.start_soon(self._ask_when_silent)
                    if meanwhile is not None:
                        tasks.start_soon(meanwhile)
                    reason = await self._link.read(self._handle)
                    self._end(reason)
        finally:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()  # it does not wait
            self.ended.set()
        return self._reason

    @property
    def carries_attachments(self) -> bool:
        """Whether BLOBs may travel as shared memory."""
        return self._stream.carries_attachments

    async def send(self, message: WireMessage) -> None:
        """Send a message, waiting while there is no room for it."""
        await self._link.send(message)

    def offer(self, message: WireMessage) -> bool:
        """Send a message if that takes no waiting; return whether it did not."""
        return self._link.offer(message)

    def finish(self) -> None:
        """End the connection when everything is sent."""
        self._finishing = True
        self._link.close()

    def _end(self, reason: str) -> None:
        self._reason = reason
        self._scope.cancel(reason)

    async def _write(self) -> None:
        reason = await self._link.write()
        if not self._finishing:
            # What the server has still said may be the verdict that somebody waits for.
            await anyio.sleep(_GRACE_SECONDS)
        self._end("it was closed at this end" if self._finishing else reason)

    async def _ask_when_silent(self) -> None:
        stream = self._stream
        await self._answers_pings.wait()
        while True:
            await anyio.sleep_until(stream.heard_at + _SILENT_SECONDS)
            if anyio.current_time() < stream.heard_at + _SILENT_SECONDS:
                continue
            asked_at = anyio.current_time()
            self._link.offer(PingRequest(uid=_PING))
            await anyio.sleep(_ANSWER_SECONDS)
            if stream.heard_at < asked_at:
                await anyio.sleep(_GRACE_SECONDS)
            if stream.heard_at < asked_at:
                self._end(
                    f"it has been silent for {anyio.current_time() - stream.heard_at:.0f} s and does not answer"
                )

    def _handle(self, frame: Frame) -> None:
        message = self._link.decode(frame)
        if message is None:
            return
        if isinstance(message, PingRequest):
            self._link.offer(PingReply(uid=message.uid))
        elif isinstance(message, PingReply):
            if message.uid == _PING:
                self._answers_pings.set()
        else:
            if isinstance(message, SetBLOBVector):
                # They are its members' from now on, and closed with them.
                frame.attachments = ()
            try:
                self._receive(message)
            except RemoteProtocolError as error:
                self.failure = error
                raise


class _HeardStream(WrappingStream):
    """A stream that remembers when something came, and takes large BLOBs out of it."""

    def __init__(
        self, stream: ByteStream, limits: Limits, report: Callable[[SpoolProgress], None], folder: str | None
    ) -> None:
        super().__init__(stream)
        self.heard_at = anyio.current_time()
        self._rest: deque[bytes] = deque()
        # Where BLOBs come as descriptors there is nothing to take out.
        self._spooler = (
            None
            if stream.carries_attachments
            else Spooler(
                lambda: _unnamed_file(folder), RefusedAttachment, limit_bytes=limits.blob_bytes, report=report
            )
        )

    async def receive(self) -> Received:
        if self._rest:
            await anyio.lowlevel.checkpoint()
            return Received(self._rest.popleft())
        if self._spooler is None:
            received = await self._stream.receive()
            self.heard_at = anyio.current_time()
            return received
        while True:
            received = await self._stream.receive()
            self.heard_at = anyio.current_time()
            data, attachments = self._spooler.feed(received.data)
            if not data and received.data:
                continue
            return self._first_part(data, tuple(attachments))

    def _first_part(self, data: bytes, attachments: tuple[Attachment, ...]) -> Received:
        if len(data) > _TURN_BYTES:
            self._rest.extend(
                data[start : start + _TURN_BYTES] for start in range(_TURN_BYTES, len(data), _TURN_BYTES)
            )
            data = data[:_TURN_BYTES]
        return Received(data, attachments)

    async def aclose(self) -> None:
        if self._spooler is not None:
            self._spooler.close()
            self._spooler = None
        await super().aclose()


def _unnamed_file(folder: str | None) -> SharedMemory:
    """Return an empty file that has no name, and so is let go with its descriptor whatever happens.

    :raises OSError: there is no room for it.
    """
    descriptor, path = tempfile.mkstemp(prefix="indianyio-", dir=folder)
    os.unlink(path)
    return SharedMemory(descriptor)
