"""Cancelling an operation at each of its awaits, one after the other.

A coroutine gives control away at its awaits and nowhere else. So its awaits can be counted from outside, by
whatever steps it, and a scope around it can be cancelled at the n-th of them: on every back end, without its help.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio

from indianyio._vocabulary import State
from indianyio.client import Client
from indianyio.driver import IPyDriver
from indianyio.testing._driver_client import Wrap, driver_client

__all__ = ["cancel_at", "cancel_everywhere"]

D = TypeVar("D", bound=IPyDriver)

# An operation with more awaits than this does not end, or should be tested in smaller parts.
_MOST_AWAITS = 10_000


async def cancel_everywhere(
    operation: Callable[[D, Client], Awaitable[object]],
    make_driver: Callable[[], D],
    *,
    check: Callable[[D, Client], Awaitable[object]] | None = None,
    settle_seconds: float = 30.0,
    wrap: Wrap | None = None,
) -> int:
    """Cancel an operation at its first await, then at its second, and so on, until it ends before that.

    ::

        async def goto(driver, client):
            focuser = await client.device("Focuser", timeout=5)
            await focuser.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1200)

        await cancel_everywhere(goto, Focuser)

    Each time there is a new driver with a new client (:func:`driver_client`). When the operation was cancelled,
    the vectors must come to rest: within ``settle_seconds`` none is Busy any more. Then the client goes, and
    ``leave()`` must have run exactly once. With a virtual clock all of this takes no time.

    The awaits that count are those of the operation's own task. Tasks that it has started are cancelled with it, if
    it is an orderly one, but what they await is not counted.

    :param operation: what is cancelled; called with the driver and the client.
    :param make_driver: makes a new driver.
    :param check: called each time when the vectors have come to rest, with the driver and the client; to look at
        what else must hold.
    :param settle_seconds: how long the vectors may be Busy after the cancellation.
    :param wrap: as for :func:`driver_client`.
    :return: at how many awaits it was cancelled.
    :raises AssertionError: a vector stays Busy, ``leave()`` has not run or has run twice, or the operation has
        10 000 awaits and more. A note on it, and on whatever else comes out, says at which await that was.
    """
    for number in range(1, _MOST_AWAITS + 1):
        with _saying_where(number):
            if not await _one_round(operation, make_driver(), number, check, settle_seconds, wrap):
                return number - 1
    raise AssertionError(f"the operation has not ended at its await number {_MOST_AWAITS}")


async def cancel_at(number: int, operation: Callable[[], Awaitable[object]]) -> bool:
    """Run an operation, and cancel it at its n-th await; for sweeps over what has no driver or has several.

    :param number: at which of its awaits, counted from 1. Only awaits at which the operation's own task has to
        wait, or gives others their turn, count.
    :param operation: what is cancelled.
    :return: whether it was cancelled; ``False`` if it had ended before. An operation that carries on after it was
        cancelled, and ends as if nothing had happened, was cancelled too.
    """
    with anyio.CancelScope() as scope:
        await _Counted(_awaited(operation), number, scope.cancel)
    return scope.cancel_called


async def _one_round(
    operation: Callable[[D, Client], Awaitable[object]],
    driver: D,
    number: int,
    check: Callable[[D, Client], Awaitable[object]] | None,
    settle_seconds: float,
    wrap: Wrap | None,
) -> bool:
    """Return whether the operation was cancelled before its end."""
    left = _count_leaving(driver)
    async with driver_client(driver, wrap=wrap) as (driver, client):
        cancelled = await cancel_at(number, lambda: operation(driver, client))
        try:
            await client.wait_for(lambda client: not _busy(client), timeout=settle_seconds)
        except TimeoutError:
            busy = "\n  ".join(map(repr, _busy(client)))
            raise AssertionError(f"still Busy after {settle_seconds:g} s:\n  {busy}") from None
        if check is not None:
            await check(driver, client)
    if len(left) != 1:
        raise AssertionError(f"leave() has run {len(left)} times")
    return cancelled


def _busy(client: Client) -> list[object]:
    return [vector for device in client.values() for vector in device.values() if vector.state is State.BUSY]


def _count_leaving(driver: IPyDriver) -> list[object]:
    """Return a list that gets an entry with each call of the driver's leave()."""
    left: list[object] = []
    leave = driver.leave

    async def counted() -> None:
        left.append(driver)
        await leave()

    driver.leave = counted  # type: ignore[method-assign]
    return left


@contextmanager
def _saying_where(number: int) -> Generator[None]:
    """Add to an exception at which await the operation was cancelled."""
    try:
        yield
    except Exception as error:
        error.add_note(f"the operation was cancelled at its await number {number}")
        raise


async def _awaited(operation: Callable[[], Awaitable[object]]) -> None:
    await operation()


class _Counted:
    """An awaitable that calls a function at the n-th await of what it awaits."""

    def __init__(self, awaited: Coroutine[Any, Any, None], number: int, then: Callable[[], None]) -> None:
        self._awaited = awaited
        self._left = number
        self._then = then

    def __await__(self) -> Generator[Any, Any, object]:
        steps = self._awaited.__await__()
        step: Callable[[], object] = lambda: next(steps)  # noqa: E731 - it changes below
        while True:
            try:
                trap = step()
            except StopIteration as end:
                return end.value
            self._left -= 1
            if self._left == 0:
                # Before the loop is told what the task waits for, so the wait itself is cancelled.
                self._then()
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
