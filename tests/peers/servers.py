"""The servers that are asked, each in a process of its own, started as its users start it."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.client import BrokenRuleError
from tests.peers.sockets import Address

__all__ = ["BACKENDS", "INDISERVER", "OURS", "PEERS", "MissingPeerError", "Peer", "Server"]

BACKENDS = ("asyncio", "trio")
ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
START_SECONDS = 30.0
END_SECONDS = 15.0
MOMENT_SECONDS = 0.3
_LISTENING = "0A"


class MissingPeerError(Exception):
    """A server is not installed here."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One of the servers that are asked.

    :param name: its name in the table.
    :param version: returns its version; raises :exc:`MissingPeerError`.
    :param command: returns its command line for a port, the name of a unix socket, drivers, and ports of other
        servers that it is to serve.
    :param has_unix: it listens on a unix socket too.
    :param has_programs: it runs drivers that are programs, and serves other servers. If not, its devices are in its
        own process.
    """

    name: str
    version: Callable[[], str]
    command: Callable[[int, str, Sequence[Path], Sequence[int]], list[str]]
    has_unix: bool = True
    has_programs: bool = True

    @contextmanager
    def serving(self, *devices: str, remotes: Sequence[int] = ()) -> Iterator[Server]:
        """Run it for the block, with these devices; afterwards it must have ended, and so must its drivers.

        Whatever ends this process, SIGKILL too, ends the server and its drivers.

        :raises TimeoutError: it does not listen in time.
        """
        with tempfile.TemporaryDirectory(prefix="indianyio-peer-") as home, guard() as watch:
            port, unix_name = free_port(), f"indianyio-peer-{uuid.uuid4().hex}"
            drivers = [_make_driver(Path(home), device) for device in devices]
            log = Path(home) / "log"
            with log.open("wb") as stderr:
                process = subprocess.Popen(
                    self.command(port, unix_name, drivers, remotes),
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    env={**os.environ, "HOME": home, "PYTHONPATH": str(ROOT)},
                    cwd=home,
                    start_new_session=True,
                )
            watch(process.pid)
            server = Server(process, port, f"@{unix_name}" if self.has_unix else None, log)
            try:
                server.wait_until_listening()
                yield server
            except (BrokenRuleError, OSError) as exc:
                if not server.has_ended_by_itself():
                    raise
                raise BrokenRuleError(f"{exc}; the server has ended, {server.last_words()}") from None
            finally:
                server.end()


@contextmanager
def guard() -> Iterator[Callable[[int], None]]:
    """Give a function that has a process group killed at the end of the block, or of this process if it is killed.

    A shell waits for that: its input, a pipe from here, ends with either.
    """
    shell = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r group && { read -r _; kill -s KILL -- "-$group"; } 2>/dev/null'],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # what is sent to our group is not for the shell
    )
    assert shell.stdin is not None
    pipe = shell.stdin

    def watch(group: int) -> None:
        pipe.write(b"%d\n" % group)
        pipe.flush()

    try:
        yield watch
    finally:
        pipe.close()
        shell.wait()


@dataclass(slots=True)
class Server:
    """A server that runs.

    :ivar port: its TCP port.
    :ivar unix: its unix socket, if it has one.
    :ivar told_to_end: whether it has been, so that it is not its fault that it does not run.
    """

    process: subprocess.Popen[bytes]
    port: int
    unix: str | None
    log: Path
    told_to_end: bool = False

    def addresses(self) -> list[Address]:
        return [self.port] if self.unix is None else [self.port, self.unix]

    def megabytes(self) -> float:
        """Return the most memory that it has had so far, in MB."""
        return self._status("VmHWM") * 1024 / 1e6

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def runs(self) -> bool:
        return self.process.poll() is None

    def has_ended_by_itself(self) -> bool:
        """Return whether it has ended; what it closes then is seen a moment before the end itself."""
        try:
            self.process.wait(MOMENT_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return not self.told_to_end

    def allow_descriptors(self, number: int) -> None:
        """Let it open no descriptor of this number or above."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (number, hard))

    def seconds_to_end(self, most: float) -> float | None:
        """Send SIGTERM, and return the seconds until it ends; ``None`` if it had to be killed after this many."""
        began = time.monotonic()
        self.told_to_end = True
        self.process.terminate()
        try:
            self.process.wait(most)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None
        return time.monotonic() - began

    def wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            if not self.runs() or time.monotonic() > deadline:
                raise TimeoutError(
                    f"the server does not listen; it said: {self.log.read_text(errors='replace')[-2000:]}"
                )
            time.sleep(0.02)

    def last_words(self) -> str:
        """Return what it has written last, or how it ended."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        status = f"status {self.process.returncode}"
        return f"{status}, and had said: {lines[-1].strip()}" if lines else status

    def kill(self) -> None:
        """Kill it, as a power cut does; its port then refuses connections."""
        self.told_to_end = True
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """End it; its guard ends what it leaves behind."""
        self.told_to_end = True
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _status(self, key: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{key}:"))


def _make_driver(folder: Path, device: str) -> Path:
    path = folder / device
    program = (FOLDER / "box.py").read_text(encoding="utf-8")
    path.write_text(program.replace("#!/usr/bin/env python3", f"#!{sys.executable} -IS", 1), encoding="utf-8")
    path.chmod(0o755)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    """Look without connecting, because a connection that is reset is one of the faults that are asked about."""
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                return True
    return False


# -- which there are -------------------------------------------------------------------------------------------


def _dropin(backend: str) -> Peer:
    def command(port: int, unix: str, drivers: Sequence[Path], remotes: Sequence[int]) -> list[str]:
        start = [sys.executable, "-m", "indianyio.indiserver", "--backend", backend, "--host", "127.0.0.1"]
        return [
            *start,
            "-p",
            str(port),
            "-u",
            unix,
            *map(str, drivers),
            *(f"@127.0.0.1:{other}" for other in remotes),
        ]

    return Peer(f"indianyio-indiserver, {backend}", _package("indianyio"), command)


def _run(backend: str) -> Peer:
    def command(port: int, unix: str, drivers: Sequence[Path], remotes: Sequence[int]) -> list[str]:
        start = [sys.executable, "-m", "indianyio.run", "--backend", backend, "--host", "127.0.0.1"]
        served = [word for driver in drivers for word in ("--exec", str(driver))]
        served += [word for other in remotes for word in ("--remote", f"127.0.0.1:{other}")]
        return [*start, "--port", str(port), "--unix", f"@{unix}", *served]

    return Peer(f"indianyio run, {backend}", _package("indianyio"), command)


def _indiserver(port: int, unix: str, drivers: Sequence[Path], remotes: Sequence[int]) -> list[str]:
    served = [*map(str, drivers), *(f"@127.0.0.1:{other}" for other in remotes)]
    return ["indiserver", "-p", str(port), "-u", unix, *served]


def _indiserver_version() -> str:
    if shutil.which("indiserver") is None:
        raise MissingPeerError("indiserver is not installed: apt-get install indi-bin")
    told = subprocess.run(["indiserver", "--help"], capture_output=True, text=True, timeout=10, check=False)
    return next(line.split()[-1] for line in told.stderr.splitlines() if line.startswith("INDI Library"))


def _indipyserver(port: int, _unix: str, drivers: Sequence[Path], remotes: Sequence[int]) -> list[str]:
    start = [sys.executable, str(FOLDER / "indipyserver_program.py"), str(port)]
    served = [word for driver in drivers for word in ("--exec", str(driver))]
    return [*start, *served, *(word for other in remotes for word in ("--remote", str(other)))]


def _indipy(port: int, _unix: str, drivers: Sequence[Path], _remotes: Sequence[int]) -> list[str]:
    return [sys.executable, str(FOLDER / "indipy_program.py"), str(port), *(driver.name for driver in drivers)]


def _package(name: str) -> Callable[[], str]:
    def version() -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise MissingPeerError(f"{name} is not installed: pip install {name}") from None

    return version


OURS = tuple(make(backend) for make in (_dropin, _run) for backend in BACKENDS)
INDISERVER = Peer("indiserver", _indiserver_version, _indiserver)
PEERS = (
    *OURS,
    INDISERVER,
    Peer("indipyserver", _package("indipyserver"), _indipyserver, has_unix=False),
    Peer("indipy", _package("indipy"), _indipy, has_unix=False, has_programs=False),
)
"""All that are asked, in the order of the table."""
