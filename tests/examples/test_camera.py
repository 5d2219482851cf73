from __future__ import annotations

import io
import time

import anyio
import numpy as np
import pytest
from astropy.io import fits

from indianyio.examples.camera import DEVICE, Camera, LargeCamera
from indianyio.protocol import (
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    DelProperty,
    GetProperties,
    OneBLOB,
    SetBLOBVector,
    SetNumberVector,
    SetSwitchVector,
)
from indianyio.testing import Peer, member_values, running

pytestmark = pytest.mark.anyio


def small_camera() -> Camera:
    return Camera(width=64, height=48)


async def connect(peer: Peer) -> None:
    await peer.get_properties(DEVICE)
    await peer.expect(DefSwitchVector, name="CONNECTION")
    await peer.write(DEVICE, "CONNECTION", CONNECT="On")
    await peer.expect(SetSwitchVector, name="CONNECTION", state="Ok", CONNECT="On", DISCONNECT="Off")
    await peer.expect(DefNumberVector, name="CCD_FAST_COUNT")  # the last of them


async def expose(peer: Peer, seconds: float) -> None:
    await peer.write(DEVICE, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=seconds)


async def receive_image(peer: Peer) -> OneBLOB:
    update = await peer.expect(SetBLOBVector, name="CCD1", state="Ok")
    await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Ok", CCD_EXPOSURE_VALUE=0)
    return update.members[0]


def countdown(peer: Peer) -> list[float]:
    """Return the seconds that were left, each once."""
    told = [
        float(member_values(message)["CCD_EXPOSURE_VALUE"])
        for message in peer.received
        if isinstance(message, SetNumberVector) and message.name == "CCD_EXPOSURE" and message.state == "Busy"
    ]
    return [left for left, before in zip(told, [None, *told], strict=False) if left != before]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_an_exposure_becomes_a_fits_file() -> None:
    async with running(small_camera()) as peer:
        await connect(peer)
        await expose(peer, 0.01)
        blob = await receive_image(peer)
    assert blob.format == ".fits"
    assert blob.size == str(len(blob.data))
    with fits.open(io.BytesIO(blob.data)) as file:
        (image,) = file
        header, pixels = image.header, image.data
        assert pixels.shape == (48, 64)
        assert pixels.dtype == np.uint16
        assert 500 <= float(pixels.mean()) < 520
        assert (header["BITPIX"], header["EXPTIME"], header["INSTRUME"]) == (16, 0.01, DEVICE)
        assert (header["XBINNING"], header["YBINNING"], header["IMAGETYP"]) == (1, 1, "Light Frame")
        assert header["DATE-OBS"][:2] == "20"


async def test_ten_minutes_pass_in_no_time() -> None:
    before = time.perf_counter()
    async with running(small_camera()) as peer:
        await connect(peer)
        started = anyio.current_time()
        await expose(peer, 600)
        await receive_image(peer)
        assert anyio.current_time() - started == pytest.approx(600, abs=1)
        assert countdown(peer) == [float(left) for left in range(600, -1, -1)]
    assert time.perf_counter() - before < 10


async def test_the_countdown_comes_to_whole_seconds() -> None:
    async with running(small_camera()) as peer:
        await connect(peer)
        await expose(peer, 2.5)
        await receive_image(peer)
        assert countdown(peer) == [2.5, 2, 1, 0]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_abort_works_at_once() -> None:
    async with running(small_camera()) as peer:
        await connect(peer)
        await expose(peer, 3600)
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Busy")
        await peer.write(DEVICE, "CCD_ABORT_EXPOSURE", ABORT="On")
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Idle", CCD_EXPOSURE_VALUE=0)
        await peer.expect(SetSwitchVector, name="CCD_ABORT_EXPOSURE", state="Ok", ABORT="Off")


async def test_nothing_is_heard_of_an_aborted_exposure_any_more() -> None:
    async with running(small_camera()) as peer:
        await connect(peer)
        await expose(peer, 10)
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Busy", CCD_EXPOSURE_VALUE=8)
        await peer.write(DEVICE, "CCD_ABORT_EXPOSURE", ABORT="On")
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Idle")
        await peer.expect(SetSwitchVector, name="CCD_ABORT_EXPOSURE", state="Ok")
        seen = len(peer.received)
        with anyio.move_on_after(100):
            while True:
                await peer.receive()
        # It goes on asking for the mount, which is not there.
        assert {type(message) for message in peer.received[seen:]} <= {GetProperties}
        await expose(peer, 1)
        await receive_image(peer)


