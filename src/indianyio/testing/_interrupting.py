"""Interrupting what a driver does for its clients, at each of its awaits in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import anyio

from indianyio.driver import IPyDriver
from indianyio.exceptions import ConnectionLostError, INDIError
from indianyio.testing._cancelling import Step, each_await, require_maker
from indianyio.testing._driver_client import Wrap, driver_client
from indianyio.testing._witness import Witness

__all__ = ["interrupt_everywhere"]

D = TypeVar("D", bound=IPyDriver)


async def interrupt_everywhere(
    operation: Step[D],
    make_driver: Callable[[], D],
    *,
    by: Step[D] | Literal["cancel"],
    prepare: Step[D] | None = None,
    check: Step[D] | None = None,
    each: int = 1,
    settle_seconds: float = 30.0,
    wrap: Wrap | None = None,
) -> int:
    """Interrupt what a driver does for its clients at its first await, then at its second, and so on.

    ::

        async def goto(driver, client):
            await client["Focuser"].set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=51_000)

        async def abort(driver, client):
            await client["Focuser"].set("FOCUS_ABORT_MOTION", ABORT=True)

        async def connect(driver, client):
            await (await client.device("Focuser", timeout=5)).set("CONNECTION", CONNECT=True)

        async def is_still(driver, client):
            assert not driver.motor.is_moving

        await interrupt_everywhere(goto, Focuser, by=abort, prepare=connect, check=is_still)

    Only the awaits of the driver's own code count while it carries out writes during the operation: ``rxevent()``,
    and the writes and operations of an :class:`~indianyio.instrument.Instrument`, including connecting. So an Abort
    comes while the author's method is waiting for its hardware, wherever that may be. The awaits of tasks that the
    author's code has started itself are not counted.

    Each round has a new driver with a new client, and at its end the same must hold as for
    :func:`cancel_everywhere`. Once the operation has been interrupted, it may raise any
    :exc:`~indianyio.INDIError`.

    :param operation: makes the driver do something; called with the driver and the client.
    :param make_driver: makes a new driver.
    :param by: interrupts it, from the n-th await on; called with driver and client in another task. It may end the
        run with ``driver.shutdown()``. ``"cancel"`` cancels the run from outside, at exactly that await, together
        with the client and the operation.
    :param prepare: called beforehand, without counting awaits; usually connects the device.
    :param check: called in each round with driver and client, when everything has come to rest, or after the run
        and the client have ended, if the run was to end.
    :param each: 1 for every await, 2 for every other one, and so on.
    :param settle_seconds: how long coming to rest may take.
    :param wrap: as for :func:`driver_client`.
    :return: at how many awaits it was interrupted.
    :raises AssertionError: as for :func:`cancel_everywhere`.
    :raises TypeError: ``make_driver`` cannot be called.
    :raises ValueError: ``each`` is below 1.
    """

    async def one_round(number: int) -> bool:
        driver = make_driver()
        witness = Witness(driver)
        interruption = _Interruption(witness, number)
        is_checked = False
        with interruption.scope, interruption.excused():
            async with driver_client(driver, wrap=wrap) as (_, client):
                if prepare is not None:
                    await prepare(driver, client)
                if by == "cancel":
                    await interruption.cancel(lambda: operation(driver, client))
                else:
                    await interruption.interrupt(lambda: operation(driver, client), lambda: by(driver, client))
                if not driver.stop:
                    await witness.wait_until_at_rest(client, settle_seconds)
                    if check is not None:
                        await check(driver, client)
                    is_checked = True
        if not is_checked:
            witness.require_rest()
            if check is not None:
                await check(driver, client)
        witness.require_left_once()
        return interruption.reached.is_set()

    require_maker(make_driver)
    if each < 1:
        raise ValueError(f"each is {each}, but must be 1 or more")
    return await each_await(one_round, "the driver was interrupted", each=each)


class _Interruption:
    """What happens at the n-th await of a driver's handlers.

    :param witness: sees the awaits.
    :param number: the number of the await.
    :ivar scope: the scope around the run of the driver, to be cancelled.
    :ivar reached: set at that await.
    """

    def __init__(self, witness: Witness, number: int) -> None:
        self.scope = anyio.CancelScope()
        self.reached = anyio.Event()
        self._witness = witness
        self._left = number

    @contextmanager
    def excused(self) -> Iterator[None]:
        """Allow the client to lose its connection, once the interruption has come."""
        try:
            yield
        except ConnectionLostError:
            if not self.reached.is_set():
                raise

    async def cancel(self, operation: Callable[[], Awaitable[object]]) -> None:
        """Run an operation, and cancel the scope at that await."""
        await self._watch(operation, self.scope.cancel)

    async def interrupt(
        self, operation: Callable[[], Awaitable[object]], interrupt: Callable[[], Awaitable[object]]
    ) -> None:
        """Run an operation, and call the interruption when the driver has come to that await."""
        failures: list[Exception] = []
        due = anyio.Event()

        async def operate() -> None:
            try:
                await self._watch(operation, due.set)
            except Exception as error:  # noqa: BLE001 - raised below, without the group around it
                failures.append(error)
            finally:
                due.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(operate)
            await due.wait()
            if self.reached.is_set():
                try:
                    await interrupt()
                except Exception as error:  # noqa: BLE001 - likewise
                    failures.append(error)
                    tasks.cancel_scope.cancel("the interruption failed")
        if failures:
            raise failures[0]

    async def _watch(self, operation: Callable[[], Awaitable[object]], then: Callable[[], object]) -> None:
        """Run an operation, and call a function when the driver has come to that await."""

        def count() -> None:
            self._left -= 1
            if self._left == 0:
                self.reached.set()
                then()

        self._witness.on_await = count
        try:
            await operation()
        except INDIError:
            if not self.reached.is_set():
                raise
