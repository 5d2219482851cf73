"""How long the server bears with a peer that sends a driver more than it takes.

While a driver is taking a large message, the server stops reading from the message's sender, so that its next
message finds room. That lasts only as long as the driver takes something: the same connection may bring the Abort
for another instrument. Any other message that finds no room is refused, and a client that goes on regardless is
disconnected.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import anyio

__all__ = ["Patience", "Taker"]

# A driver that takes nothing for this long counts as hanging. It is longer than decoding a piece of an image takes,
# and short beside the 200 ms within which an Abort must be answered.
_STILL_SECONDS = 0.1
_LOOKS = 10

# How long a client may go on sending what is refused, and how long it must be quiet for that time to start anew.
_BEAR_SECONDS = 30.0
_QUIET_SECONDS = 5.0


@runtime_checkable
class Taker(Protocol):
    """A peer for which messages wait."""

    @property
    def progress(self) -> int:
        """A number that grows whenever the peer takes something."""

    def is_behind(self, sender: object) -> bool:
        """Tell whether a sender has used up its share with large messages, so that waiting helps."""


class Patience:
    """What the server remembers about one peer that sent too much."""

    def __init__(self) -> None:
        self._since = self._last = float("-inf")
        # The drivers that are behind, each with its progress when it was last found to take nothing.
        self._slow: dict[Taker, int | None] = {}

    @property
    def is_needed(self) -> bool:
        """Whether :meth:`wait` may have to wait."""
        return bool(self._slow)

    def note_slow(self, taker: Taker) -> None:
        """Note that a driver is busy with a large message from the peer."""
        self._slow.setdefault(taker, None)

    def note_refusal(self, now: float) -> bool:
        """Note that a message was refused.

        :param now: the time, in seconds.
        :return: whether the peer has gone on for too long.
        """
        if now - self._last > _QUIET_SECONDS:
            self._since = now
        self._last = now
        return now - self._since >= _BEAR_SECONDS

    async def wait(self, sender: object) -> None:
        """Wait until each driver has taken the peer's large messages, or has stopped taking anything."""
        for taker in list(self._slow):
            while taker.is_behind(sender):
                if not await self._moves(taker):
                    break
            else:
                self._slow.pop(taker, None)

    async def _moves(self, taker: Taker) -> bool:
        before = taker.progress
        if before == self._slow.get(taker):
            return False  # nothing taken since the last wait
        for _ in range(_LOOKS):
            await anyio.sleep(_STILL_SECONDS / _LOOKS)
            if taker.progress != before:
                return True
        self._slow[taker] = before
        return False
