"""The drop-in for indiserver as a process, drivers of a few lines for it, and its fifo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from indianyio.protocol import DefTextVector
from tests.libindi.libindi_harness import IndiServer, alive, tcp_client, wait_until

SECONDS = 60.0

DROP_IN = (sys.executable, "-m", "indianyio.indiserver")
ON_TRIO = (*DROP_IN, "--backend", "trio")

# Has one device, named by its environment, and defines it twice at least: for the server and for the test's client.
DRIVER = """#!/bin/sh
echo "$0 has ${{INDIDEV-no name}}, ${{INDICONFIG-no config}}" >&2
name=${{INDIDEV-{name}}}
answer() {{
    read request || exit 0
    echo "<defTextVector device='$name' name='V' state='Ok' perm='ro' message='hello from $name'>"
    echo "<defText name='a'>1</defText></defTextVector>"
}}
{life}
"""
LIVES = "while true; do answer; done"
DIES = "answer; answer; read go; exit 3"
IGNORES = "trap '' TERM; answer; answer; while true; do sleep 0.1; done"
# Writes down what happens to it, and when its input ends it leaves no earlier than it may.
PARKS = """
leave() {{
    echo leaving >> {folder}/journal
    until [ -e {folder}/parked ]; do sleep 0.02; done
    echo left >> {folder}/journal
}}
trap leave EXIT
echo began >> {folder}/journal
while true; do answer; done
"""


class Parking:
    """A driver that parks when its input ends, until it is told that it has.

    :param folder: where the driver is.
    :ivar path: its file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = make_driver(folder, "parking", PARKS.format(folder=folder))
        self._folder = folder

    def has_parked(self) -> None:
        (self._folder / "parked").touch()

    def journal(self) -> list[str]:
        path = self._folder / "journal"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def wrote(self, word: str) -> bool:
        return wait_until(lambda: word in self.journal(), SECONDS)


def make_driver(folder: Path, name: str, life: str = LIVES) -> Path:
    path = folder / f"indi_{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DRIVER.format(name=name, life=life), encoding="utf-8")
    path.chmod(0o755)
    return path


def command(port: int, unix_name: str, *arguments: str | Path, launcher: Sequence[str] = DROP_IN) -> list[str]:
    return [*launcher, "-p", str(port), "-u", unix_name, *map(str, arguments)]


def listens(server: IndiServer) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(f"\0{server.unix_name}") == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def program(
    home: Path,
    *arguments: str | Path,
    environment: dict[str, str] | None = None,
    launcher: Sequence[str] = DROP_IN,
    place: tuple[int, str] | None = None,
) -> Iterator[IndiServer]:
    """Run the drop-in; after the block it is gone, and so are its drivers."""
    port, unix_name = place or (free_port(), f"indianyio-{uuid.uuid4().hex}")
    log = home / f"server-{uuid.uuid4().hex}.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command(port, unix_name, *arguments, launcher=launcher),
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env={**os.environ, "HOME": str(home), **(environment or {})},
        )
    server = IndiServer(process, port, unix_name, home, log)
    drivers: list[int] = []
    try:
        assert wait_until(lambda: listens(server) or process.poll() is not None, SECONDS), text(server)
        yield server
        drivers = server.drivers() if process.poll() is None else []
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()
    assert wait_until(lambda: not any(map(alive, drivers)), SECONDS), f"drivers outlived their server: {drivers}"


def run_to_end(
    *arguments: str | Path, port: int | None = None, unix_name: str = "", launcher: Sequence[str] = DROP_IN
) -> tuple[int, list[str]]:
    """Run the drop-in until it ends by itself; return its exit status and what it said."""
    ended = subprocess.run(
        command(
            free_port() if port is None else port,
            unix_name or f"indianyio-{uuid.uuid4().hex}",
            *arguments,
            launcher=launcher,
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr.splitlines()


def text(server: IndiServer) -> str:
    return server.log.read_text(encoding="utf-8", errors="replace")


def says(server: IndiServer, words: str) -> bool:
    return wait_until(lambda: words in text(server), SECONDS)


def defines(server: IndiServer, device: str) -> DefTextVector:
    """Wait until a client that asks for everything is told of this device."""
    with tcp_client(server, SECONDS) as client:
        client.ask()
        while True:
            vector = client.expect(DefTextVector)
            if vector.device == device:
                return vector


def say(fifo: Path, words: str) -> None:
    with fifo.open("w", encoding="utf-8") as file:
        file.write(words)
