"""Sending BLOBs: from a member's value to what travels, one vector at a time, never far ahead of the server.

A value is a buffer, a path, or a file object, plain or asynchronous. It becomes base64, or shared memory beside the
XML. It is read slice by slice into one of these two sinks, so a file is never held whole, and a buffer only as the
base64 that is sent. What may take long (files, and buffers of more than a few slices) happens in a worker thread:
the event loop goes on.

After each BLOB vector a ping is sent, and the next BLOB waits for the reply (docs/protocol.md 3.6). A server that
never answers pings costs one time-out and no more; one that has answered before is waited for each time, though
never for ever.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from inspect import isawaitable, iscoroutinefunction
from typing import BinaryIO, Protocol, TypeAlias, cast

import anyio
import anyio.to_thread

from indianyio._model import BLOBMember
from indianyio._vocabulary import MAX_DESCRIPTORS
from indianyio.driver._link import DriverLink
from indianyio.protocol import OneBLOB, PingRequest, SetBLOBVector
from indianyio.protocol._blobs import Base64Encoder
from indianyio.streams import SharedMemory

__all__ = ["BLOBSender", "Content", "load"]

logger = logging.getLogger(__name__)

# Large enough that a 50 MB image takes few turns, small enough that a slice and its base64 fit a processor's cache.
_SLICE_BYTES = 768 * 1024

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Content:
    """A BLOB ready to travel: its element and, unless it has an attachment, its base64."""

    element: OneBLOB
    base64: tuple[bytes, ...] = ()


class _Sink(Protocol):
    """Where a value is read into."""

    length: int

    def write(self, piece: Buffer) -> None: ...

    def finish(self, member: BLOBMember) -> Content: ...


class _Base64:
    """A value as base64 text."""

    def __init__(self) -> None:
        self._encoder = Base64Encoder()
        self._pieces: list[bytes] = []
        self.length = 0

    def write(self, piece: Buffer) -> None:
        self.length += len(piece)
        self._pieces.append(self._encoder.feed(piece))

    def finish(self, member: BLOBMember) -> Content:
        self._pieces.append(self._encoder.finish())
        return Content(member.content(self.length), tuple(self._pieces))


class _Shared:
    """A value as shared memory, whose descriptor travels beside the XML (docs/protocol.md 1.6)."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self.length = 0

    def write(self, piece: Buffer) -> None:
        self.length += len(piece)
        self._memory.write(piece)

    def finish(self, member: BLOBMember) -> Content:
        self._memory.seal()
        return Content(member.content(self.length, attachment=self._memory))


async def load(member: BLOBMember, *, attach: bool, cleanup: ExitStack) -> Content:
    """Read a member's value.

    Cancelled while a worker thread reads a slow file, it ends when that file's reading does.

    :param attach: put it into shared memory rather than into base64.
    :param cleanup: closes the shared memory unless its caller hands that on.
    :raises ValueError: the member has no value, or its file is empty or was opened for text.
    :raises OSError: the file cannot be read.
    """
    sink: _Sink = _Base64()
    with suppress(OSError):  # no descriptor is left, or no memory; base64 is understood as well
        if attach:
            memory = SharedMemory.create(member.name)
            cleanup.callback(memory.close)
            sink = _Shared(memory)
    value = member.membervalue
    if isinstance(value, bytes | bytearray | memoryview):
        view = memoryview(value)
        await _pour_buffer(view.cast("B") if view.c_contiguous else memoryview(view.tobytes()), sink)
    elif isinstance(value, str | os.PathLike):
        await anyio.to_thread.run_sync(_pour_path, value, sink)
    elif value is None:
        raise ValueError(f"BLOB member {member.name!r} has no value to send; assign one first")
    else:
        await _pour_file(value, sink)
    if not sink.length:
        raise ValueError(f"BLOB member {member.name!r} has nothing to send: its file is empty")
    return sink.finish(member)


async def _pour_buffer(view: memoryview, sink: _Sink) -> None:
    pieces = (view[start : start + _SLICE_BYTES] for start in range(0, len(view), _SLICE_BYTES))
    if len(view) > 4 * _SLICE_BYTES:
        await anyio.to_thread.run_sync(_pour, pieces, sink)
    else:
        _pour(pieces, sink)


