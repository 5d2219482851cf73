"""Servers that are announced on the network: when, for how long, and what is refused.

Most of this is tested with the package's announcement replaced. What goes over a network really does so, but never
over this machine's: by multicast on the loopback interface, and for whole processes in a network of their own.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import util
from pathlib import Path

import anyio
import pytest
from trio.testing import MockClock

from indianyio.commands import main
from indianyio.driver import Flag
from indianyio.indiserver import main as indiserver
from indianyio.indiserver._options import parse_options
from indianyio.run import _announcing
from indianyio.run import main as run
from indianyio.run._announcing import Announcement, FoundServer, announce, find_servers
from tests.libindi.libindi_harness import wait_until
from tests.server.watching import until

HEATER = "indianyio.examples.thermostat:Thermostat"
SECONDS = 30.0
WHERE = "192.0.2.7:7624"

pytest.importorskip("zeroconf")


class Network:
    """What would be announced, in place of the package's announcement."""

    def __init__(self) -> None:
        self.listening: Sequence[str] = []
        self.done: list[str] = []
        self.publishing: Callable[[], None] = lambda: None
        self.withdrawing: Callable[[], None] = lambda: None

    def __call__(self, listening: Sequence[str]) -> Network:
        self.listening = listening
        return self

    def publish(self) -> str:
        self.publishing()
        self.done.append("published")
        return "INDI here"

    def withdraw(self) -> None:
        self.withdrawing()
        self.done.append("withdrawn")


def wait_for(released: threading.Event) -> None:
    assert released.wait(SECONDS)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    replaced = Network()
    monkeypatch.setattr(_announcing, "Announcement", replaced)
    return replaced


# -- when ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_it_is_announced_when_clients_can_connect_and_withdrawn_when_the_end_begins(network: Network) -> None:
    up, ending = Flag(), Flag()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(announce, lambda: [WHERE], up, ending)
        await anyio.wait_all_tasks_blocked()
        assert network.listening == []
        up.set()
        await until(lambda: network.done == ["published"])
        assert network.listening == [WHERE]
        ending.set()
    assert network.done == ["published", "withdrawn"]


@pytest.mark.anyio
async def test_a_run_that_is_cancelled_is_withdrawn(network: Network) -> None:
    up = Flag()
    up.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(announce, lambda: [WHERE], up, Flag())
        await until(lambda: network.done == ["published"])
        tasks.cancel_scope.cancel()
    assert network.done == ["published", "withdrawn"]


@pytest.mark.anyio
async def test_the_end_does_not_wait_until_it_is_announced(network: Network) -> None:
    released = threading.Event()
    network.publishing = partial(wait_for, released)
    up, ending = Flag(), Flag()
    up.set()
    try:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(announce, lambda: [WHERE], up, ending)
                await anyio.wait_all_tasks_blocked()
                ending.set()
        assert network.done == ["withdrawn"]
    finally:
        released.set()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
async def test_a_network_that_hangs_keeps_the_end_for_two_seconds(network: Network) -> None:
    released = threading.Event()
    network.withdrawing = partial(wait_for, released)
    up, ending = Flag(), Flag()
    up.set()
    ending.set()
    start = anyio.current_time()
    try:
        await announce(lambda: [WHERE], up, ending)
        assert anyio.current_time() - start == pytest.approx(2.0)
    finally:
        released.set()


