"""A driver and the real client of it, in memory, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

from indianyio.client import Client, open_client
from indianyio.driver import IPyDriver
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing._running import running_over

__all__ = ["Wrap", "driver_client"]

D = TypeVar("D", bound=IPyDriver)

Wrap: TypeAlias = Callable[[ByteStream], ByteStream]
"""Makes a stream of a stream: one that misbehaves, or one that is recorded."""


@asynccontextmanager
async def driver_client(
    driver: D, *, carries_attachments: bool = False, validate: bool = True, wrap: Wrap | None = None
) -> AsyncGenerator[tuple[D, Client]]:
    """Run a driver and the client of it for as long as the block lasts, and yield both.

    ::

        async with driver_client(Focuser()) as (driver, client):
            focuser = await client.device("Focuser", timeout=5)
            await focuser.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1200)
            assert driver.motor.steps == 1200

    When the block begins, the driver is ready and the client has asked for everything, but may not have heard of
    any device yet. When it has ended, the driver has ended too, and its ``leave()`` has run. What the block raises
    comes out as it was raised. A driver that fails cancels the block, and its error comes out of it.

    :param driver: the driver; it can be run again afterwards.
    :param carries_attachments: whether BLOBs may travel beside the XML, as under ``indiserver`` (protocol.md 1.6).
    :param validate: whether the client checks writes before it sends them; ``False`` to see what the driver says.
    :param wrap: makes the client's stream from the one in memory: ``lambda stream: record(stream, path)``.
    """
    near, far = memory_pair(names=("driver", "test"), carries_attachments=carries_attachments)
    stream = near if wrap is None else wrap(near)
    async with running_over(driver, far, stream.aclose):
        async with open_client(stream=stream, validate=validate) as client:
            yield driver, client
