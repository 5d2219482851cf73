"""The sensor of a camera: its size, which part of it is read out, and how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._binding import Limits
from indianyio.instrument._framework._declared import Binding, Property, optional, overrides
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument.camera._fits import Card
from indianyio.standard.camera import (
    CcdBinning,
    CcdCfa,
    CcdFrame,
    CcdFrameReset,
    CcdFrameType,
    CcdGain,
    CcdInfo,
    CcdOffset,
)

__all__ = ["Frame", "FrameType", "Sensor"]


class FrameType(StrEnum):
    """The kind of an exposure. For a bias or a dark the shutter, if there is one, stays closed."""

    LIGHT = "Light"
    BIAS = "Bias"
    DARK = "Dark"
    FLAT = "Flat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is read out of the sensor.

    :ivar kind: the kind of the exposure.
    :ivar x: the first column, in pixels of the sensor, before binning.
    :ivar y: the first row, likewise.
    :ivar width: how many columns, likewise.
    :ivar height: how many rows, likewise.
    :ivar x_bin: how many columns become one in the image.
    :ivar y_bin: how many rows become one in the image.
    """

    kind: FrameType = FrameType.LIGHT
    x: int = 0
    y: int = 0
    width: int
    height: int
    x_bin: int = 1
    y_bin: int = 1

    @property
    def columns(self) -> int:
        """How many columns the image has."""
        return self.width // self.x_bin

    @property
    def rows(self) -> int:
        """How many rows the image has."""
        return self.height // self.y_bin


