"""The drivers that are compared: the same one, written for libindi, for indipydriver and for indianyio.

Each is a command line, to be started by a server or, with :func:`alone`, alone.
"""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.peers.processes import kept_folder, running
from benchmarks.peers.wire import WIRE_SECONDS, Wire
from benchmarks.suite import MissingPeerError

__all__ = [
    "FOLDER",
    "OUR_DRIVER",
    "alone",
    "bare_driver",
    "cpp_driver",
    "executable",
    "indipydriver_driver",
    "our_driver",
    "require_package",
]

FOLDER = Path(__file__).parent
OUR_DRIVER = "driver_ours:Bench"
"""Our driver as ``python -m indianyio.run --folder FOLDER`` wants it."""

_COMPILE_SECONDS = 120.0


def require_package(name: str) -> None:
    """Check that a Python package can be imported.

    :raises MissingPeerError: it cannot.
    """
    if importlib.util.find_spec(name) is None:
        raise MissingPeerError(f'{name} is not installed: pip install "indianyio[bench]"')


def our_driver(backend: str) -> list[str]:
    """Return the command that runs our driver on standard input and output, as users run it."""
    run = [sys.executable, "-m", "indianyio.run", "--backend", backend, "--log-level", "warning"]
    return [*run, "--folder", str(FOLDER), OUR_DRIVER]


def bare_driver(backend: str) -> list[str]:
    """Return the command that runs the driver which shows what this machine allows, on anyio and in pure Python."""
    return [sys.executable, str(FOLDER / "bare_driver.py"), backend]


def indipydriver_driver() -> list[str]:
    """Return the command that runs indipydriver's driver.

    :raises MissingPeerError: it is not installed.
    """
    require_package("indipydriver")
    return [sys.executable, str(FOLDER / "driver_indipydriver.py")]


def cpp_driver() -> list[str]:
    """Return the command that runs libindi's driver, which is compiled at the first call.

    :raises MissingPeerError: it cannot be compiled here.
    """
    program = kept_folder() / "cpp_driver"
    if program.exists():
        return [str(program)]
    how = "apt-get install g++ libindi-dev libnova-dev"
    compiler = shutil.which("g++")
    if compiler is None:
        raise MissingPeerError(f"there is no g++ to compile the C++ driver with: {how}")
    command = [compiler, "-O2", "-std=c++17", "-o", str(program), str(FOLDER / "driver.cpp"), "-lindidriver"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), "the compiler failed")
        raise MissingPeerError(f"the C++ driver cannot be compiled ({reason}): {how}")
    return [str(program)]


def executable(name: str, command: Sequence[str]) -> Path:
    """Return a file that runs ``command``, for servers that take no arguments with a driver."""
    path = kept_folder() / name
    path.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n")
    path.chmod(0o755)
    return path


@contextmanager
def alone(command: Sequence[str], *, one_socketpair: bool = True) -> Iterator[tuple[Wire, int]]:
    """Run a driver; yield the other end of its standard input and output, and its process id.

    :param one_socketpair: whether one end of a socketpair is both its standard input and its standard output, as
        under indiserver; otherwise each is an end of a socketpair of its own. indipydriver needs that: it makes its
        standard input non-blocking, and what it then cannot write at once to the same socket is lost.
    """
    with ExitStack() as stack:
        writing, stdin = socket.socketpair()
        reading, stdout = (writing, stdin) if one_socketpair else socket.socketpair()
        with stdin, stdout:
            process = stack.enter_context(running(command, stdin=stdin.fileno(), stdout=stdout.fileno()))
        for ours in (writing, reading):
            ours.settimeout(WIRE_SECONDS)
            stack.enter_context(ours)  # closed first: the end of its input asks a driver to end
        yield Wire(reading, writing), process.pid
