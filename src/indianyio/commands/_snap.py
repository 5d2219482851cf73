"""Take images and save them.

The camera is connected if it is not, and then disconnected again. In the name of the file, {number} is the number
of the image from 1 on ({number:03} with three digits), {time} is when the driver sent it (UTC), {format} is its
suffix. Existing files are not replaced without --overwrite.

Exit status: 0 all images are saved, 1 there is no such camera, it refused or failed, or an image cannot be saved,
2 there is no server, or the command line is wrong.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio

from indianyio._block import at_work
from indianyio.client import Blob, Change, Device, Progress, open_client
from indianyio.commands._arguments import seconds, whole_number
from indianyio.commands._saving import FilePattern, safe_suffix, save
from indianyio.commands._wire import NotDoneError, add_server, complain, refusing, run_until_interrupted, say

_BAR_CHARACTERS = 30
_DRAWN_EVERY_SECONDS = 0.1

# A missing camera is reported sooner than a slow one.
_FOUND_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("device", help="the camera")
    parser.add_argument("seconds", type=seconds, help="the exposure time")
    parser.add_argument(
        "--save", required=True, metavar="PATTERN", help="names of the files, as 'm31_{number:03}{format}'"
    )
    parser.add_argument("--count", type=whole_number, default=1, help="how many images (default: %(default)s)")
    parser.add_argument("--vector", default="CCD1", help="the BLOB vector of the images (default: %(default)s)")
    parser.add_argument("--exposure", default="CCD_EXPOSURE.CCD_EXPOSURE_VALUE", help=argparse.SUPPRESS)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    add_server(parser, timeout=60.0, bounds="how long the camera may be silent, beyond the exposure itself")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: no file can be saved under such a name; the text says why.
    """
    pattern = FilePattern(options.save)
    pattern.require_places(options.count, overwrite=options.overwrite)
    run_until_interrupted(options, _snap, options, pattern)
    return 0


async def _snap(options: argparse.Namespace, pattern: FilePattern) -> None:
    patience = options.timeout or math.inf
    saved: set[Path] = set()
    async with open_client(options.host, options.port, unix=options.unix) as client:
        camera = await client.device(options.device, min(patience, _FOUND_SECONDS))
        async with camera.connected(timeout=patience):
            for number in range(1, options.count + 1):
                blob = await _exposed(camera, number, options)
                path = pattern.path(number, _time_of(blob), safe_suffix(blob))
                # An image must never replace another one of the same series.
                path = await _saved(blob, path, overwrite=options.overwrite and path not in saved)
                saved.add(path)
                say(str(path))


async def _exposed(camera: Device, number: int, options: argparse.Namespace) -> Blob:
    """Take one image and return it."""
    vector, _, member = options.exposure.partition(".")
    patience = _Patience(camera, (vector, options.vector), options)
    with refusing(camera.name, options.vector), camera._actions.listening(patience.notice):
        async with camera.next(options.vector, progress=patience.renew) as image, _progress_shown(number, options):
            _require_images(camera)
            with patience.scope, refusing(camera.name, vector):
                await camera.set(vector, {member: options.seconds}, start_timeout=options.timeout or math.inf)
                # From now on, updates of the exposure's vector are no sign that an image will come.
                patience.heed(options.vector)
                return await image.get()
    raise patience.error()


def _require_images(camera: Device) -> None:
    if camera.is_on("UPLOAD_MODE", "UPLOAD_LOCAL"):
        wanted = f"{camera.name}.UPLOAD_MODE.UPLOAD_CLIENT=On"
        raise NotDoneError(f"{camera.name} does not send its images; indianyio set '{wanted}' makes it send them")


async def _saved(blob: Blob, path: Path, *, overwrite: bool) -> Path:
    try:
        where = await save(blob, path, overwrite=overwrite)
    except ValueError as error:
        raise NotDoneError(f"{path} was not written: {error}") from None
    if where != path:
        # An image is never thrown away.
        complain(f"saved under another name, because the file existed already: {where}")
    return where


class _Patience:
    """Waits while the camera exposes, and then until it has been silent for too long.

    :ivar scope: cancelled when that is so.
    """

    def __init__(self, camera: Device, vectors: tuple[str, ...], options: argparse.Namespace) -> None:
        self.scope = anyio.CancelScope()
        self._camera = camera
        self._vectors = vectors
        self._silent_seconds = options.timeout or math.inf
        self._exposed_at = anyio.current_time() + options.seconds
        self.renew()

    def heed(self, *vectors: str) -> None:
        """From now on, only count updates of these vectors as signs of the camera; this call counts as one, too."""
        self._vectors = vectors
        self.renew()

    def notice(self, change: Change) -> None:
        """Renew the wait if a change is a sign of the camera."""
        vector = change.vector
        if vector is not None and vector.device == self._camera.name and vector.name in self._vectors:
            self.renew()

    def renew(self, _: Progress | None = None) -> None:
        """Begin to wait again."""
        self.scope.deadline = max(anyio.current_time(), self._exposed_at) + self._silent_seconds

    def error(self) -> TimeoutError:
        """Return an error that says what this has waited for in vain."""
        names = " and ".join(self._vectors)
        states = ", ".join(str(self._camera[name].state) for name in self._vectors if name in self._camera)
        return TimeoutError(
            f"{self._camera.name} has said nothing about {names} for {self._silent_seconds:g} s; state: {states}"
        )


@asynccontextmanager
async def _progress_shown(number: int, options: argparse.Namespace) -> AsyncGenerator[None]:
    """Draw the progress of an exposure on the terminal, for as long as the block lasts."""
    if not sys.stderr.isatty():
        yield
        return
    drawing = anyio.CancelScope()

    async def draw(ready: Callable[[], None]) -> None:
        ready()
        with drawing:
            await _draw_progress(number, options)

    async def end() -> None:  # noqa: ASYNC124 - what a block calls
        drawing.cancel("it is done")

    async with at_work(draw, end, what="the progress bar", failed=lambda failure: failure):
        yield


async def _draw_progress(number: int, options: argparse.Namespace) -> None:
    start = anyio.current_time()
    try:
        while True:
            done = min(1.0, (anyio.current_time() - start) / max(options.seconds, 0.001))
            bar = "#" * round(_BAR_CHARACTERS * done)
            _draw(f"\r{number}/{options.count} [{bar:{_BAR_CHARACTERS}}] {done:4.0%}")
            await anyio.sleep(_DRAWN_EVERY_SECONDS)
    finally:
        _draw("\r\x1b[K")  # clears the line


def _draw(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)  # noqa: T201


def _time_of(blob: Blob) -> datetime:
    return blob.timestamp or datetime.now(UTC)
