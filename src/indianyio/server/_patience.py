"""How long the server bears with a peer that sends a driver more than it takes.

For a driver that is taking a large message its sender is not read for a while, so that what it sends next finds
room. That lasts only while the driver takes something: the same connection may bring the Abort for another
instrument. Whatever else finds no room is refused, and a client that goes on regardless is disconnected.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import anyio

__all__ = ["Patience", "Taker"]

# So long a driver must have taken nothing to count as one that hangs: longer than it takes to decode a piece of an
# image, and short beside the 200 ms within which an Abort is to be answered.
_STILL_SECONDS = 0.1
_LOOKS = 10

# For how long a client may go on sending what is refused, and after how much quiet it starts afresh.
_BEAR_SECONDS = 30.0
_QUIET_SECONDS = 5.0


@runtime_checkable
class Taker(Protocol):
    """A peer for which messages wait."""

    @property
    def progress(self) -> int:
        """A number that grows whenever the peer takes something."""

    def is_behind(self, sender: object) -> bool:
        """Tell whether a sender has used up its share with large messages, for which it can wait."""


class Patience:
    """What the server remembers of one peer that sent too much."""

    def __init__(self) -> None:
        self._since = self._last = float("-inf")
        # Those that are behind, each with what its progress was when it was found to take nothing.
        self._slow: dict[Taker, int | None] = {}

    @property
    def is_needed(self) -> bool:
        """Whether :meth:`wait` may have to wait."""
        return bool(self._slow)

    def note_slow(self, taker: Taker) -> None:
        """Take note of a driver that is busy with a large message of the peer."""
        self._slow.setdefault(taker, None)

    def note_refusal(self, now: float) -> bool:
        """Take note of a message that was refused.

        :param now: the time, in seconds.
        :return: whether the peer has gone on for too long.
        """
        if now - self._last > _QUIET_SECONDS:
            self._since = now
        self._last = now
        return now - self._since >= _BEAR_SECONDS

    async def wait(self, sender: object) -> None:
        """Wait until all drivers have taken the large messages of the peer, or take nothing any more."""
        for taker in list(self._slow):
            while taker.is_behind(sender):
                if not await self._moves(taker):
                    break
            else:
                self._slow.pop(taker, None)

    async def _moves(self, taker: Taker) -> bool:
        before = taker.progress
        if before == self._slow.get(taker):
            return False  # as it was when it was last waited for
        for _ in range(_LOOKS):
            await anyio.sleep(_STILL_SECONDS / _LOOKS)
            if taker.progress != before:
                return True
        self._slow[taker] = before
        return False
