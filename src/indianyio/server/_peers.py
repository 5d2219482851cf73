"""A peer of the server at the other end of a byte stream: a client, a driver's process, another server.

One class serves all of them. They differ only in a value, their :class:`PeerPolicy`, and in the outbox, which
bounds what waits for them. A driver in the server's own process exchanges no bytes and has a class of its own
(``_local_driver``).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from anyio import CancelScope

from indianyio._failures import FAILURES, failure_in
from indianyio._link import Link, Turn, link_log
from indianyio._rated_log import RatedLog
from indianyio._routing import DriverOutbox, PeerOutbox, PeerStatistics, PlainRelay, Relayed, Room
from indianyio._tasks import Tasks
from indianyio.protocol import EnableBLOB, Frame, NewBLOBVector
from indianyio.protocol._frames import MESSAGE_END
from indianyio.server._heavy import is_heavy
from indianyio.server._hub import Hub
from indianyio.streams import ByteStream

__all__ = ["CLIENT", "FEEDER", "Peer", "PeerPolicy", "run_guarded"]

logger = logging.getLogger(__name__)

HANGING_SECONDS = 60.0
"""A driver that takes nothing for this long, though something waits for it, is logged as hanging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPolicy:
    """How the server treats a kind of peer.

    :ivar hears_out: whether a peer that no longer reads is still read for as long as it speaks. So it is with a
        client that writes and leaves (protocol.md 2.8); a driver whose input is closed is dead (S9), and only what
        it had written before is read.
    :ivar forgiving: whether exceeding a limit costs only the message, not the connection.
    :ivar takes_attachments: whether it reads BLOBs that come as descriptors, if its stream carries descriptors at
        all. libindi's drivers send BLOBs in this way but do not read them (protocol.md S32).
    :ivar logs_hanging: whether it is logged when the peer takes nothing, though something waits for it.
    :ivar kept_back: tags of messages that are passed in neither direction.
    """

    hears_out: bool = False
    forgiving: bool = False
    takes_attachments: bool = False
    logs_hanging: bool = False
    kept_back: frozenset[str] = frozenset()


CLIENT: Final = PeerPolicy(hears_out=True, takes_attachments=True)
"""The policy for a client."""

FEEDER: Final = PeerPolicy(forgiving=True, logs_hanging=True)
"""The policy for drivers and other servers, which are kept connected whatever they send.

A driver that prints to standard output or sends a text of 2 MB is untidy, but that is no reason to stop an
instrument. Another server passes on whatever its own clients send.
"""


