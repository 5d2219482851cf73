"""A client's own thread: an event loop runs in it, and other threads have things done there and wait for them.

All that is done for other threads happens in tasks of one group inside the client's block. So when the block ends,
what is still under way is cancelled while there is still a connection: a telescope that moves can be stopped.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from threading import Lock, Thread, get_ident
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal

from indianyio._failures import EXITS, FAILURES, failure_in
from indianyio.exceptions import ConnectionLostError, INDIError

__all__ = ["Calls", "calls_in_a_thread"]

T = TypeVar("T")
O = TypeVar("O", bound=object)  # noqa: E741 - an original


@contextmanager
def calls_in_a_thread(backend: str) -> Generator[Calls]:
    """Have a thread with an event loop for as long as the block lasts.

    :param backend: ``"asyncio"`` or ``"trio"``.
    :raises RuntimeError: an event loop runs in this thread already, and would be held up.
    """
    if (
        _is_in_event_loop() and "ipykernel" not in sys.modules
    ):  # a notebook's cells run in a loop, and may hold it up
        raise RuntimeError(
            "indianyio.sync waits, which would stop the event loop that runs in this thread; "
            "use 'async with indianyio.open_client(...)' there"
        )
    # anyio.from_thread.start_blocking_portal() waits for ever if Ctrl-C comes while the loop starts.
    started: Future[BlockingPortal] = Future()
    thread = Thread(target=_run_portal, args=(started, backend), name="indianyio client", daemon=True)
    thread.start()
    try:
        portal = started.result()
        assert thread.ident is not None
        yield Calls(portal, thread.ident)
    finally:
        if not started.cancel() and started.exception() is None:
            portal = started.result()
            with suppress(RuntimeError):  # it has ended by itself
                portal.start_task_soon(portal.stop, True)
        thread.join()


def _run_portal(started: Future[BlockingPortal], backend: str) -> None:
    async def main() -> None:
        async with BlockingPortal() as portal:
            if started.set_running_or_notify_cancel():
                started.set_result(portal)
                await portal.sleep_until_stopped()

    try:
        anyio.run(main, backend=backend)
    except BaseException as error:  # noqa: ASYNC103 - raised by the thread that waits for the start
        if started.done():
            raise
        started.set_exception(error)


class Calls:
    """What other threads have done in a client's thread."""

    def __init__(self, portal: BlockingPortal, thread: int) -> None:
        self._portal = portal
        self._thread = thread
        self._tasks: TaskGroup | None = None
        self._why_ended: Callable[[], str | None] = lambda: None
        self._twins: WeakValueDictionary[object, Any] = WeakValueDictionary()
        self._twins_lock = Lock()

    def twin(self, original: O, make: Callable[[Calls, O], T]) -> T:
        """Return what stands for an object of the event loop, every time the same while somebody has it."""
        with self._twins_lock:
            known: T | None = self._twins.get(original)
            if known is not None:
                return known
            twin = make(self, original)
            self._twins[original] = twin
            return twin

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Have something done, and wait for it.

        If an exception arrives in this thread meanwhile (Ctrl-C), what was asked for is cancelled, and has ended
        when that exception comes out.

        :raises ConnectionLostError: the client has ended, or ends meanwhile.
        """
        self._refuse_own_thread()
        job = self._begin(_Job(function, self._error_of_end))
        return self._wait_for(job, job.future)

    def read(self, function: Callable[[], T]) -> T:
        """Look at something between two changes of it, whether the client has ended or not."""

        async def look() -> T:  # noqa: ASYNC124
            return function()

        if get_ident() == self._thread:
            return function()
        try:
            return self.call(look)
        except ConnectionLostError:
            return function()  # it changes no more

    @contextmanager
    def block(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> Generator[T]:
        """Have an asynchronous block around a block of this thread."""
        self._refuse_own_thread()
        with self._held(make, self._begin) as value:
            yield value

    @contextmanager
    def client_block(
        self, make: Callable[[], AbstractAsyncContextManager[T]], why_ended: Callable[[T], str | None]
    ) -> Generator[T]:
        """Have the client's block around a block of this thread; all calls are done within it.

        :param why_ended: why the client has ended, ``None`` while it has not.
        """

        @asynccontextmanager
        async def with_tasks() -> AsyncGenerator[T]:
            async with make() as client, anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._why_ended = lambda: why_ended(client)
                try:
                    yield client
                finally:
                    self._tasks = None
                    tasks.cancel_scope.cancel("the client ends")

        with self._held(with_tasks, self._begin_outside) as client:
            yield client

    @contextmanager
    def _held(
        self, make: Callable[[], AbstractAsyncContextManager[T]], begin: Callable[[_Job[None]], _Job[None]]
    ) -> Generator[T]:
        entered: Future[T] = Future()
        leave: anyio.Event

        async def hold() -> None:
            nonlocal leave
            leave = anyio.Event()
            async with make() as value:
                entered.set_result(value)
                await leave.wait()

        def has_ended(future: Future[None]) -> None:
            if not entered.done():
                entered.set_exception(future.exception() or CancelledError())

        job = _Job(hold, self._error_of_end)
        job.future.add_done_callback(has_ended)
        value = self._wait_for(begin(job), entered)
        try:
            yield value
        except BaseException as error:
            self._end_block(job, lambda: leave.set(), error)
            raise
        else:
            self._end_block(job, lambda: leave.set(), None)

    def _end_block(self, job: _Job[None], leave: Callable[[], None], error: BaseException | None) -> None:
        """Leave an asynchronous block, and wait until it has ended.

        What it raises comes out, unless the block here has raised something that says more.
        """
        if not job.future.done():
            self._post(leave)
        try:
            self._wait_for(job, job.future)
        except Exception as failure:
            if error is None:
                raise
            if isinstance(failure, ConnectionLostError):
                return  # the block's error is of this thread, and shows where
            if isinstance(error, ConnectionLostError):
                raise failure from None
            error.add_note(f"the client had failed too: {failure!r}")

    # -- to the other thread and back ------------------------------------------------------------------------------

    def _begin(self, job: _Job[T]) -> _Job[T]:
        def begin() -> None:
            if self._tasks is None:
                job.future.set_exception(self._error_of_end())
            else:
                self._tasks.start_soon(job.run)

        job.begin = lambda: self._post(begin)
        return job

    def _begin_outside(self, job: _Job[T]) -> _Job[T]:
        def begin() -> None:
            self._portal.start_task_soon(job.run)

        job.begin = begin
        return job

    def _wait_for(self, job: _Job[Any], result: Future[T]) -> T:
        try:
            job.begin()
            job.begin = _nothing
            return result.result()
        except BaseException as error:
            if not job.future.done():
                self._post(job.cancel)
                _wait_until_done(job.future)
            if isinstance(error, INDIError | TimeoutError):
                error.__traceback__ = None  # of the other thread, where no line is the reader's
            raise
        finally:
            del job, result  # with an exception they would be a cycle

    def _post(self, function: Callable[[], None]) -> None:
        try:
            self._portal.start_task_soon(function)
        except RuntimeError:
            raise self._error_of_end() from None

    def _error_of_end(self) -> ConnectionLostError:
        return ConnectionLostError(self._why_ended() or "the client has ended")

    def _refuse_own_thread(self) -> None:
        if get_ident() == self._thread:
            raise RuntimeError(
                "a condition or a progress function may read, but neither wait nor write: the client's own thread "
                "calls it, and would wait for itself"
            )


class _Job(Generic[T]):
    """Something that is done in the event loop.

    All methods are called there.

    :ivar begin: has it begun, from the thread that wants it.
    :ivar future: its result; done only when nothing of it runs any more.
    """

    def __init__(self, function: Callable[[], Awaitable[T]], error_of_end: Callable[[], Exception]) -> None:
        self.future: Future[T] = Future()
        self.begin: Callable[[], None] = _nothing
        self._function = function
        self._error_of_end = error_of_end
        self._scope: anyio.CancelScope | None = None

    async def run(self) -> None:
        """Do it."""
        if self.future.done():
            return  # it was cancelled before it began
        error: BaseException = CancelledError()
        try:
            with anyio.CancelScope() as self._scope:
                value = await self._function()
                self.future.set_result(value)
                return
        except anyio.get_cancelled_exc_class():
            error = self._error_of_end()
            raise
        except FAILURES as failure:
            error = self._error_of_end()  # if there are only cancellations in it
            error = failure_in(failure)
        except EXITS as wish:
            error = wish
        finally:
            if not self.future.done():
                self.future.set_exception(error)

    def cancel(self) -> None:
        """Cancel it; if it has not begun, it will not."""
        if self._scope is not None:
            self._scope.cancel("whoever waited for it does not any more")
        elif not self.future.done():
            self.future.set_exception(CancelledError())


def _nothing() -> None:
    pass


def _wait_until_done(future: Future[Any]) -> None:
    with suppress(CancelledError):
        future.exception()


def _is_in_event_loop() -> bool:
    try:
        anyio.lowlevel.current_token()
    except RuntimeError:
        return False
    return True
