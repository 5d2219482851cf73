"""What a service manager hears of ``python -m indianyio.run`` as a server; its socket is the test's own."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import anyio
import pytest
from trio.testing import MockClock

from indianyio.driver import Flag
from indianyio.run._ending import seconds_to_be_gone
from indianyio.run._service_manager import Service, ServiceManager
from indianyio.server import IPyServer
from tests.driver.gadget import Gadget
from tests.server.dropin import Parking
from tests.server.network import SECONDS, dial
from tests.server.programs import Programs

VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]


@contextmanager
def manager_at(address: str) -> Iterator[socket.socket]:
    """Listen as a service manager does."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        sock.settimeout(SECONDS)
        yield sock


def heard(sock: socket.socket) -> dict[str, str]:
    """Wait for the next message, and return its fields."""
    return dict(line.split("=", 1) for line in sock.recv(4096).decode().splitlines())


def waiting(sock: socket.socket) -> list[str]:
    """Return the messages that have come."""
    sock.setblocking(False)
    found = []
    try:
        while True:
            found.append(sock.recv(4096).decode())
    except BlockingIOError:
        return found


class Managed:
    """Something that is managed, and what it is told."""

    def __init__(self, end_seconds: float = 7.5) -> None:
        self.up, self.ending = Flag(), Flag()
        self.service = Service(self.up, self.ending, lambda: "Serving a\nMount\udc80", lambda: end_seconds)

    @asynccontextmanager
    async def attended(self, manager: ServiceManager) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.attend, self.service)
            yield
            tasks.cancel_scope.cancel()


# -- who wants to know -----------------------------------------------------------------------------------------


def test_without_the_variable_there_is_nobody() -> None:
    environment = {"WATCHDOG_USEC": "3000000", "HOME": "/"}
    assert ServiceManager.taken_from(environment) is None


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_variables_are_taken_out_for_programs_that_are_started_later(
    variables: dict[str, str], seconds: float | None
) -> None:
    environment = {"NOTIFY_SOCKET": "/run/it", "HOME": "/", **variables}
    manager = ServiceManager.taken_from(environment)
    assert manager is not None
    assert manager._watchdog_seconds == seconds
    assert environment == {"HOME": "/"}


# -- what it hears ---------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["path", "abstract"])
async def test_it_hears_that_all_is_ready_and_about_to_end_each_once(tmp_path: Path, kind: str) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@indianyio-{uuid.uuid4().hex}"
    managed = Managed()
    with manager_at(address) as sock, anyio.fail_after(SECONDS):
        async with managed.attended(ServiceManager(address)):
            await anyio.wait_all_tasks_blocked()
            assert waiting(sock) == []
            managed.up.set()
            await anyio.wait_all_tasks_blocked()
            assert waiting(sock) == ["READY=1\nSTATUS=Serving a Mount\\udc80"]
            managed.ending.set()
            await anyio.wait_all_tasks_blocked()
            stopping = "STOPPING=1\nEXTEND_TIMEOUT_USEC=7500000\nSTATUS=Ending, within 8 s"
            assert waiting(sock) == [stopping]
        assert waiting(sock) == []


@pytest.mark.anyio
async def test_a_run_that_is_cancelled_is_said_to_be_ending(tmp_path: Path) -> None:
    managed = Managed()
    with manager_at(str(tmp_path / "notify")) as sock:
        async with managed.attended(ServiceManager(str(tmp_path / "notify"))):
            managed.up.set()
            await anyio.wait_all_tasks_blocked()
        ready, stopping = waiting(sock)
    assert ready.startswith("READY=1\n")
    assert stopping.startswith("STOPPING=1\n")


@pytest.mark.anyio
async def test_readiness_waits_for_a_manager_that_is_behind(tmp_path: Path) -> None:
    managed = Managed()
    address = str(tmp_path / "notify")
    with manager_at(address) as sock, closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as crowd:
        crowd.setblocking(False)
        crowd.connect(address)
        with suppress(BlockingIOError):
            while True:
                crowd.send(b"STATUS=from somebody else")
        with anyio.fail_after(SECONDS):
            async with managed.attended(ServiceManager(address)):
                managed.up.set()
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
                assert not any(message.startswith("READY=1") for message in waiting(sock))
                while not any(message.startswith("READY=1") for message in waiting(sock)):
                    await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
