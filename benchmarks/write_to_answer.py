"""How long a client waits for the answer to a write: our driver and a C++ one, under the same indiserver.

Needs libindi's programs (Debian: ``apt-get install indi-bin``). Run ``python benchmarks/write_to_answer.py``.
Both drivers are asked to change a number that they confirm at once; the writes alternate between the drivers, so
that whatever else the machine does hits both. What counts is the ratio, which hardly depends on the machine.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 20.0
RECEIVE_BYTES = 1 << 16


@dataclass
class Contender:
    """A number vector that its driver confirms at once, and how long that took each time, in seconds."""

    title: str
    device: str
    vector: str
    member: str
    values: tuple[str, str]
    seconds: list[float] = field(default_factory=list)

    def write(self, turn: int) -> bytes:
        """Return a write that changes the value at every turn."""
        value = self.values[turn % 2]
        return (
            f'<newNumberVector device="{self.device}" name="{self.vector}">'
            f'<oneNumber name="{self.member}">{value}</oneNumber></newNumberVector>\n'
        ).encode()

    def report(self) -> str:
        """Return a line with median and 95th percentile."""
        ordered = sorted(self.seconds)
        tail = ordered[int(len(ordered) * 0.95)]
        return f"{self.title:<40} median {self.median * 1e6:8.0f} us   95 % {tail * 1e6:8.0f} us"

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)


OURS = Contender("indianyio thermostat", "Thermostat", "targetvector", "target", ("18", "19"))
CPP = Contender("C++ telescope simulator", "Telescope Simulator", "POLLING_PERIOD", "PERIOD_MS", ("1000", "2000"))


def make_thermostat(folder: Path, backend: str) -> Path:
    """Write an executable of the thermostat example."""
    path = folder / "thermostat"
    command = [sys.executable, "-m", "indianyio.run", "--backend", backend, "--log-level", "warning"]
    command += ["--make-executable", str(path), "indianyio.examples.thermostat:Thermostat"]
    subprocess.run(command, check=True)
    return path


@contextmanager
def indiserver(folder: Path, *drivers: str | Path) -> Iterator[int]:
    """Run indiserver with these drivers, and yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = ["indiserver", "-p", str(port), "-u", f"indianyio-{uuid.uuid4().hex}", *map(str, drivers)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)})
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def connect(port: int) -> socket.socket:
    """Connect as soon as the server listens."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock


def receive_until(sock: socket.socket, *marks: str) -> None:
    """Receive until all these texts have come, in this order."""
    received = b""
    for mark in marks:
        wanted = mark.encode()
        while (place := received.find(wanted)) < 0:
            data = sock.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionError("the server has closed the connection")
            received += data
        received = received[place + len(wanted) :]


def wait_for(sock: socket.socket, contender: Contender) -> None:
    """Ask for the contender's vector until its driver has defined it."""
    sock.sendall(f'<getProperties version="1.7" device="{contender.device}"/>\n'.encode())
    receive_until(sock, f'name="{contender.vector}"', "</defNumberVector>")


def measure(sock: socket.socket, contender: Contender, turn: int) -> None:
    """Write once and wait for the answer."""
    begin = time.perf_counter()
    sock.sendall(contender.write(turn))
    receive_until(sock, f'name="{contender.vector}"', "</setNumberVector>")
    contender.seconds.append(time.perf_counter() - begin)


def run(writes: int, backend: str) -> None:
    """Measure both and print the result."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with indiserver(folder, make_thermostat(folder, backend), "indi_simulator_telescope") as port:
            links = [(contender, connect(port)) for contender in (OURS, CPP)]
            time.sleep(2)  # until both drivers have made themselves known to the server
            for contender, sock in links:
                wait_for(sock, contender)
            for turn in range(writes):
                for contender, sock in links:
                    measure(sock, contender, turn)
            for _, sock in links:
                sock.close()
    print(f"{writes} writes each, Python {sys.version.split()[0]}, {backend}, {os.cpu_count()} cores")  # noqa: T201
    print(OURS.report(), CPP.report(), f"ratio {OURS.median / CPP.median:.2f}", sep="\n")  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--writes", type=int, default=1000, help="how many for each driver (default: %(default)s)")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    arguments = parser.parse_args()
    run(arguments.writes, arguments.backend)
