"""Where the images of a camera go: to clients, into files on the driver's machine, or both."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from anyio import to_thread

from indianyio._model import BLOBMember
from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._declared import Binding, Property
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument.camera._image_files import (
    ImageFile,
    folder_of,
    has_tile_compression,
    require_prefix,
    save,
    tiled,
    zipped,
)
from indianyio.protocol._text import brief
from indianyio.standard.camera import (
    Ccd1,
    CcdCompression,
    CcdFilePath,
    CcdTransferFormat,
    UploadMode,
    UploadSettings,
)

__all__ = ["Uploads", "computed"]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# Computing on this few bytes takes milliseconds; a thread would cost more, and tests in virtual time do not see it.
_AT_ONCE_BYTES = 1 << 19


async def computed(size: int, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function computes; in a thread if there is so much data that the event loop would be held up.

    If this is cancelled, the thread is abandoned.

    :param size: how many bytes the function processes.
    """
    if size <= _AT_ONCE_BYTES:
        return function(*args, **kwargs)
    return await to_thread.run_sync(lambda: function(*args, **kwargs), abandon_on_cancel=True)


class Uploads(Instrument):
    """The part of a camera that sends and saves its images."""

    upload_root: Path | None = None
    """The folder below which clients may have images saved; ``None`` for wherever the driver may write."""

    native_suffix: str = ""
    """The suffix of files in the camera's own format, such as ``.cr2``, if it has one."""

    image = Property(Ccd1)
    compression = Property(CcdCompression, persist=True)
    transfer_format = Property(CcdTransferFormat, persist=True, adapt=lambda camera: camera._formats())
    upload_mode = Property(UploadMode, persist=True)
    upload_settings = Property(UploadSettings, persist=True, adapt=lambda camera: camera._first_folder())
    file_path = Property(CcdFilePath, when=lambda camera: not camera.upload_mode.value.client)

    async def _deliver(self, file: ImageFile, moment: datetime) -> None:
        """Save an image, send it, or both, as clients have chosen.

        :param moment: when it was taken.
        :raises OSError: it cannot be saved; if it was to be sent as well, it has been.
        """
        mode, settings = self.upload_mode.value, self.upload_settings.value
        size, packed = len(file.data), file
        if self.compression.value.enabled and file.suffix == ".fits":
            # Not here in the event loop: importing astropy takes long.
            packed = await self._packed(file)
        failure = None
        if not mode.client:
            # A zlib stream saved as a file would be of no use.
            failure = await self._save(file if packed.suffix.endswith(".z") else packed, settings, moment)
        if not mode.local:
            await self._send(packed, size if packed.suffix.endswith(".z") else 0)
        if failure is not None:
            raise failure

    async def _packed(self, file: ImageFile) -> ImageFile:
        if has_tile_compression():
            try:
                return await to_thread.run_sync(tiled, file, abandon_on_cancel=True)
            except Exception:
                # The camera may have made a file that astropy does not accept; no image must be lost because of
                # that.
                logger.exception("%s: an image is sent as a zlib stream instead", self.device.devicename)
        return await computed(len(file.data), zipped, file)

    async def _send(self, file: ImageFile, size: int = 0) -> None:
        """Send an image to clients.

        :param size: for a zlib stream, its size in bytes when it is decompressed.
        """
        member = cast("BLOBMember", self.image.vector.member("CCD1"))
        member.blobformat, member.blobsize = file.suffix, size
        await self.image.report(data=file.data, state=State.OK)

    async def _save(self, file: ImageFile, settings: UploadSettings, moment: datetime) -> Exception | None:
        """Save an image and tell clients where; return the error if that failed."""
        try:
            folder = folder_of(settings.directory, self.upload_root)
            path = await to_thread.run_sync(save, file, folder, settings.prefix, moment, abandon_on_cancel=True)
        except (OSError, ValueError) as error:
            await self.file_path.report(state=State.ALERT, message=brief(f"the image is not saved: {error}"))
            return error
        await self.file_path.report(path=str(path), state=State.OK)
        return None

    def _formats(self) -> Binding:
        return {"without": ("xisf",) if self.native_suffix else ("native", "xisf")}

    def _first_folder(self) -> Binding:
        folder = os.path.expanduser("~") if self.upload_root is None else str(self.upload_root)
        return {"value": UploadSettings(directory=folder)}

    @upload_mode.write
    async def _choose_mode(self, wanted: UploadMode) -> None:
        await self.upload_mode.report(wanted, state=State.OK)
        await self.redefine()

    @upload_settings.write
    async def _choose_folder(self, wanted: UploadSettings) -> None:
        try:
            folder_of(wanted.directory, self.upload_root)
            require_prefix(wanted.prefix)
        except ValueError as error:
            raise WriteRefusedError(str(error)) from None
