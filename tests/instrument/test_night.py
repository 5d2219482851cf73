"""A night of ten hours with six simulated instruments, in virtual time, with faults that a seed decides.

A script cools the camera, opens the dome, takes 300 images with several filters, focuses now and then, turns the
mount over at the meridian, closes the dome when it rains, and parks everything in the morning. Each fault must cost
itself only: every image is taken in the end, and none is counted twice.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from indianyio import RefusedError, State, simulators
from indianyio.client import Device
from indianyio.instrument import Instrument
from indianyio.instrument.camera import Frame
from indianyio.streams import ByteStream
from indianyio.testing import MisbehavingStream, Mischief, driver_client

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock"), pytest.mark.long]

IMAGES = 300
EXPOSURE_SECONDS = 100.0
FOCUS_EVERY = 60
FILTER_EVERY = 30
RAIN_AT_IMAGE = 150
RAIN_SECONDS = 1800.0
FILTERS = 8


class Faults:
    """Decides by chance, from a seed, what goes wrong."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.happened: dict[str, int] = {}

    def may_strike(self, what: str, probability: float) -> None:
        if self._random.random() < probability:
            self.happened[what] = self.happened.get(what, 0) + 1
            raise OSError(f"{what} has failed")


class Camera(simulators.camera):
    faults: Faults
    exposures = 0

    async def expose(self, seconds: float, frame: Frame) -> array[int]:
        self.exposures += 1
        self.faults.may_strike("the shutter", 0.02)
        image = await super().expose(seconds, frame)
        self.faults.may_strike("the read-out", 0.02)
        return image


class Focuser(simulators.focuser):
    faults: Faults

    async def move_to(self, steps: int) -> None:
        self.faults.may_strike("the focuser's motor", 0.05)
        await super().move_to(steps)


class Wheel(simulators.filter_wheel):
    faults: Faults

    async def select(self, slot: int) -> None:
        self.faults.may_strike("the wheel", 0.1)
        await super().select(slot)


class Weather(simulators.weather):
    faults: Faults

    async def measure(self) -> Mapping[str, float]:
        # A station that does not answer makes the weather unknown, which is Alert until the next answer.
        self.faults.may_strike("the weather station", 0.01)
        return await super().measure()


@dataclass
class Night:
    """The instruments, as the script sees them, and what it notes."""

    devices: dict[str, Device] = field(default_factory=dict)
    drivers: dict[str, Any] = field(default_factory=dict)
    images: list[bytes] = field(default_factory=list)
    refusals: int = 0
    flips: int = 0
    closings: int = 0

    def device(self, name: str) -> Device:
        return self.devices[name]

    async def insist(self, device: str, vector: str, /, **values: float | bool) -> None:
        """Write until it is done; what fails is tried again a little later."""
        while True:
            try:
                await self.devices[device].set(vector, values)
                return
            except RefusedError:
                self.refusals += 1
                await anyio.sleep(5)

    @property
    def is_safe(self) -> bool:
        return self.devices["weather"]["SAFETY_STATUS"].state is State.OK


MAKE: dict[str, Callable[[], Instrument]] = {
    "mount": simulators.mount,
    "camera": Camera,
    "focuser": Focuser,
    "wheel": Wheel,
    "dome": simulators.dome,
    "weather": Weather,
}


@asynccontextmanager
async def observatory(faults: Faults, seed: int) -> AsyncGenerator[Night]:
    night = Night()
    async with AsyncExitStack() as stack:
        for number, (name, make) in enumerate(MAKE.items()):
            driver = make()
            driver.faults = faults  # type: ignore[attr-defined]

            def slow(stream: ByteStream, seed: int = seed + number) -> MisbehavingStream:
                return MisbehavingStream(stream, receiving=Mischief(delay=0.02), seed=seed)

            driver, client = await stack.enter_async_context(driver_client(driver, wrap=slow))
            device = await client.device(driver.device.devicename, timeout=60)
            await stack.enter_async_context(device.connected(timeout=60))
            night.drivers[name], night.devices[name] = driver, device
        for instrument, vector in (
            ("mount", "TELESCOPE_HOME"),
            ("camera", "CCD_TEMPERATURE"),
            ("focuser", "FOCUS_TEMPERATURE"),
            ("wheel", "FILTER_NAME"),
            ("dome", "DOME_SHUTTER"),
            ("weather", "WEATHER_CONTROL"),
        ):
            await night.device(instrument).vector(vector, timeout=60)
        yield night


