"""libindi's simulators behind the real indiserver: each set returns when, and only when, the device has done it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from astropy.io import fits

from indianyio.client import Client, Device, OperationAbortedError, RefusedError, open_client
from tests.libindi.libindi_harness import IndiServer, indiserver

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.long,
    pytest.mark.libindi,
    pytest.mark.skipif(
        shutil.which("indi_simulator_ccd") is None, reason="no simulators (Debian: apt-get install indi-bin)"
    ),
]

SIMULATORS = {
    "telescope": "Telescope Simulator",
    "ccd": "CCD Simulator",
    "focus": "Focuser Simulator",
    "wheel": "Filter Simulator",
    "dome": "Dome Simulator",
    "rotator": "Rotator Simulator",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndiServer]:
    programs = [name for name in (f"indi_simulator_{kind}" for kind in SIMULATORS) if shutil.which(name)]
    with indiserver(tmp_path_factory.mktemp("home"), *programs) as running:
        yield running


@asynccontextmanager
async def connected(server: IndiServer, kind: str) -> AsyncGenerator[tuple[Client, Device]]:
    """Yield a device of a simulator that is connected; skip the test if it is not installed."""
    if shutil.which(f"indi_simulator_{kind}") is None:
        pytest.skip(f"indi_simulator_{kind} is not installed")
    with anyio.fail_after(90):
        async with open_client("127.0.0.1", server.port) as indi:
            device = await indi.device(SIMULATORS[kind], timeout=10)
            async with device.connected(timeout=10):
                yield indi, device


@asynccontextmanager
async def meanwhile_busy(device: Device, vector: str, **members: float | bool) -> AsyncGenerator[list[Exception]]:
    """Have a set under way, that is Busy when the block begins; after the block there is what it has raised."""
    raised: list[Exception] = []

    async def operate() -> None:
        try:
            await device.set(vector, members)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(operate)
        watched = await device.vector(vector, 10)
        await watched.wait_for(lambda v: v.state == "Busy", timeout=10)
        yield raised


async def settled(device: Device, vector: str) -> None:
    await device[vector].wait_for(lambda v: v.state != "Busy", timeout=60)


# -- the telescope -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def mount(server: IndiServer) -> AsyncGenerator[Device]:
    """Yield the telescope, unparked and tracking, pointing at the meridian."""
    async with connected(server, "telescope") as (_, device):
        await device.set("TELESCOPE_PARK", UNPARK=True)
        assert device["TELESCOPE_PARK"]["UNPARK"] is True
        await device.set("ON_COORD_SET", TRACK=True)
        yield device


async def here(device: Device) -> tuple[float, float]:
    coordinates = await device.vector("EQUATORIAL_EOD_COORD", 10)
    return float(coordinates["RA"]), float(coordinates["DEC"])


async def test_a_goto_returns_when_the_telescope_is_there(server: IndiServer) -> None:
    async with mount(server) as device:
        ra, dec = await here(device)
        target = (ra + 0.3) % 24, dec - 4 if dec > 0 else dec + 4
        coordinates = await device.set("EQUATORIAL_EOD_COORD", RA=target[0], DEC=target[1], timeout=60)
        assert coordinates.state == "Ok"
        assert coordinates["RA"] == pytest.approx(target[0], abs=0.01)
        assert coordinates["DEC"] == pytest.approx(target[1], abs=0.05)


async def test_a_sync_returns_at_once_and_moves_nothing(server: IndiServer) -> None:
    async with mount(server) as device:
        ra, dec = await here(device)
        await device.set("ON_COORD_SET", SYNC=True)
        began = anyio.current_time()
        coordinates = await device.set("EQUATORIAL_EOD_COORD", RA=(ra + 0.05) % 24, DEC=dec, timeout=20)
        assert coordinates["RA"] == pytest.approx((ra + 0.05) % 24, abs=0.001)
        assert anyio.current_time() - began < 5
        await device.set("ON_COORD_SET", TRACK=True)


async def test_a_goto_that_is_aborted_raises_that(server: IndiServer) -> None:
    async with mount(server) as device:
        ra, dec = await here(device)
        async with meanwhile_busy(device, "EQUATORIAL_EOD_COORD", RA=(ra + 6) % 24, DEC=-dec) as raised:
            await anyio.sleep(0.5)
            await device.set("TELESCOPE_ABORT_MOTION", ABORT=True, timeout=10)
        [error] = raised
        assert isinstance(error, OperationAbortedError)


async def test_a_goto_that_is_cancelled_stops_the_telescope(server: IndiServer) -> None:
    async with mount(server) as device:
        ra, dec = await here(device)
        with pytest.raises(TimeoutError, match="not done within 2 s"):
            await device.set("EQUATORIAL_EOD_COORD", RA=(ra + 6) % 24, DEC=-dec, timeout=2)
        assert device["EQUATORIAL_EOD_COORD"].state != "Busy"
        stopped = await here(device)
        await anyio.sleep(1.5)
        assert await here(device) == pytest.approx(stopped, abs=0.05)


async def test_park_and_unpark(server: IndiServer) -> None:
    async with mount(server) as device:
        park = await device.set("TELESCOPE_PARK", PARK=True, timeout=80)
        assert park.state == "Ok"
        assert park["PARK"] is True
        with pytest.raises(RefusedError, match=r"(?i)park"):
            await device.set("EQUATORIAL_EOD_COORD", RA=1.0, DEC=10.0, timeout=20)
        await device.set("TELESCOPE_PARK", UNPARK=True, timeout=20)
        assert device["TELESCOPE_PARK"]["UNPARK"] is True


async def test_a_parking_that_is_aborted_raises_what_the_driver_says(server: IndiServer) -> None:
    async with mount(server) as device:
        ra, dec = await here(device)
        # Away from where it parks, so that parking takes a while.
        await device.set("EQUATORIAL_EOD_COORD", RA=(ra + 1) % 24, DEC=dec / 2, timeout=60)
        async with meanwhile_busy(device, "TELESCOPE_PARK", PARK=True) as raised:
            await device.set("TELESCOPE_ABORT_MOTION", ABORT=True, timeout=10)
        [error] = raised
        assert isinstance(error, RefusedError | OperationAbortedError)
        assert device["TELESCOPE_PARK"]["PARK"] is False


async def test_a_parking_goes_on_when_its_caller_is_cancelled(server: IndiServer) -> None:
    async with mount(server) as device:
        ra, dec = await here(device)
        await device.set("EQUATORIAL_EOD_COORD", RA=(ra + 1) % 24, DEC=dec / 2, timeout=60)
        with pytest.raises(TimeoutError):
            await device.set("TELESCOPE_PARK", PARK=True, timeout=0.5)
        park = await device["TELESCOPE_PARK"].wait_for(lambda v: v.state != "Busy", timeout=60)
        assert park["PARK"] is True


async def test_motion_by_hand_lasts_until_it_is_stopped(server: IndiServer) -> None:
    async with mount(server) as device:
        moving = await device.set("TELESCOPE_MOTION_NS", MOTION_NORTH=True, timeout=10)
        assert moving.state == "Busy"
        stopped = await device.set("TELESCOPE_MOTION_NS", MOTION_NORTH=False, validate=False, timeout=10)
        assert stopped.state != "Busy"


# -- the others ----------------------------------------------------------------------------------------------------


async def test_the_focuser_arrives(server: IndiServer) -> None:
    async with connected(server, "focus") as (_, device):
        position = await device.vector("ABS_FOCUS_POSITION", 10)
        start = float(position["FOCUS_ABSOLUTE_POSITION"])
        target = start - 3000 if start > 50_000 else start + 3000
        await position.set(FOCUS_ABSOLUTE_POSITION=target, timeout=40)
        assert position.state == "Ok"
        assert position["FOCUS_ABSOLUTE_POSITION"] == target
        await device.set("REL_FOCUS_POSITION", FOCUS_RELATIVE_POSITION=500, timeout=40)
        await anyio.sleep(0.3)
        assert abs(position["FOCUS_ABSOLUTE_POSITION"] - target) == 500


async def test_what_is_out_of_range_is_not_sent_and_refused_if_it_is(server: IndiServer) -> None:
    async with connected(server, "focus") as (_, device):
        position = await device.vector("ABS_FOCUS_POSITION", 10)
        with pytest.raises(ValueError, match="must be from 0 to"):
            await position.set(FOCUS_ABSOLUTE_POSITION=-5)
        with pytest.raises(RefusedError, match=r"(?i)out of (range|bound)"):
            await position.set(FOCUS_ABSOLUTE_POSITION=-5, validate=False, timeout=10)


async def test_the_filter_wheel_turns(server: IndiServer) -> None:
    async with connected(server, "wheel") as (_, device):
        slot = await device.vector("FILTER_SLOT", 10)
        for wanted in (3, 3, 5, 1):
            await slot.set(FILTER_SLOT_VALUE=wanted, timeout=20)
            assert slot["FILTER_SLOT_VALUE"] == wanted
            assert slot.state == "Ok"


async def test_the_dome_turns_parks_and_opens(server: IndiServer) -> None:
    async with connected(server, "dome") as (_, device):
        await device.vector("DOME_PARK", 10)
        await device.set("DOME_PARK", UNPARK=True, timeout=20)
        azimuth = await device.vector("ABS_DOME_POSITION", 10)
        target = (azimuth["DOME_ABSOLUTE_POSITION"] + 20) % 360
        await azimuth.set(DOME_ABSOLUTE_POSITION=target, timeout=60)
        assert azimuth["DOME_ABSOLUTE_POSITION"] == pytest.approx(target, abs=1)
        shutter = await device.set("DOME_SHUTTER", SHUTTER_OPEN=True, timeout=60)
        assert shutter["SHUTTER_OPEN"] is True
        assert shutter.state == "Ok"
        async with meanwhile_busy(
            device, "ABS_DOME_POSITION", DOME_ABSOLUTE_POSITION=(target + 180) % 360
        ) as raised:
            await device.set("DOME_ABORT_MOTION", ABORT=True, timeout=10)
        [error] = raised
        assert isinstance(error, OperationAbortedError)


async def test_the_rotator_turns_and_is_aborted_though_it_says_ok(server: IndiServer) -> None:
    async with connected(server, "rotator") as (_, device):
        angle = await device.vector("ABS_ROTATOR_ANGLE", 10)
        target = (angle["ANGLE"] + 15) % 360
        await angle.set(ANGLE=target, timeout=60)
        assert angle["ANGLE"] == pytest.approx(target, abs=0.5)
        async with meanwhile_busy(device, "ABS_ROTATOR_ANGLE", ANGLE=(target + 150) % 360) as raised:
            await device.set("ROTATOR_ABORT_MOTION", ABORT=True, timeout=10)
        [error] = raised
        assert isinstance(error, OperationAbortedError)


async def test_an_exposure_and_its_image(server: IndiServer, tmp_path: Path) -> None:
    async with connected(server, "ccd") as (_, device):
        async with device.next("CCD1") as image:
            exposure = await device.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5, timeout=30)
            assert exposure.state == "Ok"
            saved = await image.save(tmp_path / "first.fits", timeout=10)
        blob = image.blob
        assert blob is not None
        assert saved.stat().st_size == blob.size
        with fits.open(saved) as hdus:
            assert hdus[0].header["EXPTIME"] == 0.5
        assert os.listdir(tmp_path) == ["first.fits"]


async def test_an_exposure_is_aborted_by_whoever_does_not_wait_any_longer(server: IndiServer) -> None:
    async with connected(server, "ccd") as (_, device):
        exposure = await device.vector("CCD_EXPOSURE", 10)
        with pytest.raises(TimeoutError):
            await exposure.set(CCD_EXPOSURE_VALUE=60, timeout=1)
        assert exposure.state == "Idle"
        async with meanwhile_busy(device, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=60) as raised:
            await device.set("CCD_ABORT_EXPOSURE", ABORT=True, timeout=10)
        [error] = raised
        assert isinstance(error, OperationAbortedError)


async def test_a_temperature_is_reached(server: IndiServer) -> None:
    async with connected(server, "ccd") as (_, device):
        temperature = await device.vector("CCD_TEMPERATURE", 10)
        target = temperature["CCD_TEMPERATURE_VALUE"] - 1
        await temperature.set(CCD_TEMPERATURE_VALUE=target, timeout=60)
        assert temperature.state == "Ok"
        assert temperature["CCD_TEMPERATURE_VALUE"] == pytest.approx(target, abs=0.6)
