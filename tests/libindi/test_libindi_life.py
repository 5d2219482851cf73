"""Life and death of our drivers under a real indiserver, and what they do in between."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from indianyio.protocol import DefSwitchVector, NewSwitchVector, OneSwitch, SetSwitchVector
from tests.libindi.libindi_harness import Client, IndiServer, alive, indiserver, tcp_client, wait_until

MakeDriver = Callable[[str], Path]

LEFT_FILE = "INDIANYIO_LEFT_FILE"
GONE_SECONDS = 2.0
IDLE_SECONDS = 3.0


@pytest.fixture
def left_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the driver writes its process id in leave()."""
    path = tmp_path / "left"
    monkeypatch.setenv(LEFT_FILE, str(path))
    return path


def wait_for_driver(client: Client) -> None:
    client.ask()
    client.expect(DefSwitchVector, "abort")


def write_switch(client: Client, vector: str, member: str) -> None:
    client.send(NewSwitchVector(device="Slow", name=vector, members=(OneSwitch(name=member, value="On"),)))


def has_left(left_file: Path, pid: int) -> bool:
    return left_file.exists() and left_file.read_text(encoding="ascii") == f"{pid}\n"


def kill_server(server: IndiServer) -> None:
    server.process.kill()
    server.process.wait()


@pytest.mark.parametrize("busy", [False, True])
def test_d10_d14_driver_leaves_when_indiserver_is_killed(
    tmp_path: Path, driver: MakeDriver, left_file: Path, busy: bool
) -> None:
    with indiserver(tmp_path, driver("Slow")) as server, tcp_client(server) as client:
        wait_for_driver(client)
        [pid] = server.drivers()
        if busy:
            write_switch(client, "slew", "go")
            client.expect(SetSwitchVector, "slew", "Busy")
        kill_server(server)
        assert wait_until(lambda: not alive(pid), GONE_SECONDS)
        assert has_left(left_file, pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_d14_driver_leaves_when_it_gets_a_signal(
    tmp_path: Path, driver: MakeDriver, left_file: Path, number: signal.Signals
) -> None:
    with indiserver(tmp_path, driver("Slow"), options=("-r", "0")) as server, tcp_client(server) as client:
        wait_for_driver(client)
        [pid] = server.drivers()
        os.kill(pid, number)
        assert wait_until(lambda: not alive(pid), GONE_SECONDS)
        assert has_left(left_file, pid)


def test_indiserver_restarts_a_driver_that_was_killed(tmp_path: Path, driver: MakeDriver) -> None:
    with indiserver(tmp_path, driver("Slow")) as server, tcp_client(server) as client:
        wait_for_driver(client)
        [pid] = server.drivers()
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: server.drivers() not in ([], [pid]), 5)
        client.expect(DefSwitchVector, "abort")


def test_d15_a_slow_handler_delays_neither_abort_nor_getproperties(tmp_path: Path, driver: MakeDriver) -> None:
    with indiserver(tmp_path, driver("Slow")) as server, tcp_client(server) as client:
        wait_for_driver(client)
        write_switch(client, "slew", "go")
        client.expect(SetSwitchVector, "slew", "Busy")
        begin = time.monotonic()
        write_switch(client, "abort", "abort")
        client.expect(SetSwitchVector, "abort", "Ok")
        client.ask("Slow", "slew")
        client.expect(DefSwitchVector, "slew")
        assert time.monotonic() - begin < 5  # the handler takes 10


def wake_ups(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text(encoding="ascii").splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return total


def test_d11_an_idle_driver_does_not_wake_up(tmp_path: Path, driver: MakeDriver) -> None:
    with indiserver(tmp_path, driver("Slow")) as server, tcp_client(server) as client:
        wait_for_driver(client)
        [pid] = server.drivers()
        time.sleep(0.5)
        before = wake_ups(pid)
        time.sleep(IDLE_SECONDS)
        assert wake_ups(pid) - before <= 3
