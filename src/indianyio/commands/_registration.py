"""The three files of a registered driver: its executable, a link to it beside indiserver, and its catalogue.

Files that this module did not make are neither replaced nor removed. Each file appears and changes in one step, the
catalogue last, so that no program ever reads half a file, or reads of a driver that does not exist. A lock on the
folder of executables keeps two commands from doing this at the same time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indianyio._whole_files import put, put_at_free_name
from indianyio.commands._catalogue import HEAD, catalogue_name, program_of
from indianyio.commands._places import Places
from indianyio.run._executable import is_executable_of_ours

__all__ = ["Registration", "locked", "registrations"]


@dataclass(frozen=True)
class Registration:
    """The name of a driver's program, and the places where its files are or would be."""

    name: str
    places: Places

    @property
    def executable(self) -> Path:
        """The file that runs the driver."""
        return self.places.executables / self.name

    @property
    def link(self) -> Path:
        """The link to it, where indiserver and KStars look."""
        return self.places.programs / self.name

    @property
    def catalogue(self) -> Path:
        """The file that says which driver it is."""
        return self.places.catalogues / catalogue_name(self.name)

    def paths(self) -> dict[Path, bool]:
        """Return those of the three files that exist, in the order of making, and whether each is ours."""
        ours = {
            self.executable: lambda path: not path.is_symlink() and is_executable_of_ours(path),
            self.link: lambda path: path.is_symlink() and path.readlink() == self.executable,
            self.catalogue: _is_our_catalogue,
        }
        return {path: _tells(is_ours, path) for path, is_ours in ours.items() if os.path.lexists(path)}

    def require_free(self) -> None:
        """Refuse to go on if somebody else's file is where one of ours should be, or a program has the same name.

        :raises FileExistsError: there is such a file.
        """
        for path, is_ours in self.paths().items():
            if not is_ours:
                raise FileExistsError(f"{path} exists and was not made by indianyio register; it is left as it is")
        found = shutil.which(self.name)
        # Compared after resolving, because PATH may have the link's folder by another name, as /bin is /usr/bin.
        if found and Path(found).resolve() != self.executable.resolve():
            raise FileExistsError(
                f"{found} is another program of this name, and indiserver would find only one of the two; give "
                "another name with --name"
            )

    def write(self, catalogue: str, make_executable: Callable[[Path], None]) -> None:
        """Write the three files; if one of them cannot be written, the new ones are removed again.

        The lock must be held.

        :param catalogue: the text of the catalogue.
        :param make_executable: writes the executable.
        :raises FileExistsError: somebody else's file is where one of these should be.
        :raises OSError: a file cannot be written.
        """
        self.require_free()
        before = self.paths()
        try:
            make_executable(self.executable)
            if self.link not in before:
                self.link.symlink_to(self.executable)
            # One that appears meanwhile, where there was none, is somebody else's.
            write = put if self.catalogue in before else put_at_free_name
            write(self.catalogue, catalogue.encode(), 0o666)
        except BaseException:
            # What has appeared meanwhile may be somebody else's, and be the reason.
            for path, is_ours in self.paths().items():
                if is_ours and path not in before:
                    path.unlink()
            raise

    def remove(self) -> tuple[list[Path], list[Path]]:
        """Remove those of the three files that are ours; the lock must be held.

        :return: the files that were removed, and those that belong to somebody else.
        :raises OSError: a file cannot be removed.
        """
        found = self.paths()
        removed = [path for path, is_ours in reversed(found.items()) if is_ours]
        for path in removed:
            path.unlink()
        return removed, [path for path, is_ours in found.items() if not is_ours]


def registrations(places: Places) -> list[Registration]:
    """Return the drivers of which there is at least a file of ours, by name."""
    names = {path.name for path in _listed(places.executables) if _tells(is_executable_of_ours, path)}
    links = {path for path in _listed(places.programs) if path.is_symlink()}
    names |= {path.name for path in links if path.readlink().parent == places.executables}
    # By the names of the files, for what is in them may be damaged.
    names |= {program_of(path) for path in _listed(places.catalogues) if _tells(_is_our_catalogue, path)} - {""}
    return [Registration(name, places) for name in sorted(names)]


def _listed(folder: Path) -> list[Path]:
    """Return what is in a folder, except temporary files; an empty list if there is no folder."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []


def _tells(is_ours: Callable[[Path], bool], path: Path) -> bool:
    """Return whether a file is ours; what cannot be read is taken for somebody else's."""
    try:
        return is_ours(path)
    except OSError:
        return False


def _is_our_catalogue(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(HEAD)) == HEAD.encode()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder during the block; others who lock the same folder wait. No lock file is needed.

    :param folder: made if it does not exist.
    :raises OSError: the folder cannot be made or locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
