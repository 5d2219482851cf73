"""A server at work for as long as a block lasts; what the block raises comes out as it was raised."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio import CancelScope, create_task_group

from indianyio._failures import EXITS, FAILURES, failure_in
from indianyio.exceptions import ServerFailedError

__all__ = ["at_work"]


@asynccontextmanager
async def at_work(
    serve: Callable[[Callable[[], None]], Awaitable[None]], end: Callable[[str], None]
) -> AsyncGenerator[None]:
    """Serve for as long as the block lasts; it begins when clients can connect.

    Leaving the block ends the server in order, however it is left. Where the server ends first because that was
    asked for, the block goes on.

    :param serve: serves until it is to end; calls what it is given when clients can connect.
    :param end: lets it end, for the reason given; may come again.
    :raises SystemExit: the server has ended because a driver's code has raised it; likewise ``KeyboardInterrupt``.
    :raises ServerFailedError: the server has failed, and the block was cancelled therefore; the cause tells. An
        exception of the block comes out in its place, with a note.
    """
    failure: BaseException | None = None
    body_error: BaseException | None = None
    started = anyio.Event()

    async def keep_serving(block: CancelScope) -> None:
        nonlocal failure
        try:
            await serve(started.set)
        except (*FAILURES, *EXITS) as error:  # kept, and raised when the block has ended
            failure = failure_in(error)
            block.cancel("the server has failed")

    try:
        async with create_task_group() as tasks:
            tasks.start_soon(keep_serving, tasks.cancel_scope)
            try:
                await started.wait()
                yield
            except (anyio.get_cancelled_exc_class(), GeneratorExit):
                raise
            except BaseException as error:
                body_error = error
                raise  # through the group: where all of this is cancelled as well, it must not get lost
            finally:
                end("its block has ended")
    except BaseExceptionGroup:
        if body_error is None:
            raise
    _raise_what_matters(body_error, failure)


def _raise_what_matters(body_error: BaseException | None, failure: BaseException | None) -> None:
    if isinstance(failure, EXITS):
        raise failure
    if body_error is not None:
        if failure is not None:
            body_error.add_note(f"the server had failed too: {failure!r}")
        raise body_error
    if failure is not None:
        raise ServerFailedError("the server has failed") from failure