@pytest.mark.anyio
async def test_what_cannot_be_announced_is_logged_and_served_nevertheless(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("this machine has no address in a network")

    network.publishing = fail
    up, ending = Flag(), Flag()
    up.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(announce, lambda: [WHERE], up, ending)
        await until(lambda: bool(caplog.records))
        await anyio.wait_all_tasks_blocked()
        assert not tasks.cancel_scope.cancel_called
        ending.set()
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "no address in a network" in record.getMessage()


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--port", "0"], "no other machine can connect to localhost"),
        (["--port", "0", "--host", "127.0.0.2"], "no other machine can connect to 127.0.0.2:0"),
        (["--port", "0", "--host", "::1"], "no other machine can connect to [::1]:0"),
        (["--unix", "@indianyio-test"], "--announce is for a TCP port"),
        ([], "--announce is for a TCP port"),
    ],
)
def test_what_no_other_machine_can_reach_is_not_announced(
    arguments: list[str], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        status = run([HEATER, "--announce", *arguments])
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    assert problem in capfd.readouterr().err


def test_the_drop_in_refuses_it_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert parse_options(["--announce", "driver"]).announce
    assert not parse_options(["driver"]).announce
    assert indiserver(["--announce", "--host", "localhost", "-p", "0", "-u", "indianyio-test", "true"]) == 1
    assert "no other machine can connect to 127.0.0.1:0" in capfd.readouterr().err


@pytest.fixture
def without_zeroconf(monkeypatch: pytest.MonkeyPatch) -> None:
    found = util.find_spec
    monkeypatch.setattr(_announcing, "find_spec", lambda name: None if name == "zeroconf" else found(name))


@pytest.mark.usefixtures("without_zeroconf")
def test_without_the_package_it_says_how_to_get_it(capfd: pytest.CaptureFixture[str]) -> None:
    served = [HEATER, "--announce", "--port", "0", "--host", "0.0.0.0"]
    assert [run(served), main(["servers"]), main(["service", *served, "--user", "root"])] == [2, 2, 2]
    assert capfd.readouterr().err.count("pip install 'indianyio[announce]'") == 3


# -- the list --------------------------------------------------------------------------------------------------


def test_servers_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[float] = []
    servers = [
        FoundServer("INDI on obs", "obs.local", 7624, ("192.0.2.7", "fd00::7")),
        FoundServer("evil\x1b[2J", "dome.local", 7625, ()),
    ]

    def find(seconds: float) -> list[FoundServer]:
        asked.append(seconds)
        return servers

    monkeypatch.setattr("indianyio.commands._servers.find_servers", find)
    assert main(["servers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["INDI on obs  192.0.2.7:7624  [fd00::7]:7624", "evil\\x1b[2J  dome.local:7625"]
    assert main(["servers", "--json", "-t", "0.5"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    addresses = ["192.0.2.7", "fd00::7"]
    assert first == {"name": "INDI on obs", "host": "obs.local", "port": 7624, "addresses": addresses}
    assert asked == [3.0, 0.5]
    servers.clear()
    assert main(["servers"]) == 1
    assert capsys.readouterr().err == "no server is announced on this network\n"


# -- really ----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_by_multicast_on_the_loopback_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_announcing, "is_reachable", lambda _: True)
    port = 20000 + os.getpid() % 10000
    announcement = Announcement([f"127.0.0.1:{port}"])

    def found() -> list[FoundServer]:
        # What was said a moment ago is said again after a second.
        return [server for server in find_servers(2.0, ["127.0.0.1"]) if server.port == port]

    try:
        name = announcement.publish()
        [server] = found()
        assert server.name == name
        assert server.addresses == ("127.0.0.1",)
        assert server.host.endswith(".local")
    finally:
        announcement.withdraw()
    assert found() == []
    assert announcement.publish() == ""


ALONE = ["unshare", "--net", "sh", "-c"]
ADDRESS = "10.9.8.7"
SETUP = f'ip link set lo up && ip addr add {ADDRESS}/24 dev lo && exec "$@"'
in_a_network = pytest.mark.skipif(
    not (shutil.which("unshare") and shutil.which("nsenter") and shutil.which("ip") and os.geteuid() == 0),
    reason="needs root, unshare, nsenter and ip, for a network of its own",
)


@contextmanager
def in_a_network_of_its_own(*command: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*ALONE, SETUP, "sh", sys.executable, "-m", *command], stdin=subprocess.DEVNULL, stderr=stderr
        )
    try:
        assert wait_until(lambda: b"announced on the network" in log.read_bytes(), SECONDS), log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()


def servers_in(network: int) -> tuple[int, list[str]]:
    """Run the command servers in a network; return its status and its lines."""
    command = ["nsenter", f"--net=/proc/self/fd/{network}", sys.executable, "-m", "indianyio", "servers"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, pass_fds=[network])
    return done.returncode, done.stdout.splitlines()


@in_a_network
@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "options", "status"),
    [
        ("indianyio.run", [HEATER, "--port", "7624"], 0),
        ("indianyio.indiserver", ["-v", "-u", "indianyio-announced", "indi_box"], -signal.SIGTERM),
    ],
    ids=["run", "indiserver"],
)
def test_a_server_is_found_until_it_gets_sigterm(
    module: str, options: list[str], status: int, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["run", HEATER, "--make-executable", str(tmp_path / "indi_box")])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    command = [module, "--backend", backend, "--announce", "--host", "0.0.0.0", *options]
    with in_a_network_of_its_own(*command, folder=tmp_path) as process:
        # The network is there for as long as this is open, and not only for as long as the server.
        network = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY)
        try:
            found, lines = servers_in(network)
            assert found == 0
            [line] = lines
            assert line.startswith("INDI on ")
            assert line.endswith(f"  {ADDRESS}:7624")
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == status
            assert servers_in(network) == (1, [])
        finally:
            os.close(network)
