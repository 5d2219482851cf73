"""An instrument that is connected for as long as a block lasts, with its client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio

from indianyio.client import Device
from indianyio.instrument import Instrument
from indianyio.testing import driver_client

__all__ = ["connected_to"]

D = TypeVar("D", bound=Instrument)


@asynccontextmanager
async def connected_to(driver: D, *names: str) -> AsyncGenerator[tuple[Device, D]]:
    """Connect an instrument, and wait until its properties are defined; disconnect it in the end.

    :param names: those that it defines only after some time.
    """
    async with driver_client(driver) as (_, client):
        device = await client.device(driver.device.devicename, timeout=5)
        async with device.connected(timeout=5):
            # It says that it is connected before it defines what it has then, one property after another.
            await anyio.wait_all_tasks_blocked()
            for name in names:
                await device.vector(name, timeout=5)
            yield device, driver
