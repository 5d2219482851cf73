"""The video of a camera: frame after frame is sent to the clients until it is switched off."""

from __future__ import annotations

from collections import deque
from typing import NoReturn

import anyio
import anyio.lowlevel

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._declared import Binding, Property, needs, optional, overrides
from indianyio.instrument.camera._fits import Image, Pixels, pixels_of
from indianyio.instrument.camera._image_files import ImageFile, zipped
from indianyio.instrument.camera._sensor import Frame, Sensor
from indianyio.instrument.camera._upload import Uploads, computed
from indianyio.standard.streaming import (
    CcdStreamEncoder,
    CcdStreamFrame,
    CcdVideoStream,
    Fps,
    StreamDelay,
    StreamFullDepth,
    StreamingExposure,
)
from indianyio.standard.streaming import Limits as StreamLimits

__all__ = ["Streaming"]

_if_it_streams = needs("next_frame")


class Streaming(Sensor, Uploads):
    """The part of a camera that sends video.

    Frames are neither binned nor saved nor recorded; they go to the clients as CCD1, in the format ``.stream``.
    """

    video = Property(CcdVideoStream, adapt=_if_it_streams)
    stream_depth = Property(StreamFullDepth, adapt=lambda camera: camera._depths())
    stream_delay = Property(StreamDelay, adapt=_if_it_streams)
    stream_exposure = Property(StreamingExposure, adapt=_if_it_streams)
    frame_rate = Property(Fps, adapt=_if_it_streams)
    stream_frame = Property(CcdStreamFrame, adapt=lambda camera: camera._stream_frame_binding())
    stream_encoder = Property(CcdStreamEncoder, adapt=lambda camera: camera._encoders())
    stream_limits = Property(StreamLimits, adapt=lambda camera: camera._stream_limits())

    @optional
    async def start_stream(self, frame: Frame) -> None:
        """Get ready for video."""

    @optional
    async def next_frame(self, seconds: float, frame: Frame) -> Image:
        """Return the next frame of the video.

        :param seconds: how long it is exposed.
        :param frame: which part of the sensor it is.
        """
        return b""

    @optional
    async def stop_stream(self) -> None:
        """End the video; also called when :meth:`next_frame` has failed or was aborted."""

    async def describe_sensor(self) -> None:
        """Tell clients about a sensor whose size or pixel size has only become known in ``connect()``."""
        await super().describe_sensor()
        if overrides(self, "next_frame"):
            self.stream_frame.limit(**self._frame_limits())
            await self.stream_frame.report(width=self.width, height=self.height, x=0, y=0)

    # -- the video ---------------------------------------------------------------------------------------------

    @video.check
    async def _may_stream(self, wanted: CcdVideoStream) -> None:
        exposure = self._operations.get("exposure")
        if wanted.on and exposure is not None and exposure.is_running:
            raise WriteRefusedError("an exposure is going on; abort it before the video begins")

    @video.operation(when_busy="replace")
    async def _stream(self, wanted: CcdVideoStream) -> CcdVideoStream:
        if wanted.off:
            await self.video.report(wanted, state=State.IDLE)
            return wanted
        area = self.stream_frame.value
        frame = Frame(x=round(area.x), y=round(area.y), width=round(area.width), height=round(area.height))
        try:
            await self.start_stream(frame)
            await self._send_frames(frame)
        finally:
            await self.stop_stream()  # noqa: ASYNC102 - what an operation does on its way out is shielded

    async def _send_frames(self, frame: Frame) -> NoReturn:
        """Take and send frames, until this is cancelled."""
        pace = _Pace()
        number = 0
        while True:
            settings = self.stream_exposure.value
            taken = pixels_of(await self.next_frame(settings.seconds, frame), frame.rows, frame.columns)
            number += 1
            # A camera that has the next frame ready at once would never let anybody else have a turn.
            await anyio.lowlevel.checkpoint()
            pace.note(anyio.current_time())
            if number % round(settings.divisor) == 0 and pace.is_due(self.stream_limits.value.preview_fps):
                await self._send_frame(taken)
            if pace.is_worth_telling():
                await self.frame_rate.report(instant=pace.instant, average=pace.average, state=State.OK)
                await self.stream_delay.report(state=State.OK)

    async def _send_frame(self, pixels: Pixels) -> None:
        began = anyio.current_time()
        data = await computed(pixels.data.nbytes, _samples, pixels, is_byte=self.stream_depth.value.bits_8)
        file = ImageFile(data, ".stream")
        if self.compression.value.enabled:
            await self._send(await computed(len(data), zipped, file), len(data))
        else:
            await self._send(file)
        self.stream_delay.take(seconds=anyio.current_time() - began)

    def _refuse_while_streaming(self) -> None:
        if overrides(self, "next_frame") and self.video.state is State.BUSY:
            raise WriteRefusedError("the video is running; switch it off first")

    # -- how the properties look -------------------------------------------------------------------------------

    def _stream_frame_binding(self) -> Binding | None:
        if not overrides(self, "next_frame"):
            return None
        whole = CcdStreamFrame.from_wire({"WIDTH": self.width, "HEIGHT": self.height})
        return {"limits": self._frame_limits(), "value": whole, "perm": "rw" if self.can_subframe else "ro"}

    def _depths(self) -> Binding | None:
        if not overrides(self, "next_frame"):
            return None
        return {} if self.bits > 8 else {"without": ("bits_16",)}

    def _encoders(self) -> Binding | None:
        return {"without": ("mjpeg",)} if overrides(self, "next_frame") else None

    def _stream_limits(self) -> Binding | None:
        # Frames are sent one at a time, so there is no buffer to limit.
        return {"without": ("buffer_max",)} if overrides(self, "next_frame") else None

    @stream_frame.write
    async def _set_stream_frame(self, wanted: CcdStreamFrame) -> CcdStreamFrame:
        self._refuse_while_streaming()
        area = self._fitting(wanted.x, wanted.y, wanted.width, wanted.height)
        return CcdStreamFrame.from_wire(dict(zip(("X", "Y", "WIDTH", "HEIGHT"), area, strict=True)))


class _Pace:
    """How fast frames arrive, and which of them are sent."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._sent = self._told = float("-inf")

    def note(self, now: float) -> None:
        """Note that a frame has arrived."""
        self._times.append(now)
        while self._times[0] < now - 1:
            self._times.popleft()

    @property
    def instant(self) -> float:
        """Frames per second, computed from the last two frames."""
        if len(self._times) < 2 or self._times[-1] == self._times[-2]:
            return float(len(self._times))
        return 1 / (self._times[-1] - self._times[-2])

    @property
    def average(self) -> float:
        """Frames of the last second."""
        return float(len(self._times))

    def is_due(self, most: float) -> bool:
        """Return whether a frame may be sent now, with at most this many per second; if so it counts as sent."""
        now = self._times[-1]
        # Frames that arrive at exactly this rate must not be dropped because of a millisecond.
        if now < self._sent + 0.99 / most:
            return False
        self._sent = now
        return True

    def is_worth_telling(self) -> bool:
        """Return whether a second has passed since this was last true."""
        now = self._times[-1]
        if now < self._told + 1:
            return False
        self._told = now
        return True


def _samples(pixels: Pixels, *, is_byte: bool) -> bytes:
    """Return the bytes that are sent of a frame: its pixels, or only the most significant byte of each."""
    data = pixels.data.tobytes()
    size = abs(pixels.bits) // 8
    if size == 1 or not is_byte:
        return data
    return data[::size] if pixels.is_big_endian else data[size - 1 :: size]
