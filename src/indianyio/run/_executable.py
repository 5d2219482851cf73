"""A small executable file that starts one driver, for indiserver starts drivers without arguments.

It is a shell script: a ``#!`` line can carry neither blanks in the interpreter's path nor several arguments. The
shell replaces itself by the interpreter, so the process that indiserver watches is the driver's own. ``-P`` keeps
the folder in which indiserver was started out of the module search path; the one at the time of making is in it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from indianyio.server._executables import FIRST_LINES, grace_line

__all__ = ["make_executable"]


def make_executable(path: Path, arguments: Sequence[str], grace_seconds: float | None = None) -> None:
    """Write a file that runs ``python -m indianyio.run`` with these arguments and this interpreter.

    Arguments given to the file come after these. A file made earlier by this function is replaced, in one step.

    :param path: where to write it.
    :param arguments: of the command; paths in them should be absolute.
    :param grace_seconds: the driver's grace, which is recorded for the server; not if it is not known.
    :raises ModuleNotFoundError: this interpreter would not find the package when the file is run, because it has it
        from an archive that it was started with, for instance.
    :raises FileExistsError: there is a file that this function did not make; it is left alone.
    :raises OSError: the file cannot be written.
    """
    _require_importable()
    if (path.exists() or path.is_symlink()) and not _is_ours(path):
        raise FileExistsError(f"{path} exists and was not made by --make-executable; it is left as it is")
    command = shlex.join([sys.executable, "-P", "-m", "indianyio.run", *arguments])
    grace = b"" if grace_seconds is None else grace_line(grace_seconds)
    _replace(path, FIRST_LINES + grace + os.fsencode(f'exec {command} "$@"\n'))


def _require_importable() -> None:
    command = [sys.executable, "-P", "-c", "import indianyio.run._main"]
    try:
        found = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:  # a program that has Python within has no interpreter of its own
        found = False
    if not found:
        interpreter = sys.executable or "the Python within this program"
        here = Path(__file__).parents[2]
        raise ModuleNotFoundError(
            f"no executable is made: {interpreter} would not find indianyio, which comes from {here} here; install "
            "indianyio in an environment, and make the executable with its Python"
        )


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(FIRST_LINES)) == FIRST_LINES


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o777 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    # The only portable way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
