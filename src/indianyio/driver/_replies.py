"""The answers of the reader, which must never wait.

Definitions, refusals and pings are answered by the task that reads, at once, so that no answer waits behind a
handler. While the peer reads nothing and its outbox is full, the answers wait here, at most one for each thing
there is to say: a definition asked for a thousand times is sent once, as it is then. So the reader goes on to the
next command, an Abort perhaps, and memory does not grow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime

import anyio

from indianyio._rated_log import RatedLog
from indianyio.driver._link import DriverLink
from indianyio.driver._vectors import AnyVector
from indianyio.protocol import WireMessage

__all__ = ["Replies"]

logger = logging.getLogger(__name__)


class Replies:
    """What is still to be answered to one peer.

    :param link: the peer.
    :param limit: how many different answers may wait; the oldest ones are kept.
    """

    def __init__(self, link: DriverLink, *, limit: int = 10_000) -> None:
        self._link = link
        self._limit = limit
        self._pending: dict[Hashable, Callable[[], WireMessage | None]] = {}
        self._added = anyio.Event()
        self._log = RatedLog(logger)

    def answer(self, key: Hashable, make: Callable[[], WireMessage | None]) -> None:
        """Send what ``make`` returns, now if there is room, else as soon as there is.

        :param key: what is answered; a later answer to the same takes the place of one that still waits.
        :param make: called once, when the answer is sent; returns ``None`` if by then there is nothing to say.
        """
        if not self._pending and self._link.has_room:
            message = make()
            if message is not None:
                self._link.offer(message)
        elif key in self._pending or len(self._pending) < self._limit:
            self._pending[key] = make
            self._added.set()

    def refuse(self, vector: AnyVector, reason: str) -> None:
        """Answer a write with Alert, the reason, and the values as they are when the answer is sent."""
        self._log.warning("refused", "%s: %s.%s: %s", self._link.name, vector.devicename, vector.name, reason)
        vector.note_refusal()

        def make() -> WireMessage | None:
            return vector.refusal(reason, timestamp=datetime.now(UTC)) if vector.is_enabled else None

        self.answer(("refuse", vector), make)

    async def run(self) -> None:
        """Send the answers that had to wait; runs until it is cancelled."""
        while True:
            await self._added.wait()
            self._added = anyio.Event()
            if self._pending:
                await self._link.send_made(self._all)

    def _all(self) -> Iterator[WireMessage]:
        # All at once: between two of them a newer update could go out, and be followed by the older answer.
        pending, self._pending = self._pending, {}
        for make in pending.values():
            message = make()
            if message is not None:
                yield message
