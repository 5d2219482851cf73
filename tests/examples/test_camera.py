from __future__ import annotations

import io
import subprocess
import sys
import time

import anyio
import numpy as np
import pytest
from astropy.io import fits

from indianyio.examples._starfield import BIAS, Shot, StarField
from indianyio.examples.camera import DEVICE, Camera, LargeCamera
from indianyio.protocol import (
    DefBLOBVector,
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    DelProperty,
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
    await peer.expect(DefBLOBVector, name="CCD1")


async def expose(peer: Peer, seconds: float) -> None:
    await peer.write(DEVICE, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=seconds)


async def receive_image(peer: Peer) -> OneBLOB:
    update = await peer.expect(SetBLOBVector, name="CCD1", state="Ok")
    await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Ok", CCD_EXPOSURE_VALUE=0)
    return update.members[0]


def countdown(peer: Peer) -> list[float]:
    return [
        float(member_values(message)["CCD_EXPOSURE_VALUE"])
        for message in peer.received
        if isinstance(message, SetNumberVector) and message.name == "CCD_EXPOSURE" and message.state == "Busy"
    ]


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
        assert abs(float(pixels.mean()) - BIAS) < 10
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
        await peer.expect(SetSwitchVector, name="CCD_ABORT_EXPOSURE", state="Ok", ABORT="Off")
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Idle", CCD_EXPOSURE_VALUE=0)


async def test_nothing_is_heard_of_an_aborted_exposure_any_more() -> None:
    async with running(small_camera()) as peer:
        await connect(peer)
        await expose(peer, 10)
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Busy", CCD_EXPOSURE_VALUE=8)
        await peer.write(DEVICE, "CCD_ABORT_EXPOSURE", ABORT="On")
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Idle")
        seen = len(peer.received)
        with anyio.move_on_after(100):
            await peer.receive()
        assert peer.received[seen:] == []
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
        assert {name for _, name in peer.definitions} == {"CONNECTION", "DRIVER_INFO"}
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
        assert {name for _, name in peer.definitions} - {"CONNECTION", "DRIVER_INFO"} == standard
        await expose(peer, 100)
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Busy")
        await peer.write(DEVICE, "CONNECTION", DISCONNECT="On")
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Idle")
        await peer.expect(SetSwitchVector, name="CONNECTION", state="Idle", CONNECT="Off", DISCONNECT="On")
        await peer.expect(DelProperty, name="CCD1")
        assert {name for _, name in peer.definitions} == {"CONNECTION", "DRIVER_INFO"}
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
        await expose(peer, 0)
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
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Busy")
        driver.shutdown()
        await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Idle", CCD_EXPOSURE_VALUE=0)
    async with running(driver) as peer:
        await peer.get_properties(DEVICE)
        await peer.expect(DefNumberVector, name="CCD_EXPOSURE", state="Idle")


async def test_images_travel_as_descriptors_where_they_can() -> None:
    async with running(small_camera(), carries_attachments=True) as peer:
        await connect(peer)
        await expose(peer, 0)
        blob = await receive_image(peer)
        assert blob.attachment is not None
        assert blob.size is not None
        assert blob.attachment.read(int(blob.size))[:9] == b"SIMPLE  ="


def test_without_the_extra_it_says_what_to_install() -> None:
    script = "import sys; sys.modules['astropy'] = None; import indianyio.examples.camera"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'indianyio[fits]'" in done.stderr.splitlines()[-1]


def test_a_large_image_has_more_than_50_mb() -> None:
    camera = LargeCamera()
    frame = {name: camera.frame.getfloatvalue(name) for name in camera.frame}
    assert frame["WIDTH"] * frame["HEIGHT"] * 2 > 50_000_000


def shot(frame_type: str, seconds: float = 1.0, binning: int = 1) -> Shot:
    return Shot(
        seconds=seconds, frame_type=frame_type, x=0, y=0, width=200, height=150, hor_bin=binning, ver_bin=binning
    )


def test_the_same_sky_is_seen_each_time_with_other_noise() -> None:
    first = StarField(200, 150).expose(shot("FRAME_LIGHT"), seed=1)
    again = StarField(200, 150).expose(shot("FRAME_LIGHT"), seed=1)
    other = StarField(200, 150).expose(shot("FRAME_LIGHT"), seed=2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] > 0.9


def test_stars_stand_out_in_light_frames_only() -> None:
    field = StarField(200, 150)
    deviations = {
        kind: float(field.expose(shot(kind), 1).std()) for kind in ("FRAME_LIGHT", "FRAME_BIAS", "FRAME_DARK")
    }
    assert deviations["FRAME_LIGHT"] > 3 * deviations["FRAME_DARK"] > 0
    assert deviations["FRAME_DARK"] == pytest.approx(deviations["FRAME_BIAS"], rel=0.1)


def test_binned_pixels_collect_more_light_and_bright_ones_saturate() -> None:
    field = StarField(200, 150)
    means = [float(field.expose(shot("FRAME_LIGHT", 0.5, binning), 1).mean()) - BIAS for binning in (1, 2)]
    assert means[1] == pytest.approx(4 * means[0], rel=0.05)
    levels = [float(field.expose(shot("FRAME_LIGHT", seconds), 1).max()) for seconds in (1, 10_000)]
    assert levels[0] < levels[1] == 65_535
