"""How the drop-in for indiserver ends: as indiserver for whoever started it, in order for the drivers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from indianyio.protocol import DefTextVector, DelProperty
from tests.libindi.libindi_harness import alive, tcp_client, wait_until
from tests.server.dropin import (
    DROP_IN,
    IGNORES,
    ON_TRIO,
    SECONDS,
    Parking,
    defines,
    make_driver,
    program,
    say,
    text,
)

pytestmark = pytest.mark.long


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "commands"
    os.mkfifo(path)
    return path


# As a shell's script has what it starts with "&".
IN_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh", *DROP_IN)


@pytest.mark.parametrize("launcher", [DROP_IN, ON_TRIO], ids=["asyncio", "trio"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals, launcher: tuple[str, ...]) -> None:
    with program(tmp_path, make_driver(tmp_path, "one"), launcher=launcher) as server:
        drivers = server.drivers()
        with tcp_client(server, SECONDS) as client:
            client.ask()
            client.expect(DefTextVector)
            server.process.send_signal(number)
            assert client.expect(DelProperty).device == "one"
        assert server.process.wait(SECONDS) == -number
        assert not any(map(alive, drivers))
        assert "good bye" not in text(server)
        assert "Traceback" not in text(server)


def test_signals_are_one_wish_unless_a_person_insists(tmp_path: Path) -> None:
    parking = Parking(tmp_path)
    with program(tmp_path, parking.path) as server:
        defines(server, "parking")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            server.process.send_signal(number)
            assert parking.wrote("leaving")
        assert "SIGINT: ending in order; another one, 1 s later or more, ends at once" in text(server)
        time.sleep(1.1)
        server.process.send_signal(signal.SIGHUP)
        server.process.send_signal(signal.SIGTERM)
        assert not wait_until(lambda: server.process.poll() is not None, 0.5)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(SECONDS) == 1
        parking.has_parked()


def test_a_driver_that_ignores_sigterm_does_not_keep_it(tmp_path: Path) -> None:
    with program(tmp_path, make_driver(tmp_path, "stubborn", IGNORES)) as server:
        defines(server, "stubborn")
        drivers = server.drivers()
        server.process.terminate()
        assert server.process.wait(SECONDS) == -signal.SIGTERM
        assert not any(map(alive, drivers))


@pytest.mark.parametrize(("launcher", "number"), [(DROP_IN, signal.SIGPIPE), (IN_BACKGROUND, signal.SIGINT)])
def test_what_indiserver_ignores_does_not_end_it(
    tmp_path: Path, launcher: tuple[str, ...], number: signal.Signals
) -> None:
    with program(tmp_path, make_driver(tmp_path, "one"), launcher=launcher) as server:
        server.process.send_signal(number)
        defines(server, "one")
        # Had the other one been taken, it would be the one that has ended the server.
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(SECONDS) == -signal.SIGHUP


def test_the_next_server_need_not_wait_for_the_drivers_of_this_one(tmp_path: Path, fifo: Path) -> None:
    parking = Parking(tmp_path)
    with program(tmp_path, "-f", fifo) as server:
        say(fifo, f"start {parking.path}\n")
        defines(server, "parking")
        server.process.terminate()
        assert parking.wrote("leaving")
        # Nor does this one take commands that are meant for the next.
        say(fifo, f"start {make_driver(tmp_path, 'one')}\n")
        with program(tmp_path, "-f", fifo, place=(server.port, server.unix_name)) as following:
            defines(following, "one")
            assert server.process.poll() is None
            parking.has_parked()
            assert server.process.wait(SECONDS) == -signal.SIGTERM
            defines(following, "one")
