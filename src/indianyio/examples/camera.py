"""A camera: exposures with a countdown, Abort at any moment, and FITS images of a made-up sky.

Under indiserver, whose limit for slow clients (``-m``, in MB) should be larger than an image::

    python -m indianyio.run --make-executable camera indianyio.examples.camera:Camera
    indiserver -m 500 "$PWD/camera"

or by itself, talking INDI on standard input and output::

    python -m indianyio.run indianyio.examples.camera:Camera

The properties, the countdown and the FITS files come from :class:`indianyio.instrument.Camera`. This module adds
the hardware: a shutter, and a sensor that takes a while to be read out.
"""

from __future__ import annotations

from array import array

import anyio
import anyio.lowlevel

from indianyio import instrument
from indianyio.instrument.camera import Frame
from indianyio.simulators._sky import Sky

__all__ = ["Camera", "LargeCamera"]

DEVICE = "indianyio Camera"


class Camera(instrument.Camera):
    """Device ``indianyio Camera``.

    :param width: pixels of the sensor.
    :param height: pixels of the sensor.
    :ivar is_open: whether the shutter is open.
    """

    pixel_size = 3.76
    max_bin = 4

    def __init__(self, width: int = 1280, height: int = 1024) -> None:
        self.width, self.height = width, height
        super().__init__(DEVICE)
        self.is_open = False
        self._sky = Sky(width, height)
        self._shots = 0

    async def expose(self, seconds: float, frame: Frame) -> array[int]:
        """Open the shutter for this long, and read out the wanted part of the sensor."""
        self.is_open = True
        await anyio.sleep(seconds)
        self.is_open = False
        return await self._read_out(seconds, frame)

    async def abort(self) -> None:
        """Close the shutter after an exposure that has ended early."""
        self.is_open = False

    async def _read_out(self, seconds: float, frame: Frame) -> array[int]:
        """Simulate what the sensor has seen, row by row."""
        self._shots += 1
        pixels = array("H")
        for row in self._sky.expose(seconds, frame, gain=1, offset=0, seed=self._shots):
            pixels += row
            await anyio.lowlevel.checkpoint()  # a large image takes seconds, during which others must run too
        return pixels


class LargeCamera(Camera):
    """A camera whose images are 52 MB large."""

    def __init__(self) -> None:
        super().__init__(5120, 5120)
