"""The client with this package's own drivers, in memory: a slew of minutes in no time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from indianyio import IPyDriver
from indianyio.client import Device, OperationAbortedError, RefusedError, open_client
from indianyio.examples.camera import Camera
from indianyio.examples.mount import Mount
from indianyio.streams import memory_pair
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


@asynccontextmanager
async def connected(driver: IPyDriver, name: str) -> AsyncGenerator[Device]:
    near, far = memory_pair(capacity_bytes=1 << 24)
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        async with open_client(stream=near) as client:
            device = await client.device(name, timeout=5)
            async with device.connected(timeout=5):
                yield device


async def test_the_mount_arrives_is_stopped_and_parks() -> None:
    driver = Mount()
    driver.park_file = None  # virtual time does not see the thread that writes it
    async with connected(driver, "indianyio Mount") as mount:
        await mount.set("TELESCOPE_PARK", UNPARK=True, timeout=5)
        where = await mount.vector("EQUATORIAL_EOD_COORD", timeout=5)
        ra, dec = where["RA"], where["DEC"]
        target = {"RA": (ra + 0.5) % 24, "DEC": dec - 10 if dec > 0 else dec + 10}
        await where.set(target, timeout=30)
        assert dict(where) == pytest.approx(target, abs=0.01)
        with pytest.raises(TimeoutError, match=r"not done within 0.3 s"):
            await where.set(RA=(ra + 6) % 24, DEC=-dec, timeout=0.3)
        assert where.state != "Busy"
        async with anyio.create_task_group() as tasks:

            async def slew() -> None:
                with pytest.raises((OperationAbortedError, RefusedError)):
                    await where.set(RA=(ra + 6) % 24, DEC=-dec, timeout=30)

            tasks.start_soon(slew)
            await where.wait_for(lambda v: v.state == "Busy")
            await mount.set("TELESCOPE_ABORT_MOTION", ABORT=True, timeout=5)
        park = await mount.set("TELESCOPE_PARK", PARK=True, timeout=30)
        assert park["PARK"] is True
        assert park.state == "Ok"


async def test_the_camera_exposes_and_is_stopped() -> None:
    async with connected(Camera(), "indianyio Camera") as camera:
        exposure = await camera.vector("CCD_EXPOSURE", timeout=5)
        async with camera.next("CCD1") as image:
            await exposure.set(CCD_EXPOSURE_VALUE=0.3)
            blob = await image.get()
        assert blob.content().startswith(b"SIMPLE  =")
        with pytest.raises(TimeoutError):
            await exposure.set(CCD_EXPOSURE_VALUE=3000, timeout=0.5)
        assert exposure.state == "Idle"
        assert exposure["CCD_EXPOSURE_VALUE"] == 0
        with pytest.raises(ValueError, match="CCD_EXPOSURE_VALUE must be from"):
            await exposure.set(CCD_EXPOSURE_VALUE=1e9)
        with pytest.raises(RefusedError):
            await exposure.set(CCD_EXPOSURE_VALUE=1e9, validate=False)
