"""Recordings of what went over a stream, and when: written, read, and played again.

A recording is a file of JSON lines (docs/testing.md says what is in them). Bytes are kept as they came, piece by
piece and not message by message, so that what was wrong with them is in the recording too.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Literal, TypeAlias

import anyio

from indianyio.exceptions import ConnectionLostError, INDIError
from indianyio.protocol import Attachment, format_timestamp
from indianyio.streams import ByteStream, Received, SharedMemory
from indianyio.streams._base import WrappingStream

__all__ = ["Direction", "Piece", "RecordingStream", "read_recording", "record", "record_proxy", "replay"]

FORMAT = "indianyio recording"
VERSION = 1

Direction: TypeAlias = Literal["received", "sent"]
"""Which way bytes went, seen from whoever held the stream that was recorded."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What was received or sent at once.

    :ivar seconds: when, counted from the beginning of the recording.
    :ivar direction: which way.
    :ivar data: the bytes; none where the stream has ended.
    :ivar attachments: the contents of descriptors that came with them.
    """

    seconds: float
    direction: Direction
    data: bytes
    attachments: tuple[bytes, ...] = ()


def record(stream: ByteStream, path: str | os.PathLike[str]) -> RecordingStream:
    """Return a stream that does what another one does, and writes down what goes over it.

    To be called in the event loop, whose clock tells the times. The file is complete, line by line, at any moment.

    :param stream: the stream; closed with the one that is returned.
    :param path: the file, which is overwritten.
    :raises OSError: the file cannot be written.
    """
    return RecordingStream(stream, open(path, "w", encoding="utf-8", newline="\n", buffering=1))


class RecordingStream(WrappingStream):
    """A byte stream that writes down what goes over another one; :func:`record` makes it."""

    def __init__(self, stream: ByteStream, file: IO[str]) -> None:
        super().__init__(stream)
        self._file = file
        self._began = anyio.current_time()
        header = {"format": FORMAT, "version": VERSION, "began": format_timestamp(datetime.now(UTC))}
        self._file.write(json.dumps({**header, "stream": stream.name}) + "\n")

    async def receive(self) -> Received:
        """Receive, as :meth:`ByteStream.receive` says."""
        received = await self._stream.receive()
        self._note("received", received.data, received.attachments)
        return received

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send, as :meth:`ByteStream.send` says. It is written down before, and so before the answer."""
        self._note("sent", bytes(data), attachments)
        await self._stream.send(data, attachments)

    def send_now(self, data: bytes) -> int:
        """Send what takes no waiting, as :meth:`ByteStream.send_now` says."""
        taken = self._stream.send_now(data)
        if taken:
            self._note("sent", data[:taken], ())
        return taken

    async def aclose(self) -> None:
        """Close the stream inside, and the file."""
        await self._stream.aclose()
        self._file.close()

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
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_recording(path: str | os.PathLike[str]) -> Iterator[Piece]:
    """Read a recording, piece by piece.

    :param path: the file.
    :raises OSError: it cannot be read.
    :raises ValueError: it is not a recording, or one of a later version; the text says in which line.
    """
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                entry = json.loads(line)
                if number == 1:
                    _require_recording(entry)
                else:
                    yield _piece(entry)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{os.fspath(path)}, line {number}: {error}") from error
        if file.tell() == 0:
            raise ValueError(f"{os.fspath(path)} is empty, and no recording")


