"""What comes out of a block that hides a task."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from indianyio import IPyServer
from indianyio._block import at_work
from indianyio.testing import running
from tests.driver.gadget import Gadget

pytestmark = pytest.mark.anyio


class Work:
    """Works until it is told to end, or fails when it is told to."""

    def __init__(self, error: Exception | None = None, *, ready: bool = True) -> None:
        self._error = error
        self._is_ready = ready
        self._told = anyio.Event()
        self.ended = 0

    async def serve(self, ready: Callable[[], None]) -> None:
        if self._is_ready:
            ready()
        try:
            await self._told.wait()
        finally:
            self.ended += 1
        if self._error is not None:
            raise self._error

    def fail(self) -> None:
        self._told.set()

    async def end(self) -> None:
        self._told.set()


def same(failure: BaseException) -> BaseException:
    return failure


def wrapped(_: BaseException) -> BaseException:
    return LookupError("it failed")


async def test_the_work_lasts_as_long_as_the_block() -> None:
    work = Work()
    async with at_work(work.serve, work.end, what="the work", failed=same):
        await anyio.wait_all_tasks_blocked()
        assert work.ended == 0
    assert work.ended == 1


async def block_raising(error: BaseException, work: Work, *, outranks: type[Exception] | tuple[()] = ()) -> None:
    async with at_work(work.serve, work.end, what="the work", failed=wrapped, outranks=outranks):
        raise error


@pytest.mark.parametrize("error", [KeyError("mine"), ExceptionGroup("mine", [ValueError()]), SystemExit(3)])
async def test_what_the_block_raises_comes_out_bare(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        await block_raising(error, Work())
    assert caught.value is error


def block_of_work() -> AbstractAsyncContextManager[None]:
    work = Work()
    return at_work(work.serve, work.end, what="the work", failed=same)


BLOCKS: dict[str, Callable[[], AbstractAsyncContextManager[object]]] = {
    "work": block_of_work,
    "driver": lambda: running(Gadget()),
    "server": lambda: IPyServer(Gadget(), host="127.0.0.1", port=0),
}


@pytest.mark.parametrize("block", ["work", "driver", "server"])
async def test_an_assertion_gets_out_of_a_cancelled_block(block: str) -> None:
    async def fail_inside(scope: anyio.CancelScope) -> None:
        async with BLOCKS[block]():
            scope.cancel()
            raise AssertionError("the test's own")

    with pytest.raises(AssertionError, match="the test's own"):
        with anyio.CancelScope() as scope:
            await fail_inside(scope)


async def test_a_failure_of_the_work_cancels_the_block_and_comes_out() -> None:
    async def block() -> None:
        async with at_work(work.serve, work.end, what="the work", failed=wrapped):
            work.fail()
            await anyio.sleep_forever()

    failure = ValueError("broken")
    work = Work(failure)
    with pytest.raises(LookupError) as caught:
        await block()
    assert caught.value.__cause__ is failure


async def test_a_failure_before_the_block_comes_out_of_it() -> None:
    async def block() -> None:
        async with at_work(work.serve, work.end, what="the work", failed=same):
            pytest.fail("the block was entered")

    failure = ValueError("broken")
    work = Work(failure, ready=False)
    work.fail()
    with pytest.raises(ValueError, match="broken") as caught:
        await block()
    assert caught.value is failure


async def test_a_failure_of_the_work_is_noted_on_what_the_block_raises() -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        await block_raising(error, Work(ValueError("broken")))
    assert caught.value is error
    assert error.__notes__ == ["the work had failed too: ValueError('broken')"]


async def test_a_failure_outranks_its_own_consequence() -> None:
    with pytest.raises(LookupError, match="it failed"):
        await block_raising(KeyError("a consequence"), Work(ValueError("broken")), outranks=KeyError)


async def test_a_cancellation_from_outside_passes_and_ends_the_work() -> None:
    work = Work()
    with anyio.move_on_after(0) as scope:
        async with at_work(work.serve, work.end, what="the work", failed=same):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert work.ended == 1
