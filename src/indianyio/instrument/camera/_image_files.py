"""Image files: their names, in which nothing from the network may act as a path, and their compression."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from indianyio._whole_files import put_new

__all__ = ["ImageFile", "folder_of", "has_tile_compression", "require_prefix", "save", "tiled", "zipped"]

_NUMBER = "XXX"
_TIME = "ISO8601"
_SUFFIX = re.compile(r"(\.[A-Za-z0-9_]+)+")
_UNFIT_IN_NAMES = re.compile(r"[/\\\0-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image as a complete file: a FITS file made by the camera's author, or the camera's native format.

    :ivar data: the bytes of the file.
    :ivar suffix: the end of its name, which says what it is, such as ``.fits`` or ``.cr2``.
    :raises ValueError: the file is empty, or the suffix is not legal.
    """

    data: bytes
    suffix: str = ".fits"

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("the file of an image must not be empty")
        if not _SUFFIX.fullmatch(self.suffix):
            raise ValueError(f"a suffix consists of a dot and letters or digits; {self.suffix!r} is not one")


def require_prefix(prefix: str) -> str:
    """Return the prefix of file names, if it is legal.

    :raises ValueError: it would lead into another folder, or cannot be part of a name.
    """
    if not prefix or prefix.startswith(".") or _UNFIT_IN_NAMES.search(prefix):
        raise ValueError(f"the names of images cannot begin with {prefix!r}: a prefix is a name, not a path")
    return prefix


def folder_of(text: str, root: Path | None) -> Path:
    """Return the folder in which to save images; it need not exist.

    :param text: the folder as a client has written it; ``~`` is the home of the user who runs the driver.
    :param root: the folder below which it must be; anywhere if ``None``.
    :raises ValueError: it is not an absolute path, or not below the root.
    """
    path = Path(os.path.expanduser(text))
    if not path.is_absolute() or "\0" in text:
        raise ValueError(f"the folder of images must be an absolute path, not {text!r}")
    if root is not None and not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"images can only be saved below {root}, and {text} is not below it")
    return path


def save(file: ImageFile, folder: Path, prefix: str, moment: datetime) -> Path:
    """Save an image in a folder, which is made if need be; an existing file is never changed.

    :param prefix: ``XXX`` in it becomes the next free number, ``ISO8601`` the time. Without a number, one is added
        if the name is taken.
    :param moment: the time.
    :return: where it is.
    :raises OSError: it cannot be saved there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = require_prefix(prefix).replace(_TIME, moment.strftime("%Y-%m-%dT%H-%M-%S"))
    return put_new(folder, _names(folder, stem, file.suffix), file.data)


def _names(folder: Path, stem: str, suffix: str) -> Iterator[str]:
    if _NUMBER not in stem:
        yield f"{stem}{suffix}"
        stem = f"{stem}_{_NUMBER}"
    before, _, after = stem.partition(_NUMBER)
    numbered = re.compile(rf"{re.escape(before)}(\d{{3,9}}){re.escape(after)}\..*")
    taken = [int(found[1]) for found in map(numbered.fullmatch, os.listdir(folder)) if found]
    for number in count(max(taken, default=0) + 1):
        yield f"{before}{number:03d}{after}{suffix}"


def has_tile_compression() -> bool:
    """Return whether FITS files can be compressed tile by tile, so that they remain FITS files."""
    return importlib.util.find_spec("astropy") is not None


def zipped(file: ImageFile) -> ImageFile:
    """Return a file as a zlib stream, which INDI's clients decompress."""
    # The fastest level: images are noisy, so the other levels save little more and take much longer.
    return ImageFile(zlib.compress(file.data, 1), f"{file.suffix}.z")


def tiled(file: ImageFile) -> ImageFile:
    """Return a FITS file compressed tile by tile, without loss, as ``fpack`` does; it needs astropy.

    :raises Exception: whatever astropy finds wrong with the file.
    """
    from astropy.io import fits

    with fits.open(io.BytesIO(file.data)) as opened, io.BytesIO() as packed:
        image = opened[0]
        # RICE_1, the usual way, would cut 64-bit numbers, and round those that are not whole.
        kind = "RICE_1" if image.data.dtype.kind in "iu" and image.data.dtype.itemsize <= 4 else "GZIP_2"
        fits.CompImageHDU(image.data, image.header, compression_type=kind, quantize_level=0).writeto(packed)
        return ImageFile(packed.getvalue(), f"{file.suffix}.fz")
