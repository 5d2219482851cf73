"""Cancelling an operation at each of its awaits in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from indianyio.client import Client
from indianyio.driver import IPyDriver
from indianyio.testing._counting import cancel_at
from indianyio.testing._driver_client import Wrap, driver_client
from indianyio.testing._witness import Witness

__all__ = ["Step", "cancel_everywhere", "each_await", "require_maker"]

D = TypeVar("D", bound=IPyDriver)

Step: TypeAlias = Callable[[D, Client], Awaitable[object]]
"""Something that is done with a driver and its client."""

# An operation with more awaits than this does not end, or should be tested in smaller parts.
_MOST_AWAITS = 10_000


async def cancel_everywhere(
    operation: Step[D],
    make_driver: Callable[[], D],
    *,
    check: Step[D] | None = None,
    settle_seconds: float = 30.0,
    wrap: Wrap | None = None,
) -> int:
    """Cancel an operation at its first await, then at its second, and so on, until it ends without being cancelled.

    ::

        async def goto(driver, client):
            focuser = await client.device("Focuser", timeout=5)
            await focuser.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1200)

        await cancel_everywhere(goto, Focuser)

    Each round has a new driver with a new client (:func:`driver_client`). After the operation has been cancelled,
    everything that it began must come to rest: within ``settle_seconds`` no vector may be Busy any more, neither
    for the client nor for the driver, and nothing may be carrying out a write: no ``rxevent()``, and no write or
    operation of an :class:`~indianyio.instrument.Instrument`. A vector that is Busy while it is On, such as
    tracking, counts as at rest. Then the client disconnects, and ``leave()`` must have run exactly once. With a
    virtual clock all of this takes no time.

    Only the awaits of the operation's own task count: usually those of a client. Tasks that the operation has
    started are cancelled with it, if it is well-behaved, but their awaits are not counted. For the awaits of the
    driver there is :func:`interrupt_everywhere`.

    :param operation: the operation to cancel; called with the driver and the client.
    :param make_driver: makes a new driver.
    :param check: called in each round when the vectors have come to rest, with the driver and the client; to check
        whatever else must hold.
    :param settle_seconds: how long coming to rest may take.
    :param wrap: as for :func:`driver_client`.
    :return: at how many awaits it was cancelled.
    :raises AssertionError: a vector stays Busy or a write does not end, ``leave()`` has not run or has run twice,
        or the operation has 10 000 awaits or more. This error, and any other that comes out, has a note that says
        at which await it happened.
    :raises TypeError: ``make_driver`` cannot be called.
    """

    async def one_round(number: int) -> bool:
        driver = make_driver()
        witness = Witness(driver)
        async with driver_client(driver, wrap=wrap) as (_, client):
            cancelled = await cancel_at(number, lambda: operation(driver, client))
            await witness.wait_until_at_rest(client, settle_seconds)
            if check is not None:
                await check(driver, client)
        witness.require_left_once()
        return cancelled

    require_maker(make_driver)
    return await each_await(one_round, "the operation was cancelled")


def require_maker(make_driver: object) -> None:
    """Raise :exc:`TypeError` if something cannot be called to make drivers; a driver is the usual mistake."""
    if not callable(make_driver):
        raise TypeError(f"make_driver is {make_driver!r}, which makes no drivers; give the class, or a function")


async def each_await(one_round: Callable[[int], Awaitable[bool]], what: str, *, each: int = 1) -> int:
    """Call a function for each await, until it says that the operation ended before it; return how many came first.

    :param one_round: called with the number of the await; returns whether the operation came to that await.
    :param what: what was done at the await, for a note on an error.
    :param each: 1 for every await, 2 for every other one, and so on, beginning with the first.
    :raises AssertionError: the operation does not end.
    """
    for done, number in enumerate(range(1, _MOST_AWAITS + 1, each)):
        with _saying_where(what, number):
            if not await one_round(number):
                return done
    raise AssertionError(f"the operation has not ended after {_MOST_AWAITS} awaits")


@contextmanager
def _saying_where(what: str, number: int) -> Generator[None]:
    """Add to an exception at which await it happened."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{what} at its await number {number}")
        raise
