"""The drop-in for indiserver as a process: its drivers, its fifo, its log and its exit status."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from indianyio.protocol import DefTextVector, DelProperty, EnableBLOB, GetProperties
from tests.libindi.libindi_harness import (
    IndiServer,
    alive,
    installed,
    tcp_client,
    unix_client,
    wait_until,
)

pytestmark = pytest.mark.long

simulators = pytest.mark.skipif(not installed("indi_simulator_telescope"), reason="indi-bin is not installed")

SECONDS = 15.0

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


def make_driver(folder: Path, name: str, life: str = LIVES) -> Path:
    path = folder / f"indi_{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DRIVER.format(name=name, life=life), encoding="utf-8")
    path.chmod(0o755)
    return path


def command(port: int, unix_name: str, *arguments: str | Path) -> list[str]:
    options = ["-p", str(port), "-u", unix_name]
    return [sys.executable, "-m", "indianyio.indiserver", *options, *map(str, arguments)]


def listens(server: IndiServer) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(f"\0{server.unix_name}") == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def program(home: Path, *arguments: str | Path, environment: dict[str, str] | None = None) -> Iterator[IndiServer]:
    """Run the drop-in; after the block it is gone, and so are its drivers."""
    port, unix_name, log = free_port(), f"indianyio-{uuid.uuid4().hex}", home / "server.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command(port, unix_name, *arguments),
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


def run_to_end(*arguments: str | Path, port: int = 0, unix_name: str = "") -> tuple[int, list[str]]:
    """Run the drop-in until it ends by itself; return its exit status and what it said."""
    ended = subprocess.run(
        command(port, unix_name or f"indianyio-{uuid.uuid4().hex}", *arguments),
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


# -- how it ends ------------------------------------------------------------------------------------------------


def test_what_is_fatal_says_good_bye(tmp_path: Path) -> None:
    with program(tmp_path, make_driver(tmp_path, "one")) as server:
        cases: Sequence[tuple[tuple[int, list[str]], str]] = (
            (run_to_end("no-such-indi-driver"), "no-such-indi-driver"),
            (run_to_end("cat", port=server.port), "ddress already in use"),
            (run_to_end("cat", unix_name=server.unix_name), "ddress already in use"),
            (run_to_end("foo@"), "bad remote device syntax"),
            (run_to_end("-f", tmp_path / "nothing"), "nothing"),
            (run_to_end("-f", server.log), "not a named pipe"),
        )
    for (status, lines), words in cases:
        assert status == 1, lines
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: ", line) for line in lines), lines
        assert ": startup: indianyio.indiserver -p" in lines[0]
        assert lines[-1].endswith(": good bye")
        assert any(words in line for line in lines), lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with program(tmp_path, make_driver(tmp_path, "one")) as server:
        with tcp_client(server, SECONDS) as client:
            client.ask()
            client.expect(DefTextVector)
            server.process.send_signal(number)
            assert client.expect(DelProperty).device == "one"
        assert server.process.wait(SECONDS) == -number
        assert "good bye" not in text(server)
        assert "Traceback" not in text(server)


def test_a_driver_that_ignores_sigterm_does_not_keep_it(tmp_path: Path) -> None:
    with program(tmp_path, make_driver(tmp_path, "stubborn", IGNORES)) as server:
        defines(server, "stubborn")
        drivers = server.drivers()
        server.process.terminate()
        assert server.process.wait(SECONDS) == -signal.SIGTERM
        assert not any(map(alive, drivers))


def test_clients_hear_that_the_last_driver_has_gone(tmp_path: Path) -> None:
    with program(tmp_path, "-r", "1", make_driver(tmp_path, "mortal", DIES)) as server:
        with tcp_client(server, SECONDS) as client:
            for _ in range(2):
                client.ask()
                client.expect(DefTextVector)
                client.ask("mortal")
                assert client.expect(DelProperty).device == "mortal"
                wait_until(lambda: bool(server.drivers()) or server.process.poll() is not None, SECONDS)
        assert server.process.wait(SECONDS) == 1
        assert text(server).splitlines()[-1].endswith("good bye")


# -- the fifo ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "commands"
    os.mkfifo(path)
    return path


def say(fifo: Path, words: str) -> None:
    with fifo.open("w", encoding="utf-8") as file:
        file.write(words)


def test_the_fifo_starts_and_stops_drivers(tmp_path: Path, fifo: Path) -> None:
    driver = make_driver(tmp_path / "there" / "bin", "any")
    inherited = {"INDIDEV": "inherited", "INDICONFIG": "inherited"}
    with program(tmp_path, "-v", "-f", fifo, environment=inherited) as server:
        say(fifo, f'start {driver}\nstart {driver.name} -n "Two" -p "{tmp_path}/there"')
        assert says(server, "Driver indi_any: " + str(driver) + " has no name, no config")
        assert says(server, "has Two, no config")
        assert defines(server, "any") is not None
        assert defines(server, "Two") is not None
        with tcp_client(server, SECONDS) as client:
            client.ask()
            client.expect(DefTextVector)
            client.expect(DefTextVector)
            say(fifo, f'stop {driver.name} -n "any"\n')
            assert says(server, "that has 'any'")
            say(fifo, f'stop {driver.name} -n "Two"\n')
            assert client.expect(DelProperty).device == "Two"
            say(fifo, f"stop {driver}\n")
            assert client.expect(DelProperty).device == "any"
        assert wait_until(lambda: not server.drivers(), SECONDS)
        say(fifo, f"start {driver}\n")
        assert defines(server, "any") is not None
        assert server.process.poll() is None


def test_nothing_that_the_fifo_says_ends_the_server(tmp_path: Path, fifo: Path) -> None:
    driver = make_driver(tmp_path, "any")
    port = free_port()  # where nobody listens
    with program(tmp_path, "-f", fifo) as server:
        say(fifo, f"start no-such-indi-driver\nstart Dev@\nstop nobody\nstart\n{'x' * 3000} stop {driver}\n\n")
        say(fifo, f"start Dome@localhost:{port}\nbogus nobody\n")
        say(fifo, f"start {driver}\n")
        assert defines(server, "any") is not None
        for words in ("no-such-indi-driver", "bad remote", "'nobody'", "names no driver", "too long", "'bogus'"):
            assert words in text(server), words


def test_a_fifo_may_be_replaced(tmp_path: Path, fifo: Path) -> None:
    driver = make_driver(tmp_path, "any")
    with program(tmp_path, "-f", fifo) as server:
        (fifo.parent / "old").unlink(missing_ok=True)
        fifo.rename(fifo.parent / "old")
        say(fifo.parent / "old", "stop nobody\n")
        assert says(server, "no commands can be read")
        os.mkfifo(fifo)
        say(fifo, f"start {driver}\n")
        assert defines(server, "any") is not None


# -- what it writes ---------------------------------------------------------------------------------------------


def test_messages_of_drivers_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with program(tmp_path, "-l", folder, make_driver(tmp_path, "one")) as server:
        defines(server, "one")
        (file,) = folder.iterdir()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d\.islog", file.name)
        assert file.read_text(encoding="utf-8").splitlines()[0].endswith(": one: hello from one")


@pytest.mark.parametrize(
    ("option", "seen", "unseen"),
    [
        ("-v", "connected", "read "),
        ("-vv", "read defTextVector one V", "<defText"),
        ("-vvv", "<defText name", "\0"),
    ],
)
def test_verbosity(tmp_path: Path, option: str, seen: str, unseen: str) -> None:
    with program(tmp_path, option, make_driver(tmp_path, "one")) as server:
        defines(server, "one")
        assert says(server, seen)
        assert unseen not in text(server)


# -- with libindi's own programs --------------------------------------------------------------------------------


@pytest.mark.libindi
@simulators
def test_libindis_clients_and_drivers(tmp_path: Path) -> None:
    with program(tmp_path, "-v", "indi_simulator_telescope", "indi_simulator_ccd") as server:
        for device in ("Telescope Simulator", "CCD Simulator"):
            assert wait_until(lambda d=device: server.value(f"{d}.CONNECTION.CONNECT") == "Off", SECONDS)  # type: ignore[misc]
            assert server.setprop(f"{device}.CONNECTION.CONNECT=On").returncode == 0
            assert wait_until(lambda d=device: server.value(f"{d}.CONNECTION.CONNECT") == "On", SECONDS)  # type: ignore[misc]
        with unix_client(server, SECONDS) as client:
            client.send(GetProperties(device="CCD Simulator"))
            client.send(EnableBLOB(device="CCD Simulator", value="Also"))
            client.expect(DefTextVector)


@pytest.mark.libindi
@simulators
def test_a_simulator_by_the_fifo_and_by_another_server(tmp_path: Path, fifo: Path) -> None:
    home = tmp_path / "far"
    home.mkdir()
    with (
        program(tmp_path, "-f", fifo) as server,
        program(home, f"Scope@localhost:{server.port}") as far,
    ):
        say(fifo, 'start indi_simulator_telescope -n "Scope"\n')
        for one in (server, far):
            assert wait_until(lambda s=one: s.value("Scope.CONNECTION.CONNECT") == "Off", SECONDS)  # type: ignore[misc]
        say(fifo, 'stop indi_simulator_telescope -n "Scope"\n')
        assert wait_until(lambda: not server.drivers(), SECONDS)
        assert far.process.poll() is None
