"""A driver and a real client of it, in memory, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

from indianyio.client import Client, open_client
from indianyio.driver import IPyDriver
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing._running import require_driver, running_over

__all__ = ["Wrap", "driver_client"]

D = TypeVar("D", bound=IPyDriver)

Wrap: TypeAlias = Callable[[ByteStream], ByteStream]
"""Wraps a stream: in one that misbehaves, or in one that records."""


@asynccontextmanager
async def driver_client(
    driver: D,
    *,
    carries_attachments: bool = False,
    validate: bool = True,
    wrap: Wrap | None = None,
    park_file: Path | None = None,
) -> AsyncGenerator[tuple[D, Client]]:
    """Run a driver and a client of it for as long as the block lasts, and yield both.

    ::

        async with driver_client(Focuser()) as (driver, client):
            focuser = await client.device("Focuser", timeout=5)
            await focuser.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1200)
            assert driver.motor.steps == 1200

    When the block begins, the driver is ready and the client has asked for everything, but may not have heard of
    any device yet. When the block has ended, the driver has ended too, and its ``leave()`` has run. Exceptions of
    the block come out as they were raised. A driver that fails cancels the block, which then raises the driver's
    error.

    :param driver: the driver; it can be run again afterwards.
    :param carries_attachments: whether BLOBs may travel beside the XML, as under ``indiserver`` (protocol.md 1.6).
    :param validate: whether the client checks writes before it sends them; ``False`` to see what the driver says.
    :param wrap: makes the client's stream from the one in memory: ``lambda stream: record(stream, path)``.
    :param park_file: the file in which a mount or a dome records for its next run whether it is parked. If absent,
        it begins unparked and records nothing, so that tests affect neither each other nor the real instrument.
    :raises TypeError: ``driver`` is not a driver.
    """
    require_driver(driver)  # before anything is wrapped, which may open a file
    near, far = memory_pair(names=("driver", "test"), carries_attachments=carries_attachments)
    stream = near if wrap is None else wrap(near)
    async with running_over(driver, far, stream.aclose, park_file):
        async with open_client(stream=stream, validate=validate) as client:
            yield driver, client
