"""Notices runs in which time no longer passes, or which never end.

Virtual time passes only when every task waits. A message that runs in a circle on lines without delay, or a task
that asks the same question again and again, keeps a run at one moment for ever, and whatever waits for a later time
would never notice.
"""

from __future__ import annotations

import trio

__all__ = ["Standstill"]

# In each turn, all tasks that are ready run. A million turns take half a minute; an image of a megabyte that
# arrives byte by byte needs as many.
_MOST_AT_A_MOMENT = 1_000_000
_MOST_IN_A_RUN = 10_000_000


class Standstill(trio.abc.Instrument):
    """Counts the turns of the scheduler, at one moment and in all; :func:`trio.lowlevel.add_instrument` takes it.

    :param most_at_a_moment: how many there may be while time stands still.
    :param most_in_a_run: how many there may be in all.
    :ivar turns: how many there were in all.
    :ivar longest: the most that there were while time stood still.
    """

    def __init__(self, *, most_at_a_moment: int = _MOST_AT_A_MOMENT, most_in_a_run: int = _MOST_IN_A_RUN) -> None:
        self.turns = 0
        self.longest = 0
        self._most_at_a_moment = most_at_a_moment
        self._most_in_a_run = most_in_a_run
        self._moment = -1.0
        self._since = 0
        self._exceeded = trio.Event()

    def before_io_wait(self, timeout: float) -> None:
        """Count a turn; trio calls this once in each."""
        self.turns += 1
        now = trio.current_time()
        if now != self._moment:
            self._moment, self._since = now, self.turns
        here = self.turns - self._since
        self.longest = max(self.longest, here)
        if here > self._most_at_a_moment or self.turns > self._most_in_a_run:
            # trio calls this outside of all tasks, so nothing can be raised here; a task waits for the event.
            self._exceeded.set()

    async def noticed(self) -> str:
        """Wait until there are too many, and return what is wrong, in a sentence."""
        await self._exceeded.wait()
        if self.longest > self._most_at_a_moment:
            return f"time does not pass any more: all tasks had {self.longest} turns at one moment"
        return f"the run does not end: all tasks had {self.turns} turns"
