"""Where a driver is registered, and whether it is safe for root to write there.

KStars, INDI Web Manager and indiserver find a driver by two things: an entry in a folder of catalogues, and a
program beside indiserver. Decision 28 explains the choice of folders.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from errno import ENOTDIR
from pathlib import Path

__all__ = [
    "Places",
    "UnsafeError",
    "find_places",
    "interpreter_paths",
    "is_root",
    "require_safe",
    "trusted_users",
    "unsafe_part",
]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0
_SYSTEM = Path("/usr")


class UnsafeError(OSError):
    """Others can change something that root is asked to register, or the place where it would be registered."""


@dataclass(frozen=True)
class Places:
    """Where the three files of a registered driver are."""

    catalogues: Path
    """The folder of catalogue files, which also has libindi's."""

    programs: Path
    """The folder of indiserver, or another one in which programs are looked for."""

    executables: Path
    """The folder of the executables themselves. Nobody else writes there."""

    def __iter__(self) -> Iterator[Path]:
        return iter((self.catalogues, self.programs, self.executables))

    def require_folders(self) -> None:
        """Refuse places of which one is something else than a folder.

        :raises NotADirectoryError: one is.
        """
        for place in self:
            if place.exists() and not place.is_dir():
                hint = "it is not a folder; --prefix and the variable INDI_DATA_DIR name other ones"
                raise NotADirectoryError(ENOTDIR, hint, str(place))


def find_places(prefix: Path | None, environment: Mapping[str, str], *, is_root: bool) -> Places:
    """Return the places for a user.

    :param prefix: the folder below which they are, as for an installed package; by default that of indiserver if
        the user may write there, else ``~/.local``.
    :param environment: its ``INDI_DATA_DIR`` is the folder of catalogues; its ``PATH`` tells where indiserver is.
    :param is_root: whether the user is root, for whom the default is ``/usr`` if there is no indiserver.
    :raises ValueError: a home folder is needed, and there is none.
    """
    data = environment.get("INDI_DATA_DIR")
    if prefix is None:
        prefix = _default_prefix(environment, is_root=is_root)
    prefix = prefix.absolute()
    # The files below /usr belong to the system's packages, so as little as possible is written there.
    libraries = (_SYSTEM / "local" if prefix == _SYSTEM else prefix) / "lib"
    catalogues = Path(data).absolute() if data else prefix / "share" / "indi"
    return Places(catalogues, prefix / "bin", libraries / "indianyio" / "drivers")


def _default_prefix(environment: Mapping[str, str], *, is_root: bool) -> Path:
    server = shutil.which("indiserver", path=environment.get("PATH"))
    # Not resolved, because KStars looks beside the file that it was given, which may be a link.
    folder = Path(server).absolute().parent if server else _SYSTEM / "bin"
    if is_root or (server and os.access(folder, os.W_OK) and os.access(folder.parent, os.W_OK)):
        # On merged systems /bin is /usr/bin.
        return _SYSTEM if folder == Path("/bin") else folder.parent
    home = environment.get("HOME")
    try:
        return (Path(home) if home else Path.home()) / ".local"
    except RuntimeError:
        raise ValueError("this user has no home folder; set HOME, or name a place with --prefix") from None


def is_root() -> bool:
    """Return whether this process may write everywhere."""
    return os.geteuid() == _ROOT


def trusted_users(environment: Mapping[str, str]) -> frozenset[int]:
    """Return the users whose files root may rely on: root, and the user who became root by sudo."""
    text = environment.get("SUDO_UID", "")
    return frozenset({_ROOT, int(text)} if text.isascii() and text.isdigit() else {_ROOT})


def require_safe(paths: Iterable[Path], trusted: frozenset[int]) -> None:
    """Refuse paths that somebody else can change.

    :param paths: files and folders; one that does not exist yet is judged by the folders above it.
    :param trusted: the users who may change them.
    :raises UnsafeError: somebody else can change one of them, or a folder above it.
    """
    for path in paths:
        part = unsafe_part(path, trusted)
        if part is not None:
            raise UnsafeError(
                f"{path} is not safe for root to register, because users other than root can change {part}; make "
                "root its owner and take write permission from group and others (chmod go-w), or register as a user"
            )


def unsafe_part(path: Path, trusted: frozenset[int]) -> Path | None:
    """Return the file or folder through which an untrusted user can change a path, or ``None``.

    Links are followed; the folders of the links count, and so do those of the files to which they point.
    """
    absolute = Path(os.path.abspath(path))
    for whole in (absolute, absolute.resolve()):
        for part in (whole, *whole.parents):
            if _is_writable(part, trusted, is_end=part == whole):
                return part
    return None


def _is_writable(part: Path, trusted: frozenset[int], *, is_end: bool) -> bool:
    try:
        found = part.lstat()
    except FileNotFoundError:
        return False
    if found.st_uid not in trusted:
        return True
    # The mode of a link means nothing. In a folder such as /tmp only the owner of a file can remove it.
    is_shared = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX and not is_end
    return not stat.S_ISLNK(found.st_mode) and not is_shared and bool(found.st_mode & _OTHERS_WRITE)


def interpreter_paths() -> list[Path]:
    """Return the files and folders that decide which code this interpreter runs."""
    return [Path(sys.executable), Path(__file__).parents[1], *(Path(entry) for entry in sys.path if entry)]