class Sensor(Instrument):
    """The part of a camera that describes its sensor.

    These attributes are given in the body of a class, or for a single instrument: before ``super().__init__()`` is
    called, or in ``connect()``, followed by :meth:`describe_sensor`.
    """

    width: int = 0
    """Columns of the sensor."""

    height: int = 0
    """Rows of the sensor."""

    pixel_size: float = 5.0
    """The width of a pixel in micrometres."""

    pixel_height: float = 0.0
    """The height of a pixel in micrometres; 0 for pixels that are square."""

    bits: int = 16
    """Bits of a pixel."""

    max_bin: int = 1
    """How many pixels can become one, in each direction; 1 if the camera cannot bin."""

    can_subframe: bool = True
    """Whether a part of the sensor can be read out."""

    bayer: str = ""
    """The colour filters on the sensor, such as ``RGGB``; empty for a monochrome sensor."""

    gain_limits: tuple[float, float] = (0, 300)
    """The least and the greatest gain, in the camera's own unit."""

    offset_limits: tuple[float, float] = (0, 6000)
    """The least and the greatest offset, in the camera's own unit."""

    frame = Property(CcdFrame, persist=True, adapt=lambda sensor: sensor._frame_binding())
    frame_type = Property(CcdFrameType)
    binning = Property(CcdBinning, persist=True, adapt=lambda sensor: sensor._binning_binding())
    info = Property(CcdInfo, adapt=lambda sensor: {"value": sensor._info()})
    frame_reset = Property(
        CcdFrameReset, adapt=lambda sensor: {} if sensor.can_subframe or sensor.max_bin > 1 else None
    )
    cfa = Property(CcdCfa, persist=True, adapt=lambda sensor: sensor._cfa_binding())
    gain = Property(
        CcdGain,
        persist=True,
        adapt=lambda sensor: _limited(CcdGain, gain=sensor.gain_limits) if overrides(sensor, "set_gain") else None,
    )
    offset = Property(
        CcdOffset,
        persist=True,
        adapt=lambda sensor: (
            _limited(CcdOffset, offset=sensor.offset_limits) if overrides(sensor, "set_offset") else None
        ),
    )

    @optional
    async def set_gain(self, gain: float) -> None:
        """Take the next images with this gain."""

    @optional
    async def set_offset(self, offset: float) -> None:
        """Take the next images with this offset, which the camera adds to every pixel."""

    async def describe_sensor(self) -> None:
        """Tell clients about a sensor whose size or pixel size has only become known in ``connect()``.

        To be called after the attributes have been set. From then on the whole sensor is read out.
        """
        await self.info.report(self._info())
        self.frame.limit(**self._frame_limits())
        self.frame.take(self._whole())
        await self.frame.report()

    # -- what is read out --------------------------------------------------------------------------------------

    def _present_frame(self) -> Frame:
        """Return what an exposure that begins now reads out."""
        area, binning = self.frame.value, self._bins()
        kind = self.frame_type.value
        chosen = [one for one in FrameType if getattr(kind, one.value.lower())]
        return Frame(
            kind=chosen[0] if chosen else FrameType.LIGHT,
            x=round(area.x),
            y=round(area.y),
            width=round(area.width),
            height=round(area.height),
            x_bin=binning[0],
            y_bin=binning[1],
        )

    def _bins(self) -> tuple[int, int]:
        if self.max_bin <= 1:
            return 1, 1
        return round(self.binning.value.x), round(self.binning.value.y)

    def _sensor_cards(self, frame: Frame) -> Iterator[Card]:
        width, height = self._pixel_sizes()
        yield Card("ROWORDER", "TOP-DOWN", "the first row is at the top")
        yield Card("PIXSIZE1", width, "width of a pixel of the sensor, micrometres")
        yield Card("PIXSIZE2", height, "height of a pixel of the sensor, micrometres")
        yield Card("XBINNING", frame.x_bin, "pixels binned into one, across")
        yield Card("YBINNING", frame.y_bin, "pixels binned into one, down")
        yield Card("XPIXSZ", width * frame.x_bin, "width of a pixel of the image, micrometres")
        yield Card("YPIXSZ", height * frame.y_bin, "height of a pixel of the image, micrometres")
        yield Card("XORGSUBF", frame.x // frame.x_bin, "first column that was read out, binned")
        yield Card("YORGSUBF", frame.y // frame.y_bin, "first row that was read out, binned")
        yield Card("FRAME", str(frame.kind), "what was exposed")
        yield Card("IMAGETYP", f"{frame.kind} Frame", "what was exposed")
        if self.bayer and frame.x_bin == frame.y_bin == 1:
            pattern = self.cfa.value
            yield Card("BAYERPAT", pattern.type, "colour filters")
            # The pattern repeats every two pixels, and a subframe may begin in the middle of it.
            yield Card("XBAYROFF", (int(pattern.offset_x) + frame.x) % 2, "where the pattern begins, across")
            yield Card("YBAYROFF", (int(pattern.offset_y) + frame.y) % 2, "where the pattern begins, down")
        if overrides(self, "set_gain"):
            yield Card("GAIN", self.gain.value.gain, "gain, in the camera's unit")
        if overrides(self, "set_offset"):
            yield Card("OFFSET", self.offset.value.offset, "offset, in the camera's unit")

    # -- how the properties look -------------------------------------------------------------------------------

    def _whole(self) -> CcdFrame:
        return CcdFrame.from_wire({"X": 0, "Y": 0, "WIDTH": self.width, "HEIGHT": self.height})

    def _frame_limits(self) -> dict[str, Limits]:
        columns, rows = max(self.width, 1), max(self.height, 1)
        return {"x": (0, columns - 1, 1), "y": (0, rows - 1, 1), "width": (1, columns, 1), "height": (1, rows, 1)}

    def _frame_binding(self) -> Binding:
        perm = "rw" if self.can_subframe else "ro"
        return {"limits": self._frame_limits(), "value": self._whole(), "perm": perm}

    def _binning_binding(self) -> Binding | None:
        limits: dict[str, Limits] = {"x": (1, self.max_bin), "y": (1, self.max_bin)}
        return {"limits": limits} if self.max_bin > 1 else None

    def _cfa_binding(self) -> Binding | None:
        return {"value": CcdCfa(type=self.bayer)} if self.bayer else None

    def _pixel_sizes(self) -> tuple[float, float]:
        return self.pixel_size, self.pixel_height or self.pixel_size

    def _info(self) -> CcdInfo:
        width, height = self._pixel_sizes()
        return CcdInfo.from_wire(
            {
                "CCD_MAX_X": self.width,
                "CCD_MAX_Y": self.height,
                "CCD_PIXEL_SIZE": width,
                "CCD_PIXEL_SIZE_X": width,
                "CCD_PIXEL_SIZE_Y": height,
                "CCD_BITSPERPIXEL": self.bits,
            }
        )

    # -- what clients ask for ----------------------------------------------------------------------------------

    @frame.write
    async def _set_frame(self, wanted: CcdFrame) -> CcdFrame:
        x, y, width, height = self._fitting(wanted.x, wanted.y, wanted.width, wanted.height)
        self._require_pixels(width, height, *self._bins())
        return CcdFrame.from_wire({"X": x, "Y": y, "WIDTH": width, "HEIGHT": height})

    def _fitting(self, *area: float) -> tuple[int, int, int, int]:
        """Return a part of the sensor in whole pixels.

        :raises WriteRefusedError: it is not on the sensor.
        """
        x, y, width, height = map(round, area)
        if x + width > self.width or y + height > self.height:
            size = f"{self.width} x {self.height}"
            raise WriteRefusedError(f"{width} x {height} pixels at {x}, {y} do not fit on a sensor of {size}")
        return x, y, width, height

    @binning.write
    async def _set_binning(self, wanted: CcdBinning) -> CcdBinning:
        x_bin, y_bin = round(wanted.x), round(wanted.y)
        self._require_pixels(round(self.frame.value.width), round(self.frame.value.height), x_bin, y_bin)
        return CcdBinning.from_wire({"HOR_BIN": x_bin, "VER_BIN": y_bin})

    @staticmethod
    def _require_pixels(width: int, height: int, x_bin: int, y_bin: int) -> None:
        if width < x_bin or height < y_bin:
            raise WriteRefusedError(f"{width} x {height} pixels cannot be binned by {x_bin} x {y_bin}")

    @cfa.write
    async def _set_cfa(self, wanted: CcdCfa) -> None:
        if not (wanted.offset_x.strip().isdecimal() and wanted.offset_y.strip().isdecimal()):
            offsets = f"{wanted.offset_x!r} and {wanted.offset_y!r}"
            raise WriteRefusedError(f"the pattern must begin at whole numbers of pixels, not at {offsets}")

    @frame_reset.write
    async def _reset_frame(self, wanted: CcdFrameReset) -> CcdFrameReset:
        if self.max_bin > 1:
            await self.binning.report(x=1, y=1, state=State.OK)
        await self.frame.report(self._whole(), state=State.OK)
        return CcdFrameReset.from_wire({"RESET": "Off"})

    @gain.write
    async def _set_gain(self, wanted: CcdGain) -> None:
        await self.set_gain(wanted.gain)

    @offset.write
    async def _set_offset(self, wanted: CcdOffset) -> None:
        await self.set_offset(wanted.offset)


def _limited(values: type[CcdGain | CcdOffset], **limits: Limits) -> Binding:
    """Return the limits and the first value of a property that has one number."""
    [(attribute, (least, most, *_))] = limits.items()
    [member] = values.declaration.members
    return {
        "limits": limits,
        "value": values.from_wire({member.name: min(max(getattr(values, attribute), least), most)}),
    }
