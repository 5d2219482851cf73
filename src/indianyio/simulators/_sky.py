"""A made-up sky in front of a simulated camera; the same sky every time.

It is computed with plain Python, so that a simulator needs nothing else. Most pixels see no star, so only the
others are stored, row by row.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Iterator
from random import Random

from indianyio.instrument.camera import Frame, FrameType

__all__ = ["Sky"]

_PIXELS_PER_STAR = 2000
_HALF = 5  # pixels around a star that it lights up
_SIGMA = 1.6  # pixels
_BRIGHTEST = 30_000.0  # the peak of the brightest star, per second; this and the following are in converter units
_SKY, _DARK = 40.0, 2.0  # per second
_BIAS, _FLAT = 500.0, 20_000.0
_NOISE = 16  # its range
_SATURATED = 65_535


class Sky:
    """The stars that the sensor sees, and the images of them.

    :param width: pixels of the sensor.
    :param height: pixels of the sensor.
    """

    def __init__(self, width: int, height: int) -> None:
        self._right = self._down = 0.0
        self._rows: list[dict[int, float]] = [{} for _ in range(height)]
        random = Random(width * height)
        for _ in range(max(1, width * height // _PIXELS_PER_STAR)):
            # Faint stars are many and bright ones few.
            self._add_star(random.uniform(0, width - 1), random.uniform(0, height - 1), random.random() ** 6)

    def _add_star(self, x: float, y: float, brightness: float) -> None:
        across = [(column, _glow(column - x)) for column in range(round(x) - _HALF, round(x) + _HALF + 1)]
        for row in range(max(round(y) - _HALF, 0), min(round(y) + _HALF + 1, len(self._rows))):
            light, peak = self._rows[row], _BRIGHTEST * brightness * _glow(row - y)
            for column, part in across:
                light[column] = light.get(column, 0.0) + peak * part

    def shift(self, columns: float, rows: float) -> None:
        """Move the stars by this many pixels, to the right and down."""
        self._right += columns
        self._down += rows

    def expose(
        self, seconds: float, frame: Frame, *, gain: float, offset: float, seed: int
    ) -> Iterator[array[int]]:
        """Yield the rows of an image one by one, so that the caller can let others run in between.

        :param seconds: how long the exposure lasts.
        :param frame: what is exposed, and which part of the sensor is read out.
        :param gain: the gain, as a multiple of the usual one.
        :param offset: added to each pixel.
        :param seed: determines the noise.
        """
        random = Random(seed)
        binned = frame.x_bin * frame.y_bin
        starlight = seconds * gain if frame.kind is FrameType.LIGHT else 0.0
        level = int(_BIAS + offset + binned * gain * _even_light(seconds, frame.kind))
        shade = _shades(level)
        for row in range(frame.rows):
            pixels = shade(random.randbytes(frame.columns))
            if starlight:
                for column, light in self._binned(frame, row):
                    pixels[column] = min(pixels[column] + int(light * starlight), _SATURATED)
            yield pixels

    def _binned(self, frame: Frame, row: int) -> Iterator[tuple[int, float]]:
        """Yield columns and the stars' light in them, for a row of the image; a column may come repeatedly."""
        first = frame.y + row * frame.y_bin - round(self._down)
        left = frame.x - round(self._right)
        for light in self._rows[max(first, 0) : max(first + frame.y_bin, 0)]:
            for x, brightness in light.items():
                column = (x - left) // frame.x_bin
                if 0 <= column < frame.columns:
                    yield column, brightness


def _glow(pixels: float) -> float:
    """Return the part of a star's light that is seen this far from its centre, in one direction."""
    return math.exp(-(pixels**2) / (2 * _SIGMA**2))


def _shades(level: int) -> Callable[[bytes], array[int]]:
    """Return a function that turns random bytes into pixels, each a little above a level.

    It makes one half of all pixels at a time, by a table, because making pixel after pixel takes ten times as long.
    """
    shades = [min(level + byte % _NOISE, _SATURATED) for byte in range(256)]
    halves = [bytes(shade.to_bytes(2, sys.byteorder)[half] for shade in shades) for half in (0, 1)]

    def shade(noise: bytes) -> array[int]:
        pixels = bytearray(2 * len(noise))
        for half, table in enumerate(halves):
            pixels[half::2] = noise.translate(table)
        return array("H", pixels)

    return shade


def _even_light(seconds: float, kind: FrameType) -> float:
    """Return how much every pixel of the sensor collects besides the stars' light."""
    match kind:
        case FrameType.BIAS:
            return 0.0
        case FrameType.FLAT:
            return _FLAT + _DARK * seconds
        case FrameType.DARK:
            return _DARK * seconds
        case FrameType.LIGHT:
            return (_SKY + _DARK) * seconds
