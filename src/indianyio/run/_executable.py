"""A small executable file that starts one driver, because indiserver starts drivers without arguments.

It is a shell script: a ``#!`` line can carry neither blanks in the interpreter's path nor several arguments. The
shell replaces itself by the interpreter, so the process that indiserver watches is the driver's own. ``-P`` keeps
the folder in which indiserver was started out of the module search path; the one at the time of making is in it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from indianyio._whole_files import put, put_at_free_name
from indianyio.server._processes import FIRST_LINES, grace_line

__all__ = ["is_executable_of_ours", "make_driver_executable", "make_executable", "require_importable"]


def make_driver_executable(path: Path, target: str, found: object, options: argparse.Namespace) -> None:
    """Write a file that runs this driver, with the options of the run that are given here.

    :param path: where to write it.
    :param target: ``MODULE:NAME``, or the name of an installed driver.
    :param found: what the target is; its grace is recorded if the options have none.
    :param options: as :func:`~indianyio.run._arguments.add_driver_arguments` reads them.
    :raises OSError: as :func:`make_executable`.
    :raises ModuleNotFoundError: as :func:`make_executable`.
    """
    arguments = []
    # An installed driver is found wherever it is started.
    if options.folder is not None or ":" in target:
        arguments += ["--folder", str(Path(options.folder or ".").resolve())]
    arguments += ["--backend", options.backend]
    if options.grace is not None:
        arguments += ["--grace", str(options.grace)]
    arguments += ["--log-level", options.log_level, *(["--debug"] if options.debug else []), target]
    make_executable(path, arguments, options.grace or _grace_of(found))


def _grace_of(found: object) -> float | None:
    """Return the grace of a driver or a class of drivers; what a function will return is not known."""
    grace = getattr(found, "grace", None)
    return float(grace) if isinstance(grace, int | float) else None


def make_executable(path: Path, arguments: Sequence[str], grace_seconds: float | None = None) -> None:
    """Write a file that runs ``python -m indianyio.run`` with these arguments and this interpreter.

    Arguments given to the file come after these. A file made earlier by this function is replaced, in one step.

    :param path: where to write it.
    :param arguments: of the command; paths in them should be absolute.
    :param grace_seconds: the driver's grace, which is recorded for the server; left out if it is not known.
    :raises ModuleNotFoundError: this interpreter would not find the package when the file is run, because it has it
        from an archive that it was started with, for instance.
    :raises FileExistsError: there is a file that this function did not make; it is left alone.
    :raises OSError: the file cannot be written.
    """
    require_importable("no executable is made")
    replaces = path.exists() or path.is_symlink()
    if replaces and not is_executable_of_ours(path):
        raise FileExistsError(f"{path} exists and was not made by --make-executable; it is left as it is")
    command = shlex.join([sys.executable, "-P", "-m", "indianyio.run", *arguments])
    grace = b"" if grace_seconds is None else grace_line(grace_seconds)
    # One that appears meanwhile, where there was none, is somebody else's.
    write = put if replaces else put_at_free_name
    write(path, FIRST_LINES + grace + os.fsencode(f'exec {command} "$@"\n'), 0o777)


def require_importable(otherwise: str) -> None:
    """Make sure that a process of this interpreter finds this package.

    :param otherwise: what will not be done, for the error.
    :raises ModuleNotFoundError: it does not, because this process has the package from an archive for instance.
    """
    command = [sys.executable, "-P", "-c", "import indianyio.run._main"]
    try:
        found = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:  # a program that has Python within has no interpreter of its own
        found = False
    if not found:
        interpreter = sys.executable or "the Python within this program"
        here = Path(__file__).parents[2]
        raise ModuleNotFoundError(
            f"{otherwise}: {interpreter} would not find indianyio, which comes from {here} here; install "
            "indianyio in an environment, and do this with its Python"
        )


def is_executable_of_ours(path: Path) -> bool:
    """Tell whether a file was made by :func:`make_executable`.

    :raises OSError: it cannot be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(FIRST_LINES)) == FIRST_LINES
