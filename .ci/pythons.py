"""Find the Pythons of this machine, by version: those in PATH, and those that pyenv has built.

As a program it prints a line with the version and the path of each that is there, in the order asked for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["VERSIONS", "find_python"]

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
"""Those that the package is for, the oldest first."""


def main(versions: Sequence[str]) -> None:
    """Print those of these versions that are there."""
    for version in versions:
        if found := find_python(version):
            print(version, found)


def find_python(version: str) -> str | None:
    """Return the first Python of a version that can make environments; say on standard error if there is none."""
    for folder in _folders(version):
        # Several may have the name, and some of these only say that they are not there.
        found = shutil.which(f"python{version}", path=folder)
        if found and not subprocess.run([found, "-c", "import ensurepip, venv"], capture_output=True).returncode:
            return found
    print(f"Python {version} is not here", file=sys.stderr)
    return None


def _folders(version: str) -> Iterator[str]:
    yield from os.get_exec_path()
    built = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(str(path) for path in built.glob(f"{version}.*/bin"))


if __name__ == "__main__":
    main(sys.argv[1:] or VERSIONS)
