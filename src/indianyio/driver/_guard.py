"""The boundary between our code and that of a driver's author: whatever leaves the latter arrives here as a value.

As a value, because of where an exception would go. asyncio lets a ``SystemExit`` or ``KeyboardInterrupt`` that
leaves a task end the event loop there and then, without a ``leave()`` of any driver. And a failure beside a
cancellation makes a group that ``except Exception`` does not catch.

There is no other place from which the author's code is called, and the watch learns here what it is that is called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from indianyio._failures import uncancelled
from indianyio.driver._watch import Step, Watch, until_it_waits, watched

__all__ = ["Guard"]


class Guard:
    """Calls the functions of a driver's author.

    :param name: the driver, for log lines.
    :param is_cancelled: says whether what the guard calls is to end; a cancellation that leaves it at any other
        time is an error.
    :ivar is_cancelled: the same.
    :ivar watch: sees the steps of what is called; :func:`~indianyio.driver._watch.until_it_waits` shows them to it.
    """

    def __init__(self, name: str, is_cancelled: Callable[[], bool]) -> None:
        self._name = name
        self.is_cancelled = is_cancelled
        self.watch = Watch.of_this_thread()
        self._steps: dict[str, Step] = {}

    async def failure_of_task(self, function: Callable[..., Awaitable[object]]) -> BaseException | None:
        """Do what :meth:`failure_of` does, in a task that does nothing else."""
        return await until_it_waits(self.failure_of(function), self.watch, _nothing)

    async def failure_of(self, function: Callable[..., Awaitable[object]], *args: object) -> BaseException | None:
        """Call a function, await what it returns, and return what left it, if anything did.

        asyncio's CancelledError leaves not only what was cancelled, but also what awaited a task that somebody else
        cancelled, or what had entered a cancel scope and never left it. That is an error of the code like any
        other; taken for a cancellation of this task it would end the driver without a word.

        To be stepped by :func:`~indianyio.driver._watch.until_it_waits`, or the watch sees wrong steps.

        :return: an :class:`Exception`, or what is graver: ``SystemExit``, ``KeyboardInterrupt``, a group with one
            of these in it, or anything else. No cancellation is in it.
        """
        what = getattr(function, "__name__", "a function")
        try:
            await watched(self.watch, self._step(what), function, args)
        except GeneratorExit:
            raise  # our own task is closed, not cancelled: its loop has gone
        except BaseException as error:  # noqa: ASYNC103 - the fault boundary; cancellations are raised below
            failure = uncancelled(error)
            if failure is not None:
                return failure  # noqa: ASYNC104 - the task ends, or meets its cancellation again
            if self.is_cancelled():
                raise
            stray = RuntimeError(f"{what} awaited something that was cancelled")
            stray.__cause__ = error
            return stray  # noqa: ASYNC104 - nobody cancelled this task
        return None

    def _step(self, what: str) -> Step:
        step = self._steps.get(what)
        if step is None:
            step = self._steps[what] = Step(self._name, what)
        return step


def _nothing() -> None:
    """Hand nothing over."""
