"""Take images and save them.

The camera is connected if it is not, and then disconnected again. In the name of the file, {number} is the number
of the image from 1 on ({number:03} with three digits), {time} when the driver sent it (UTC), {format} its suffix.
Nothing that is there is replaced without --overwrite.

Exit status: 0 all images are saved, 1 the camera is not there, refuses, or does not do it, 2 there is no server.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import anyio

from indianyio._block import at_work
from indianyio.client import Blob, Device, open_client
from indianyio.commands._wire import add_server, complain, run_until_interrupted, say

_BAR_CHARACTERS = 30
_DRAWN_EVERY_SECONDS = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("device", help="the camera")
    parser.add_argument("seconds", type=float, help="the exposure time")
    parser.add_argument("--save", required=True, metavar="PATTERN", help="where to: 'm31_{number:03}{format}'")
    parser.add_argument("--count", type=int, default=1, help="how many images (default: %(default)s)")
    parser.add_argument("--vector", default="CCD1", help="the BLOB vector that brings them (default: %(default)s)")
    parser.add_argument("--exposure", default="CCD_EXPOSURE.CCD_EXPOSURE_VALUE", help=argparse.SUPPRESS)
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    add_server(parser, timeout=10.0)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the pattern has a name in braces that it cannot have.
    :raises FileExistsError: a file is there already.
    """
    if options.count > 1 and _path(options, 1, "", "") == _path(options, 2, "", ""):
        raise ValueError(
            f"--save {options.save!r} names one file for {options.count} images; put {{number}} into it"
        )
    if "{time" not in options.save and "{format" not in options.save:
        for number in range(1, options.count + 1):
            _require_free(_path(options, number, "", ""), options)
    folder = _path(options, 1, "", "").parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"nothing can be saved in {folder}: it is not a folder that can be written")
    run_until_interrupted(options, _snap, options)
    return 0


async def _snap(options: argparse.Namespace) -> None:
    seconds = options.timeout or None
    async with open_client(options.host, options.port, unix=options.unix) as client:
        camera = await client.device(options.device, seconds)
        async with camera.connected(timeout=seconds):
            for number in range(1, options.count + 1):
                say(str(await _one(camera, number, options)))


async def _one(camera: Device, number: int, options: argparse.Namespace) -> Path:
    """Take one image and return where it is."""
    vector, _, member = options.exposure.partition(".")
    async with camera.next(options.vector) as image, _progress_shown(number, options):
        await camera.set(vector, {member: options.seconds})
        blob = await image.get(options.timeout or None)
    suffix = blob.format.removesuffix(".z") if blob.is_compressed else blob.format  # it is saved decompressed
    path = _path(options, number, _time_of(blob), suffix)
    if path.exists() and not options.overwrite:
        # What was exposed is never thrown away.
        path = next(free for n in count(1) if not (free := path.with_stem(f"{path.stem}-{n}")).exists())
        complain(f"saved under another name, as the file was there already: {path}")
    return await blob.save(path)


@asynccontextmanager
async def _progress_shown(number: int, options: argparse.Namespace) -> AsyncGenerator[None]:
    """Draw on a terminal how far an exposure is, for as long as the block lasts."""
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
        _draw("\r\x1b[K")  # and the line is free again


def _draw(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)  # noqa: T201


def _time_of(blob: Blob) -> str:
    return (blob.timestamp or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S")


def _path(options: argparse.Namespace, number: int, moment: str, suffix: str) -> Path:
    # The suffix comes from the network: of it only what can be part of a file's name.
    safe = "".join(character for character in suffix if character.isalnum() or character in "._-")
    try:
        return Path(options.save.format(number=number, time=moment, format=safe))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"--save {options.save!r}: only {{number}}, {{time}} and {{format}} can stand there"
        ) from error


def _require_free(path: Path, options: argparse.Namespace) -> None:
    if path.exists() and not options.overwrite:
        raise ValueError(f"{path} exists already; --overwrite replaces it")