def _pour_path(path: str | os.PathLike[str], sink: _Sink) -> None:
    with open(path, "rb") as file:
        # No further than it reaches now: somebody may be writing it as fast as it is read.
        status = os.fstat(file.fileno())
        _pour(_slices(file, status.st_size if stat.S_ISREG(status.st_mode) else None), sink)


async def _pour_file(file: object, sink: _Sink) -> None:
    """Read a file object, from its beginning if it can be rewound; asynchronous ones return awaitables."""
    readable = cast("BinaryIO", file)
    is_async = iscoroutinefunction(readable.read)
    if hasattr(file, "seek"):
        rewound: object = readable.seek(0)
        if isawaitable(rewound):
            is_async = True
            await rewound
    if not is_async:
        await anyio.to_thread.run_sync(_pour, _slices(readable), sink)
        return
    while piece := _require_bytes(await readable.read(_SLICE_BYTES)):  # type: ignore[misc]
        sink.write(piece)


def _slices(file: BinaryIO, size: int | None = None) -> Iterator[Buffer]:
    left = float("inf") if size is None else size
    while piece := _require_bytes(file.read(int(min(_SLICE_BYTES, left)))):
        left -= len(piece)
        yield piece


def _pour(pieces: Iterator[Buffer], sink: _Sink) -> None:
    for piece in pieces:
        sink.write(piece)


def _require_bytes(piece: object) -> Buffer:
    if isinstance(piece, bytes | bytearray | memoryview):
        return piece
    raise ValueError(f"a BLOB's file must be opened in binary mode; reading it gave {type(piece).__name__}")


class BLOBSender:
    """The way of a driver's BLOBs to one peer.

    :param link: the peer.
    :param reply_seconds: how long to wait for the answer to a ping.
    """

    def __init__(self, link: DriverLink, *, reply_seconds: float) -> None:
        self._link = link
        self._reply_seconds = reply_seconds
        self._turn = anyio.Lock()
        self._count = 0
        self._reply: anyio.Event | None = None
        self._peer_answers: bool | None = None
        self._hurried = False

    async def send(
        self, members: Sequence[BLOBMember], update: Callable[[Sequence[OneBLOB]], SetBLOBVector | None]
    ) -> None:
        """Send the members' contents; see :meth:`BLOBVector.send_setVectorMembers`.

        :param members: the members, all of one vector.
        :param update: makes the message once the contents are read and it is their turn; ``None`` is not sent.
        """
        async with self._turn:
            with ExitStack() as cleanup:
                contents = [
                    await load(member, attach=self._attaches(number), cleanup=cleanup)
                    for number, member in enumerate(members)
                ]
                await self._taken()
                message = update([content.element for content in contents])
                if message is None:
                    return
                base64 = {content.element.name: content.base64 for content in contents if content.base64}
                ping = self._next_ping()
                try:
                    await self._link.send_blobs(message, base64, ping)
                except BaseException:
                    self._reply = None  # nothing was sent, so there is no answer to wait for
                    raise
                cleanup.pop_all()

    def hurry(self) -> None:
        """Wait for no answer any more: the time that is left belongs to the instrument."""
        self._hurried = True
        if self._reply is not None:
            self._reply.set()

    def reply(self, uid: str | None) -> None:
        """Note a pingReply."""
        if self._reply is not None and uid == self._uid:
            self._peer_answers = True
            self._reply.set()

    @property
    def _uid(self) -> str:
        return f"SetBLOB/{self._count}"

    def _attaches(self, number: int) -> bool:
        return self._link.carries_attachments and number < MAX_DESCRIPTORS

    def _next_ping(self) -> PingRequest:
        self._count += 1
        self._reply = anyio.Event()
        return PingRequest(uid=self._uid)

    async def _taken(self) -> None:
        """Wait until the server has taken the BLOB before."""
        if self._reply is None or self._peer_answers is False or self._hurried:
            return
        with anyio.move_on_after(self._reply_seconds):
            await self._reply.wait()
            return
        if self._peer_answers is None:
            self._peer_answers = False
            logger.info("%s: does not answer pings; BLOBs are sent without waiting for it", self._link.name)
        else:
            logger.warning("%s: no answer to ping %s in %g s", self._link.name, self._uid, self._reply_seconds)
