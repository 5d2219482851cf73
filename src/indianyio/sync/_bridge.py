"""From a thread without an event loop to the client's, and back: calls and blocks that wait there.

What is interrupted (by Ctrl-C, or another exception out of a signal handler) is cancelled in the client's thread,
and has ended when the interruption comes out of the call: whatever it had begun is stopped by then. A second
interruption waits no longer.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Generic, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

__all__ = ["Bridge"]

R = TypeVar("R")
T = TypeVar("T")


class Bridge:
    """The way to a client's thread, for as long as its block lasts.

    :param portal: leads there.
    """

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal: BlockingPortal | None = portal
        self._thread = portal.call(threading.get_ident)

    def close(self) -> None:
        """Refuse all further calls."""
        self._portal = None

    @property
    def is_usable(self) -> bool:
        """Whether this thread can call now."""
        return self._portal is not None and threading.get_ident() != self._thread

    def call(self, body: Callable[[], Awaitable[R]]) -> R:
        """Call an asynchronous function in the client's thread, and wait for what it returns.

        :raises RuntimeError: the block is over, or this is the client's own thread.
        """
        return _Task(self._open(), body).wait()

    def call_now(self, function: Callable[[], R]) -> R:
        """Call a function that does not wait in the client's thread, and return what it returns."""

        async def body() -> R:  # noqa: ASYNC124 - what a call takes
            return function()

        return self.call(body)

    @contextmanager
    def block(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
        """Enter and leave an asynchronous block in the client's thread, in one task, around this block.

        What this block raises comes out of it as it is, once the other block has ended; what that raises comes out
        if this one has raised nothing.
        """
        portal = self._open()
        entered: Future[tuple[T, anyio.Event]] = Future()

        async def hold() -> None:
            leaving = anyio.Event()
            async with make() as value:
                entered.set_result((value, leaving))
                await leaving.wait()

        task = _Task(portal, hold)
        task.pass_failure(entered)
        value, leaving = task.wait_for(entered)
        try:
            yield value
        except BaseException:
            portal.start_task_soon(leaving.set)
            with suppress(Exception):
                task.wait()
            raise
        portal.start_task_soon(leaving.set)
        task.wait()

    def _open(self) -> BlockingPortal:
        if self._portal is None:
            raise RuntimeError("the client has ended: use it within the block of open_client")
        if threading.get_ident() == self._thread:
            raise RuntimeError("a function that the client calls in its own thread must not wait for the client")
        return self._portal


class _Task(Generic[R]):
    """Something that runs in the client's thread, and that another thread waits for."""

    def __init__(self, portal: BlockingPortal, body: Callable[[], Awaitable[R]]) -> None:
        self._portal = portal
        self._body = body
        self._scope: anyio.CancelScope | None = None
        self._is_cancelled = False
        self._result: Future[R] = portal.start_task_soon(self._run)

    async def _run(self) -> R:
        with anyio.CancelScope() as self._scope:
            if not self._is_cancelled:
                return await self._body()
        raise InterruptedError("the call was interrupted")  # nobody looks at this any more

    def wait(self) -> R:
        """Return what comes out of it, or raise it."""
        return self.wait_for(self._result)

    def wait_for(self, result: Future[T]) -> T:
        """Return what a future brings that the task sets; interrupted, cancel the task and wait for its end."""
        try:
            return result.result()
        except BaseException:
            if not self._result.done():
                self._portal.start_task_soon(self._cancel)
                with suppress(Exception):
                    self._result.result()
            raise

    def pass_failure(self, result: Future[T]) -> None:
        """Have a future that the task has not set when it ends raise what the task has raised."""

        def over(ended: Future[R]) -> None:
            if not result.done():
                failure = None if ended.cancelled() else ended.exception()
                result.set_exception(failure or InterruptedError("the client has ended"))

        self._result.add_done_callback(over)

    def _cancel(self) -> None:
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel("the thread that waits was interrupted")
