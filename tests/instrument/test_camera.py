"""The camera: what clients find, and what the simulated one does."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import anyio
import numpy as np
import pytest
from astropy.io import fits

from indianyio import OperationAbortedError, RefusedError, State, WriteRefusedError
from indianyio.client import Blob, Change, Client, NumberMember
from indianyio.client import Device as ClientDevice
from indianyio.instrument.camera import Camera, Card, Frame, Image, ImageFile
from indianyio.simulators import camera
from indianyio.standard.camera import CcdExposure
from indianyio.testing import assert_states, cancel_everywhere, check_driver, driver_client
from tests.instrument.connecting import connected_to

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "CCD Simulator"
LAST = "CCD_FAST_COUNT"


def connected(driver: Camera | None = None) -> AbstractAsyncContextManager[tuple[ClientDevice, Any]]:
    return connected_to(camera() if driver is None else driver, LAST)


async def shoot(device: ClientDevice, seconds: float = 1.0) -> Blob:
    async with device.next("CCD1") as image:
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=seconds)
        return await image.get(timeout=0.1)


def opened(blob: Blob, number: int = 0) -> tuple[Any, Any]:
    with fits.open(io.BytesIO(blob.content())) as file:
        file.verify("exception")
        return file[number].header, file[number].data


async def test_it_has_what_kstars_phd2_and_ccdciel_look_for() -> None:
    async with connected() as (device, _):
        assert int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) & 6 == 6
        assert {"CCD_EXPOSURE", "CCD1", "CCD_FRAME", "CCD_BINNING", "CCD_ABORT_EXPOSURE", "CCD_INFO"} <= set(device)
        assert {"CCD_FRAME_TYPE", "UPLOAD_MODE", "UPLOAD_SETTINGS", "CCD_TEMPERATURE", "CCD_GAIN"} <= set(device)
        assert [member.label for member in device["CCD_FRAME_TYPE"].members.values()] == [
            "Light",
            "Bias",
            "Dark",
            "Flat",
        ]
        assert dict(device["CCD_INFO"]) == {
            "CCD_MAX_X": 320,
            "CCD_MAX_Y": 240,
            "CCD_PIXEL_SIZE": 5.2,
            "CCD_PIXEL_SIZE_X": 5.2,
            "CCD_PIXEL_SIZE_Y": 5.2,
            "CCD_BITSPERPIXEL": 16,
        }
        assert limits(device, "CCD_FRAME", "WIDTH") == (1, 320)
        assert len(device["FITS_HEADER"].members) == 3
        assert "CCD_FILE_PATH" not in device


def limits(device: ClientDevice, vector: str, name: str) -> tuple[float, float]:
    member = device[vector].members[name]
    assert isinstance(member, NumberMember)
    return member.min, member.max


async def test_an_exposure_counts_down_and_its_image_comes_before_ok() -> None:
    told: list[Any] = []
    async with connected() as (device, _):

        def note(change: Change) -> None:
            if change.vector is not None and change.vector.name in ("CCD_EXPOSURE", "CCD1"):
                value = change.vector.get("CCD_EXPOSURE_VALUE")
                told.append((change.vector.name, change.state, value))

        with device["CCD_EXPOSURE"]._actions.listening(note):
            blob = await shoot(device, 2.5)
        assert blob.format == ".fits"
        values = [(state, round(value, 1)) for name, state, value in told if name == "CCD_EXPOSURE"]
        assert values[-5:] == [("Busy", 2.5), ("Busy", 2), ("Busy", 1), ("Busy", 0), ("Ok", 0)]
        assert {state for state, _ in values[:-1]} == {"Busy"}
        assert [name for name, *_ in told[-2:]] == ["CCD1", "CCD_EXPOSURE"]


async def test_the_image_is_what_was_asked_for_and_its_header_says_so() -> None:
    async with connected() as (device, _):
        await device["CCD_FRAME"].set(X=10, Y=20, WIDTH=101, HEIGHT=50)
        await device["CCD_BINNING"].set(HOR_BIN=2, VER_BIN=1)
        await device["CCD_FRAME_TYPE"].set(FRAME_FLAT=True)
        await device["CCD_GAIN"].set(GAIN=180)
        header, data = opened(await shoot(device, 0.5))
        assert data.shape == (50, 50)
        assert data.dtype == np.uint16
        assert 65_000 < data.mean() <= 65_535
        said = {name: header[name] for name in ("INSTRUME", "EXPTIME", "XBINNING", "YBINNING", "XPIXSZ", "YPIXSZ")}
        assert said == {
            "INSTRUME": NAME,
            "EXPTIME": 0.5,
            "XBINNING": 2,
            "YBINNING": 1,
            "XPIXSZ": 10.4,
            "YPIXSZ": 5.2,
        }
        assert (header["FRAME"], header["GAIN"], header["CCD-TEMP"]) == ("Flat", 180, 20)
        assert header["DATE-OBS"][:2] == "20"


async def test_a_light_has_stars_and_a_dark_has_none() -> None:
    async with connected() as (device, _):
        _, light = opened(await shoot(device, 3))
        await device["CCD_FRAME_TYPE"].set(FRAME_DARK=True)
        header, dark = opened(await shoot(device, 3))
        assert header["IMAGETYP"] == "Dark Frame"
        assert light.max() > 3000
        assert dark.max() < 600
        await device["CCD_FRAME_TYPE"].set(FRAME_BIAS=True)
        assert opened(await shoot(device, 3))[1].mean() < dark.mean()


async def test_a_guide_pulse_moves_the_stars_as_far_as_it_gets() -> None:
    async with connected() as (device, _):
        _, before = opened(await shoot(device))
        await device["TELESCOPE_TIMED_GUIDE_WE"].set(TIMED_GUIDE_W=2000)
        await device["TELESCOPE_TIMED_GUIDE_NS"].set(TIMED_GUIDE_S=10_000, wait=False)
        await anyio.sleep(1)
        await device["TELESCOPE_TIMED_GUIDE_NS"].set(TIMED_GUIDE_N=0, TIMED_GUIDE_S=0, wait=False)
        _, after = opened(await shoot(device))
        # The noise is another one each time.
        assert np.abs(before[5:, :-10].astype(int) - after[:-5, 10:]).max() < 16
        assert np.abs(before.astype(int) - after).max() > 500


async def test_an_abort_leaves_it_idle_at_0_and_the_next_exposure_works() -> None:
    async with connected() as (device, driver):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(abort_after, device, 3)
            async with assert_states(device["CCD_EXPOSURE"], "Busy", "Idle"):
                with pytest.raises(OperationAbortedError):
                    await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=600)
        assert device["CCD_EXPOSURE"]["CCD_EXPOSURE_VALUE"] == 0
        assert device["CCD_ABORT_EXPOSURE"].state is State.OK
        assert not driver.is_exposing
        await shoot(device)


async def abort_after(device: ClientDevice, seconds: float) -> None:
    await anyio.sleep(seconds)
    await device["CCD_ABORT_EXPOSURE"].set(ABORT=True)


async def test_a_second_exposure_takes_the_place_of_the_first() -> None:
    async with connected() as (device, _):
        async with assert_states(device["CCD_EXPOSURE"], "Busy", "Ok", timeout=60), device.next("CCD1") as image:
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=600, wait=False)
            await anyio.sleep(2)
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1)
            assert opened(await image.get(timeout=5))[0]["EXPTIME"] == 1


async def test_an_exposure_that_is_refused_does_not_show_its_seconds() -> None:
    class Cautious(camera):
        @camera.exposure.check
        async def look_up(self, wanted: CcdExposure) -> None:
            if wanted.seconds == 77:
                raise WriteRefusedError("it is too cloudy")

    async with connected(Cautious(width=8, height=4)) as (device, driver):
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1)
        with pytest.raises(RefusedError, match="too cloudy"):
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=77)
        assert driver.exposure.value.seconds == device["CCD_EXPOSURE"]["CCD_EXPOSURE_VALUE"] == 0


async def test_busy_is_told_with_the_seconds_of_the_exposure_that_takes_the_place_of_another() -> None:
    told: list[Any] = []

    class SlowStop(camera):
        async def abort(self) -> None:
            await anyio.sleep(2)
            await super().abort()

    async with connected(SlowStop(width=8, height=4)) as (device, _):
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=600, wait=False)
        await anyio.sleep(2)
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=5, wait=False)

        def note(change: Change) -> None:
            if change.vector is not None and change.vector.name == "CCD_EXPOSURE":
                told.append(round(change.vector["CCD_EXPOSURE_VALUE"]))

        with device["CCD_EXPOSURE"]._actions.listening(note):
            await device["CCD_EXPOSURE"].wait_for(lambda it: it.state is State.OK, timeout=60)
    assert told == sorted(told, reverse=True)
    first = next(number for number, seconds in enumerate(told) if seconds < 500)
    assert told[first] == 5
    assert set(told[first:]) == {5, 4, 3, 2, 1, 0}


async def test_the_header_has_the_gain_with_which_the_image_was_taken() -> None:
    async with connected() as (device, _):
        await device["CCD_GAIN"].set(GAIN=90)
        _, usual = opened(await shoot(device, 3))
        async with device.next("CCD1") as image:
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=3, wait=False)
            await anyio.sleep(1)
            await device["CCD_GAIN"].set(GAIN=300)
            header, data = opened(await image.get(timeout=5))
        assert header["GAIN"] == 90
        assert abs(int(data.max()) - int(usual.max())) < 20
        assert opened(await shoot(device, 3))[0]["GAIN"] == 300


async def test_fast_exposures_bring_as_many_images_as_are_counted() -> None:
    blobs: list[object] = []
    async with connected() as (device, _):
        await device["CCD_FAST_TOGGLE"].set(INDI_ENABLED=True)
        await device["CCD_FAST_COUNT"].set(FRAMES=3)
        async with device.next("CCD1"):
            with device["CCD1"]._actions.listening(lambda change: note_blob(change, blobs)):
                async with assert_states(device["CCD_FAST_COUNT"], "Busy", "Idle"):
                    async with assert_states(device["CCD_EXPOSURE"], "Busy", "Ok"):
                        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1)
        assert len(blobs) == 3
        assert device["CCD_FAST_COUNT"]["FRAMES"] == 1


def note_blob(change: Change, blobs: list[object]) -> None:
    if change.vector is not None and change.vector.name == "CCD1" and change.members:
        blobs.append(change)


class Broken(Camera):
    """A camera that fails as it is told to."""

    width, height, bits = 4, 2, 8
    bayer = "RGGB"
    native_suffix = ".raw"

    def __init__(self, image: object) -> None:
        super().__init__("Broken")
        self.returned = image
        self.stops = 0

    async def expose(self, seconds: float, frame: Frame) -> Image | ImageFile:
        if self.native_suffix and self.transfer_format.value.native:
            return ImageFile(b"raw", ".raw")
        if isinstance(self.returned, Exception):
            await anyio.sleep(seconds / 2)
            raise self.returned
        await anyio.sleep(seconds)
        return self.returned  # type: ignore[return-value]

    async def abort(self) -> None:
        self.stops += 1

    def fits_cards(self) -> Iterator[Card]:
        yield Card("MINE", 1)


async def test_an_exposure_that_fails_is_alert_with_the_reason_and_nothing_is_left_of_it() -> None:
    async with connected(Broken(RuntimeError("the cable is out"))) as (device, driver):
        async with assert_states(device["CCD_EXPOSURE"], "Busy", "Alert"):
            with pytest.raises(RefusedError, match="RuntimeError: the cable is out"):
                await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=10)
        assert device["CCD_EXPOSURE"]["CCD_EXPOSURE_VALUE"] == 0
        assert device["CCD1"]["CCD1"] is None
        assert driver.stops == 1


@pytest.mark.parametrize(
    ("image", "reason"),
    [(b"123", "4 x 2 pixels has 8 of them, not 3"), (None, "must be a buffer of numbers.*not NoneType")],
)
async def test_what_is_no_image_of_the_size_is_a_failure(image: object, reason: str) -> None:
    async with connected(Broken(image)) as (device, _):
        with pytest.raises(RefusedError, match=reason):
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1)


async def test_a_camera_of_8_bits_with_colour_filters_and_a_format_of_its_own() -> None:
    async with connected(Broken(bytes(range(8)))) as (device, driver):
        header, data = opened(await shoot(device))
        assert data.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert (header["BAYERPAT"], header["XBAYROFF"], header["MINE"]) == ("RGGB", 0, 1)
        assert "CCD_BINNING" not in device
        await device["CCD_CFA"].set(CFA_OFFSET_X="1")
        with pytest.raises(RefusedError, match="whole numbers of pixels"):
            await device["CCD_CFA"].set(CFA_OFFSET_X="one")
        assert opened(await shoot(device))[0]["XBAYROFF"] == 1
        driver.returned = b"12"
        await device["CCD_FRAME"].set(X=1, Y=1, WIDTH=2, HEIGHT=1)
        header, _ = opened(await shoot(device))
        assert (header["XBAYROFF"], header["YBAYROFF"], header["XORGSUBF"]) == (0, 1, 1)
        await device["CCD_TRANSFER_FORMAT"].set(FORMAT_NATIVE=True)
        blob = await shoot(device)
        assert (blob.format, blob.content()) == (".raw", b"raw")


async def test_whatever_ends_an_exposure_early_the_hardware_is_stopped_once() -> None:
    driver = Broken(b"12345678")
    async with connected(driver) as (device, _):
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=60, wait=False)
        await anyio.sleep(1)
        await device["CCD_ABORT_EXPOSURE"].set(ABORT=True)
        assert driver.stops == 1
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=60, wait=False)
        await anyio.sleep(1)
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1)
        assert driver.stops == 2
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=60, wait=False)
        await anyio.sleep(1)
    assert driver.stops == 3, "disconnecting"


async def test_a_part_of_the_sensor_must_be_on_it_and_a_reset_is_all_of_it() -> None:
    async with connected() as (device, _):
        await device["CCD_BINNING"].set(HOR_BIN=4, VER_BIN=4)
        with pytest.raises(RefusedError, match="100 x 100 pixels at 300, 0 do not fit on a sensor of 320 x 240"):
            await device["CCD_FRAME"].set(X=300, Y=0, WIDTH=100, HEIGHT=100)
        with pytest.raises(RefusedError, match="3 x 100 pixels cannot be binned by 4 x 4"):
            await device["CCD_FRAME"].set(X=0, Y=0, WIDTH=3, HEIGHT=100)
        await device["CCD_FRAME"].set(X=20, Y=0, WIDTH=100, HEIGHT=100)
        await device["CCD_FRAME_RESET"].set(RESET=True)
        assert dict(device["CCD_FRAME"]) == {"X": 0, "Y": 0, "WIDTH": 320, "HEIGHT": 240}
        assert dict(device["CCD_BINNING"]) == {"HOR_BIN": 1, "VER_BIN": 1}


async def test_a_sensor_may_become_known_when_it_is_connected() -> None:
    class Late(Broken):
        async def connect(self) -> None:
            self.width, self.height, self.pixel_size, self.pixel_height = 6, 5, 2.0, 3.0
            await self.describe_sensor()

        async def next_frame(self, seconds: float, frame: Frame) -> Image:
            await anyio.sleep(seconds)
            return bytes(frame.rows * frame.columns)

    async with connected(Late(bytes(30))) as (device, _):
        assert limits(device, "CCD_FRAME", "WIDTH") == limits(device, "CCD_STREAM_FRAME", "WIDTH") == (1, 6)
        assert device["CCD_INFO"]["CCD_PIXEL_SIZE_Y"] == 3
        assert opened(await shoot(device))[1].shape == (5, 6)
        assert "STREAM_FULL_DEPTH" in device
        assert "FULL_DEPTH_16BIT" not in device["STREAM_FULL_DEPTH"]
        async with device.next("CCD1") as frame:
            await device["CCD_VIDEO_STREAM"].set(STREAM_ON=True, wait=False)
            assert (await frame.get(timeout=5)).size == 30


# -- temperature ---------------------------------------------------------------------------------------------------


async def test_a_temperature_is_busy_until_it_is_reached_and_the_cooler_goes_on() -> None:
    async with connected() as (device, _):
        began = anyio.current_time()
        async with assert_states(device["CCD_TEMPERATURE"], "Busy", "Ok", timeout=60):
            await device["CCD_TEMPERATURE"].set(CCD_TEMPERATURE_VALUE=0)
        assert 39 <= anyio.current_time() - began <= 42
        assert abs(device["CCD_TEMPERATURE"]["CCD_TEMPERATURE_VALUE"]) <= 0.2
        assert device["CCD_COOLER"]["COOLER_ON"] is True
        await anyio.sleep(2)
        assert device["CCD_COOLER_POWER"]["CCD_COOLER_VALUE"] == 50


async def test_a_ramp_makes_it_slower() -> None:
    async with connected() as (device, _):
        await device["CCD_TEMP_RAMP"].set(RAMP_SLOPE=6)
        began = anyio.current_time()
        await device["CCD_TEMPERATURE"].set(CCD_TEMPERATURE_VALUE=17)
        assert 28 <= anyio.current_time() - began <= 32


async def test_a_slower_ramp_on_the_way_does_not_warm_it_up_again() -> None:
    async with connected() as (device, driver):
        await device["CCD_TEMP_RAMP"].set(RAMP_SLOPE=20)
        await device["CCD_TEMPERATURE"].set(CCD_TEMPERATURE_VALUE=-15, wait=False)
        await anyio.sleep(30.5)
        cold = driver.sensor.position
        await device["CCD_TEMP_RAMP"].set(RAMP_SLOPE=2)
        for _ in range(60):
            await anyio.sleep(1)
            assert driver.sensor.position <= cold + 0.01
        assert cold - 2.5 <= driver.sensor.position <= cold - 1.5


async def test_a_temperature_that_is_asked_for_while_the_cooler_is_switched_off_switches_it_on_again() -> None:
    class SlowSwitch(camera):
        async def switch_cooler(self, on: bool) -> None:
            await anyio.sleep(1)
            await super().switch_cooler(on)

    async with connected(SlowSwitch(width=8, height=4)) as (device, driver):
        await device["CCD_COOLER"].set(COOLER_ON=True)
        await device["CCD_COOLER"].set(COOLER_OFF=True, wait=False)
        await device["CCD_TEMPERATURE"].set(CCD_TEMPERATURE_VALUE=15)
        assert device["CCD_COOLER"]["COOLER_ON"] is True
        assert driver.sensor.position == pytest.approx(15, abs=0.2)


async def test_what_is_switched_off_is_not_cooled_any_more() -> None:
    async with connected() as (device, driver):
        async with assert_states(device["CCD_TEMPERATURE"], "Busy", "Idle", timeout=60):
            await device["CCD_TEMPERATURE"].set(CCD_TEMPERATURE_VALUE=-10, wait=False)
            await anyio.sleep(10)
            await device["CCD_COOLER"].set(COOLER_OFF=True)
        cold = device["CCD_TEMPERATURE"]["CCD_TEMPERATURE_VALUE"]
        await anyio.sleep(5)
        assert device["CCD_TEMPERATURE"]["CCD_TEMPERATURE_VALUE"] >= cold + 2
        assert driver.sensor.position >= cold + 2


async def test_a_cooler_that_was_disconnected_is_switched_on_again_for_a_temperature() -> None:
    class Sleepy(Broken):
        celsius = 20.0
        is_on = False

        async def disconnect(self) -> None:
            self.is_on = False

        async def switch_cooler(self, on: bool) -> None:
            self.is_on = on

        async def read_temperature(self) -> float:
            return self.celsius if self.is_on else 20.0

        async def set_temperature(self, celsius: float) -> None:
            self.celsius = celsius

    async with driver_client(Sleepy(b"12345678")) as (_, client):
        device = await client.device("Broken", timeout=5)
        for celsius in (-10, -5):
            async with device.connected(timeout=5):
                cooler = await device.vector("CCD_COOLER", timeout=5)
                assert cooler["COOLER_OFF"] is True
                await (await device.vector("CCD_TEMPERATURE", timeout=5)).set(CCD_TEMPERATURE_VALUE=celsius)
                assert cooler["COOLER_ON"] is True


async def test_a_cooler_that_goes_on_while_nobody_is_connected_says_so_afterwards() -> None:
    async with driver_client(camera(width=8, height=4)) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await (await device.vector("CCD_TEMPERATURE", timeout=5)).set(CCD_TEMPERATURE_VALUE=15)
        async with device.connected(timeout=5):
            assert (await device.vector("CCD_COOLER", timeout=5))["COOLER_ON"] is True


async def test_a_cooler_need_not_have_a_switch_nor_a_switch_a_thermometer() -> None:
    class Peltier(Broken):
        celsius = 5.0

        async def read_temperature(self) -> float:
            return self.celsius

        async def set_temperature(self, celsius: float) -> None:
            if celsius < -20:
                raise WriteRefusedError("it never gets that cold")
            self.celsius = celsius

    async with connected(Peltier(b"12345678")) as (device, _):
        await anyio.sleep(2)  # it is read for the first time
        async with assert_states(device["CCD_TEMPERATURE"], "Busy", "Ok"):
            await device["CCD_TEMPERATURE"].set(CCD_TEMPERATURE_VALUE=-20)
        with pytest.raises(RefusedError, match="it never gets that cold"):
            await device["CCD_TEMPERATURE"].set(CCD_TEMPERATURE_VALUE=-30)
        assert device["CCD_TEMPERATURE"]["CCD_TEMPERATURE_VALUE"] == -20
        assert "CCD_COOLER" not in device

    class Fan(Broken):
        is_on = False

        async def switch_cooler(self, on: bool) -> None:
            self.is_on = on

    async with connected(Fan(b"12345678")) as (device, driver):
        await device["CCD_COOLER"].set(COOLER_ON=True)
        assert driver.is_on
        await device["CCD_COOLER"].set(COOLER_OFF=True)
        assert not driver.is_on
        assert "CCD_TEMPERATURE" not in device


async def test_a_thermometer_alone_cannot_be_written() -> None:
    class Warm(Broken):
        async def read_temperature(self) -> float:
            return 12.5

    async with connected(Warm(b"12345678")) as (device, _):
        assert device["CCD_TEMPERATURE"].perm == "ro"
        await anyio.sleep(2)
        assert device["CCD_TEMPERATURE"]["CCD_TEMPERATURE_VALUE"] == 12.5
        assert "CCD_COOLER" not in device
        assert "CCD_TEMP_RAMP" not in device


# -- video ---------------------------------------------------------------------------------------------------------


async def test_video_is_frames_of_bytes_until_it_is_switched_off() -> None:
    blobs: list[object] = []
    async with connected() as (device, driver):
        await device["CCD_STREAM_FRAME"].set(X=0, Y=0, WIDTH=32, HEIGHT=16)
        async with device.next("CCD1") as frame, assert_states(device["CCD_VIDEO_STREAM"], "Busy", "Idle"):
            with device["CCD1"]._actions.listening(lambda change: note_blob(change, blobs)):
                await device["CCD_VIDEO_STREAM"].set(STREAM_ON=True, wait=False)
                blob = await frame.get(timeout=5)
                await anyio.sleep(5)
                assert driver.is_streaming
                await device["CCD_VIDEO_STREAM"].set(STREAM_OFF=True, wait=False)
                await device.wait_for(lambda it: it["CCD_VIDEO_STREAM"].state is State.IDLE, timeout=5)
        assert not driver.is_streaming
        assert (blob.format, blob.size) == (".stream", 512)
        assert 40 <= len(blobs) <= 55, "ten frames a second"
        assert 9 <= device["FPS"]["AVG_FPS"] <= 11


async def test_video_of_a_camera_that_fails_is_ended_and_alert() -> None:
    class Short(camera):
        async def next_frame(self, seconds: float, frame: Frame) -> array[int]:
            return array("H", [1, 2, 3])

    async with connected(Short(width=16, height=8)) as (device, driver):
        async with assert_states(device["CCD_VIDEO_STREAM"], "Busy", "Alert"):
            await device["CCD_VIDEO_STREAM"].set(STREAM_ON=True, wait=False)
        assert device["CCD_VIDEO_STREAM"]["STREAM_OFF"] is True
        assert not driver.is_streaming


async def test_what_goes_on_ends_when_the_driver_does() -> None:
    for what, values in (("CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 600}), ("CCD_VIDEO_STREAM", {"STREAM_ON": True})):
        driver = camera(width=16, height=8)
        async with driver_client(driver) as (_, client):
            device = await client.device(NAME, timeout=5)
            await device["CONNECTION"].set(CONNECT=True)
            await device.vector(LAST, timeout=5)
            await device[what].set(values, wait=False)
            await anyio.sleep(2)
            assert driver.is_exposing or driver.is_streaming
        assert not driver.is_exposing
        assert not driver.is_streaming


async def test_a_fast_series_that_is_aborted_is_over() -> None:
    async with connected() as (device, driver):
        await device["CCD_FAST_TOGGLE"].set(INDI_ENABLED=True)
        await device["CCD_FAST_COUNT"].set(FRAMES=100)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(abort_after, device, 3)
            with pytest.raises(OperationAbortedError):
                await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1, timeout=600)
        await anyio.sleep(5)
        assert not driver.is_exposing
        assert device["CCD_FAST_COUNT"]["FRAMES"] == 1
        assert device["CCD_FAST_COUNT"].state is State.IDLE


async def test_the_frames_of_a_camera_that_is_fast_are_left_out_above_the_limit() -> None:
    blobs: list[object] = []
    async with connected(camera(width=16, height=8)) as (device, _):
        await device["STREAMING_EXPOSURE"].set(STREAMING_EXPOSURE_VALUE=0.01, STREAMING_DIVISOR_VALUE=1)
        await device["LIMITS"].set(LIMITS_PREVIEW_FPS=5)
        async with device.next("CCD1"):
            with device["CCD1"]._actions.listening(lambda change: note_blob(change, blobs)):
                await device["CCD_VIDEO_STREAM"].set(STREAM_ON=True, wait=False)
                await anyio.sleep(4)
        assert 18 <= len(blobs) <= 22
        assert device["FPS"]["AVG_FPS"] > 90


async def test_video_and_exposures_exclude_each_other() -> None:
    async with connected() as (device, driver):
        await device["CCD_VIDEO_STREAM"].set(STREAM_ON=True, wait=False)
        await anyio.sleep(1)
        with pytest.raises(RefusedError, match="the video is running"):
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1)
        with pytest.raises(RefusedError, match="the video is running"):
            await device["CCD_STREAM_FRAME"].set(X=0, Y=0, WIDTH=32, HEIGHT=16)
        assert driver.is_streaming
        await device["CCD_VIDEO_STREAM"].set(STREAM_OFF=True, wait=False)
        await device.wait_for(lambda it: it["CCD_VIDEO_STREAM"].state is State.IDLE, timeout=5)
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=10, wait=False)
        await anyio.sleep(1)
        with pytest.raises(RefusedError, match="an exposure is going on"):
            await device["CCD_VIDEO_STREAM"].set(STREAM_ON=True)
        assert not driver.is_streaming
        assert device["CCD_EXPOSURE"].state is State.BUSY


async def test_video_of_16_bits_is_sent_whole_and_compressed_if_asked_for() -> None:
    async with connected() as (device, _):
        await device["STREAM_FULL_DEPTH"].set(FULL_DEPTH_16BIT=True)
        await device["CCD_STREAM_FRAME"].set(X=0, Y=0, WIDTH=32, HEIGHT=16)
        await device["CCD_COMPRESSION"].set(INDI_ENABLED=True)
        async with device.next("CCD1") as frame:
            await device["CCD_VIDEO_STREAM"].set(STREAM_ON=True, wait=False)
            blob = await frame.get(timeout=5)
        assert (blob.format, blob.size, len(blob.content())) == (".stream.z", 1024, 1024)


# -- the kit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "wish"),
    [
        ("CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 2}),
        ("CCD_VIDEO_STREAM", {"STREAM_ON": True}),
        ("CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": 18}),
    ],
)
async def test_cancelled_anywhere_it_is_at_rest_and_can_be_used_again(
    vector: str, wish: dict[str, float | bool]
) -> None:
    async def use(driver: camera, client: Client) -> None:
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await device.vector(LAST, timeout=5)
            await device[vector].set(wish)

    async def still(driver: camera, client: Client) -> None:
        assert not driver.is_exposing
        assert not driver.is_streaming
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await device.vector(LAST, timeout=5)
            await shoot(device, 0.1)

    assert await cancel_everywhere(use, lambda: camera(width=16, height=8), check=still) > 3


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(lambda: camera(width=16, height=8)) == []


async def test_settings_are_kept_and_taken_up_and_expose_nothing() -> None:
    async with connected() as (device, _):
        await device["CCD_GAIN"].set(GAIN=120)
        await device["CCD_FRAME"].set(X=10, Y=10, WIDTH=100, HEIGHT=100)
        await device["UPLOAD_MODE"].set(UPLOAD_BOTH=True)
        await device["ACTIVE_DEVICES"].set(ACTIVE_TELESCOPE="EQMod")
        await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True, timeout=1e6)

    class Set(camera):
        gains: ClassVar[list[float]] = []

        async def set_gain(self, gain: float) -> None:
            self.gains.append(gain)

    async with connected(Set()) as (device, driver):
        await device.vector("CCD_FILE_PATH", timeout=5)
        assert Set.gains == [120]
        assert ("EQMod", "EQUATORIAL_EOD_COORD") in driver.snoopvectors
        assert ("Telescope Simulator", "EQUATORIAL_EOD_COORD") not in driver.snoopvectors
        assert device["CCD_FRAME"]["WIDTH"] == 100
        assert device["CCD_EXPOSURE"].state is State.IDLE
        assert not driver.is_exposing