async def open_up(night: Night) -> None:
    status = night.device("weather")["SAFETY_STATUS"]
    await status.wait_for(lambda _: night.is_safe)
    await night.insist("dome", "DOME_SHUTTER", SHUTTER_OPEN=True)


async def focus(night: Night) -> None:
    """Move through five positions, an image at each, and to the best."""
    here = night.drivers["focuser"].motor.position
    for offset in (-200, -100, 0, 100, 200):
        await night.insist("focuser", "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=round(here) + offset)
        await take(night, 1.0)
    await night.insist("focuser", "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=round(here))


async def take(night: Night, seconds: float) -> bytes:
    """Take an image, however often that fails."""
    camera = night.device("camera")
    while True:
        try:
            async with camera.next("CCD1") as coming:
                await camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=seconds)
                blob = await coming.get()
            return blob.content()
        except RefusedError:
            night.refusals += 1


async def point(night: Night, ra: float, dec: float) -> None:
    await night.insist("mount", "EQUATORIAL_EOD_COORD", RA=ra, DEC=dec)


async def close_and_wait(night: Night, number: int) -> None:
    """Close the dome at once, and open it when the weather is good again."""
    night.closings += 1
    await night.insist("dome", "DOME_SHUTTER", SHUTTER_CLOSE=True)
    assert not night.drivers["dome"].is_moving
    if number == RAIN_AT_IMAGE:
        await anyio.sleep(RAIN_SECONDS)
        await night.insist("weather", "WEATHER_CONTROL", Precip=0)
    await open_up(night)


async def take_all(night: Night, ra: float, dec: float) -> None:
    mount = night.drivers["mount"]
    side = await mount.side_of_pier()
    for number in range(IMAGES):
        if number % FOCUS_EVERY == 0:
            await focus(night)
        if number % FILTER_EVERY == 0:
            await night.insist("wheel", "FILTER_SLOT", FILTER_SLOT_VALUE=number // FILTER_EVERY % FILTERS + 1)
        if number == RAIN_AT_IMAGE:
            await night.insist("weather", "WEATHER_CONTROL", Precip=5)
            await anyio.sleep(90)
        if not night.is_safe:
            await close_and_wait(night, number)
        if await mount.side_of_pier() != side:
            side = await mount.side_of_pier()
            night.flips += 1
            await point(night, ra, dec)
        night.images.append(await take(night, EXPOSURE_SECONDS))


async def end_the_night(night: Night) -> None:
    await night.insist("dome", "DOME_SHUTTER", SHUTTER_CLOSE=True)
    await night.insist("mount", "TELESCOPE_PARK", PARK=True)
    await night.insist("dome", "DOME_PARK", PARK=True)
    await night.insist("camera", "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=15)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
async def test_a_night_of_ten_hours(seed: int) -> None:
    began = anyio.current_time()
    faults = Faults(seed)
    async with observatory(faults, seed) as night:
        ra, dec = (night.drivers["mount"].sidereal_degrees() / 15 + 4.5) % 24, 40.0
        await night.insist("camera", "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=-10)
        await open_up(night)
        await point(night, ra, dec)
        await take_all(night, ra, dec)
        await end_the_night(night)
        lasted = anyio.current_time() - began
        _, declination = await night.drivers["mount"].where()
    assert 8.5 * 3600 < lasted < 12 * 3600
    # Every image is there, whole, and none is there twice.
    assert len(night.images) == len(set(night.images)) == IMAGES
    assert all(image.startswith(b"SIMPLE  =") for image in night.images)
    camera = night.drivers["camera"]
    failed = faults.happened["the shutter"] + faults.happened["the read-out"]
    assert camera.exposures == IMAGES + failed + 5 * (IMAGES // FOCUS_EVERY)
    # What failed was told, and nothing else was refused.
    assert night.refusals == sum(faults.happened.values()) - faults.happened.get("the weather station", 0)
    assert (night.flips, night.closings >= 1) == (1, True)
    # In the morning everything is at rest.
    assert (declination, camera.is_exposing) == (90, False)
    assert not any(night.drivers[name].is_moving for name in ("mount", "dome"))
    assert not [
        vector for device in night.devices.values() for vector in device.values() if vector.state is State.BUSY
    ]
