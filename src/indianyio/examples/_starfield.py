"""What the example camera sees: a made-up star field, exposed, read out and written as FITS.

The light that falls on each pixel in a second is computed once. An exposure multiplies it with its time and adds
the bias of the electronics and noise, a band of rows at a time, so that 26 million pixels take about a second and
little more memory than their result.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

__all__ = ["Shot", "StarField", "fits_image"]

PIXELS_PER_STAR = 4000
STAMP = 15  # pixels across the piece of sky that one star lights up
STAR_SIGMA = 1.6  # pixels
BRIGHTEST = 60_000.0  # of a star, at its peak, each second; this and the rest are in units of the converter
SKY, DARK = 40.0, 2.0  # each second
BIAS, READ_NOISE = 500.0, 8.0
FLAT = 20_000.0
BAND_ROWS = 128
SATURATED = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One exposure: for how long, of what (a member of CCD_FRAME_TYPE), and which part of the sensor.

    ``x``, ``y``, ``width`` and ``height`` are in pixels of the sensor, before they are binned.
    """

    seconds: float
    frame_type: str
    x: int
    y: int
    width: int
    height: int
    hor_bin: int
    ver_bin: int


class StarField:
    """The sky in front of a sensor, the same one whenever it is made.

    :param width: pixels of the sensor.
    :param height: pixels of the sensor.
    """

    def __init__(self, width: int, height: int) -> None:
        self._light = np.full((height, width), SKY, dtype=np.float32)
        rng = np.random.default_rng(seed=width * height)
        half = STAMP // 2
        distances = np.arange(STAMP) - half
        for _ in range(max(1, width * height // PIXELS_PER_STAR)):
            x, y = rng.uniform(half, (width - half - 1, height - half - 1))
            # Faint stars are many and bright ones few.
            peak = BRIGHTEST * rng.random() ** 6
            column, row = round(x), round(y)
            across = np.exp(-(((distances + column - x) / STAR_SIGMA) ** 2) / 2)
            down = np.exp(-(((distances + row - y) / STAR_SIGMA) ** 2) / 2)
            self._light[row - half : row + half + 1, column - half : column + half + 1] += peak * np.outer(
                down, across
            )

    def expose(self, shot: Shot, seed: int) -> NDArray[np.uint16]:
        """Return the pixels of an exposure.

        :param shot: the exposure.
        :param seed: decides the noise.
        """
        rows, columns = shot.height // shot.ver_bin, shot.width // shot.hor_bin
        used = self._light[shot.y : shot.y + rows * shot.ver_bin, shot.x : shot.x + columns * shot.hor_bin]
        sky_seconds = shot.seconds if shot.frame_type == "FRAME_LIGHT" else 0.0
        even = _even_light(shot) * shot.hor_bin * shot.ver_bin
        rng = np.random.default_rng(seed)
        pixels = np.empty((rows, columns), dtype=np.uint16)
        for start in range(0, rows, BAND_ROWS):
            stop = min(start + BAND_ROWS, rows)
            light = _binned(used[start * shot.ver_bin : stop * shot.ver_bin], shot) * np.float32(sky_seconds) + even
            noise = rng.standard_normal(light.shape, dtype=np.float32) * np.sqrt(light + READ_NOISE**2)
            pixels[start:stop] = np.clip(light + noise + (BIAS + 0.5), 0, SATURATED)
        return pixels


def _even_light(shot: Shot) -> np.float32:
    """Return what every pixel of the sensor collects besides the sky."""
    warmth = DARK * shot.seconds
    return np.float32({"FRAME_BIAS": 0.0, "FRAME_FLAT": FLAT + warmth}.get(shot.frame_type, warmth))


def _binned(light: NDArray[np.float32], shot: Shot) -> NDArray[np.float32]:
    if shot.hor_bin == shot.ver_bin == 1:
        return light
    rows, columns = light.shape[0] // shot.ver_bin, light.shape[1] // shot.hor_bin
    boxes = light.reshape(rows, shot.ver_bin, columns, shot.hor_bin)
    binned: NDArray[np.float32] = boxes.sum(axis=(1, 3), dtype=np.float32)
    return binned


def fits_image(pixels: NDArray[np.uint16], cards: Mapping[str, tuple[str | int | float, str]]) -> bytes:
    """Return a FITS file with one image; unsigned 16-bit pixels are written with the usual BZERO of 32768.

    :param pixels: the image.
    :param cards: keywords, each with its value and its comment.
    """
    image = fits.PrimaryHDU(pixels)
    image.header.update(cards)
    file = io.BytesIO()
    image.writeto(file)
    return file.getvalue()