async def test_another_exposure_takes_the_place_of_the_first() -> None:
    async with running(small_camera()) as peer:
        await connect(peer)
        started = anyio.current_time()
        await expose(peer, 1000)
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Busy", CCD_EXPOSURE_VALUE=990)
        await expose(peer, 5)
        await receive_image(peer)
        assert anyio.current_time() - started == pytest.approx(15, abs=1)


async def test_connected_only_properties_come_after_connection_is_ok_and_go_after_it_is_idle() -> None:
    async with running(small_camera()) as peer:
        await peer.get_properties()
        await peer.expect(DefSwitchVector, name="CONNECTION", state="Idle")
        info = await peer.expect(DefTextVector, name="DRIVER_INFO")
        assert member_values(info)["DRIVER_INTERFACE"] == "2"
        await peer.expect(DefTextVector, name="ACTIVE_DEVICES")  # the last that is there always
        before = {name for _, name in peer.definitions}
        assert not any(name.startswith("CCD") for name in before)
        await connect(peer)
        standard = {
            "CCD_EXPOSURE",
            "CCD_ABORT_EXPOSURE",
            "CCD_FRAME",
            "CCD_BINNING",
            "CCD_FRAME_TYPE",
            "CCD_INFO",
            "CCD1",
        }
        assert {name for _, name in peer.definitions} >= standard
        await expose(peer, 100)
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Busy")
        await peer.write(DEVICE, "CONNECTION", DISCONNECT="On")
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Idle")
        await peer.expect(SetSwitchVector, name="CONNECTION", state="Idle", CONNECT="Off", DISCONNECT="On")
        await peer.expect(DelProperty, name="CCD_FAST_COUNT")
        assert {name for _, name in peer.definitions} == before
        await connect(peer)


async def test_frame_and_binning_shape_the_image() -> None:
    async with running(small_camera()) as peer:
        await connect(peer)
        await peer.write(DEVICE, "CCD_FRAME", X=10, Y=8, WIDTH=30, HEIGHT=20)
        await peer.expect(SetNumberVector, name="CCD_FRAME", state="Ok", WIDTH=30)
        await peer.write(DEVICE, "CCD_BINNING", HOR_BIN=2, VER_BIN=4)
        await peer.expect(SetNumberVector, name="CCD_BINNING", state="Ok")
        await peer.write(DEVICE, "CCD_FRAME_TYPE", FRAME_FLAT="On")
        await peer.expect(SetSwitchVector, name="CCD_FRAME_TYPE", state="Ok", FRAME_LIGHT="Off", FRAME_FLAT="On")
        await expose(peer, 0.01)
        blob = await receive_image(peer)
    with fits.open(io.BytesIO(blob.data)) as file:
        assert file[0].data.shape == (5, 15)
        assert file[0].header["IMAGETYP"] == "Flat Frame"
        assert (file[0].header["XBINNING"], file[0].header["YBINNING"]) == (2, 4)


async def test_a_frame_beyond_the_sensor_is_refused() -> None:
    async with running(small_camera()) as peer:
        await connect(peer)
        await peer.write(DEVICE, "CCD_FRAME", X=10)
        refusal = await peer.expect(SetNumberVector, name="CCD_FRAME", state="Alert", X=0, WIDTH=64)
        assert refusal.message is not None
        assert "64 x 48" in refusal.message


async def test_the_end_of_the_run_ends_the_exposure() -> None:
    driver = small_camera()
    async with running(driver) as peer:
        await connect(peer)
        await expose(peer, 100)
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Busy", CCD_EXPOSURE_VALUE=99)
        assert driver.is_open
        driver.shutdown()
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Idle", CCD_EXPOSURE_VALUE=0)
    assert not driver.is_open
    async with running(driver) as peer:
        await connect(peer)
        await expose(peer, 1)
        await receive_image(peer)


async def test_images_travel_as_descriptors_where_they_can() -> None:
    async with running(small_camera(), carries_attachments=True) as peer:
        await connect(peer)
        await expose(peer, 0.01)
        blob = await receive_image(peer)
        assert blob.attachment is not None
        assert blob.size is not None
        assert blob.attachment.read(int(blob.size))[:9] == b"SIMPLE  ="


def test_a_large_image_has_more_than_50_mb() -> None:
    frame = LargeCamera().frame.value
    assert frame.width * frame.height * 2 > 50_000_000
