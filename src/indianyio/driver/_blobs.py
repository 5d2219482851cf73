"""Sending BLOBs, one at a time and never far ahead of the server.

After each BLOB vector goes a ping; the next one waits for the reply (protocol.md 3.6). A server that never answers
pings costs one time-out and no more; one that has answered before is waited for each time, and never for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import anyio

from indianyio._model import BLOBMember
from indianyio._vocabulary import MAX_DESCRIPTORS
from indianyio.driver._contents import load
from indianyio.driver._link import DriverLink
from indianyio.protocol import OneBLOB, PingRequest, SetBLOBVector

__all__ = ["BLOBSender"]

logger = logging.getLogger(__name__)


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
