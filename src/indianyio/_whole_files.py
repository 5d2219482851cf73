"""Files that are written whole or not at all, even if the process is killed meanwhile."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

__all__ = ["NewFile", "give_name", "is_there", "new_file", "put", "put_at_free_name", "put_new"]

# File systems that cannot store a folder, and folders that this user may write but not read.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)


def put(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file, replacing an existing one.

    :param mode: its permissions, of which the umask takes some; by default only its owner may read it.
    :raises OSError: it cannot be written; the existing file is unchanged then.
    """
    with new_file(path.parent, mode) as file:
        file.write(data)
        file.replace(path)


def put_at_free_name(path: Path, data: bytes, mode: int) -> None:
    """Write a file whose name must not be taken.

    :param mode: as for :func:`put`.
    :raises FileExistsError: it is taken.
    :raises OSError: it cannot be written.
    """
    with new_file(path.parent, mode) as file:
        file.write(data)
        file.take(path)


def put_new(folder: Path, names: Iterable[str], data: bytes) -> Path:
    """Write a new file into a folder, under the first name that is not taken; existing files are left alone.

    :return: its path.
    :raises OSError: it cannot be written.
    """
    with new_file(folder, 0o666) as file:
        file.write(data)
        for name in names:
            path = folder / name
            with suppress(FileExistsError):
                file.take(path)
                return path
    raise FileExistsError(errno.EEXIST, "all of the names are taken", str(folder))


class NewFile:
    """A file under a temporary name, to be written and then given its own."""

    def __init__(self, file: FileIO, beside: Path) -> None:
        self._file = file
        self._beside = beside

    def write(self, data: bytes) -> None:
        """Write all of some bytes."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def replace(self, path: Path) -> None:
        """Give it a name in the same folder; a file that has it is replaced."""
        self._store()
        self._beside.replace(path)
        _sync_folder(path.parent)

    def take(self, path: Path) -> None:
        """Give it a name in the same folder.

        :raises FileExistsError: the name is taken; another one can be tried.
        """
        self._store()
        give_name(self._beside, path)
        _sync_folder(path.parent)

    def _store(self) -> None:
        # The contents reach the disk before the name does: after a power cut there is the old file or the new one,
        # never an empty one.
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()


@contextmanager
def new_file(folder: Path, mode: int) -> Generator[NewFile]:
    """Make a file under a temporary name, which goes with the end of the block unless it has got its own by then.

    :param mode: as for :func:`put`.
    """
    # Not made from the name that it is to get, which may already have the greatest length.
    beside = folder / f".{secrets.token_hex(8)}.part"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            yield NewFile(file, beside)
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
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
