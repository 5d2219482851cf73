"""Cancelling an operation at each place where it waits, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

import anyio

from indianyio._vocabulary import State
from indianyio.client import Client
from indianyio.driver import IPyDriver
from indianyio.testing._driver_client import driver_client

__all__ = ["cancel_everywhere"]

DriverT = TypeVar("DriverT", bound=IPyDriver)

_MOST_PLACES = 10_000


async def cancel_everywhere(
    make: Callable[[], DriverT],
    operation: Callable[[DriverT, Client], Coroutine[Any, Any, object]],
    *,
    settle: float = 10.0,
) -> int:
    """Run an operation again and again, cancelled at its first wait, at its second, and so on up to its end.

    Each time a new driver runs, with a client in memory (:func:`driver_client`). After each it is checked that no
    vector stays Busy, and that ``leave()`` was called once. Use a virtual clock if the operation takes time. ::

        await cancel_everywhere(Dome, lambda driver, indi: indi["Dome"].set("DOME_PARK", PARK=True))

    :param make: returns a new driver.
    :param operation: what is cancelled; gets the driver and the client.
    :param settle: how long the driver may need after a cancellation until nothing is Busy, in seconds.
    :return: at how many places it was cancelled.
    :raises AssertionError: a vector stays Busy, ``leave()`` was not called once, or the operation does not end; the
        text says at which wait it had been cancelled.
    """
    for place in range(1, _MOST_PLACES):
        driver = make()
        leaves = _counted_leaves(driver)
        async with driver_client(driver) as (same, client):
            with anyio.CancelScope() as scope:
                await _CancelledAt(operation(same, client), place, scope)
            await _nothing_busy(
                client, settle, f"cancelled at wait {place}" if scope.cancel_called else "at the end"
            )
        if len(leaves) != 1:
            raise AssertionError(
                f"cancelled at wait {place}: leave() was called {len(leaves)} times instead of once"
            )
        if not scope.cancel_called:
            return place - 1
    raise AssertionError(f"the operation has waited {_MOST_PLACES} times and has not ended")


def _counted_leaves(driver: IPyDriver) -> list[None]:
    """Have calls of a driver's ``leave()`` counted, by the length of what is returned."""
    calls: list[None] = []
    leave: Callable[[], Awaitable[None]] = driver.leave

    async def counted() -> None:
        calls.append(None)
        await leave()

    driver.leave = counted  # type: ignore[method-assign]
    return calls


async def _nothing_busy(client: Client, seconds: float, when: str) -> None:
    def busy() -> list[str]:
        return [
            f"{device.name}.{vector.name}"
            for device in client.values()
            for vector in device.values()
            if vector.state is State.BUSY
        ]

    try:
        await client.wait_for(lambda _: not busy(), timeout=seconds)
    except TimeoutError:
        raise AssertionError(f"{when}: after {seconds:g} s still Busy: {', '.join(busy())}") from None


class _CancelledAt:
    """A coroutine of which a scope is cancelled when it waits for the n-th time.

    It counts in the only place that both back ends share, where the coroutine gives way to the event loop; and it
    runs in the task of whoever awaits this, so scopes and context variables are the usual ones.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, object], place: int, scope: anyio.CancelScope) -> None:
        self._coroutine = coroutine
        self._left = place
        self._scope = scope

    def __await__(self) -> Generator[Any, Any, object]:
        inner = self._coroutine.__await__()
        value: Any = None
        step = inner.send
        while True:
            try:
                waits_for = step(value)
            except StopIteration as ended:
                return ended.value
            self._left -= 1
            if not self._left:
                self._scope.cancel("the test wants it here")
            try:
                value, step = (yield waits_for), inner.send
            except BaseException as error:  # noqa: ASYNC103, BLE001 - it goes on into the coroutine
                value, step = error, inner.throw
