"""The servers that are compared, each in a process of its own, as its users start it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.drivers import FOLDER, require_package
from benchmarks.peers.processes import running
from benchmarks.suite import MissingPeerError

__all__ = [
    "BACKENDS",
    "OUR_SERVER",
    "SERVERS",
    "Server",
    "ServerKind",
    "free_port",
    "indiserver_command",
    "serving",
    "serving_driver",
]

BACKENDS = ("asyncio", "trio")
OUR_SERVER = "indianyio"
"""The beginning of the names of our servers."""

_START_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_LISTENING = "0A"
_MANY_CLIENTS = 250


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    :param pid: its process.
    :param port: its port at 127.0.0.1.
    :param unix_name: the name of its abstract unix socket, if it was told to have one.
    """

    pid: int
    port: int
    unix_name: str

    def peak_megabytes(self) -> float:
        """Return the most memory that its process has had, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace")
        kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(kibibytes) * 1024 / 1e6


@dataclass(frozen=True, slots=True)
class ServerKind:
    """One of the servers that are compared, with one external driver.

    :param name: its name in the results.
    :param command: returns the command line for a port, the name of a unix socket and a driver's program; raises
        :exc:`MissingPeerError` if it is not installed.
    :param most_clients: how many clients it takes.
    :param has_unix: whether it listens on a unix socket as well.
    """

    name: str
    command: Callable[[int, str, Path], list[str]]
    most_clients: int = _MANY_CLIENTS
    has_unix: bool = True


@contextmanager
def serving(command: Callable[[int, str], list[str]]) -> Iterator[Server]:
    """Run a server for the length of the block.

    :param command: returns its command line for a port and the name of an abstract unix socket.
    :raises TimeoutError: it does not listen in time.
    :raises ChildProcessError: it has ended instead.
    """
    port, unix_name = free_port(), f"indianyio-bench-{uuid.uuid4().hex}"
    with running(command(port, unix_name)) as process:
        _wait_until_listening(process, port)
        yield Server(process.pid, port, unix_name)


@contextmanager
def serving_driver(kind: ServerKind, driver: Path) -> Iterator[Server]:
    """Run a server of this kind with one external driver."""
    with serving(lambda port, unix_name: kind.command(port, unix_name, driver)) as server:
        yield server


def indiserver_command(port: int, unix_name: str, driver: Path) -> list[str]:
    """Return how to run the C++ server.

    :raises MissingPeerError: it is not installed.
    """
    if shutil.which("indiserver") is None:
        raise MissingPeerError("indiserver is not installed: apt-get install indi-bin")
    return ["indiserver", "-p", str(port), "-u", unix_name, str(driver)]


def _our_command(backend: str) -> Callable[[int, str, Path], list[str]]:
    def command(port: int, unix_name: str, driver: Path) -> list[str]:
        run = [sys.executable, "-m", "indianyio.run", "--backend", backend, "--log-level", "warning"]
        where = ["--host", "127.0.0.1", "--port", str(port), "--unix", f"@{unix_name}"]
        return [*run, *where, "--max-clients", str(_MANY_CLIENTS), "--exec", str(driver)]

    return command


_INDIPYSERVER_CLIENTS = 10  # the most it takes


def _indipyserver_command(port: int, _unix_name: str, driver: Path) -> list[str]:
    require_package("indipyserver")
    program = str(FOLDER / "indipyserver_program.py")
    return [sys.executable, program, str(port), str(_INDIPYSERVER_CLIENTS), str(driver)]


SERVERS = (
    *(ServerKind(f"{OUR_SERVER} {backend}", _our_command(backend)) for backend in BACKENDS),
    ServerKind("indiserver", indiserver_command),
    ServerKind("indipyserver", _indipyserver_command, most_clients=_INDIPYSERVER_CLIENTS, has_unix=False),
)
"""All that are compared as servers of one external driver."""


def free_port() -> int:
    """Return a TCP port of this machine on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _listens(port):
        if process.poll() is not None:
            raise ChildProcessError(f"the server ended with status {process.returncode} instead of listening")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server does not listen after {_START_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)


def _listens(port: int) -> bool:
    """Look without connecting: indipyserver spends all its time on a client that has gone (fault S1)."""
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        for fields in map(str.split, lines):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                return True
    return False
