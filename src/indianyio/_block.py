"""A block that hides a task: something is at work for as long as the block lasts.

A server, a client and a driver under test all need this for ``async with``. The work runs in a task group of its
own, which the caller never sees. What the block raises comes out as it was raised, never inside an exception group.
What the work raises cancels the block and comes out in its place, or is added as a note to the block's own
exception.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import anyio
from anyio import CancelScope

from indianyio._failures import EXITS, FAILURES, failure_in
from indianyio._tasks import Tasks

__all__ = ["Serve", "at_work"]

Serve = Callable[[Callable[[], None]], Awaitable[None]]
"""Does the work until it is told to end; calls its argument when it is ready."""


@asynccontextmanager
async def at_work(
    serve: Serve,
    end: Callable[[], Awaitable[None]],
    *,
    what: str,
    failed: Callable[[BaseException], BaseException],
    outranks: type[Exception] | tuple[type[Exception], ...] = (),
) -> AsyncGenerator[None]:
    """Do some work for as long as the block lasts; the block begins when the work is ready.

    If the work ends by itself without an error, the block goes on.

    :param serve: the work.
    :param end: tells the work to end, when the block has ended in whatever way. It may be called after the work has
        ended. It is shielded from cancellation, so it must be short.
    :param what: what is at work, for a note on the block's exception: "the server".
    :param failed: turns the work's exception into the one that is raised.
    :param outranks: exceptions of the block that merely follow from the work's failure; the failure is raised in
        their place.
    :raises SystemExit: the work raised it, or ``KeyboardInterrupt``; that outranks everything.
    """
    failure: BaseException | None = None
    body_error: BaseException | None = None
    ready = anyio.Event()

    async def work(block: CancelScope) -> None:
        nonlocal failure
        try:
            await serve(ready.set)
        except (*FAILURES, *EXITS) as error:  # kept, and raised when the block has ended
            failure = failure_in(error)
            block.cancel(f"{what} failed")

    try:
        async with Tasks() as tasks:
            tasks.start_soon(work, tasks.cancel_scope)
            try:
                await ready.wait()
                yield
            except (anyio.get_cancelled_exc_class(), GeneratorExit):
                raise
            except BaseException as error:
                body_error = error
                # Raised inside the group: if an outer scope is cancelled too, leaving the group raises the
                # cancellation, and an exception that was only stored would be lost.
                raise
            finally:
                with CancelScope(shield=True):
                    await end()
    except BaseExceptionGroup:
        if body_error is None:
            raise
    _raise_what_matters(body_error, failure, what=what, failed=failed, outranks=outranks)


def _raise_what_matters(
    body_error: BaseException | None,
    failure: BaseException | None,
    *,
    what: str,
    failed: Callable[[BaseException], BaseException],
    outranks: type[Exception] | tuple[type[Exception], ...],
) -> None:
    if isinstance(failure, EXITS):
        raise failure
    if failure is not None and (body_error is None or isinstance(body_error, outranks)):
        _raise_failure(failed(failure), failure)
    if body_error is not None:
        if failure is not None:
            body_error.add_note(f"{what} had failed too: {failure!r}")
        raise body_error


def _raise_failure(shown: BaseException, failure: BaseException) -> NoReturn:
    if shown is failure:
        raise failure  # not "from" itself
    raise shown from failure
