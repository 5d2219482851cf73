"""A camera: exposures with a countdown, Abort at any moment, and FITS images of a made-up sky.

It needs ``pip install 'indianyio[fits]'``. Under indiserver, whose limit for slow clients (``-m``, in MB) should
be larger than an image::

    python -m indianyio.run --make-executable camera indianyio.examples.camera:Camera
    indiserver -m 500 "$PWD/camera"

or by itself, talking INDI on standard input and output::

    python -m indianyio.run indianyio.examples.camera:Camera

The properties are those that clients expect of a camera (protocol.md 3.9).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import cached_property

import anyio
import anyio.lowlevel
import anyio.to_thread

from indianyio import (
    BLOBMember,
    BLOBVector,
    IPyDriver,
    NewEvent,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    newSwitchVector,
)
from indianyio.examples._standard import ConnectableDevice, choose

try:
    from indianyio.examples._starfield import Shot, StarField, fits_image
except ImportError as exc:
    raise ImportError("the camera example writes FITS files: pip install 'indianyio[fits]'") from exc

__all__ = ["Camera", "LargeCamera"]

DEVICE = "indianyio Camera"
CAMERA_INTERFACE = 2  # protocol.md 3.4
LONGEST_SECONDS = 3600
LARGEST_BIN = 4
PIXEL_MICROMETRES = 3.76

FRAME_TYPES = {"FRAME_LIGHT": "Light", "FRAME_BIAS": "Bias", "FRAME_DARK": "Dark", "FRAME_FLAT": "Flat"}


class Camera(IPyDriver):
    """Device ``indianyio Camera``.

    An exposure is a task in a cancel scope of its own. Abort, another exposure and disconnecting cancel it; the end
    of the run does too.

    :param width: pixels of the sensor.
    :param height: pixels of the sensor.
    """

    def __init__(self, width: int = 1280, height: int = 1024) -> None:
        self._size = width, height
        self._exposing: anyio.CancelScope | None = None
        self._shots = 0
        group = "Main Control"
        self.exposure = NumberVector("CCD_EXPOSURE", "Expose", group, "rw", "Idle", [
            NumberMember("CCD_EXPOSURE_VALUE", "Duration (s)", "%5.2f", 0, LONGEST_SECONDS, 1),
        ])  # fmt: skip
        self.abort = SwitchVector("CCD_ABORT_EXPOSURE", "Abort", group, "rw", "AtMostOne", "Idle", [
            SwitchMember("ABORT", "Abort"),
        ])  # fmt: skip
        self.image = BLOBVector("CCD1", "Image", "Image Info", "ro", "Idle", [
            BLOBMember("CCD1", "Image", blobformat=".fits"),
        ])  # fmt: skip
        self.frame = _frame_vector(width, height)
        self.binning = _binning_vector()
        self.frame_type = SwitchVector("CCD_FRAME_TYPE", "Type", "Image Settings", "rw", "OneOfMany", "Ok", [
            SwitchMember(name, label, "On" if label == "Light" else "Off") for name, label in FRAME_TYPES.items()
        ])  # fmt: skip
        self.device = ConnectableDevice(DEVICE, CAMERA_INTERFACE, [
            self.exposure, self.abort, self.frame, self.binning, self.frame_type, _info_vector(width, height),
            self.image,
        ])  # fmt: skip
        super().__init__(self.device)

    # -- what clients ask for ----------------------------------------------------------------------------------

    async def rxevent(self, event: NewEvent) -> None:
        """Obey a client."""
        match event:
            case newSwitchVector(vectorname="CONNECTION"):
                if event.get("CONNECT") != "On":
                    await self._stop_exposing()
                await self.device.obey_connection(event)
            case newNumberVector(vectorname="CCD_EXPOSURE"):
                self._start_exposing(event.getfloatvalue("CCD_EXPOSURE_VALUE"))
            case newSwitchVector(vectorname="CCD_ABORT_EXPOSURE"):
                # Before anything else: a send may wait for a server that does not read.
                self._cancel_exposure("the exposure was aborted")
                await self.abort.send_setVector(state="Ok")
                await self._stop_exposing()
            case newNumberVector(vectorname="CCD_FRAME"):
                await self._set_frame(event)
            case newNumberVector(vectorname="CCD_BINNING"):
                self.binning.update(event)
                await self.binning.send_setVector(state="Ok")
            case newSwitchVector(vectorname="CCD_FRAME_TYPE"):
                choose(self.frame_type, next(name for name in event if event[name] == "On"))
                await self.frame_type.send_setVector(state="Ok")

    async def _set_frame(self, event: newNumberVector) -> None:
        wanted = {name: event.getfloatvalue(name) if name in event else self.frame.getfloatvalue(name)
                  for name in self.frame}  # fmt: skip
        width, height = self._size
        if wanted["X"] + wanted["WIDTH"] > width or wanted["Y"] + wanted["HEIGHT"] > height:
            text = f"The frame does not fit on the sensor of {width} x {height} pixels"
            await self.frame.send_setVector(state="Alert", message=text)
        else:
            self.frame.update({name: int(value) for name, value in wanted.items()})
            await self.frame.send_setVector(state="Ok")

    # -- exposures ---------------------------------------------------------------------------------------------

    def _start_exposing(self, seconds: float) -> None:
        """Begin an exposure; one that is going on is given up, as with other INDI cameras."""
        self._cancel_exposure("another exposure was asked for")
        self._exposing = scope = anyio.CancelScope()
        self.exposure.state = "Busy"
        # A coroutine object, which runs once: an exposure is not begun again with the next run.
        self.add_background(self._expose(self._shot(seconds), scope))

    async def _stop_exposing(self) -> None:
        self._cancel_exposure("the exposure was aborted")
        if self.exposure.state == "Busy":
            self.exposure["CCD_EXPOSURE_VALUE"] = 0
            await self.exposure.send_setVector(state="Idle")

    def _cancel_exposure(self, reason: str) -> None:
        if self._exposing is not None:
            self._exposing.cancel(reason)
            self._exposing = None

    async def _expose(self, shot: Shot, scope: anyio.CancelScope) -> None:
        with scope:
            started = datetime.now(UTC)
            await self._count_down(shot.seconds)
            self._shots += 1
            # The thread only computes, so an aborted read-out may be left to itself.
            self.image["CCD1"] = await anyio.to_thread.run_sync(
                self._read_out, shot, started, self._shots, abandon_on_cancel=True
            )
            await self.image.send_setVectorMembers(state="Ok", members=["CCD1"])
            await self._report("Ok", 0)
        if self._exposing is scope:
            self._exposing = None

    async def _count_down(self, seconds: float) -> None:
        end = anyio.current_time() + seconds
        left = seconds
        for whole in reversed(range(math.ceil(seconds))):
            await self._report("Busy", left)
            await anyio.sleep_until(end - whole)
            left = whole
        await self._report("Busy", 0)

    async def _report(self, state: str, left: float) -> None:
        # An exposure that is aborted just as it wakes up must not have the last word: Busy, after Abort's Idle.
        await anyio.lowlevel.checkpoint_if_cancelled()
        self.exposure["CCD_EXPOSURE_VALUE"] = left
        await self.exposure.send_setVector(state=state)

    async def leave(self) -> None:
        """Tell that an exposure which was going on has come to nothing."""
        await self._stop_exposing()

    # -- the simulated sensor ----------------------------------------------------------------------------------

    @cached_property
    def _sky(self) -> StarField:
        return StarField(*self._size)

    def _shot(self, seconds: float) -> Shot:
        """Note down the settings, so that changing them changes later exposures only."""
        frame = {name: int(self.frame.getfloatvalue(name)) for name in self.frame}
        return Shot(
            seconds=seconds,
            frame_type=next(name for name in self.frame_type if self.frame_type[name] == "On"),
            x=frame["X"],
            y=frame["Y"],
            width=frame["WIDTH"],
            height=frame["HEIGHT"],
            hor_bin=int(self.binning.getfloatvalue("HOR_BIN")),
            ver_bin=int(self.binning.getfloatvalue("VER_BIN")),
        )

    def _read_out(self, shot: Shot, started: datetime, seed: int) -> bytes:
        cards: dict[str, tuple[str | int | float, str]] = {
            "INSTRUME": (DEVICE, "camera"),
            "DATE-OBS": (started.replace(tzinfo=None).isoformat(timespec="milliseconds"), "UTC, start"),
            "EXPTIME": (shot.seconds, "seconds"),
            "IMAGETYP": (f"{FRAME_TYPES[shot.frame_type]} Frame", "type of exposure"),
            "XBINNING": (shot.hor_bin, "pixels binned into one, horizontally"),
            "YBINNING": (shot.ver_bin, "pixels binned into one, vertically"),
            "XPIXSZ": (PIXEL_MICROMETRES * shot.hor_bin, "micrometres, after binning"),
            "YPIXSZ": (PIXEL_MICROMETRES * shot.ver_bin, "micrometres, after binning"),
        }
        return fits_image(self._sky.expose(shot, seed), cards)


class LargeCamera(Camera):
    """A camera whose images have 52 MB."""

    def __init__(self) -> None:
        super().__init__(5120, 5120)


def _frame_vector(width: int, height: int) -> NumberVector:
    members = [
        NumberMember("X", "Left", "%4.0f", 0, width - LARGEST_BIN, 1, 0),
        NumberMember("Y", "Top", "%4.0f", 0, height - LARGEST_BIN, 1, 0),
        NumberMember("WIDTH", "Width", "%4.0f", LARGEST_BIN, width, 1, width),
        NumberMember("HEIGHT", "Height", "%4.0f", LARGEST_BIN, height, 1, height),
    ]
    return NumberVector("CCD_FRAME", "Frame", "Image Settings", "rw", "Ok", members)


def _binning_vector() -> NumberVector:
    members = [
        NumberMember("HOR_BIN", "X", "%1.0f", 1, LARGEST_BIN, 1, 1),
        NumberMember("VER_BIN", "Y", "%1.0f", 1, LARGEST_BIN, 1, 1),
    ]
    return NumberVector("CCD_BINNING", "Binning", "Image Settings", "rw", "Ok", members)


def _info_vector(width: int, height: int) -> NumberVector:
    values = {
        "CCD_MAX_X": ("Width", width),
        "CCD_MAX_Y": ("Height", height),
        "CCD_PIXEL_SIZE": ("Pixel size (um)", PIXEL_MICROMETRES),
        "CCD_PIXEL_SIZE_X": ("Pixel width (um)", PIXEL_MICROMETRES),
        "CCD_PIXEL_SIZE_Y": ("Pixel height (um)", PIXEL_MICROMETRES),
        "CCD_BITSPERPIXEL": ("Bits per pixel", 16),
    }
    members = [NumberMember(name, label, "%g", membervalue=value) for name, (label, value) in values.items()]
    return NumberVector("CCD_INFO", "Sensor", "Image Info", "ro", "Ok", members)
