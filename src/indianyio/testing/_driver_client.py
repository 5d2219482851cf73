"""A driver with the real client at the other end, and what a client sees of its states."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio

from indianyio._vocabulary import State
from indianyio.client import Change, Client, Vector, open_client
from indianyio.driver import IPyDriver
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing._running import driver_at_work

__all__ = ["assert_states", "driver_client"]

DriverT = TypeVar("DriverT", bound=IPyDriver)

_STATES_SECONDS = 10.0


@asynccontextmanager
async def driver_client(
    driver: DriverT,
    *,
    carries_attachments: bool = False,
    driver_stream: Callable[[ByteStream], ByteStream] | None = None,
    client_stream: Callable[[ByteStream], ByteStream] | None = None,
) -> AsyncGenerator[tuple[DriverT, Client]]:
    """Run a driver for as long as the block lasts, with a client connected to it in memory.

    ::

        async with driver_client(Focuser()) as (driver, indi):
            focus = indi["Focuser"]["ABS_FOCUS_POSITION"]
            async with assert_states(focus, "Busy", "Ok"):
                await focus.set(FOCUS_ABSOLUTE_POSITION=1000)

    When the block begins the client knows all vectors that the driver has enabled. Leaving the block closes the
    connection, as a server does that ends, and waits until the driver has ended in order, ``leave()`` included.
    What the block raises comes out as it was raised. A driver that fails cancels the block, and its error comes
    out, as of :func:`running`.

    :param driver: the driver; it can be run again afterwards.
    :param carries_attachments: whether BLOBs may travel as descriptors, as under ``indiserver``.
    :param driver_stream: wraps the driver's end of the connection, for example in a :class:`MisbehavingStream` or a
        recording.
    :param client_stream: wraps the client's end.
    """
    near, far = memory_pair(names=("driver", "test"), carries_attachments=carries_attachments)
    async with (
        driver_at_work(driver, far if driver_stream is None else driver_stream(far), near.aclose),
        open_client(stream=near if client_stream is None else client_stream(near)) as client,
    ):
        await client.wait_for(lambda known: _knows_all(known, driver))
        yield driver, client


def _knows_all(client: Client, driver: IPyDriver) -> bool:
    return all(
        device.devicename in client and vector.name in client[device.devicename]
        for device in driver.devices()
        if device.enable
        for vector in device.values()
        if vector.enable
    )


@asynccontextmanager
async def assert_states(
    vector: Vector[Any], *states: State | str, timeout: float = _STATES_SECONDS
) -> AsyncGenerator[None]:
    """Make sure that a client's vector passes just these states while the block lasts.

    Every update counts, those too that the client's caller would never see because the next one follows at once.
    The same state several times in a row counts once. At the end of the block the missing ones are waited for.

    :param vector: the vector, from the client.
    :param states: the states, in order.
    :param timeout: how long to wait for those that are missing, in seconds.
    :raises AssertionError: there were others; the text shows both, and the driver's messages.
    """
    wanted = tuple(map(State, states))
    seen: list[State] = []
    messages: list[str] = []
    changed = anyio.Event()

    def note(change: Change) -> None:
        if change.vector is not vector or change.kind != "updated" or change.state is None:
            return
        if change.message:
            messages.append(change.message)
        if seen[-1:] != [change.state]:
            seen.append(change.state)
            changed.set()

    with vector._actions.listening(note):
        yield
        with anyio.move_on_after(timeout):
            while len(seen) < len(wanted) and tuple(seen) == wanted[: len(seen)]:
                changed = anyio.Event()
                await changed.wait()
    if tuple(seen) != wanted:
        said = f"; it said: {'; '.join(messages)}" if messages else ""
        raise AssertionError(
            f"{vector.device}.{vector.name} was {_shown(seen)}, and should have been {_shown(wanted)}{said}"
        )


def _shown(states: tuple[State, ...] | list[State]) -> str:
    return ", ".join(states) or "not updated"
