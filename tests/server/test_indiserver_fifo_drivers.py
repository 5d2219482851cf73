"""Drivers that the fifo of the drop-in for indiserver starts and stops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indianyio.protocol import DefTextVector, DelProperty
from tests.libindi.libindi_harness import Client, IndiServer, alive, installed, tcp_client, wait_until
from tests.server.dropin import (
    DROP_IN,
    LIVES,
    ON_TRIO,
    SECONDS,
    Parking,
    defines,
    free_port,
    make_driver,
    program,
    say,
    says,
    text,
)

pytestmark = pytest.mark.long

simulators = pytest.mark.skipif(not installed("indi_simulator_telescope"), reason="indi-bin is not installed")

NAMELESS = "while read request; do :; done"


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "commands"
    os.mkfifo(path)
    return path


@contextmanager
def tcp_client_of(server: IndiServer) -> Iterator[Client]:
    """Connect a client that wants to know everything."""
    with tcp_client(server, SECONDS) as client:
        client.ask()
        yield client


def test_the_fifo_starts_and_stops_drivers(tmp_path: Path, fifo: Path) -> None:
    driver = make_driver(tmp_path / "there" / "bin", "any")
    inherited = {"INDIDEV": "inherited", "INDICONFIG": "inherited"}
    with program(tmp_path, "-v", "-f", fifo, environment=inherited) as server:
        say(fifo, f'start {driver}\nstart {driver.name} -n "Two" -p "{tmp_path}/there"')
        assert says(server, f"Driver {driver}: {driver} has no name, no config")
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
        # It listens before it opens the pipe, so what is said there first waits until it has.
        say(fifo, "stop somebody\n")
        assert says(server, "'somebody'")
        (fifo.parent / "old").unlink(missing_ok=True)
        fifo.rename(fifo.parent / "old")
        say(fifo.parent / "old", "stop nobody\n")
        assert says(server, "no commands can be read")
        os.mkfifo(fifo)
        say(fifo, f"start {driver}\n")
        assert defines(server, "any") is not None


# -- stop and start ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("launcher", [DROP_IN, ON_TRIO], ids=["asyncio", "trio"])
def test_a_driver_is_started_when_the_old_one_has_gone(
    tmp_path: Path, fifo: Path, launcher: tuple[str, ...]
) -> None:
    parking = Parking(tmp_path)
    with program(tmp_path, "-f", fifo, launcher=launcher) as server, tcp_client_of(server) as client:
        say(fifo, f"start {parking.path}\n")
        client.expect(DefTextVector)
        say(fifo, f"stop {parking.path}\nstart {parking.path}\n")
        assert parking.wrote("leaving")
        parking.has_parked()
        client.expect(DelProperty)
        assert client.expect(DefTextVector).device == "parking"
        assert parking.journal() == ["began", "leaving", "left", "began"]
        assert len(server.drivers()) == 1


def test_another_program_with_the_same_device_waits_too(tmp_path: Path, fifo: Path) -> None:
    parking = Parking(tmp_path)
    (tmp_path / "other").mkdir()
    other = make_driver(tmp_path / "other", "parking")
    with program(tmp_path, "-f", fifo) as server, tcp_client_of(server) as client:
        say(fifo, f"start {parking.path}\n")
        client.expect(DefTextVector)
        say(fifo, f"stop {parking.path}\nstart {other}\n")
        assert parking.wrote("leaving")
        parking.has_parked()
        client.expect(DelProperty)
        assert client.expect(DefTextVector).device == "parking"
        assert "belongs" not in text(server)
        assert "Terminated" not in text(server)


def test_what_is_stopped_before_it_could_start_never_starts(tmp_path: Path, fifo: Path) -> None:
    parking = Parking(tmp_path)
    with program(tmp_path, "-f", fifo) as server:
        say(fifo, f"start {parking.path}\n")
        defines(server, "parking")
        say(fifo, f"stop {parking.path}\nstart {parking.path}\nstop {parking.path}\n")
        assert parking.wrote("leaving")
        parking.has_parked()
        say(fifo, f"start {make_driver(tmp_path, 'one')}\n")
        defines(server, "one")
        assert parking.journal() == ["began", "leaving", "left"]
        assert len(server.drivers()) == 1


def test_what_is_stopped_in_the_same_breath_never_starts(tmp_path: Path, fifo: Path) -> None:
    parking = Parking(tmp_path)
    parking.has_parked()
    with program(tmp_path, "-f", fifo) as server:
        say(fifo, f"start {parking.path}\nstop {parking.path}\nstart {make_driver(tmp_path, 'one')}\n")
        defines(server, "one")
        assert parking.journal() == []


def test_a_driver_stops_by_the_name_it_was_started_with(tmp_path: Path, fifo: Path) -> None:
    # As multi-device drivers do: the name of the device is not what was said, and there is none before the camera.
    driver = make_driver(tmp_path, "stars", NAMELESS)
    with program(tmp_path, "-f", fifo) as server:
        say(fifo, f'start {driver} -n "Main"\nstart {driver} -n "Guide"\n')
        assert wait_until(lambda: len(server.drivers()) == 2, SECONDS)
        first, second = server.drivers()
        say(fifo, f'stop {driver} -n "Guide"\n')
        assert wait_until(lambda: server.drivers() == [first], SECONDS)
        say(fifo, f'stop {driver} -n "Main"\n')
        assert wait_until(lambda: not server.drivers(), SECONDS)
        assert not alive(second)


def test_a_driver_finds_all_that_was_said_of_it(tmp_path: Path, fifo: Path) -> None:
    folder = tmp_path / "prefix" / "bin"
    tells = 'echo "$INDIDEV; $INDICONFIG; $INDISKEL; $INDIPREFIX" >&2\n' + LIVES
    driver = make_driver(folder, "tells", tells)
    with program(tmp_path, "-f", fifo) as server:
        say(fifo, f'start {driver.name} -p "{folder.parent}" -s "/a b.xml" -c "night" -n "Main Scope"\n')
        assert says(server, f"Driver indi_tells: Main Scope; night; /a b.xml; {folder.parent}")
        assert defines(server, "Main Scope") is not None


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
