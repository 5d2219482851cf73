"""Sending BLOBs: from a member's value to what travels, one vector at a time, never far ahead of the server.

A value is a buffer, a path, or a file object, plain or asynchronous. It becomes base64, or shared memory beside the
XML (see ``streams/_contents.py``).

After each BLOB vector a ping is sent, and the next BLOB waits for the reply (docs/protocol.md 3.6). A server that
never answers pings costs one time-out and no more; one that has answered before is waited for each time, though
never for ever.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from inspect import isawaitable, iscoroutinefunction
from typing import BinaryIO, cast

import anyio
import anyio.to_thread
from msgspec import Struct

from indianyio._model import BLOBMember
from indianyio._vocabulary import MAX_DESCRIPTORS
from indianyio.driver._link import DriverLink
from indianyio.protocol import OneBLOB, PingRequest, SetBLOBVector
from indianyio.streams._contents import SLICE_BYTES, Buffer, OutgoingContent

__all__ = ["BLOBSender", "Content", "load"]

logger = logging.getLogger(__name__)


class Content(Struct, frozen=True):
    """A BLOB ready to travel: its element and, unless it has an attachment, its base64."""

    element: OneBLOB
    base64: tuple[bytes, ...] = ()


async def load(member: BLOBMember, *, attach: bool, cleanup: ExitStack) -> Content:
    """Read a member's value.

    Cancelled while a worker thread reads a slow file, it ends when that file's reading does.

    :param attach: put it into shared memory rather than into base64.
    :param cleanup: closes the shared memory unless its caller hands that on.
    :raises ValueError: the member has no value, or its file is empty or was opened for text.
    :raises OSError: the file cannot be read.
    """
    content = OutgoingContent.make(member.name, attach=attach, cleanup=cleanup)
    value = member.membervalue
    if isinstance(value, bytes | bytearray | memoryview):
        await content.write_buffer(value)
    elif isinstance(value, str | os.PathLike):
        await content.write_path(value)
    elif value is None:
        raise ValueError(f"BLOB member {member.name!r} has no value to send; assign one first")
    else:
        await _write_file(value, content)
    if not content.length:
        raise ValueError(f"BLOB member {member.name!r} has nothing to send: its file is empty")
    content.finish()
    return Content(member.content(content.length, attachment=content.memory), tuple(content.base64))


async def _write_file(file: object, content: OutgoingContent) -> None:
    """Read a file object, from its beginning if it can be rewound; asynchronous ones return awaitables."""
    readable = cast("BinaryIO", file)
    is_async = iscoroutinefunction(readable.read)
    if hasattr(file, "seek"):
        rewound: object = readable.seek(0)
        if isawaitable(rewound):
            is_async = True
            await rewound
    if not is_async:
        await anyio.to_thread.run_sync(content.write_all, _slices(readable))
        return
    while piece := _require_bytes(await readable.read(SLICE_BYTES)):  # type: ignore[misc]
        content.write(piece)


def _slices(file: BinaryIO) -> Iterator[Buffer]:
    while piece := _require_bytes(file.read(SLICE_BYTES)):
        yield piece


def _require_bytes(piece: object) -> Buffer:
    if isinstance(piece, bytes | bytearray | memoryview):
        return piece
    raise ValueError(f"a BLOB's file must be opened in binary mode; reading it gave {type(piece).__name__}")


class BLOBSender:
    """Sends a driver's BLOBs to one peer.

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
        self._waits_no_more = False

    async def send(
        self, members: Sequence[BLOBMember], update: Callable[[Sequence[OneBLOB]], SetBLOBVector | None]
    ) -> None:
        """Send the members' contents; see :class:`BLOBVector`.

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

    def stop_waiting(self) -> None:
        """Stop waiting for answers: the time that is left belongs to the instrument."""
        self._waits_no_more = True
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
        if self._reply is None or self._peer_answers is False or self._waits_no_more:
            return
        with anyio.move_on_after(self._reply_seconds):
            await self._reply.wait()
            return
        if self._peer_answers is None:
            self._peer_answers = False
            logger.info("%s: does not answer pings; BLOBs are sent without waiting for it", self._link.name)
        else:
            logger.warning("%s: no answer to ping %s in %g s", self._link.name, self._uid, self._reply_seconds)
