"""What a client does with each of the drivers of the comparison, whoever wrote them in whatever library."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import numpy as np
import pytest
from astropy.io import fits

from indianyio import RefusedError, State
from indianyio.client import Client, Device
from indianyio.testing import assert_states

__all__ = ["SCRIPTS"]

START_SECONDS = 20.0
"""How long a program may take to start."""

PART = {"X": 80, "Y": 50, "WIDTH": 64, "HEIGHT": 32}


async def _refused(device: Device, vector: str, state: State = State.ALERT, **members: float | bool) -> None:
    with pytest.raises(RefusedError):
        await device.set(vector, members, validate=False, timeout=10)
    assert device[vector].state is state


async def use_thermostat(client: Client, library: str) -> None:
    """Heat."""
    device = await client.device("Thermostat", timeout=START_SECONDS)
    async with device.connected(timeout=10):
        await device.set("TARGET", CELSIUS=21)
        await _refused(device, "TARGET", CELSIUS=200)
        assert device["TARGET"]["CELSIUS"] == 21
        await device.set("HEATING", ON=True)
        await client.wait_for(lambda _: device["TEMPERATURE"]["CELSIUS"] == 21, timeout=10)
    await client.wait_for(lambda _: "TARGET" not in device, timeout=5)


async def use_focuser(client: Client, library: str) -> None:
    """Move, by position and by steps, and abort."""
    device = await client.device("Focuser", timeout=START_SECONDS)
    async with device.connected(timeout=10):
        position = await device.vector("ABS_FOCUS_POSITION", timeout=10)
        await device.vector("FOCUS_MAX", timeout=10)
        async with assert_states(position, "Busy", "Ok", timeout=20):
            await position.set(FOCUS_ABSOLUTE_POSITION=3000, timeout=20)
        assert position["FOCUS_ABSOLUTE_POSITION"] == 3000
        await _refused(device, "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=30_000)
        await device.set("FOCUS_MOTION", FOCUS_INWARD=True)
        await device.set("REL_FOCUS_POSITION", FOCUS_RELATIVE_POSITION=1000, timeout=20)
        await client.wait_for(lambda _: position["FOCUS_ABSOLUTE_POSITION"] == 2000, timeout=5)
        await position.set(FOCUS_ABSOLUTE_POSITION=25_000, wait=False)
        await anyio.sleep(1)
        assert position.state is State.BUSY
        await device.set("FOCUS_ABORT_MOTION", ABORT=True)
        await client.wait_for(lambda _: position.state is State.IDLE, timeout=5)
        await anyio.sleep(0.6)
        stopped = position["FOCUS_ABSOLUTE_POSITION"]
        await anyio.sleep(0.6)
        assert 2000 < position["FOCUS_ABSOLUTE_POSITION"] == stopped < 25_000
    await client.wait_for(lambda _: "ABS_FOCUS_POSITION" not in device, timeout=5)


async def use_camera(client: Client, library: str) -> None:
    """Expose: all of the sensor, and a part of it; and abort."""
    device = await client.device("Camera", timeout=START_SECONDS)
    async with device.connected(timeout=10):
        for name in ("CCD_FRAME", "CCD_BINNING", "CCD_FRAME_TYPE", "CCD_INFO", "CCD1", "CCD_EXPOSURE"):
            await device.vector(name, timeout=10)
        await anyio.sleep(0.5)  # libindi's defines more, and tells of the sensor once again
        assert device["CCD_INFO"]["CCD_MAX_X"] == 160
        assert device["CCD_INFO"]["CCD_PIXEL_SIZE"] == 3.75
        async with assert_states(device["CCD_EXPOSURE"], "Busy", "Ok", timeout=20):
            header, data = await _image(device, 1.2)
        assert (header["EXPTIME"], header["FRAME"]) == (pytest.approx(1.2), "Light")
        assert data.dtype == np.uint16
        assert np.array_equal(data, np.tile(np.arange(160), (120, 1)))
        await device.set("CCD_FRAME", PART)
        await device.set("CCD_BINNING", HOR_BIN=2, VER_BIN=2)
        await device.set("CCD_FRAME_TYPE", FRAME_DARK=True)
        header, data = await _image(device, 0.5)
        assert (header["FRAME"], header["XBINNING"], header["XPIXSZ"]) == ("Dark", 2, 7.5)
        assert np.array_equal(data, np.tile(np.arange(80, 144, 2), (16, 1)))
        await _refused(device, "CCD_FRAME", X=120)
        await _refused(device, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=5000)
        exposure = device["CCD_EXPOSURE"]
        await exposure.set(CCD_EXPOSURE_VALUE=60, wait=False)
        await client.wait_for(lambda _: 57 < exposure["CCD_EXPOSURE_VALUE"] < 59.5, timeout=5)
        assert exposure.state is State.BUSY
        await device.set("CCD_ABORT_EXPOSURE", ABORT=True)
        await client.wait_for(lambda _: exposure.state is State.IDLE, timeout=5)
        assert exposure["CCD_EXPOSURE_VALUE"] == 0
    await client.wait_for(lambda _: "CCD1" not in device, timeout=5)


async def _image(device: Device, seconds: float) -> tuple[fits.Header, Any]:
    async with device.next("CCD1") as image:
        await device.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=seconds, timeout=20)
        content = (await image.get(timeout=20)).content()
    with fits.open(io.BytesIO(content)) as file:
        return file[0].header, file[0].data


async def use_mount(client: Client, library: str) -> None:
    """Slew, sync, abort and park."""
    device = await client.device("Mount", timeout=START_SECONDS)
    async with device.connected(timeout=10):
        where = await device.vector("EQUATORIAL_EOD_COORD", timeout=10)
        await device.vector("TELESCOPE_TRACK_STATE", timeout=10)
        await anyio.sleep(0.5)
        await device.set("TELESCOPE_PARK", UNPARK=True)
        async with assert_states(where, "Busy", "Ok", timeout=20):
            await where.set(RA=0.2, DEC=80, timeout=20)
        assert (where["RA"], where["DEC"]) == (pytest.approx(0.2), pytest.approx(80))
        assert device["TELESCOPE_TRACK_STATE"]["TRACK_ON"]
        if library == "libindi":  # which says nothing at all of such a place
            with pytest.raises(TimeoutError, match="does not answer"):
                await where.set({"RA": 1, "DEC": 120}, validate=False)
        else:
            await _refused(device, "EQUATORIAL_EOD_COORD", RA=1, DEC=120)
        await device.set("TELESCOPE_TRACK_STATE", TRACK_OFF=True)
        await device.set("ON_COORD_SET", SLEW=True)
        await where.set(RA=0.3, DEC=80, timeout=20)
        await anyio.sleep(1)
        # What the page says: libindi's driver is not told whether it is to track.
        assert device["TELESCOPE_TRACK_STATE"]["TRACK_ON"] is (library == "libindi")
        await device.set("ON_COORD_SET", SYNC=True)
        await where.set(RA=1, DEC=70, timeout=20)
        await client.wait_for(lambda _: (where["RA"], where["DEC"]) == (1, 70), timeout=5)
        await device.set("ON_COORD_SET", TRACK=True)
        await where.set(RA=1, DEC=-80, wait=False)
        await client.wait_for(lambda _: where.state is State.BUSY and where["DEC"] < 69, timeout=5)
        await device.set("TELESCOPE_ABORT_MOTION", ABORT=True)
        await client.wait_for(lambda _: where.state is not State.BUSY, timeout=5)
        await anyio.sleep(0.6)
        stopped = where["DEC"]
        await anyio.sleep(1)
        assert -80 < where["DEC"] == stopped < 70
        await device.set("TELESCOPE_PARK", PARK=True, timeout=30)
        assert where["DEC"] == 90
        # libindi says no in a message only.
        state = State.IDLE if library == "libindi" else State.ALERT
        await _refused(device, "EQUATORIAL_EOD_COORD", state, RA=1, DEC=20)
    await client.wait_for(lambda _: "EQUATORIAL_EOD_COORD" not in device, timeout=5)


SCRIPTS: dict[str, Callable[[Client, str], Awaitable[None]]] = {
    "thermostat": use_thermostat,
    "focuser": use_focuser,
    "camera": use_camera,
    "mount": use_mount,
}
