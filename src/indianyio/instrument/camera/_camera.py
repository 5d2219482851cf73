"""The class of cameras: exposures, countdowns, series, and the images that they end with."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar

import anyio

from indianyio._vocabulary import State
from indianyio.instrument._framework._declared import Property, optional, overrides
from indianyio.instrument._framework._interface import Interface
from indianyio.instrument.camera._cooling import Cooling
from indianyio.instrument.camera._fits import Card, Image, fits_file, pixels_of
from indianyio.instrument.camera._image_files import ImageFile
from indianyio.instrument.camera._sensor import Frame
from indianyio.instrument.camera._streaming import Streaming
from indianyio.instrument.camera._upload import computed
from indianyio.instrument.camera._world_coordinates import WorldCoordinates
from indianyio.standard.camera import CcdAbortExposure, CcdExposure, CcdFastCount, CcdFastToggle

__all__ = ["Camera"]

T = TypeVar("T")

# Below the least that clients may ask for, so the constructor would refuse it.
_DONE = CcdExposure.from_wire({"CCD_EXPOSURE_VALUE": 0})


class _Shot(NamedTuple):
    """How one image is taken.

    :ivar seconds: how long it is exposed.
    :ivar frame: what is exposed and read out.
    :ivar started: when it began, in UTC.
    :ivar sensor_cards: the part of its header that is about the sensor.
    """

    seconds: float
    frame: Frame
    started: datetime
    sensor_cards: list[Card]


class Camera(Streaming, Cooling, WorldCoordinates):
    """A camera; to be subclassed with :meth:`expose` and methods for whatever else the hardware can do.

    ::

        class MyCamera(Camera):
            width, height, pixel_size, max_bin = 1280, 960, 3.75, 4

            async def expose(self, seconds: float, frame: Frame) -> Image:
                await self.usb.start(seconds, frame)
                await anyio.sleep(seconds)
                return await self.usb.read_out()

            async def abort(self) -> None:
                await self.usb.stop()

    Everything else is done here: clients are told how many seconds are left, and the pixels become a FITS file,
    whose header also has what the mount, the focuser, the filter wheel and the rotator report. The file is
    compressed if clients want that, and sent to them or saved.

    A new exposure replaces one that is still going on. Further methods add a thermometer
    (:meth:`read_temperature`), a cooler (:meth:`set_temperature`, :meth:`switch_cooler`,
    :meth:`read_cooler_power`), the gain (:meth:`set_gain`), the offset (:meth:`set_offset`) and video
    (:meth:`next_frame`).
    """

    interface = Interface.CCD

    shortest: float = 0.01
    """The shortest exposure in seconds."""

    longest: float = 3600.0
    """The longest exposure in seconds."""

    exposure = Property(
        CcdExposure, adapt=lambda camera: {"limits": {"seconds": (camera.shortest, camera.longest)}}
    )
    abort_exposure = Property(CcdAbortExposure)
    fast = Property(CcdFastToggle, persist=True)
    fast_count = Property(CcdFastCount)

    _is_told_to_abort = False

    async def expose(self, seconds: float, frame: Frame) -> Image | ImageFile:
        """Expose, read out and return the image.

        If the exposure is aborted, this method or :meth:`abort` must close and stop whatever it has opened or set
        in motion.

        :param seconds: how long to expose.
        :param frame: what is exposed, and which part of the sensor is read out.
        :return: the pixels: an array with two dimensions, rows and columns, such as one of numpy's; or a flat
            buffer of ``frame.rows * frame.columns`` numbers, such as ``array("H")`` or, for a camera with 8 bits,
            bytes; or a file that is complete already.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method expose(seconds, frame)")

    @optional
    async def abort(self) -> None:
        """Stop the exposure; called whenever an exposure ends early, for whatever reason."""

    # -- exposures ---------------------------------------------------------------------------------------------

    @exposure.check
    async def _may_expose(self, wanted: CcdExposure) -> None:
        self._refuse_while_streaming()

    @exposure.operation(abort=abort_exposure, when_busy="replace", aborted_values=_DONE, shows_wanted=True)
    async def _expose(self, wanted: CcdExposure) -> CcdExposure:
        self._is_told_to_abort = False
        is_fast = self.fast.value.enabled
        left = max(round(self.fast_count.value.frames), 1) if is_fast else 1
        try:
            await self._take(wanted.seconds)
            while left > 1:
                left -= 1
                await self.fast_count.report(frames=left, state=State.BUSY)
                await self._take(wanted.seconds)
        finally:
            if is_fast:
                await self.fast_count.report(frames=1, state=State.IDLE)  # noqa: ASYNC102 - as in _expose_once
        return _DONE

    async def _take(self, seconds: float) -> None:
        """Take one image, and send or save it."""
        frame = self._present_frame()
        # Taken down now: a gain that is set during the exposure is for the next image.
        shot = _Shot(seconds, frame, datetime.now(UTC), list(self._sensor_cards(frame)))
        image = await self._counting_down(seconds, partial(self._expose_once, seconds, frame))
        file = image if isinstance(image, ImageFile) else await self._file_of(image, shot)
        await self._deliver(file, shot.started)

    async def _expose_once(self, seconds: float, frame: Frame) -> Image | ImageFile:
        """Expose, and stop the hardware if that ends early for whatever reason."""
        image: Image | ImageFile | None = None
        try:
            image = await self.expose(seconds, frame)
            return image
        finally:
            if image is None and overrides(self, "abort") and not self._is_told_to_abort:
                await self.abort()  # noqa: ASYNC102 - what an operation does on its way out is shielded

    async def _counting_down(self, seconds: float, exposing: Callable[[], Awaitable[T]]) -> T:
        """Await an exposure, and meanwhile tell clients how many seconds are left.

        A task of the run tells them. If it were in a task group around the exposure, an Abort would cancel that
        task too. On trio this would cancel the whole group, with everything that the exposure awaits on its way
        out.
        """
        counting = anyio.CancelScope()
        self._host.run_beside(self._count_down(anyio.current_time() + seconds, counting))
        try:
            return await exposing()
        finally:
            counting.cancel("the exposure has ended")

    async def _count_down(self, end: float, counting: anyio.CancelScope) -> None:
        with counting:
            # This task may have been about to run when it was cancelled, so the flag is checked as well.
            while (left := end - anyio.current_time()) > 0 and not counting.cancel_called:
                await self.exposure.report(seconds=left)
                # Whole seconds, as clients show them.
                await anyio.sleep_until(end - (math.ceil(left) - 1))
            if not counting.cancel_called:
                await self.exposure.report(_DONE)

    async def _file_of(self, image: Image, shot: _Shot) -> ImageFile:
        pixels = pixels_of(image, shot.frame.rows, shot.frame.columns)
        cards = list(self._cards(shot))
        return ImageFile(await computed(pixels.data.nbytes, fits_file, pixels, cards))

    def _cards(self, shot: _Shot) -> Iterable[Card]:
        """Return the header of an image; a later card replaces an earlier one with the same keyword."""
        yield Card("INSTRUME", self.device.devicename, "camera")
        telescope = self.active_devices.value.telescope
        if telescope:
            yield Card("TELESCOP", telescope, "telescope")
        yield Card("DATE-OBS", shot.started.replace(tzinfo=None).isoformat(timespec="milliseconds"), "UTC, start")
        yield Card("EXPTIME", shot.seconds, "seconds")
        yield from shot.sensor_cards
        yield from self._temperature_cards()
        yield from self._cards_of_others(self._pixel_sizes()[0] * shot.frame.x_bin)
        yield from self._world_cards(shot.frame)
        yield from self.fits_cards()
        yield from self._custom.values()

    async def _stop_motion(self, cut: Collection[str]) -> None:
        """Do nothing: an exposure that ends early stops the hardware itself."""

    @abort_exposure.write
    async def _abort(self, wanted: CcdAbortExposure) -> None:
        if overrides(self, "abort"):
            self._is_told_to_abort = True
            await self.abort()
