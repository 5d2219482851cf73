"""Whose step it is: only the author's code has one, from its call or its resumption to where it waits or ends."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

import anyio
import anyio.lowlevel
import pytest

from indianyio.driver._guard import Guard, Step, Watch, until_it_waits

pytestmark = pytest.mark.anyio

Function = Callable[[], Coroutine[None, None, None]]


class Observer:
    """Notes whose step it is, and runs functions as the driver's code does."""

    def __init__(self) -> None:
        self.watch = Watch.of_this_thread()
        self.guard = Guard("Mount", lambda: False)
        self.seen: list[tuple[str, str | None]] = []

    def note(self, where: str) -> None:
        step = self.watch.step
        self.seen.append((where, None if step is None else step.what))

    async def handle(self, *functions: Function) -> list[BaseException | None]:
        async def handler() -> list[BaseException | None]:
            self.note("before")
            outcomes = [await self.guard.failure_of(function) for function in functions]
            self.note("behind")
            return outcomes

        return await until_it_waits(handler(), self.watch, lambda: self.note("waits"))


@pytest.fixture
def observer() -> Observer:
    return Observer()


async def test_steps_are_those_of_the_authors_code(observer: Observer) -> None:
    async def rxevent() -> None:
        observer.note("begins")
        await anyio.lowlevel.checkpoint()
        observer.note("goes on")
        raise LookupError

    async def rxerror() -> None:
        observer.note("begins")

    entered = observer.watch.entered
    first, second = await observer.handle(rxevent, rxerror)
    assert isinstance(first, LookupError)
    assert second is None
    assert observer.seen == [
        ("before", None),
        ("begins", "rxevent"),
        ("waits", None),
        ("goes on", "rxevent"),
        ("begins", "rxerror"),
        ("behind", None),
    ]
    assert observer.watch.step is None
    # Its parts are counted, and what is between them is not; on trio a checkpoint waits twice.
    assert 3 <= observer.watch.entered - entered <= 4


async def test_steps_of_several_tasks_do_not_mix(observer: Observer) -> None:
    async def slew() -> None:
        for _ in range(3):
            await anyio.sleep(0.001)
            observer.note("slew")

    async def expose() -> None:
        for _ in range(5):
            observer.note("expose")
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for function in (slew, expose, slew):
            tasks.start_soon(observer.handle, function)
        for _ in range(4):
            await anyio.lowlevel.checkpoint()
            observer.note("nobody")
    for where, what in observer.seen:
        assert what == (where if where in ("slew", "expose") else None)
    assert observer.watch.step is None


async def test_a_coroutine_that_is_closed_in_the_step_of_another_leaves_that(observer: Observer) -> None:
    async def waits() -> None:
        await anyio.sleep_forever()

    stepped = until_it_waits(observer.guard.failure_of(waits), observer.watch, lambda: None)
    stepped.send(None)
    other = observer.watch.step = Step("Dome", "rxevent")
    stepped.close()
    assert observer.watch.step is other
    observer.watch.step = None
