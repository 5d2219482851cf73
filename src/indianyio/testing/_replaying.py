"""Recordings: how they are read and replayed."""

from __future__ import annotations

import base64
import json
import logging
import math
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import anyio

from indianyio._block import at_work
from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream, SharedMemory
from indianyio.testing._recording import FORMAT, VERSION, Direction

__all__ = ["Piece", "read_recording", "replay"]

logger = logging.getLogger(__name__)

# The errors of a line that cannot be read: it is not JSON, something is missing or of another type, a number is too
# large, or it is nested too deeply.
_UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that were received or sent in one go.

    :ivar seconds: when, counted from the beginning of the recording.
    :ivar direction: which way they went.
    :ivar data: the bytes; empty where the stream has ended.
    :ivar attachments: the contents of descriptors that came with them.
    """

    seconds: float
    direction: Direction
    data: bytes
    attachments: tuple[bytes, ...] = ()


def read_recording(
    path: str | os.PathLike[str], *, on_cut: Callable[[str], object] = logger.warning
) -> Generator[Piece, None, None]:
    """Read a recording, piece by piece.

    A program that was killed may have left an incomplete last line. That line is left out, and everything before it
    is read.

    :param path: the file.
    :param on_cut: called in that case, with a text that says so; by default the text is logged.
    :raises OSError: the file cannot be read.
    :raises ValueError: it is not a recording, or one of another version, or has a line that cannot be read; the
        text names the line. Everything before that line has been yielded by then.
    """
    name, number = os.fspath(path), 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                entry = _entry(line)
                if number == 1:
                    _require_recording(entry)
                    continue
                piece = _piece(entry)
            except _UNREADABLE as error:
                if number > 1 and not line.endswith(b"\n"):
                    on_cut(f"{name}: line {number}, the last one, is incomplete and is left out")
                    return
                raise ValueError(f"{name}, line {number}: {error}") from error
            yield piece
    if number == 0:
        raise ValueError(f"{name} is empty, so it is not a recording")


async def replay(
    path: str | os.PathLike[str],
    stream: ByteStream,
    *,
    speed: float = 1.0,
    direction: Direction = "received",
    on_cut: Callable[[str], object] = logger.warning,
) -> int:
    """Replay one direction of a recording to whatever is at the other end of a stream.

    In a recording made at a client's end, ``received`` is what the server said: replay it to another client, and
    you are the server. ``sent`` is what the client said: replay it to a driver, and you are the client.

    What the other end sends meanwhile is received and dropped; give a stream of :func:`record` to keep it. The
    stream is not closed.

    :param path: the recording. It is read while it is replayed, so it may be larger than memory.
    :param stream: the stream to replay it to.
    :param speed: how fast: 2 for twice as fast as it was recorded, ``math.inf`` for everything at once.
    :param direction: which direction of the recording to replay.
    :param on_cut: as for :func:`read_recording`.
    :return: how many bytes were sent.
    :raises OSError: the file cannot be read.
    :raises ValueError: the speed is not positive, or the direction is not legal; or a line cannot be read, or has
        attachments that the stream cannot carry. Everything before that line has been replayed by then.
    :raises ConnectionLostError: the other end has closed the connection, or it is lost.
    """
    if not speed > 0:
        raise ValueError(f"the speed is {speed}, but must be positive")
    if direction not in ("received", "sent"):
        raise ValueError(f"direction is {direction!r}, but must be 'received' or 'sent'")
    dropping = anyio.CancelScope()

    async def drop(ready: Callable[[], None]) -> None:
        ready()
        with dropping:
            await _drop_all(stream)

    async def end() -> None:  # noqa: ASYNC124 - what a block calls
        dropping.cancel("everything was played")

    with closing(read_recording(path, on_cut=on_cut)) as pieces:
        async with at_work(drop, end, what="receiving", failed=lambda failure: failure):
            return await _play(pieces, stream, speed, direction)


async def _play(pieces: Iterable[Piece], stream: ByteStream, speed: float, direction: Direction) -> int:
    began, sent = anyio.current_time(), 0
    for piece in pieces:
        if piece.direction != direction or not piece.data:
            continue
        if not math.isinf(speed):
            await anyio.sleep_until(began + piece.seconds / speed)
        attachments = [_memory(content) for content in piece.attachments]
        try:
            await stream.send(piece.data, attachments)
        finally:
            for attachment in attachments:
                attachment.close()
        sent += len(piece.data)
    return sent


async def _drop_all(stream: ByteStream) -> None:
    try:
        while True:
            received = await stream.receive()
            for attachment in received.attachments:
                attachment.close()
            if not received.data:
                return
    except ConnectionLostError:
        return  # sending will raise as well


def _entry(line: bytes) -> dict[str, Any]:
    entry = json.loads(line.decode())
    if not isinstance(entry, dict):
        raise ValueError("it is not a JSON object")
    return entry


def _require_recording(header: dict[str, Any]) -> None:
    if header.get("format") != FORMAT:
        raise ValueError(f"this is not an {FORMAT}")
    if header.get("version") != VERSION:
        raise ValueError(
            f"the recording has version {header.get('version')!r}; this program reads version {VERSION}"
        )


def _piece(entry: dict[str, Any]) -> Piece:
    missing = [key for key in ("t", "dir") if key not in entry]
    if "text" not in entry and "base64" not in entry:
        missing.append("text")
    if missing:
        raise ValueError(f"it has no {missing[0]!r}")
    direction, seconds = entry["dir"], float(entry["t"])
    if direction not in ("received", "sent"):
        raise ValueError(f"dir is {direction!r}, but must be 'received' or 'sent'")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"t is {seconds}, which is not a number of seconds")
    data = _text(entry["text"]) if "text" in entry else base64.b64decode(entry["base64"], validate=True)
    attachments = tuple(base64.b64decode(content, validate=True) for content in entry.get("attachments", ()))
    return Piece(seconds, direction, data, attachments)


def _text(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"text is {text!r}, which is not a text")
    return text.encode()


def _memory(content: bytes) -> SharedMemory:
    memory = SharedMemory.create("replayed")
    memory.write(content)
    memory.seal()
    return memory
