"""The run of a driver, as the operations and the polling of its instrument see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from indianyio.driver import AnyVector, IPyDriver
from indianyio.driver._guard import Guard

__all__ = ["Host"]


class Host:
    """Runs the tasks of an instrument, and passes its refusals and failures to the run of its driver.

    :param driver: the instrument's driver.
    :param name: the instrument, for log lines.
    :ivar after_poll: called after each poll.
    """

    def __init__(self, driver: IPyDriver, name: str) -> None:
        self._driver = driver
        self._name = name
        self.after_poll: Callable[[], None] = _nothing

    @property
    def grace(self) -> float:
        """How long something that is cancelled may take on its way out, in seconds."""
        return self._driver.grace

    def run_beside(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run a coroutine in a task of this run; if the run is over, close the coroutine and return ``False``."""
        if self._driver._run_state.present is None or self._driver.stop:
            work.close()
            return False
        self._driver.add_background(work)
        return True

    def is_ending(self) -> bool:
        """Return whether the work of the run is being cancelled."""
        present = self._driver._run_state.present
        return present is None or present.is_ending()

    def refuse(self, vector: AnyVector, reason: str) -> None:
        """Answer a write with Alert and the reason; a vector that is Busy stays Busy."""
        if self._driver._run_state.present is not None:
            self._driver._run_state.present.refuse(vector, reason)

    def count_waiting(self, vector: AnyVector) -> int:
        """Return how many writes to a vector wait behind the one being handled."""
        present = self._driver._run_state.present
        return 0 if present is None else present.count_waiting(vector)

    def fail(self, failure: BaseException) -> None:
        """End the run because of an exception that has left the author's code."""
        if self._driver._run_state.present is not None:
            self._driver._run_state.present.fail(failure)

    async def failure_of(
        self, function: Callable[..., Awaitable[object]], is_cancelled: Callable[[], bool]
    ) -> BaseException | None:
        """Call a function of the author's, and return the exception that left it; a cancellation is raised."""
        return await self.guard(is_cancelled).failure_of(function)

    def guard(self, is_cancelled: Callable[[], bool]) -> Guard:
        """Return a guard, which calls functions of the author's again and again."""
        return Guard(self._name, is_cancelled)


def _nothing() -> None:
    """Do nothing."""
