"""Task groups that leave nothing behind when asyncio closes its loop.

asyncio does that at once when a task or a callback that is not ours ends with ``SystemExit`` or
``KeyboardInterrupt``. It then cancels all tasks, also those that it has not come to yet. A task that is cancelled
so early never calls the coroutine that anyio has made for it, and Python says on standard error that this coroutine
was never awaited, which looks like a fault of whoever wrote it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVarTuple

import anyio
from anyio import CancelScope

__all__ = ["TaskStarter", "Tasks", "is_unbegun"]

ArgsT = TypeVarTuple("ArgsT")


# How many coroutines may be kept that need it no more.
_FEW = 8


class TaskStarter(Protocol):
    """What starts tasks: a task group of anyio's, or one of these."""

    def start_soon(
        self, func: Callable[[*ArgsT], Coroutine[Any, Any, None]], *args: *ArgsT, name: object = None
    ) -> object:
        """Start a task."""


class Tasks:
    """A task group of anyio's, which closes the coroutines of tasks that never began.

    :ivar cancel_scope: cancels the tasks and the block; it is there from the beginning of the block.
    """

    def __init__(self) -> None:
        self._group = anyio.create_task_group()
        self._made: list[Coroutine[Any, Any, None]] = []
        self._most_made = _FEW  # with more, those that have begun are left out
        self.cancel_scope: CancelScope

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        # On trio there is none before.
        self.cancel_scope = self._group.cancel_scope
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            return await self._group.__aexit__(kind, error, traceback)  # noqa: ASYNC102 - the end of a group
        finally:
            made, self._made = self._made, []
            for coroutine in filter(is_unbegun, made):
                coroutine.close()
            # An error whose traceback leads here must not be held from here: what a connection has opened would
            # only be closed by the garbage collector.
            del error, traceback

    def start_soon(
        self, func: Callable[[*ArgsT], Coroutine[Any, Any, None]], *args: *ArgsT, name: object = None
    ) -> None:
        """Start a task, which begins when the event loop comes to it."""

        def make() -> Coroutine[Any, Any, None]:
            coroutine = func(*args)
            self._made.append(coroutine)
            return coroutine

        # Those that have begun by now, nearly all, need no closing any more.
        if len(self._made) >= self._most_made:
            self._made = list(filter(is_unbegun, self._made))
            self._most_made = 2 * len(self._made) + _FEW
        self._group.start_soon(make, name=_name_of(func) if name is None else name)


def is_unbegun(coroutine: Coroutine[Any, Any, object]) -> bool:
    """Return whether a coroutine object has had no step yet."""
    return inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED


def _name_of(func: Callable[..., object]) -> str:
    function = func.func if isinstance(func, partial) else func
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"
