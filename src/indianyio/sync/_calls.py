"""A client's own thread: an event loop runs in it, and other threads have work done there and wait for it.

All work for other threads is done in tasks of one group inside the client's block. So when the block ends, whatever
is still in progress is cancelled while there still is a connection: a telescope that is moving can be stopped.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
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
    """Provide a thread with an event loop for as long as the block lasts.

    :param backend: ``"asyncio"`` or ``"trio"``.
    :raises RuntimeError: an event loop runs in this thread already, and would be held up.
    """
    if (
        _is_in_event_loop() and "ipykernel" not in sys.modules
    ):  # the cells of a notebook run in a loop, and may hold it up
        raise RuntimeError(
            "indianyio.sync waits, which would stop the event loop that runs in this thread; "
            "use 'async with indianyio.open_client(...)' there"
        )
    # anyio.from_thread.start_blocking_portal() waits for ever if Ctrl-C comes while the loop is starting.
    started: Future[BlockingPortal] = Future()
    thread = Thread(target=_run_portal, args=(started, backend), name="indianyio client", daemon=True)
    # A block that is never left, as in a notebook, is closed by the garbage collector when the interpreter ends. By
    # then the thread does not run any more, and would be waited for in vain.
    end = partial(_end_thread, thread, started, os.getpid())
    atexit.register(end)
    try:
        thread.start()
        portal = started.result()
        assert thread.ident is not None
        yield Calls(portal, thread.ident)
    finally:
        try:
            end()
        except BaseException:  # Ctrl-C in the middle of it
            end()
            raise
        finally:
            atexit.unregister(end)


def _end_thread(thread: Thread, started: Future[BlockingPortal], process: int) -> None:
    """Make the event loop end, and wait for that; doing so twice does no harm."""
    if os.getpid() != process:
        return  # it belongs to another process
    if not started.cancel() and started.exception() is None:
        portal = started.result()
        with suppress(RuntimeError):  # it has ended by itself
            portal.start_task_soon(portal.stop, True)
    if thread.ident is not None:  # otherwise it has not begun; if it does, it sees that it is not wanted
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
    """Has work done in a client's thread for other threads."""

    def __init__(self, portal: BlockingPortal, thread: int) -> None:
        self._portal = portal
        self._thread = thread
        self._process = os.getpid()
        self._tasks: TaskGroup | None = None
        self._why_ended: Callable[[], str | None] = lambda: None
        self._twins: WeakValueDictionary[object, Any] = WeakValueDictionary()
        self._twins_lock = Lock()

    def twin(self, original: O, make: Callable[[Calls, O], T]) -> T:
        """Return the object that stands for one of the event loop's; the same one as long as somebody holds it."""
        with self._twins_lock:
            known: T | None = self._twins.get(original)
            if known is not None:
                return known
            twin = make(self, original)
            self._twins[original] = twin
            return twin

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Have something done, and wait for it.

        If an exception arrives in this thread meanwhile (Ctrl-C), the work is cancelled, and it has ended when that
        exception is raised.

        :raises ConnectionLostError: the client has ended, or ends meanwhile.
        """
        self._refuse_own_thread()
        job = self._begin(_Job(function, self._error_of_end))
        return self._wait_for(job, job.future)

    def read(self, function: Callable[[], T]) -> T:
        """Look at something while nothing changes it, whether the client has ended or not."""

        async def look() -> T:  # noqa: ASYNC124
            return function()

        if get_ident() == self._thread:
            return function()
        try:
            return self.call(look)
        except ConnectionLostError:
            return function()  # nothing changes any more

    @contextmanager
    def block(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> Generator[T]:
        """Keep an asynchronous block open around a block of this thread."""
        self._refuse_own_thread()
        with self._held(make, self._begin) as value:
            yield value

    @contextmanager
    def client_block(
        self, make: Callable[[], AbstractAsyncContextManager[T]], why_ended: Callable[[T], str | None]
    ) -> Generator[T]:
        """Keep the client's block open around a block of this thread; all calls are made within it.

        :param why_ended: returns why the client has ended, or ``None`` while it has not.
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

        def end() -> None:
            # Ctrl-C may have come before the block was entered, or even before entering it was begun.
            if entered.done():
                leave.set()
            else:
                job.cancel()

        job = _Job(hold, self._error_of_end)
        job.future.add_done_callback(has_ended)
        try:
            yield self._wait_for(begin(job), entered)
        except BaseException as error:
            self._end_block(job, end, error)
            raise
        else:
            self._end_block(job, end, None)

    def _end_block(self, job: _Job[None], end: Callable[[], None], error: BaseException | None) -> None:
        """Leave an asynchronous block, and wait until it has ended.

        What it raises is raised here, unless the block of this thread has raised something that says more.
        """
        if self._is_forked:
            return  # the block goes on in the process that began it
        try:
            if not job.future.done():
                self._post(end)
            self._wait_for(job, job.future)
        except Exception as failure:
            if error is None:
                raise
            if failure is error or isinstance(failure, ConnectionLostError | CancelledError):
                return  # the block's error belongs to this thread, and shows where
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
                with suppress(ConnectionLostError):  # then none of it can be running any more
                    self._post(job.cancel)
                    _wait_until_done(job.future)
            if isinstance(error, INDIError | TimeoutError):
                error.__traceback__ = None  # it is from the other thread, where no line is the reader's own
            raise
        finally:
            del job, result  # together with an exception they would be a reference cycle

    @property
    def _is_forked(self) -> bool:
        return os.getpid() != self._process

    def _post(self, function: Callable[[], None]) -> None:
        if self._is_forked:  # there is no such thread in this process, so nobody would ever do it
            raise self._error_of_end()
        try:
            self._portal.start_task_soon(function)
        except RuntimeError:
            raise self._error_of_end() from None

    def _error_of_end(self) -> ConnectionLostError:
        if self._is_forked:
            return ConnectionLostError("the client belongs to the process that forked this one; open another")
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

    :ivar begin: starts it; called in the thread that waits for the result.
    :ivar future: its result; done only when none of it runs any more.
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
            error = self._error_of_end()  # stays if there are only cancellations in the group
            error = failure_in(failure)
        except EXITS as wish:
            error = wish
        finally:
            if not self.future.done():
                self.future.set_exception(error)

    def cancel(self) -> None:
        """Cancel it; if it has not begun, it never will."""
        if self._scope is not None:
            self._scope.cancel("whoever waited for it has stopped waiting")
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
