"""One connection to a server, from the first byte to the last: reading, writing, and noticing that it is lost."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from indianyio._link_waiting import WaitingLink
from indianyio._model import Outbox
from indianyio._tasks import Tasks
from indianyio._vocabulary import Limits
from indianyio.client._spooling import Spooler, SpoolProgress
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import Attachment, Frame, PingReply, PingRequest, SetBLOBVector, WireMessage
from indianyio.streams import ByteStream, Received, RefusedAttachment, SharedMemory
from indianyio.streams._base import WrappingStream

__all__ = ["Connection", "Receive"]

_OUTBOX_BYTES = 8 << 20

# The uid of a client's pings. Servers pass answers to all clients, so the uid tells answers to our pings from
# others.
_PING = "indianyio"

# A server that has sent nothing for the first of these times is pinged, and has the second to answer.
_SILENT_SECONDS = 20.0
_ANSWER_SECONDS = 10.0
# If the event loop itself was late, what arrived meanwhile is read before the server is given up.
_GRACE_SECONDS = 0.5

# How much the reader gets at a time: some hundred messages, which are dealt with before other tasks have a turn.
_TURN_BYTES = 32 << 10

Receive = Callable[[WireMessage], None]
"""Takes a message; owns the attachments of a BLOB vector from then on."""


class Connection:
    """An open connection.

    :param stream: the bytes; closed when the connection ends.
    :param receive: takes the messages.
    :param report: called with the progress of each large BLOB.
    :param folder: where large BLOBs are kept; the folder for temporary files if ``None``.
    :ivar ended: set when it has ended.
    :ivar failure: how the server broke the protocol; ``None`` if the connection was merely lost.
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
        # A server speaks for all its drivers: one driver's mistake costs only its message.
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
        :param meanwhile: runs while the connection lasts.
        :return: why it ended, in words.
        """
        for message in greeting:
            self._link.offer(message)
        # A server that answers this ping is pinged again whenever it has been silent for long. Old servers do not
        # answer.
        self._link.offer(PingRequest(uid=_PING))
        try:
            with self._scope:
                async with Tasks() as tasks:
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

    async def send(
        self,
        message: WireMessage,
        *,
        base64: Mapping[str, Sequence[bytes]] | None = None,
        begun: Callable[[], None] | None = None,
    ) -> None:
        """Send a message, waiting while there is no room for it.

        :param base64: contents of a BLOB vector that are already encoded, by member, in slices.
        :param begun: called when the message is queued: from then on it may reach the server.
        """
        await self._link.send(message, base64=base64, begun=begun)

    async def flushed(self) -> None:
        """Wait until everything has been sent to the server, or the connection is lost."""
        await self._link.flushed()

    def put(self, message: WireMessage) -> None:
        """Send a short message without waiting, even if the outbox is full."""
        self._link.put(message)

    def finish(self) -> None:
        """End the connection once everything has been sent."""
        self._finishing = True
        self._link.close()

    def _end(self, reason: str) -> None:
        self._reason = reason
        self._scope.cancel(reason)

    async def _write(self) -> None:
        reason = await self._link.write()
        if not self._finishing:
            # The server's last messages may contain the answer that somebody waits for.
            await self._link.hear_out(_GRACE_SECONDS)
        self._end("it was closed at this end" if self._finishing else reason)

    async def _ask_when_silent(self) -> None:
        stream = self._stream
        await self._answers_pings.wait()
        while True:
            await anyio.sleep_until(stream.heard_at + _SILENT_SECONDS)
            if anyio.current_time() < stream.heard_at + _SILENT_SECONDS:
                continue
            asked_at = anyio.current_time()
            self.put(PingRequest(uid=_PING))
            await self._flushed_or_stuck()
            await anyio.sleep(_ANSWER_SECONDS)
            if stream.heard_at < asked_at:
                await anyio.sleep(_GRACE_SECONDS)
            if stream.heard_at < asked_at:
                self._end(
                    f"it has been silent for {anyio.current_time() - stream.heard_at:.0f} s and does not answer"
                )

    async def _flushed_or_stuck(self) -> None:
        """Wait until all is sent, as long as the server takes anything: a long upload may be ahead of the ping."""
        taken = -1
        while taken != self._link.progress:
            taken = self._link.progress
            with anyio.move_on_after(_ANSWER_SECONDS):
                await self._link.flushed()
                return

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
                # The members own the attachments from now on, and close them.
                frame.attachments = ()
            try:
                self._receive(message)
            except RemoteProtocolError as error:
                self.failure = error
                raise


class _HeardStream(WrappingStream):
    """A stream that remembers when something was last received, and takes large BLOBs out of it."""

    def __init__(
        self, stream: ByteStream, limits: Limits, report: Callable[[SpoolProgress], None], folder: str | None
    ) -> None:
        super().__init__(stream)
        self.heard_at = anyio.current_time()
        self._rest: deque[bytes] = deque()
        # If BLOBs arrive as descriptors, there is nothing to take out.
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
    """Return an empty file without a name, which disappears with its descriptor, whatever happens.

    :raises OSError: there is no room for it.
    """
    descriptor, path = tempfile.mkstemp(prefix="indianyio-", dir=folder)
    os.unlink(path)
    return SharedMemory(descriptor)
