"""Files with content from the network: complete as soon as they appear, and never replacing another unasked.

Only a BLOB's suffix becomes part of a name, and only those of its characters that any system accepts in names.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from secrets import token_hex
from string import Formatter

from anyio import to_thread

from indianyio._whole_files import give_name, is_there
from indianyio.client import Blob
from indianyio.commands._wire import NotDoneError

__all__ = ["FilePattern", "safe_suffix", "save"]

_SUFFIX = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SUFFIX = 20

# What may follow the colon in a pattern's braces: for a number, with how many digits it is written.
_FIELDS = {"number": re.compile("0?[0-9]{0,2}d?"), "time": re.compile(""), "format": re.compile("")}
_LIKELY_SUFFIX = ".fits"

# For how many files it is checked at the beginning whether they can be saved; a whole night has fewer.
_LOOKED_AT = 10_000


def safe_suffix(blob: Blob) -> str:
    """Return the suffix for the decompressed content of a BLOB, with its dot; "" if none can be used."""
    suffix = blob.format.removesuffix(".z") if blob.is_compressed else blob.format
    return "".join(f".{part}" for part in _SUFFIX.findall(suffix))[:_LONGEST_SUFFIX].rstrip(".")


def _part_beside(path: Path) -> Path:
    """Return a temporary name that nobody else uses, in the folder of a file that is to be written."""
    return path.with_name(f".{token_hex(8)}.part")


class FilePattern:
    """A name for several files, in which ``{number}``, ``{time}`` and ``{format}`` stand for what differs.

    :param text: the name; only ``number`` may have a format, as in ``{number:03}``.
    :raises ValueError: no file can have such a name.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._fields = _fields(text)
        if _fields(os.path.dirname(text)) - {"number"}:
            raise ValueError(f"--save {text!r}: in the name of a folder only {{number}} is allowed")
        if text.endswith(os.sep) or not text:
            raise ValueError(f"--save {text!r} names no file")

    def path(self, number: int, moment: datetime, suffix: str) -> Path:
        """Return the name of one file.

        :param number: the number of the image, from 1 on.
        :param moment: when it was taken.
        :param suffix: the suffix of the file, with its dot.
        """
        return Path(self._text.format(number=number, time=moment.strftime("%Y%m%dT%H%M%S"), format=suffix))

    def require_places(self, count: int, *, overwrite: bool) -> None:
        """Check that this many files can be saved, by making and removing one in each folder.

        :param overwrite: whether existing files may be replaced.
        :raises ValueError: they cannot be saved; the text says why.
        """
        if count > 1 and not self._fields & {"number", "time"}:
            raise ValueError(f"--save {self._text!r} is one name for {count} images; put {{number}} into it")
        folders: set[Path] = set()
        for number in range(1, min(count, _LOOKED_AT) + 1):
            path = self.path(number, datetime(2000, 1, 1, tzinfo=UTC), _LIKELY_SUFFIX)
            self._require_free(path, is_known=self._fields <= {"number"}, overwrite=overwrite)
            if path.parent not in folders:
                folders.add(path.parent)
                _require_writable(path)

    def _require_free(self, path: Path, *, is_known: bool, overwrite: bool) -> None:
        try:
            is_taken = is_there(path)
        except OSError as error:  # its name is too long, for instance
            raise ValueError(f"--save {self._text!r}: {error.strerror or error}") from None
        if path.is_dir() or not path.name:
            raise ValueError(f"--save {self._text!r}: {path} is a folder")
        if is_known and not overwrite and is_taken:
            raise ValueError(f"{path} exists already; --overwrite replaces it")


def _fields(text: str) -> set[str]:
    """Return the names in braces.

    :raises ValueError: something else is in braces.
    """
    fields: set[str] = set()
    try:
        for _, field, spec, conversion in Formatter().parse(text):
            if field is None:
                continue
            if field not in _FIELDS or conversion or not _FIELDS[field].fullmatch(spec or ""):
                raise ValueError("only {number}, {number:03}, {time} and {format} can be in braces")
            fields.add(field)
    except ValueError as error:
        raise ValueError(f"--save {text!r}: {error}") from None
    return fields


def _require_writable(path: Path) -> None:
    part = _part_beside(path)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        part.unlink()
    except OSError as error:
        raise ValueError(f"nothing can be saved in {path.parent}: {error.strerror or error}") from None


async def save(blob: Blob, path: Path, *, overwrite: bool) -> Path:
    """Write the decompressed content of a BLOB into a file.

    If this is cancelled, the file is there completely or not at all.

    :param path: the file.
    :param overwrite: whether to replace an existing file; otherwise the file gets the first free name of
        ``m31.fits``, ``m31-1.fits`` and so on, even if several programs save there at the same time.
    :return: where the file is.
    :raises NotDoneError: it cannot be written; the text names the path and says why.
    :raises ValueError: the content cannot be had, or is damaged; nothing has been written.
    """
    try:
        part = _part_beside(path)
        try:
            await blob.save(part)
            return await to_thread.run_sync(part.replace if overwrite else partial(_at_free_name, part), path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except OSError as error:
        raise NotDoneError(f"{path} cannot be written: {error.strerror or error}") from error


def _at_free_name(part: Path, path: Path) -> Path:
    """Give a file the first free name, and return that name."""
    for free in chain([path], (path.with_stem(f"{path.stem}-{number}") for number in count(1))):
        try:
            give_name(part, free)
        except FileExistsError:
            continue
        return free
    raise AssertionError("unreachable, because count() never ends")
