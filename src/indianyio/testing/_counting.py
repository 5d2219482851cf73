"""Counting the awaits of a coroutine from outside.

A coroutine gives up control at its awaits and nowhere else. So whatever steps it can count its awaits, on every
back end and without its help.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import anyio

__all__ = ["cancel_at", "counting"]


async def cancel_at(number: int, operation: Callable[[], Awaitable[object]]) -> bool:
    """Run an operation, and cancel it at its n-th await; for sweeps over things with no driver, or with several.

    :param number: the await, counted from 1. Only awaits count at which the operation's own task has to wait, or
        lets others run.
    :param operation: the operation to cancel.
    :return: whether it was cancelled; ``False`` if it had ended before. An operation that carries on after being
        cancelled, and ends as if nothing had happened, counts as cancelled.
    :raises ValueError: the number is below 1.
    """
    if number < 1:
        raise ValueError(f"number is {number}, but the first await is number 1")
    left = number
    with anyio.CancelScope() as scope:

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                scope.cancel()

        await counting(operation, count)
    return scope.cancel_called


async def counting(operation: Callable[[], Awaitable[object]], note: Callable[[], None]) -> None:
    """Run an operation, and call a function at each of its awaits.

    :param note: called before the event loop learns what the task waits for: if it cancels, that wait is cancelled.
    """
    await _Noted(_awaited(operation), note)


async def _awaited(operation: Callable[[], Awaitable[object]]) -> None:
    await operation()


class _Noted:
    """An awaitable that calls a function at each await of what it awaits."""

    def __init__(self, awaited: Coroutine[Any, Any, None], note: Callable[[], None]) -> None:
        self._awaited = awaited
        self._note = note

    def __await__(self) -> Generator[Any, Any, object]:
        steps = self._awaited.__await__()
        step: Callable[[], object] = lambda: next(steps)  # noqa: E731 - it changes below
        while True:
            try:
                trap = step()
            except StopIteration as end:
                return end.value
            self._note()
            try:
                value = yield trap
            except BaseException as error:  # noqa: BLE001, ASYNC103 - the operation's to see, and thrown in below
                step = _throwing(steps, error)
            else:
                step = _sending(steps, value)


def _sending(steps: Generator[Any, Any, object], value: object) -> Callable[[], object]:
    return lambda: steps.send(value)


def _throwing(steps: Generator[Any, Any, object], error: BaseException) -> Callable[[], object]:
    return lambda: steps.throw(error)
