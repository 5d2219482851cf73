"""A simulated camera."""

from __future__ import annotations

from array import array

import anyio
import anyio.lowlevel

from indianyio.instrument.camera import Camera, Frame
from indianyio.instrument.guider import Direction, Guider
from indianyio.simulators._motor import Motor
from indianyio.simulators._sky import Sky

__all__ = ["SimulatedCamera"]

_CELSIUS_PER_SECOND = 0.5
_AMBIENT_CELSIUS = 20.0
_MOST_DELTA_CELSIUS = 40.0
# This many rows are computed in one go, which takes a few milliseconds.
_ROWS_AT_ONCE = 32
_USUAL_GAIN = 90.0
_PIXELS_PER_SECOND = 5.0
_WAYS = {Direction.WEST: (1, 0), Direction.EAST: (-1, 0), Direction.NORTH: (0, 1), Direction.SOUTH: (0, -1)}


class SimulatedCamera(Camera, Guider):
    """A cooled camera with a guide port, in front of a made-up star field.

    A guide pulse moves the stars by five pixels a second, as if a mount were connected to the port. The sensor
    warms up or cools down by half a degree a second, to no less than 40 degrees below the ambient 20.

    :param devicename: the name that clients know it by.
    :param width: pixels of the sensor.
    :param height: pixels of the sensor.
    """

    pixel_size = 5.2
    max_bin = 4
    temperature_limits = (_AMBIENT_CELSIUS - _MOST_DELTA_CELSIUS, _AMBIENT_CELSIUS)

    def __init__(self, devicename: str = "CCD Simulator", width: int = 320, height: int = 240) -> None:
        self.width, self.height = width, height
        super().__init__(devicename)
        self.sky = Sky(width, height)
        self.sensor = Motor(_CELSIUS_PER_SECOND, _AMBIENT_CELSIUS)
        self.temperature.take(celsius=_AMBIENT_CELSIUS)
        self.is_exposing = False
        self.is_streaming = False
        self.is_cooling = False
        self._shots = 0

    @property
    def is_moving(self) -> bool:
        """Whether the shutter is open, for an image or a video."""
        return self.is_exposing or self.is_streaming

    async def connect(self) -> None:
        """Look whether it is being cooled: that goes on while nobody is connected."""
        if self.is_cooling:
            self.cooler.take(on=True)

    async def expose(self, seconds: float, frame: Frame) -> array[int]:
        """Wait, and read out."""
        self.is_exposing = True
        # What is set while the shutter is open is for the next image.
        gain, offset = self.gain.value.gain, self.offset.value.offset
        await anyio.sleep(seconds)
        image = await self._read_out(seconds, frame, gain, offset)
        self.is_exposing = False
        return image

    async def _read_out(self, seconds: float, frame: Frame, gain: float, offset: float) -> array[int]:
        self._shots += 1
        rows = self.sky.expose(seconds, frame, gain=max(gain, 1) / _USUAL_GAIN, offset=offset, seed=self._shots)
        image = array("H")
        for number, row in enumerate(rows, 1):
            image += row
            if number % _ROWS_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
        return image

    async def abort(self) -> None:
        """Close the shutter."""
        self.is_exposing = False

    async def guide(self, direction: Direction, seconds: float) -> None:
        """Move the stars for as long as the pulse lasts."""
        began = anyio.current_time()
        try:
            await anyio.sleep(seconds)
        finally:
            across, down = _WAYS[direction]
            pixels = (anyio.current_time() - began) * _PIXELS_PER_SECOND
            self.sky.shift(across * pixels, down * pixels)

    async def set_gain(self, gain: float) -> None:
        """Do nothing: it is looked at when an exposure begins."""

    async def set_offset(self, offset: float) -> None:
        """Do nothing: it is looked at when an exposure begins."""

    async def read_temperature(self) -> float:
        """Return how warm the sensor is."""
        return self.sensor.position

    async def set_temperature(self, celsius: float) -> None:
        """Cool the sensor, or let it warm up."""
        self.sensor.go(celsius)

    async def switch_cooler(self, on: bool) -> None:
        """Switch the cooler; without it the sensor warms up."""
        self.is_cooling = on
        if not on:
            self.sensor.go(_AMBIENT_CELSIUS)

    async def read_cooler_power(self) -> float:
        """Return the power that it takes to stay at this temperature."""
        if not self.is_cooling:
            return 0.0
        return 100 * (_AMBIENT_CELSIUS - self.sensor.position) / _MOST_DELTA_CELSIUS

    async def start_stream(self, frame: Frame) -> None:
        """Begin the video."""
        self.is_streaming = True

    async def next_frame(self, seconds: float, frame: Frame) -> array[int]:
        """Wait, and read out."""
        await anyio.sleep(seconds)
        return await self._read_out(seconds, frame, self.gain.value.gain, self.offset.value.offset)

    async def stop_stream(self) -> None:
        """End the video."""
        self.is_streaming = False