class Peer:
    """One connection, from the first byte to the last.

    :param hub: what receives the peer's frames.
    :param stream: the bytes; the caller closes it.
    :param outbox: what may wait for the peer.
    :param policy: how it is treated.
    :param name: who it is, for log lines; the stream's name if absent.
    :param log: where lines about what it does go, see :class:`~indianyio._link.Link`.
    """

    def __init__(
        self,
        hub: Hub,
        stream: ByteStream,
        outbox: PeerOutbox | DriverOutbox,
        policy: PeerPolicy,
        *,
        name: str | None = None,
        log: RatedLog | None = None,
    ) -> None:
        self.name = name or stream.name
        self.policy = policy
        self._hub = hub
        self._outbox = outbox
        self._log = link_log() if log is None else log
        self._link = Link(stream, limits=hub.limits, outbox=outbox, forgiving=policy.forgiving, log=self._log)
        self._attach = policy.takes_attachments and stream.carries_attachments
        self._refused = False
        self._connected = CancelScope()
        self._reason: str | None = None
        self._reads_no_more = False
        self._all_sent: Callable[[], None] | None = None
        self._delivered = anyio.Event()

    async def run(self) -> str:
        """Pass frames both ways until either side ends it; the peer must have been added to the hub before.

        :return: why it ended, in words for people.
        """
        with self._connected:
            async with Tasks() as tasks:
                tasks.start_soon(self._write)
                if self.policy.logs_hanging:
                    tasks.start_soon(self._log_hanging)
                # In a task of its own: each coroutine that awaited the reader would be stepped whenever something
                # arrives.
                tasks.start_soon(self._read)
        return self._reason or "the connection ended"

    @property
    def attaches(self) -> bool:
        """Whether it gets BLOBs as descriptors at the moment."""
        return self._attach and self._outbox.has_room_for_attachments

    @property
    def progress(self) -> int:
        """A number that grows whenever the peer takes something."""
        return self._link.progress

    async def hear_out(self, seconds: float) -> None:
        """Wait until what it wrote before its end is read; see :meth:`indianyio._link.Link.hear_out`."""
        await self._link.hear_out(seconds)

    def is_behind(self, sender: object) -> bool:
        """Tell whether a sender has used up its share with large messages, so that waiting helps."""
        return self._outbox.is_behind(sender)

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far."""
        return self._outbox.statistics()

    # -- what it gets ------------------------------------------------------------------------------------------

    def deliver(self, relay: Relayed) -> Room | None:
        """Queue a message; see :meth:`indianyio.server._ports.Port.deliver`.

        A client that is too far behind is disconnected (protocol.md 2.8).
        """
        if self.policy.kept_back and (tag := relay.received[0].tag) in self.policy.kept_back:
            level = logging.WARNING if tag == NewBLOBVector.tag else logging.DEBUG
            self._log.log(tag, level, "%s: a %s is kept back, as no BLOBs are to pass", self.name, tag)
            return None
        if (
            self._link.asked
            and type(relay) is PlainRelay
            and len(relay.received) == 1
            and self._answer(relay.received[0])
        ):
            return Room.ENOUGH
        try:
            room = self._outbox.accept(relay, attach=self._attach)
        except ValueError as error:
            self._log.warning("unread", "%s: a BLOB cannot be read and is left out: %s", self.name, error)
            return None
        if self._outbox.failure is not None:
            self.refuse(self._outbox.failure)
        self._delivered.set()
        self._link.push()
        return room

    def _answer(self, frame: Frame) -> bool:
        """Send a message at once, if it is an answer and nothing else waits; see :meth:`Link.answer`.

        It is counted as if it had been queued and taken out again, which it need not be: where nothing waits, every
        sender has a share left, and no peer is behind.
        """
        data = frame.data + MESSAGE_END
        if not self._link.answer(data):
            return False
        traffic, queued_bytes = self._outbox.traffic, len(data) + self._outbox.holding_bytes
        traffic.messages_out += 1
        traffic.bytes_out += len(data)
        if queued_bytes > traffic.highest_queued_bytes:
            traffic.highest_queued_bytes = queued_bytes
        return True

    async def _write(self) -> None:
        reason = await self._link.write()
        self._reads_no_more = True
        if self._all_sent is not None:
            self._all_sent()
        elif self._reason is not None:
            self.refuse(self._reason)
        elif self.policy.hears_out:
            self._log.log("deaf", logging.INFO, "%s: %s", self.name, reason)
        else:
            self._reason = reason
            await self._link.hear_out()
            if self._all_sent is None:
                self.refuse(reason)

    async def _log_hanging(self) -> None:
        """Log when the peer starts to hang and when it goes on; nothing else is done about it."""
        while True:
            if self._outbox.is_empty:
                await self._delivered.wait()
            self._delivered = anyio.Event()
            before = self.progress
            await anyio.sleep(HANGING_SECONDS)
            if self.progress != before or self._outbox.is_empty:
                continue
            waiting = self._outbox.queued_bytes
            logger.error("%s: it hangs: nothing taken for %g s, %d bytes wait", self.name, HANGING_SECONDS, waiting)
            await self._next_progress(before)
            logger.warning("%s: it no longer hangs", self.name)

    async def _next_progress(self, before: int) -> None:
        while True:
            await anyio.sleep(HANGING_SECONDS)
            if self.progress != before:
                return

    # -- what it says ------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        self.refuse(await self._link.read(self._receive, self._receive_plain))

    def _receive(self, frame: Frame, *, more: bool = False) -> Awaitable[None] | None:
        if frame.tag in self.policy.kept_back:
            return None
        self._count_received((frame,))
        if self._refused:
            return None
        if is_heavy(frame, self._hub.limits):
            return self._receive_heavy(frame)
        self._link.note(self._hub.receive(self, frame, forgiving=self.policy.forgiving, more=more))
        return self._hub.pause(self)

    async def _receive_heavy(self, frame: Frame) -> None:
        self._link.note(await self._hub.receive_heavy(self, frame, forgiving=self.policy.forgiving))
        if (pause := self._hub.pause(self)) is not None:
            await pause

    async def _receive_plain(self, frames: Sequence[Frame], turn: Turn) -> None:
        position = 0
        while not self._refused:
            start, position = position, self._hub.forward_known(self, frames, position)
            if position > start:
                self._count_received(frames[start:position])
                self._link.note(None)
                if (pause := self._hub.pause(self)) is not None:
                    await pause
            else:
                position = await self._receive_next(frames, position)
            if position == len(frames):
                return
            if turn.over:
                await turn.give_way()

    def _count_received(self, frames: Sequence[Frame]) -> None:
        traffic = self._outbox.traffic
        traffic.messages_in += len(frames)
        for frame in frames:
            traffic.bytes_in += len(frame.data)

    async def _receive_next(self, frames: Sequence[Frame], position: int) -> int:
        """Receive one frame of a row, and return the index of the next."""
        following = position + 1
        more = following < len(frames) and frames[following].tag == EnableBLOB.tag
        if (pause := self._receive(frames[position], more=more)) is not None:
            await pause
        return following

    # -- how it ends -------------------------------------------------------------------------------------------

    def refuse(self, reason: str) -> None:
        """End the connection at once; what waits for the peer is dropped, and what it sends is not done."""
        self._refused = True
        if self._reason is None:
            self._reason = reason
        self._connected.cancel(reason)

    def finish(self, reason: str) -> None:
        """End the connection once the peer has got what waits for it; the caller sets the time limit."""
        if self._reason is None:
            self._reason = reason
        self._link.close()
        if self._reads_no_more:
            self._connected.cancel(reason)

    def finish_sending(self, all_sent: Callable[[], None]) -> None:
        """Send what waits for the peer, then go on reading until the peer ends the connection.

        :param all_sent: called when the peer has got everything, or never will.
        """
        self._all_sent = all_sent
        self._link.close()
        if self._reads_no_more:
            all_sent()


async def run_guarded(peer: Peer) -> str:
    """Run a peer that the hub knows until it ends; its errors are logged and affect nobody else.

    :return: why it ended, in words for people.
    """
    try:
        return await peer.run()
    except FAILURES as error:  # the fault boundary of this peer: all others go on
        failure = failure_in(error)
        logger.error("%s: serving it failed", peer.name, exc_info=failure)
        return "serving it failed"
