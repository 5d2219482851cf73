"""Lets a function that is cancelled end in peace.

A function that moves something stops it in a ``finally``, and stopping takes an exchange with the hardware. In a
cancelled scope every ``await`` raises at once, so the exchange would never take place unless each author
remembered a shield. Here the library provides it. The function is stepped from outside. When its cancellation
arrives, a shield is raised and the function gets :exc:`Aborted` instead. What it then awaits on its way out is
carried out, within a bounded time.

It gets an exception of our own because of task groups inside the function. Behind the shield such a group would
take a cancellation for its own, swallow it, and the function would go on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

import anyio
from anyio import CancelScope

from indianyio._failures import leaves

__all__ = ["Aborted", "ending_in_peace"]

T = TypeVar("T")


class Aborted(BaseException):
    """An operation is being aborted, or its driver is ending; raised inside the operation, where it waits.

    No ``except Exception`` catches it. What an operation awaits on its way out is carried out.
    """


async def ending_in_peace(
    function: Callable[[], Awaitable[T]], *, is_cancelled: Callable[[], bool], grace: float
) -> T:
    """Call and await a function; if it is cancelled, it may still await what it must on its way out.

    :param function: the function.
    :param is_cancelled: returns whether a cancellation that arrives is meant for the function as a whole. A
        time-out that the function has set for a part of itself is its own affair.
    :param grace: seconds for the way out, which is cut off after them.
    :return: what the function returns, even if it does so after having been cancelled.
    :raises TimeoutError: the way out took longer.
    :raises BaseException: whatever leaves the function; the cancellation, if only :exc:`Aborted` leaves it.
    """
    shield = CancelScope()
    try:
        with shield:
            return await _Peaceful(_awaited(function), shield, is_cancelled, grace)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - it becomes a TimeoutError, or is raised
        # On asyncio, a scope lets its own cancellation through if the task had been cancelled from outside before.
        if not shield.cancel_called:
            raise
    raise TimeoutError(f"it did not end within {grace:g} s after it was cancelled")


async def _awaited(function: Callable[[], Awaitable[T]]) -> T:
    return await function()


class _Peaceful(Generic[T]):
    """An awaitable that raises a shield when a cancellation arrives in what it awaits."""

    def __init__(
        self,
        awaited: Coroutine[Any, Any, T],
        shield: CancelScope,
        is_cancelled: Callable[[], bool],
        grace: float,
    ) -> None:
        self._awaited = awaited
        self._shield = shield
        self._is_cancelled = is_cancelled
        self._grace = grace
        self._cancellation: BaseException | None = None

    def __await__(self) -> Generator[Any, Any, T]:
        try:
            return (yield from self._steps())
        except BaseException as error:  # noqa: BLE001 - raised again, or what it stands for
            others = _without_aborted(error)
            if others is not None:
                raise others  # noqa: ASYNC104, B904 - it is the same error, or has been in it
            assert self._cancellation is not None
            raise self._cancellation  # noqa: ASYNC104, B904 - the function has done as it was told

    def _steps(self) -> Generator[Any, Any, T]:
        steps = self._awaited.__await__()
        sent: Any = None
        error: BaseException | None = None
        while True:
            try:
                trap = steps.send(sent) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            sent = error = None
            try:
                sent = yield trap
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as caught:  # noqa: BLE001, ASYNC103 - the function's to see, and thrown in above
                error = Aborted() if self._is_for_all(caught) else caught
            else:
                # trio sends in the outcome, and its own code inside the function raises it.
                if self._is_for_all(getattr(sent, "error", None)):
                    sent = type(sent)(Aborted())

    def _is_for_all(self, error: object) -> bool:
        """Return whether this is the cancellation of the whole function, and if so raise the shield."""
        if self._cancellation is not None or not isinstance(error, anyio.get_cancelled_exc_class()):
            return False
        if not self._is_cancelled():
            return False
        self._cancellation = error
        self._shield.deadline = anyio.current_time() + self._grace
        self._shield.shield = True
        return True


def _without_aborted(error: BaseException) -> BaseException | None:
    """Return an error without the :exc:`Aborted` in it; ``None`` if nothing else is left."""
    if isinstance(error, BaseExceptionGroup):
        others = error.split(Aborted)[1]
        return others if others is None or len(others.exceptions) > 1 else next(leaves(others))
    return None if isinstance(error, Aborted) else error
