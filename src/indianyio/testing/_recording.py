"""Recordings of what goes over a stream, and when: how they are written.

A recording is a file of JSON lines (docs/testing.md describes them). Bytes are recorded as they came, piece by
piece rather than message by message, so that a recording also shows what was wrong with them.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import anyio

from indianyio._vocabulary import Limits
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import Attachment, format_timestamp
from indianyio.streams import ByteStream, Received
from indianyio.streams._attachments import as_shared_memory
from indianyio.streams._base import WrappingStream

__all__ = ["FORMAT", "VERSION", "Direction", "RecordingStream", "record", "record_proxy"]

logger = logging.getLogger(__name__)

FORMAT = "indianyio recording"
VERSION = 1

Direction: TypeAlias = Literal["received", "sent"]
"""Which way bytes went, seen from the program that used the recorded stream."""


def record(stream: ByteStream, path: str | os.PathLike[str], *, overwrite: bool = True) -> RecordingStream:
    """Return a stream that does what another one does, and records everything that goes over it.

    To be called in the event loop, whose clock gives the times. Each line is written as soon as the event has
    happened; if the program is killed, only the line that it was just writing is incomplete.

    :param stream: the stream; closed with the one that is returned, but left open if there is an error.
    :param path: the file.
    :param overwrite: whether to replace an existing file.
    :raises FileExistsError: the file exists, and is not to be replaced.
    :raises OSError: the file cannot be written. If that happens later, because the disk is full for example, the
        stream behaves as if the connection had been lost.
    """
    return RecordingStream(stream, io.FileIO(path, "w" if overwrite else "x"))


class RecordingStream(WrappingStream):
    """A byte stream that records what goes over another one; :func:`record` makes it.

    :ivar failure: why the file can no longer be written; ``None`` if it can.
    """

    def __init__(self, stream: ByteStream, file: io.FileIO) -> None:
        super().__init__(stream)
        self.failure: OSError | None = None
        self._file = file
        self._began = anyio.current_time()
        header = {"format": FORMAT, "version": VERSION, "began": format_timestamp(datetime.now(UTC))}
        self._write_line({**header, "stream": stream.name})
        if self.failure is not None:
            raise self.failure

    async def receive(self) -> Received:
        """Receive, as :meth:`ByteStream.receive` does.

        :raises ConnectionLostError: as there; or what came could not be recorded, and is lost.
        """
        self._require_file()
        received = await self._stream.receive()
        self._note("received", received.data, received.attachments)
        if self.failure is not None:
            _close(received.attachments)
        self._require_file()
        return received

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send, as :meth:`ByteStream.send` does. The bytes are recorded first, and therefore before the answer.

        :raises ConnectionLostError: as there; or the bytes could not be recorded, and are not sent.
        """
        self._note("sent", bytes(data), attachments)
        self._require_file()
        await self._stream.send(data, attachments)

    def send_now(self, data: bytes) -> int:
        """Send as much as possible without waiting, as :meth:`ByteStream.send_now` does."""
        if self.failure is not None:
            return 0
        taken = self._stream.send_now(data)
        if taken:
            self._note("sent", data[:taken], ())
        return taken

    async def aclose(self) -> None:
        """Close the stream inside, and the file."""
        try:
            await self._stream.aclose()
        finally:
            self._file.close()

    def _require_file(self) -> None:
        if self.failure is not None:
            raise ConnectionLostError(f"{self.name}: the recording has ended: {self.failure}") from self.failure

    def _note(self, direction: Direction, data: bytes, attachments: Sequence[Attachment]) -> None:
        if self._file.closed:
            return
        line: dict[str, object] = {"t": round(anyio.current_time() - self._began, 6), "dir": direction}
        try:
            line["text"] = data.decode()
        except UnicodeDecodeError:
            line["base64"] = base64.b64encode(data).decode()
        if attachments:
            line["attachments"] = [base64.b64encode(_content(one)).decode() for one in attachments]
        self._write_line(line)

    def _write_line(self, entry: dict[str, object]) -> None:
        """Pass a whole line to the system, which keeps it whatever happens to this process."""
        # A name may contain bytes that are not UTF-8, as paths may.
        line = (json.dumps(entry, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            error.filename = os.fspath(self._file.name)
            self.failure = error
            self._file.close()  # lines after a partial one could not be read


async def record_proxy(
    client: ByteStream, server: ByteStream, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Forward everything between a client and a server until one of them ends, and record it.

    The recording is as if the client had made it: what the server says is ``received``. Both streams are closed,
    even if the file cannot be opened.

    :param client: the stream to the client, such as one that a listener has accepted.
    :param server: the stream to the server.
    :param path: the file.
    :param overwrite: whether to replace an existing file.
    :raises FileExistsError: the file exists, and is not to be replaced.
    :raises OSError: the file cannot be written.
    :raises ValueError: attachments came from one side, but the stream to the other side cannot carry them.
    :raises RemoteProtocolError: attachments were lost on the way.
    """
    recorded: RecordingStream | None = None
    try:
        recorded = record(server, path, overwrite=overwrite)
        await _forward_both_ways(client, recorded)
        if recorded.failure is not None:
            raise recorded.failure
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()
            await (server if recorded is None else recorded).aclose()


async def _forward_both_ways(one: ByteStream, other: ByteStream) -> None:
    failures: list[Exception] = []

    async def forward(source: ByteStream, sink: ByteStream) -> None:
        try:
            await _forward(source, sink)
        except ConnectionLostError:
            pass  # a lost connection ends this, just as the end of a stream does
        except Exception as error:  # noqa: BLE001 - it is raised below, without a group around it
            failures.append(error)
        tasks.cancel_scope.cancel("one of them has ended")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(forward, one, other)
        await forward(other, one)
    if failures:
        raise failures[0]


async def _forward(source: ByteStream, sink: ByteStream) -> None:
    """Forward everything from one stream to another, until it ends."""
    while True:
        received = await source.receive()
        if not received.data:
            return
        try:
            await sink.send(received.data, received.attachments)
        finally:
            _close(received.attachments)


def _close(attachments: Sequence[Attachment]) -> None:
    for attachment in attachments:
        attachment.close()


def _content(attachment: Attachment) -> bytes:
    """Return the whole content of an attachment, as its length may come later; empty if it cannot be read."""
    try:
        [memory] = as_shared_memory([attachment])
        size = memory.size
        if size > Limits().blob_bytes:  # a file that is all hole costs its sender nothing
            raise ValueError(f"it has {size} bytes, but a BLOB has at most {Limits().blob_bytes}")
        return memory.read(size)
    except (TypeError, ValueError, OSError) as error:
        logger.warning("an attachment is recorded as empty: %s", getattr(attachment, "reason", error))
        return b""
