"""A peer of the server at the other end of a byte stream: a client, a driver's process, another server."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence

import anyio
from anyio import CancelScope, create_task_group

from indianyio._link import Link, Turn
from indianyio._routing import DriverOutbox, PeerOutbox, PeerStatistics, Relayed, Room
from indianyio.protocol import EnableBLOB, Frame
from indianyio.server._hub import Hub
from indianyio.streams import ByteStream

__all__ = ["WirePort"]

logger = logging.getLogger(__name__)


class WirePort:
    """One connection, from the first byte to the last.

    :param hub: what receives the peer's frames.
    :param stream: the bytes; closed by whoever made it.
    :param outbox: what may wait for the peer.
    :param name: who it is, for log lines; the stream's name if absent.
    :param hears_out: whether a peer that reads no more is still heard until it has said everything, as a client is
        that writes and leaves (protocol.md 2.8). A driver whose input is closed is dead (S9).
    :param forgiving: whether the peer is no single client, so that what exceeds a limit costs the message only.
    :param takes_attachments: whether it reads BLOBs that come as descriptors, if its stream carries these at all.
        libindi's drivers send them so and do not read them (protocol.md S32).
    """

    def __init__(
        self,
        hub: Hub,
        stream: ByteStream,
        outbox: PeerOutbox | DriverOutbox,
        *,
        name: str | None = None,
        hears_out: bool = False,
        forgiving: bool = False,
        takes_attachments: bool = True,
    ) -> None:
        self.name = name or stream.name
        self._hub = hub
        self._outbox = outbox
        self._link = Link(stream, limits=hub.limits, outbox=outbox, forgiving=forgiving)
        self._forgiving = forgiving
        self._attach = takes_attachments and stream.carries_attachments
        self._refused = False
        self._connected = CancelScope()
        self._reason: str | None = None
        self._hears_out = hears_out
        self._deaf = False

    async def run(self) -> str:
        """Pass frames both ways until either side ends it; the hub must know this port by now.

        :return: why it ended, in words for people.
        """
        with self._connected:
            async with create_task_group() as tasks:
                tasks.start_soon(self._write)
                tasks.start_soon(self._watch)
                self.refuse(await self._link.read(self._receive, self._receive_plain))
                await anyio.sleep_forever()
        return self._reason or "the connection ended"

    @property
    def attaches(self) -> bool:
        """Whether it gets BLOBs as descriptors, as things are now."""
        return self._attach and self._outbox.has_room_for_attachments

    @property
    def progress(self) -> int:
        """A number that grows whenever the peer takes something."""
        return self._link.progress

    def is_behind(self, sender: object) -> bool:
        """Tell whether a sender has used up its share with large messages, for which it can wait."""
        return self._outbox.is_behind(sender)

    def deliver(self, relay: Relayed) -> Room:
        """Queue a message; see :meth:`indianyio.server._hub.Port.deliver`.

        A client that is too far behind is disconnected (protocol.md 2.8).
        """
        try:
            room = self._outbox.accept(relay, attach=self._attach)
        except ValueError as error:
            logger.warning("%s: a BLOB cannot be read and is left out: %s", self.name, error)
            return Room.ENOUGH
        if self._outbox.failure is not None:
            self.refuse(self._outbox.failure)
        self._link.push()
        return room

    def refuse(self, reason: str) -> None:
        """End the connection at once; what waits for the peer is dropped, and what it sends is not done."""
        self._refused = True
        if self._reason is None:
            self._reason = reason
        self._connected.cancel(reason)

    def finish(self, reason: str) -> None:
        """End the connection when the peer has got what waits for it; whoever calls this sets the bound."""
        if self._reason is None:
            self._reason = reason
        self._link.close()
        if self._deaf:
            self._connected.cancel(reason)

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far."""
        return self._outbox.statistics()

    def _receive(self, frame: Frame, *, more: bool = False) -> Awaitable[None] | None:
        self._outbox.count_received(len(frame.data))
        if self._refused:
            return None
        if self._hub.is_heavy(frame):
            return self._receive_heavy(frame)
        self._link.note(self._hub.receive(self, frame, forgiving=self._forgiving, more=more))
        return self._hub.pause(self)

    async def _receive_heavy(self, frame: Frame) -> None:
        self._link.note(await self._hub.receive_heavy(self, frame, forgiving=self._forgiving))
        if (pause := self._hub.pause(self)) is not None:
            await pause

    async def _receive_plain(self, frames: Sequence[Frame], turn: Turn) -> None:
        position = 0
        while position < len(frames) and not self._refused:
            if turn.over:
                await turn.give_way()
                if self._refused:
                    return
            start, position = position, self._hub.hand_on_known(self, frames, position)
            if position > start:
                passed = frames[start:position]
                self._outbox.count_received(sum([len(frame.data) for frame in passed]), len(passed))
                self._link.note(None)
            else:
                position = await self._receive_next(frames, position)

    async def _receive_next(self, frames: Sequence[Frame], position: int) -> int:
        """Receive one frame of a row, and return the index of the next."""
        following = position + 1
        more = following < len(frames) and frames[following].tag == EnableBLOB.tag
        if (pause := self._receive(frames[position], more=more)) is not None:
            await pause
        return following

    async def _watch(self) -> None:
        """Keep an eye on the peer; on a client nobody has to."""

    async def _write(self) -> None:
        reason = await self._link.write()
        self._deaf = True
        if self._hears_out and self._reason is None:
            logger.info("%s: %s", self.name, reason)
        else:
            self.refuse(self._reason or reason)
