"""A peer of the server at the other end of a byte stream: a client, a driver's process, another server.

There is one class for all of them. In what they differ is a value, their :class:`PeerPolicy`, and the outbox that
bounds what waits for them. A driver of the server's own process has no bytes, and a class of its own
(``_local_driver``).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from anyio import CancelScope, create_task_group

from indianyio._failures import FAILURES, failure_in
from indianyio._link import Link, Turn
from indianyio._rated_log import RatedLog
from indianyio._routing import DriverOutbox, PeerOutbox, PeerStatistics, Relayed, Room
from indianyio.protocol import EnableBLOB, Frame, NewBLOBVector
from indianyio.server._hub import Hub
from indianyio.streams import ByteStream

__all__ = ["CLIENT", "FEEDER", "Peer", "PeerPolicy", "run_guarded"]

logger = logging.getLogger(__name__)

HANGING_SECONDS = 60.0
"""A driver that takes nothing for so long, though something waits for it, is logged as one that hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPolicy:
    """How the server treats a kind of peer.

    :ivar hears_out: whether a peer that reads no more is still heard until it has said everything, as a client is
        that writes and leaves (protocol.md 2.8). A driver whose input is closed is dead (S9).
    :ivar forgiving: whether what exceeds a limit costs the message only, and not the connection.
    :ivar takes_attachments: whether it reads BLOBs that come as descriptors, if its stream carries these at all.
        libindi's drivers send them so and do not read them (protocol.md S32).
    :ivar logs_hanging: whether it is logged when the peer takes nothing, though something waits for it.
    :ivar kept_back: tags of messages that pass neither way.
    """

    hears_out: bool = False
    forgiving: bool = False
    takes_attachments: bool = False
    logs_hanging: bool = False
    kept_back: frozenset[str] = frozenset()


CLIENT: Final = PeerPolicy(hears_out=True, takes_attachments=True)
"""The policy for a client."""

FEEDER: Final = PeerPolicy(forgiving=True, logs_hanging=True)
"""The policy for what brings devices, and is kept whatever it sends.

A driver that prints on standard output or sends a text of 2 MB is untidy, and no reason to end an instrument;
another server passes on what any of its clients sends.
"""


class Peer:
    """One connection, from the first byte to the last.

    :param hub: what receives the peer's frames.
    :param stream: the bytes; closed by whoever made it.
    :param outbox: what may wait for the peer.
    :param policy: how it is treated.
    :param name: who it is, for log lines; the stream's name if absent.
    """

    def __init__(
        self,
        hub: Hub,
        stream: ByteStream,
        outbox: PeerOutbox | DriverOutbox,
        policy: PeerPolicy,
        *,
        name: str | None = None,
    ) -> None:
        self.name = name or stream.name
        self.policy = policy
        self._hub = hub
        self._outbox = outbox
        self._link = Link(stream, limits=hub.limits, outbox=outbox, forgiving=policy.forgiving)
        self._attach = policy.takes_attachments and stream.carries_attachments
        self._refused = False
        self._connected = CancelScope()
        self._reason: str | None = None
        self._reads_no_more = False
        self._all_sent: Callable[[], None] | None = None
        self._delivered = anyio.Event()
        self._log = RatedLog(logger)

    async def run(self) -> str:
        """Pass frames both ways until either side ends it; the hub must know this peer by now.

        :return: why it ended, in words for people.
        """
        with self._connected:
            async with create_task_group() as tasks:
                tasks.start_soon(self._write)
                if self.policy.logs_hanging:
                    tasks.start_soon(self._log_hanging)
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

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far."""
        return self._outbox.statistics()

    # -- what it gets ------------------------------------------------------------------------------------------

    def deliver(self, relay: Relayed) -> Room | None:
        """Queue a message; see :meth:`indianyio.server._hub.Port.deliver`.

        A client that is too far behind is disconnected (protocol.md 2.8).
        """
        if self.policy.kept_back and (tag := relay.came[0].tag) in self.policy.kept_back:
            level = logging.WARNING if tag == NewBLOBVector.tag else logging.DEBUG
            self._log.log(tag, level, "%s: a %s is kept back, as no BLOBs are to pass", self.name, tag)
            return None
        try:
            room = self._outbox.accept(relay, attach=self._attach)
        except ValueError as error:
            logger.warning("%s: a BLOB cannot be read and is left out: %s", self.name, error)
            return None
        if self._outbox.failure is not None:
            self.refuse(self._outbox.failure)
        self._delivered.set()
        self._link.push()
        return room

    async def _write(self) -> None:
        reason = await self._link.write()
        self._reads_no_more = True
        if self._all_sent is not None:
            self._all_sent()
        elif self.policy.hears_out and self._reason is None:
            logger.info("%s: %s", self.name, reason)
        else:
            self.refuse(self._reason or reason)

    async def _log_hanging(self) -> None:
        """Log when the peer hangs, and when it moves again; nothing else is done about it."""
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
            logger.warning("%s: it hangs no more", self.name)

    async def _next_progress(self, before: int) -> None:
        while True:
            await anyio.sleep(HANGING_SECONDS)
            if self.progress != before:
                return

    # -- what it says ------------------------------------------------------------------------------------------

    def _receive(self, frame: Frame, *, more: bool = False) -> Awaitable[None] | None:
        if frame.tag in self.policy.kept_back:
            return None
        self._outbox.count_received(len(frame.data))
        if self._refused:
            return None
        if self._hub.is_heavy(frame):
            return self._receive_heavy(frame)
        self._link.note(self._hub.receive(self, frame, forgiving=self.policy.forgiving, more=more))
        return self._hub.pause(self)

    async def _receive_heavy(self, frame: Frame) -> None:
        self._link.note(await self._hub.receive_heavy(self, frame, forgiving=self.policy.forgiving))
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

    # -- how it ends -------------------------------------------------------------------------------------------

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
        if self._reads_no_more:
            self._connected.cancel(reason)

    def part(self, all_sent: Callable[[], None]) -> None:
        """Send what waits for the peer, and hear it out: the connection lasts until the peer ends it.

        :param all_sent: called when the peer has got everything, or never will.
        """
        self._all_sent = all_sent
        self._link.close()


async def run_guarded(peer: Peer) -> str:
    """Run a peer that the hub knows until it ends; what fails in it is its own matter.

    :return: why it ended, in words for people.
    """
    try:
        return await peer.run()
    except FAILURES as error:  # the fault boundary of this peer: all others go on
        failure = failure_in(error)
        logger.error("%s: serving it failed", peer.name, exc_info=failure)
        return "serving it failed"
