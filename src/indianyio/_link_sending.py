"""The sending half of a link: what is put into an outbox, and one writer that sends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anyio

from indianyio._model import Outbox, Outgoing
from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream

__all__ = ["PROMPT_BYTES", "SendingLink"]

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
