"""``python -m indianyio.run`` as a server, as a process: what it serves, what it refuses, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from indianyio.protocol import DefTextVector, DelProperty, Message, NewNumberVector, OneNumber, SetNumberVector
from tests.libindi.libindi_harness import Client, alive, wait_until
from tests.server.network import dial
from tests.server.programs import Programs

SECONDS = 60.0
ROOT = Path(__file__).parents[2]
GADGET = "tests.driver.gadget:Gadget"
OTHER = "tests.server.test_server_command:other"


def other() -> object:
    from tests.driver.gadget import Gadget

    return Gadget(device="Other")


@dataclass
class Program:
    """The command at work."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def says(self, pattern: str) -> bool:
        return wait_until(lambda: re.search(pattern, self.text()) is not None, SECONDS)

    def addresses(self) -> list[str]:
        """Return where it listens, as it says."""
        assert self.says(r"listening on .*\n"), self.text()
        found = re.search(r"listening on (.*)\n", self.text())
        assert found is not None
        return found[1].split(", ")

    def client(self, address: str | None = None) -> Client:
        sock = dial(address or self.addresses()[0])
        sock.settimeout(SECONDS)
        return Client(sock)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(SECONDS)

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text(encoding="ascii").split()]


Start = Callable[..., Program]


@pytest.fixture(params=["asyncio", "trio"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str, before: str = "") -> Program:
        command = [sys.executable, "-m", "indianyio.run", "--backend", request.param, *arguments]
        if before:
            command = ["sh", "-c", f'{before}; exec "$@"', "sh", *command]
        log = tmp_path / f"log {len(started)}"
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd=ROOT)
        started.append(process)
        return Program(process, log)

    yield begin
    for process in started:
        process.kill()
        process.wait()


def asked(client: Client, device: str = "Gadget") -> Client:
    """Let a client ask for everything and get a device."""
    client.ask()
    while client.expect(DefTextVector).device != device:
        pass
    return client


def position(value: str) -> NewNumberVector:
    return NewNumberVector(device="Gadget", name="NUMBER", members=(OneNumber(name="position", value=value),))


# -- what it serves --------------------------------------------------------------------------------------------


def test_it_serves_drivers_and_programs_by_tcp_and_unix_and_ends_in_order(start: Start, tmp_path: Path) -> None:
    box = Programs(tmp_path).path("\nwhile True: hear(); define()\n")
    name = f"@indianyio-{uuid.uuid4().hex}"
    program = start(GADGET, OTHER, "--port", "0", "--unix", name, "--exec", box)
    addresses = program.addresses()
    assert addresses[-1] == name
    assert addresses[0].startswith("127.0.0.1:")
    assert not addresses[0].endswith(":0")
    clients = [asked(program.client(address)) for address in addresses]
    for client, device in zip(clients, ("Other", "Box"), strict=False):
        asked(client, device)
    clients[0].send(position("1000"))
    for client in clients:
        client.expect(SetNumberVector, state="Alert")
    children = program.children()
    assert len(children) == 1
    assert program.end() == 0
    assert {clients[0].expect(DelProperty).device for _ in range(3)} == {"Gadget", "Other", "Box"}
    assert not any(map(alive, children))
    assert "Traceback" not in program.text()
    for client in clients:
        client.sock.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_in_order_too(start: Start, number: signal.Signals) -> None:
    program = start(GADGET, "--port", "0")
    with program.client().sock:
        program.process.send_signal(number)
        assert program.process.wait(SECONDS) == 0


def test_a_unix_socket_alone_opens_no_port(start: Start, tmp_path: Path) -> None:
    program = start(GADGET, "--unix", str(tmp_path / "indi"))
    assert program.addresses() == [str(tmp_path / "indi")]
    asked(program.client()).sock.close()
    assert program.end() == 0
    assert not (tmp_path / "indi").exists()


def test_another_server_is_served_when_it_comes(start: Start) -> None:
    far = start(GADGET, "--port", "0", "--host", "127.0.0.1")
    address = far.addresses()[0]
    near = start("--port", "0", "--remote", address)
    client = asked(near.client())
    client.send(position("1000"))
    client.expect(SetNumberVector, state="Alert")
    assert far.end() == 0
    while client.expect(DelProperty).name is not None:
        pass
    assert start(GADGET, "--port", address.rpartition(":")[2], "--host", "127.0.0.1").addresses() == [address]
    assert client.expect(DefTextVector).device == "Gadget"
    client.sock.close()
    assert near.end() == 0
    assert f"{address}: connected" in near.text()


