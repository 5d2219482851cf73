"""What passed over a connection, with its times, as a file of JSON lines; and such a file played again.

The first line says what the file is: ``{"indianyio": "recording", "version": 1, "name": …, "began": …}``. Each
other line is one piece of the stream as it was received or sent: ``{"at": 0.25, "way": "received", "text": …}``,
with ``"base64"`` in place of ``"text"`` for what is not UTF-8 by itself, and ``"attached"``, a list of base64
texts, for what came or went as descriptors. Times are seconds since the first piece, by the event loop's clock.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self, TextIO, TypeAlias

import anyio

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import Attachment
from indianyio.streams import ByteStream, Received, SharedMemory

__all__ = ["Piece", "RecordingStream", "Way", "read_recording", "record", "replay"]

Way: TypeAlias = Literal["received", "sent"]

_KIND, _VERSION = "recording", 1


class Piece(NamedTuple):
    """What passed at one time.

    :ivar at: when, in seconds since the first one.
    :ivar way: seen from where it was recorded.
    :ivar data: the bytes.
    :ivar attachments: the contents of what travelled as descriptors.
    """

    at: float
    way: Way
    data: bytes
    attachments: tuple[bytes, ...] = ()


class RecordingStream:
    """Another stream, and a record of all that passes; :func:`record` makes one."""

    def __init__(self, stream: ByteStream, file: TextIO) -> None:
        self._stream = stream
        self._file = file
        self._began: float | None = None
        self._write(
            {
                "indianyio": _KIND,
                "version": _VERSION,
                "name": stream.name,
                "began": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_file()

    @property
    def name(self) -> str:
        """The name of the stream inside."""
        return self._stream.name

    @property
    def carries_attachments(self) -> bool:
        """Whether the stream inside does."""
        return self._stream.carries_attachments

    async def receive(self) -> Received:
        """Receive through the stream inside."""
        received = await self._stream.receive()
        if received.data:
            self._note("received", received.data, received.attachments)
        return received

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Send through the stream inside; what is cancelled or fails is recorded as if it had been sent."""
        self._note("sent", bytes(data), attachments)
        await self._stream.send(data, attachments)

    def send_now(self, data: bytes) -> int:
        """Send at once through the stream inside."""
        sent = self._stream.send_now(data)
        if sent:
            self._note("sent", data[:sent], ())
        return sent

    async def aclose(self) -> None:
        """Close the stream inside, and the file."""
        try:
            await self._stream.aclose()
        finally:
            self.close_file()

    def close_file(self) -> None:
        """Record no more; what passes goes on passing. Twice does nothing."""
        self._file.close()

    def _note(self, way: Way, data: bytes, attachments: Sequence[Attachment]) -> None:
        now = anyio.current_time()
        self._began = now if self._began is None else self._began
        line: dict[str, object] = {"at": round(now - self._began, 6), "way": way}
        try:
            line["text"] = data.decode()
        except UnicodeDecodeError:
            line["base64"] = b64encode(data).decode()
        if attachments:
            line["attached"] = [_content(attachment) for attachment in attachments]
        self._write(line)

    def _write(self, line: dict[str, object]) -> None:
        if not self._file.closed:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _content(attachment: Attachment) -> str:
    if isinstance(attachment, SharedMemory):
        with suppress(ValueError):
            return b64encode(attachment.read(attachment.size)).decode()
    return ""


def record(stream: ByteStream, path: str | os.PathLike[str]) -> RecordingStream:
    """Return a stream in place of another one, and have all that passes through it written into a file.

    The file is complete when the stream is closed, or ``with record(...)`` ends. It is written as it comes, by the
    event loop: a recording of large images costs the time to write them.

    :param stream: the stream; it belongs to the new one.
    :param path: where; what is there is replaced.
    :raises OSError: the file cannot be written there.
    """
    return RecordingStream(stream, Path(path).open("w", encoding="utf-8"))


def read_recording(path: str | os.PathLike[str]) -> Iterator[Piece]:
    """Yield what a recording has, in order.

    :raises ValueError: it is no recording, or a line of it is damaged; the text says which.
    :raises OSError: it cannot be read.
    """
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                fields = json.loads(line)
                if number > 1:
                    yield _piece(fields)
                elif (fields["indianyio"], fields["version"]) != (_KIND, _VERSION):
                    raise ValueError(f"its first line is not that of a recording of version {_VERSION}")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"{os.fspath(path)}, line {number}: {error!s}") from None


def _piece(fields: dict[str, object]) -> Piece:
    at, way, text = fields["at"], fields["way"], fields.get("text")
    data = text.encode() if isinstance(text, str) else b64decode(str(fields["base64"]), validate=True)
    attached = fields.get("attached", [])
    if not isinstance(at, int | float) or way not in ("received", "sent") or not isinstance(attached, list):
        raise ValueError("a field has a wrong value")
    return Piece(float(at), "sent" if way == "sent" else "received", data, tuple(map(b64decode, attached)))


async def replay(
    path: str | os.PathLike[str], stream: ByteStream, *, way: Way = "received", speed: float = 1.0
) -> None:
    """Play one side of a recording to whoever is at the other end of a stream, and close the stream.

    A recording that a client made, played with ``way="received"``, is its server; played with ``"sent"`` it is the
    client again, for a driver. If the recording begins with what the other side said, its beginning is waited for.
    What the other end says otherwise is read and forgotten.

    :param path: the file.
    :param stream: where to; closed at the end.
    :param way: which side is played.
    :param speed: how many times as fast as it was; ``math.inf`` for at once.
    :raises ValueError: the file is no recording, or ``speed`` is not positive.
    :raises OSError: it cannot be read.
    :raises ConnectionLostError: the other end has closed before all was played.
    """
    if not speed > 0:
        raise ValueError(f"speed is {speed}, it must be positive")
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            heard = anyio.Event()
            tasks.start_soon(_hear, stream, heard)
            try:
                await _play(path, stream, way, speed, heard)
            except (ValueError, OSError, ConnectionLostError) as error:
                failure = error  # raised below, where no group is put around it
            tasks.cancel_scope.cancel("all was played")
    finally:
        await stream.aclose()
    if failure is not None:
        raise failure


async def _play(
    path: str | os.PathLike[str], stream: ByteStream, way: Way, speed: float, heard: anyio.Event
) -> None:
    began: float | None = None
    for number, piece in enumerate(read_recording(path)):
        if number == 0 and piece.way != way:
            await heard.wait()
        if began is None:
            began = anyio.current_time() - piece.at / speed
        if piece.way == way:
            await anyio.sleep_until(began + piece.at / speed)
            await _send(stream, piece)


async def _send(stream: ByteStream, piece: Piece) -> None:
    attachments = [SharedMemory.create("replayed") for _ in piece.attachments]
    try:
        for attachment, content in zip(attachments, piece.attachments, strict=True):
            attachment.write(content)
            attachment.seal()
        await stream.send(piece.data, attachments)
    finally:
        for attachment in attachments:
            attachment.close()


async def _hear(stream: ByteStream, heard: anyio.Event) -> None:
    """Read what the other end says, and forget it."""
    with suppress(ConnectionLostError):  # sending tells, if there is more to be played
        while True:
            received = await stream.receive()
            for attachment in received.attachments:
                attachment.close()
            heard.set()
            if not received.data:
                return
