"""Files that are written whole or not at all, even if the process is killed meanwhile."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["give_name", "is_there", "put", "put_new"]


def put(path: Path, data: bytes) -> None:
    """Write a file, replacing an existing one.

    :raises OSError: it cannot be written; the existing file is unchanged then.
    """
    # Readable for its owner only.
    with _beside(path, data, 0o600) as written:
        written.replace(path)


def put_new(folder: Path, names: Iterable[str], data: bytes) -> Path:
    """Write a new file into a folder, under the first name that is not taken; existing files are left alone.

    :return: its path.
    :raises OSError: it cannot be written.
    """
    with _beside(folder / "image", data, 0o666) as written:
        for name in names:
            path = folder / name
            with suppress(FileExistsError):
                give_name(written, path)
                return path
    raise FileExistsError(errno.EEXIST, "all of the names are taken", str(folder))


@contextmanager
def _beside(path: Path, data: bytes, mode: int) -> Generator[Path]:
    """Write a temporary file beside its destination; the block moves it there."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # The contents reach the disk before the name does: after a power cut there is the old file or the new
            # one, never an empty one.
            os.fsync(file.fileno())
        yield beside
        _sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def give_name(written: Path, path: Path) -> None:
    """Give a file a name that is not taken.

    :raises FileExistsError: the name is taken.
    """
    try:
        path.hardlink_to(written)
    except FileExistsError:
        raise
    except OSError:
        # File systems of memory sticks have no hard links. There the name is claimed first, so that nobody else can
        # take it. If something else was wrong, this fails for the same reason.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        written.replace(path)


def is_there(path: Path) -> bool:
    """Return whether something has this name, a link that leads nowhere too.

    Path.exists() does not tell, from Python 3.14 on, what it could not find out from what is not there.

    :raises OSError: it cannot be found out, or nothing could have this name.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
