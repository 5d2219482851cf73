"""What runs beside a driver's hardware(): functions that are started with every run, coroutines that run once."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from indianyio._tasks import is_unbegun

__all__ = ["Background", "BackgroundWork", "Job"]

Job: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
BackgroundWork: TypeAlias = Callable[..., Awaitable[object]] | Coroutine[Any, Any, object]


class Background:
    """The background work of a driver or a device.

    A coroutine object can be awaited once, so it serves one run; one that no run ever started is closed with its
    owner, where it would otherwise be reported as never awaited.
    """

    def __init__(self) -> None:
        self._functions: list[Job] = []
        self._coroutines: list[tuple[Coroutine[Any, Any, object], weakref.finalize[[], Background]]] = []
        self._taken: list[Coroutine[Any, Any, object]] = []
        self._spawn: Callable[[Job], None] | None = None

    def add(self, work: BackgroundWork, *args: object) -> None:
        """Have ``work`` run with every run from now on, the present one included.

        :param work: an async function, called with ``args``; or a coroutine object, as indipydriver takes it.
        :raises TypeError: it is neither, or arguments came with a coroutine object.
        """
        if inspect.iscoroutine(work):
            if args:
                raise TypeError("a coroutine object takes no further arguments; hand over the function instead")
            self._add_coroutine(work)
        elif callable(work):
            function = work

            async def call() -> None:
                await function(*args)

            call.__name__ = getattr(function, "__name__", call.__name__)
            self._functions.append(call)
            self._start(call)
        else:
            raise TypeError(f"background work is an async function or a coroutine object, not {work!r}")

    def begin(self, spawn: Callable[[Job], None]) -> None:
        """Start everything with ``spawn``, and whatever is added until :meth:`end` as well."""
        self._spawn = spawn
        for function in self._functions:
            spawn(function)
        for coroutine, closing in self._coroutines:
            closing.detach()
            self._take(coroutine, spawn)
        self._coroutines.clear()

    def end(self) -> None:
        """Start nothing more, and close the coroutine objects that no task has begun with."""
        self._spawn = None
        for _, closing in self._coroutines:
            closing()
        self._coroutines.clear()
        for coroutine in filter(is_unbegun, self._taken):
            coroutine.close()
        self._taken.clear()

    def _add_coroutine(self, coroutine: Coroutine[Any, Any, object]) -> None:
        if self._spawn is not None:
            self._take(coroutine, self._spawn)
        else:
            self._coroutines.append((coroutine, weakref.finalize(self, coroutine.close)))

    def _take(self, coroutine: Coroutine[Any, Any, object], spawn: Callable[[Job], None]) -> None:
        self._taken = [*filter(is_unbegun, self._taken), coroutine]
        spawn(_awaiting(coroutine))

    def _start(self, job: Job) -> None:
        if self._spawn is not None:
            self._spawn(job)


def _awaiting(coroutine: Coroutine[Any, Any, object]) -> Job:
    async def run() -> None:
        await coroutine

    run.__name__ = getattr(coroutine, "__name__", run.__name__)
    return run