def test_a_server_that_cannot_be_reached_stops_nothing(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    program = start(GADGET, "--port", "0", "--remote", address)
    asked(program.client()).sock.close()
    assert program.says(f"{address}: cannot be reached")
    assert program.end() == 0


def test_who_may_only_read_is_told_so(start: Start) -> None:
    program = start(GADGET, "--port", "0", "--read-only", "192.0.2.0/24", "--read-only", "127.0.0.0/8")
    client = asked(program.client())
    client.send(position("1000"))
    assert "may only read" in (client.expect(Message).message or "")
    client.sock.close()
    assert program.end() == 0


def test_no_more_clients_than_allowed(start: Start) -> None:
    program = start(GADGET, "--port", "0", "--max-clients", "1")
    first = asked(program.client())
    with program.client().sock as second:
        assert second.recv(1) == b""
    first.sock.close()
    assert program.says("refused: there are 1 clients already")

    def lets_in() -> bool:
        with program.client().sock as late:
            late.sendall(b'<pingRequest uid="1"/>')
            with suppress(ConnectionResetError):
                return late.recv(1) != b""
        return False

    assert wait_until(lets_in, SECONDS)
    assert program.end() == 0


def test_a_rule_for_ipv4_holds_for_all_who_can_connect_by_it(start: Start) -> None:
    program = start(GADGET, "--port", "0", "--host", "0.0.0.0", "--read-only", "0.0.0.0/0")
    client = asked(program.client())
    client.send(position("1000"))
    assert "may only read" in (client.expect(Message).message or "")
    client.sock.close()
    port = int(program.addresses()[0].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", port), SECONDS)
    assert program.says(r"INFO .*IPv4 \(0.0.0.0:\d+\): nobody may command")
    assert program.end() == 0


def test_of_a_family_that_the_rules_forget_is_warned(start: Start) -> None:
    program = start(GADGET, "--port", "0", "--host", "::", "--read-only", "0.0.0.0/0")
    assert program.says(r"WARNING .*IPv6 \(\[::\]:\d+\): everybody may command")
    assert program.end() == 0


def test_everybody_on_the_network_is_warned_of(start: Start) -> None:
    program = start(GADGET, "--port", "0", "--host", "0.0.0.0")
    program.addresses()
    assert program.says("WARNING .*INDI has no authentication")
    assert program.end() == 0


def test_without_descriptors_it_serves_those_it_has_and_accepts_again_later(start: Start) -> None:
    program = start(GADGET, "--port", "0", "--max-clients", "1000", before="ulimit -n 40")
    client = asked(program.client())
    crowd = [dial(program.addresses()[0]) for _ in range(60)]
    assert program.says("no client can be accepted for now")
    client.send(position("1000"))
    client.expect(SetNumberVector, state="Alert")
    for sock in crowd:
        sock.close()
    late = asked(program.client())
    client.send(position("1000"))
    late.expect(SetNumberVector, state="Alert")
    assert program.text().count("no client can be accepted for now") == 1
    assert program.end() == 0
    for one in (client, late):
        one.sock.close()


# -- what it refuses -------------------------------------------------------------------------------------------


def test_s6_a_port_that_is_taken_is_status_1_and_a_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rival:
        port = rival.getsockname()[1]
        program = start(GADGET, "--port", str(port), "--host", "127.0.0.1")
        assert program.process.wait(SECONDS) == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in program.text()
    assert "Traceback" not in program.text()


USAGE = {
    "nothing to serve": (["--port", "0"], "nothing to serve"),
    "several drivers on stdin": ([GADGET, OTHER], "several are served with --port"),
    "a program on stdin": ([GADGET, "--exec", "indi_simulator_ccd"], "add --port or --unix"),
    "a server on stdin": ([GADGET, "--remote", "localhost"], "add --port or --unix"),
    "an access rule on stdin": ([GADGET, "--read-only", "::/0"], "add --port or --unix"),
    "statistics on stdin": ([GADGET, "--statistics"], "add --port or --unix"),
    "an executable of a server": ([GADGET, "--port", "0", "--make-executable", "x"], "not for a server"),
    "a grace for no program": ([GADGET, "--port", "0", "--exec-grace", "3"], "add --exec PROGRAM"),
    "no grace for programs": (
        ["--port", "0", "--exec", "cat", "--exec-grace", "0"],
        "'0' is not a number of seconds",
    ),
    "no port": ([GADGET, "--port", "65536"], "'65536' is not a port number"),
    "no number": ([GADGET, "--port", "indi"], "'indi' is not a port number"),
    "no clients": ([GADGET, "--port", "0", "--max-clients", "0"], "'0' is not a whole number above 0"),
    "a port for a remote host": ([GADGET, "--port", "0", "--remote", ":7624"], "':7624' names no host"),
    "no remote port": ([GADGET, "--port", "0", "--remote", "there:x"], "'x' is not a port number"),
    "no network": ([GADGET, "--port", "0", "--read-only", "the dome"], "the dome"),
    "one device twice": ([GADGET, GADGET, "--port", "0"], "same name"),
    "no module": (["nowhere:Driver", "--port", "0"], "nowhere"),
    "no driver": (["tests.driver.gadget:DEVICE", "--port", "0"], "DEVICE"),
    "no remote host": ([GADGET, "--port", "0", "--remote", ""], "host"),
    "remote port 0": ([GADGET, "--port", "0", "--remote", "there:0"], "port"),
    "no program": ([GADGET, "--port", "0", "--exec", ""], "program"),
    "no name of a socket": ([GADGET, "--unix", "@"], "'@' names no unix socket"),
    "no path of a socket": ([GADGET, "--unix", ""], "'' names no unix socket"),
}


@pytest.mark.parametrize(("arguments", "problem"), USAGE.values(), ids=USAGE.keys())
def test_what_cannot_be_is_status_2_and_a_line(arguments: list[str], problem: str, start: Start) -> None:
    program = start(*arguments)
    assert program.process.wait(SECONDS) == 2, program.text()
    assert problem in program.text()
    assert "Traceback" not in program.text()


@pytest.mark.parametrize(("mode", "error"), [(None, "FileNotFoundError"), (0o600, "PermissionError")])
def test_a_program_that_cannot_be_started_is_status_1_and_a_line(
    start: Start, tmp_path: Path, mode: int | None, error: str
) -> None:
    path = tmp_path / "indi_no_such_driver"
    if mode is not None:
        path.touch(mode)
    program = start(GADGET, "--port", "0", "--exec", "cat", "--exec", str(path))
    assert program.process.wait(SECONDS) == 1
    (line,) = program.text().splitlines()
    assert error in line
    assert str(path) in line


def test_it_ends_although_a_client_does_not_read(start: Start) -> None:
    program = start(GADGET, "--port", "0", "--grace", "0.2")
    stalled = program.client()
    stalled.sock.sendall(b'<getProperties version="1.7"/>' * 20_000)
    os.kill(program.process.pid, signal.SIGTERM)
    assert program.process.wait(SECONDS) == 0
    stalled.sock.close()


FAILING = """
from indianyio import Device, IPyDriver, TextMember, TextVector

class Driver(IPyDriver):
    async def hardware(self):
        raise OSError("no telescope")

def driver():
    return Driver(Device("D", [TextVector("T", "T", "G", "rw", "Ok", [TextMember("t")])]))
"""


def test_s6_the_failure_of_the_only_driver_is_the_end_and_a_status(start: Start, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING, encoding="utf-8")
    program = start("--folder", str(tmp_path), "failing:driver", "--port", "0")
    assert program.process.wait(SECONDS) == 1
    assert "ServerFailedError: no driver is left" in program.text()
    assert "no telescope" in program.text()


STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True: time.sleep(1)
"""


def test_s10_the_grace_is_that_of_external_drivers_too(start: Start, tmp_path: Path) -> None:
    box = Programs(tmp_path).path(STUBBORN)
    program = start(GADGET, "--port", "0", "--grace", "0.5", "--exec", box)
    with program.client().sock:
        # Clients can connect a moment before the program runs.
        assert wait_until(lambda: len(program.children()) == 1, SECONDS)
        children = program.children()
        assert program.end() == 0
    assert not any(map(alive, children))