async def replay(
    path: str | os.PathLike[str], stream: ByteStream, *, speed: float = 1.0, direction: Direction = "received"
) -> int:
    """Play one direction of a recording to whoever is at the other end of a stream.

    A recording made at a client's end holds what the server said as ``received``: play that to another client, and
    you are the server. It holds what the client said as ``sent``: play that to a driver, and you are the client.

    What the other end sends meanwhile is received and dropped; give a stream of :func:`record` to keep it. The
    stream is not closed.

    :param path: the recording.
    :param stream: the stream to play it to.
    :param speed: how fast; 2 for twice as fast as it was recorded, ``math.inf`` for at once.
    :param direction: which direction of the recording is played.
    :return: how many bytes were sent.
    :raises OSError: the file cannot be read.
    :raises ValueError: it is not a recording, the speed is not positive, or the recording has attachments and the
        stream cannot carry them.
    :raises ConnectionLostError: the other end is gone.
    """
    if not speed > 0:
        raise ValueError(f"the speed is {speed}, it must be positive")
    pieces = [piece for piece in read_recording(path) if piece.direction == direction and piece.data]
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_drop_all, stream)
        try:
            await _play(pieces, stream, speed)
        except (INDIError, OSError, ValueError) as error:  # it is to come out bare, and not in a group
            failure = error
        tasks.cancel_scope.cancel("everything was played")
    if failure is not None:
        raise failure
    return sum(len(piece.data) for piece in pieces)


async def record_proxy(client: ByteStream, server: ByteStream, path: str | os.PathLike[str]) -> None:
    """Hand on everything between a client and a server until one of them ends, and write it down.

    The recording is as if the client had made it: what the server says is ``received``. Both streams are closed.

    :param client: the stream to the client, such as a listener has accepted.
    :param server: the stream to the server.
    :param path: the file, which is overwritten.
    :raises OSError: the file cannot be written.
    """
    recorded = record(server, path)
    async with anyio.create_task_group() as tasks:

        async def hand_on(source: ByteStream, sink: ByteStream) -> None:
            try:
                while True:
                    received = await source.receive()
                    if not received.data:
                        break
                    try:
                        await sink.send(received.data, received.attachments)
                    finally:
                        for attachment in received.attachments:
                            attachment.close()
            except ConnectionLostError:
                pass  # one of them is gone, which ends this as the end of a stream does
            tasks.cancel_scope.cancel("one of them has ended")

        try:
            tasks.start_soon(hand_on, client, recorded)
            await hand_on(recorded, client)
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()
                await recorded.aclose()


async def _play(pieces: list[Piece], stream: ByteStream, speed: float) -> None:
    began = anyio.current_time()
    for piece in pieces:
        if not math.isinf(speed):
            await anyio.sleep_until(began + piece.seconds / speed)
        attachments = [_memory(content) for content in piece.attachments]
        try:
            await stream.send(piece.data, attachments)
        finally:
            for attachment in attachments:
                attachment.close()


async def _drop_all(stream: ByteStream) -> None:
    try:
        while True:
            received = await stream.receive()
            for attachment in received.attachments:
                attachment.close()
            if not received.data:
                return
    except ConnectionLostError:
        return  # whoever sends will notice


def _require_recording(header: dict[str, object]) -> None:
    if header.get("format") != FORMAT:
        raise ValueError(f"this is no {FORMAT}")
    if header.get("version") != VERSION:
        raise ValueError(
            f"the recording has version {header.get('version')!r}; this program reads version {VERSION}"
        )


def _piece(entry: dict[str, Any]) -> Piece:
    direction = entry["dir"]
    if direction not in ("received", "sent"):
        raise ValueError(f"dir is {direction!r}, and neither 'received' nor 'sent'")
    data = entry["text"].encode() if "text" in entry else base64.b64decode(entry["base64"], validate=True)
    attachments = tuple(base64.b64decode(content, validate=True) for content in entry.get("attachments", ()))
    return Piece(float(entry["t"]), direction, data, attachments)


def _content(attachment: Attachment) -> bytes:
    """Return what is in an attachment that was received or is sent: all of it, as there may be no length yet."""
    return attachment.read(attachment.size) if isinstance(attachment, SharedMemory) else b""


def _memory(content: bytes) -> SharedMemory:
    memory = SharedMemory.create("replayed")
    memory.write(content)
    memory.seal()
    return memory