@pytest.mark.parametrize("address", ["nowhere", "vsock:2:1", "not there"])
async def test_a_manager_that_cannot_be_told_is_one_line_and_nothing_else(
    tmp_path: Path, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    managed = Managed()
    where = str(tmp_path / address) if address == "not there" else address
    async with managed.attended(ServiceManager(where, watchdog_seconds=60)):
        managed.up.set()
        await anyio.wait_all_tasks_blocked()
        managed.ending.set()
        await anyio.wait_all_tasks_blocked()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert where in record.getMessage()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", VIRTUAL)
async def test_the_watchdog_is_fed_twice_in_its_time_until_the_run_has_ended(tmp_path: Path) -> None:
    managed = Managed()
    with manager_at(str(tmp_path / "notify")) as sock:
        async with managed.attended(ServiceManager(str(tmp_path / "notify"), watchdog_seconds=10)):
            await anyio.sleep(21)
            assert waiting(sock) == ["WATCHDOG=1"] * 5
            managed.ending.set()
            await anyio.sleep(10)
            assert sorted(waiting(sock))[1:] == ["WATCHDOG=1"] * 2
        assert waiting(sock) == []


# -- when a server is up ---------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_server_is_up_when_its_programs_are_started_and_its_drivers_ready_or_failed(tmp_path: Path) -> None:
    async def fail(_: Gadget) -> None:
        raise OSError("no instrument")

    server = IPyServer(Gadget(), Gadget(device="Broken", work=fail), host="127.0.0.1", port=0)
    server.add_exdriver(Programs(tmp_path).path("\nwhile True: hear(); define()\n"))
    assert not server._up.is_set()
    with anyio.fail_after(SECONDS):
        async with server:
            await server._up.wait()
            assert server.exdrivers[0].port is not None
            assert server.drivers[0]._run_state.is_claimed
    assert server.stop


# -- the whole process -----------------------------------------------------------------------------------------

SAMPLE = """
import os
from pathlib import Path
import anyio
from indianyio import Device, IPyDriver, TextMember, TextVector

class Mount(IPyDriver):
    def __init__(self):
        Path("environment").write_text(" ".join(os.environ))
        vector = TextVector("T", "T", "g", "ro", "Ok", [TextMember("a", membervalue="x")])
        super().__init__(Device("Mount", [vector]))

    async def leave(self):
        while not Path("leave now").exists():
            await anyio.sleep(0.01)
        Path("left").touch()
"""


def test_the_process_is_ready_when_clients_can_connect_and_says_that_it_ends_before_its_drivers_leave(
    tmp_path: Path, backend: str
) -> None:
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    address = f"@indianyio-{uuid.uuid4().hex}"
    environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000000"}
    command = [sys.executable, "-m", "indianyio.run", "sample:Mount", "--port", "0", "--backend", backend]
    with manager_at(address) as sock:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        try:
            ready = heard(sock)
            if "WATCHDOG" in ready:
                ready = heard(sock)
            else:
                assert heard(sock) == {"WATCHDOG": "1"}
            assert ready["READY"] == "1"
            assert ready["STATUS"].startswith("Serving Mount at 127.0.0.1:")
            dial(ready["STATUS"].split()[3].rstrip(",")).close()
            assert "NOTIFY_SOCKET" not in (tmp_path / "environment").read_text().split()
            process.send_signal(signal.SIGTERM)
            stopping = heard(sock)
            assert stopping["STOPPING"] == "1"
            # Three graces for the driver, one for clients, and what may come on top of it.
            assert stopping["EXTEND_TIMEOUT_USEC"] == str(int(seconds_to_be_gone(4 * 5 + 2) * 1e6))
            assert not (tmp_path / "left").exists()
            (tmp_path / "leave now").touch()
            assert process.wait(SECONDS) == 0
            assert (tmp_path / "left").exists()
        finally:
            process.kill()
            process.communicate()


def test_the_drop_in_for_indiserver_tells_the_same(tmp_path: Path, backend: str) -> None:
    parking = Parking(tmp_path)
    address, name = (f"@indianyio-{uuid.uuid4().hex}" for _ in range(2))
    environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000000"}
    options = ["--host", "127.0.0.1", "-p", "0", "-u", name[1:], "--exec-grace", "7", "--backend", backend]
    command = [sys.executable, "-m", "indianyio.indiserver", *options, str(parking.path)]
    with manager_at(address) as sock:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        try:
            ready, alive = sorted((heard(sock), heard(sock)), key=len, reverse=True)
            assert alive == {"WATCHDOG": "1"}
            assert ready["READY"] == "1"
            serving, _, where = ready["STATUS"].partition(" at ")
            assert serving == f"Serving {parking.path}"
            assert where.split(", ")[1] == name
            dial(where.split(", ")[0]).close()
            assert parking.wrote("began")
            [driver] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{driver}/environ").read_bytes()
            process.send_signal(signal.SIGTERM)
            stopping = heard(sock)
            assert stopping["STOPPING"] == "1"
            # Two graces of the driver at the least, before it is killed.
            assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 2 * 7e6
            parking.has_parked()
            assert process.wait(SECONDS) == -signal.SIGTERM
            assert parking.journal()[-1] == "left"
        finally:
            process.kill()
            process.communicate()


def test_a_driver_on_standard_input_says_nothing_for_its_server(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    (tmp_path / "leave now").touch()
    address = str(tmp_path / "notify")
    with manager_at(address) as sock:
        command = [sys.executable, "-m", "indianyio.run", "sample:Mount"]
        environment = {**os.environ, "NOTIFY_SOCKET": address}
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path, env=environment, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert waiting(sock) == []
