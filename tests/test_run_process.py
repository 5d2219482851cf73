"""What a process of ours does before and behind its program: descriptors 0 to 2, and orphans."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.processes import cpu_seconds

GET = b'<getProperties version="1.7"/>\n'

DRIVER = """
import os, subprocess, sys
from pathlib import Path
from indianyio import Device, IPyDriver, TextMember, TextVector

def disturb(when):
    if when not in os.environ.get("WHEN", ""):
        return
    os.write(1, b"SDK <init> done")
    sys.__stdout__.write("held back until the exit <exit>")
    Path("eaten").write_bytes(subprocess.run(["timeout", "1", "cat"], stdout=subprocess.PIPE).stdout)

disturb("import")

class Driver(IPyDriver):
    def __init__(self):
        disturb("constructor")
        if "SERIAL" in os.environ:
            self.port = os.open(os.environ["SERIAL"], os.O_RDWR | os.O_NOCTTY)
        vector = TextVector("T", "T", "g", "ro", "Ok", [TextMember("a", membervalue="x")])
        super().__init__(Device("Camera", [vector]))

    async def hardware(self):
        print("this is for people")
        if "ORPHANS" in os.environ:
            # Each shell ends at once and leaves a child behind, which ends a moment later.
            for number in range(20):
                assert subprocess.run(["sh", "-c", f"sleep 0.1 & exit {number}"]).returncode == number
            Path("orphaned").touch()

    async def leave(self):
        Path("left").touch()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "camera.py").write_text(DRIVER, encoding="utf-8")
    return tmp_path


def command(backend: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "indianyio.run", "camera:Driver", "--backend", backend, *arguments]


@pytest.mark.parametrize("when", ["import", "constructor"])
@pytest.mark.parametrize("kind", ["socket", "pipes"])
def test_what_is_started_or_printed_before_the_run_keeps_off_the_wire(
    folder: Path, backend: str, when: str, kind: str
) -> None:
    environment = {**os.environ, "WHEN": when}
    if kind == "pipes":
        done = subprocess.run(
            command(backend), input=GET, capture_output=True, cwd=folder, env=environment, timeout=60
        )
        output, status, errors = done.stdout, done.returncode, done.stderr
    else:
        near, far = socket.socketpair()
        with near, far:
            process = subprocess.Popen(
                command(backend),
                stdin=far.fileno(),
                stdout=far.fileno(),
                stderr=subprocess.PIPE,
                cwd=folder,
                env=environment,
            )
            far.close()
            near.settimeout(60)
            near.sendall(GET)
            near.shutdown(socket.SHUT_WR)
            output = b"".join(iter(lambda: near.recv(65536), b""))
            _, errors = process.communicate(timeout=60)
            status = process.returncode
    assert status == 0, errors
    assert (folder / "eaten").read_bytes() == b""
    assert output.startswith(b"<defTextVector")
    assert output.endswith(b"</defTextVector>\n")
    assert b"SDK <init> done" in errors
    assert b"held back until the exit" in errors


def test_without_standard_input_a_driver_is_status_1_and_a_line(folder: Path, backend: str) -> None:
    line = ["sh", "-c", 'exec "$@" <&-', "sh", *command(backend)]
    done = subprocess.run(line, capture_output=True, cwd=folder, timeout=60)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"indianyio.run: OSError: [Errno 9] standard input was closed when the program started\n"


# -- descriptors that are missing at the start -----------------------------------------------------------------


@pytest.mark.parametrize("serving", [False, True], ids=["driver", "server"])
def test_without_standard_error_the_serial_port_gets_no_log_lines(
    folder: Path, backend: str, serving: bool
) -> None:
    instrument, port = pty.openpty()
    tty.setraw(port)
    address = f"{folder}/socket"
    more = ["--unix", address, "--log-level", "debug"] if serving else []
    try:
        process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *command(backend, *more)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "SERIAL": os.ttyname(port)},
        )
        if serving:
            with connected(address) as client:
                answer(client)
            process.terminate()
        output, _ = process.communicate(GET, timeout=60)
        assert process.returncode == 0
        assert (b"<defTextVector" in output) is not serving
        assert (folder / "left").exists()
        assert not select.select([instrument], [], [], 0)[0]
    finally:
        os.close(instrument)
        os.close(port)


@pytest.mark.parametrize("program", ["run", "indiserver"])
@pytest.mark.parametrize("closing", [pytest.param("<&-", marks=pytest.mark.long), "<&- >&- 2>&-"])
def test_a_server_without_descriptors_serves_and_sleeps(
    folder: Path, backend: str, program: str, closing: str
) -> None:
    made = folder / "indi_camera"
    subprocess.run([*command(backend), "--make-executable", str(made)], check=True, cwd=folder, timeout=60)
    address = f"{folder}/socket"
    what = {
        "run": ["indianyio.run", "--unix", address, "--exec", str(made)],
        "indiserver": ["indianyio.indiserver", "-u", address, "-p", "0", "--host", "localhost", str(made)],
    }
    server = [sys.executable, "-m", *what[program], "--backend", backend]
    if program == "indiserver":
        server = [*server[:-3], "--backend", backend, server[-3]]
        address = f"\0{address}"
    with subprocess.Popen(["sh", "-c", f'exec "$@" {closing}', "sh", *server], cwd=folder) as process:
        try:
            with connected(address) as client:
                answer(client)
                before = cpu_seconds(process.pid)
                time.sleep(0.5)
                assert cpu_seconds(process.pid) - before < 0.2
                descriptors = [os.path.exists(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
                assert descriptors == [True] * 3
        finally:
            process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM)


# -- the first process of a container --------------------------------------------------------------------------


CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"]
in_a_container = pytest.mark.skipif(
    subprocess.run([*CONTAINER, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0,
    reason="this user may not make process namespaces",
)


def processes() -> list[tuple[int, int, str]]:
    """Return the number, the parent and the state of every process."""
    rows = subprocess.check_output(["ps", "-eo", "pid,ppid,stat"], text=True).splitlines()[1:]
    return [(int(pid), int(parent), state) for pid, parent, state in map(str.split, rows)]


def children(parent: int) -> list[int]:
    return [pid for pid, parent_of, _ in processes() if parent_of == parent]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.01)


@in_a_container
def test_the_first_process_reaps_orphans_and_takes_no_status_from_the_driver(folder: Path, backend: str) -> None:
    address = f"{folder}/socket"
    with subprocess.Popen(
        [*CONTAINER, *command(backend, "--unix", address)], cwd=folder, env={**os.environ, "ORPHANS": "1"}
    ) as container:
        try:
            wait_for(folder / "orphaned")
            [first] = children(container.pid)
            deadline = time.monotonic() + 60
            while len(children(first)) != 1:  # the program
                assert time.monotonic() < deadline, processes()
                time.sleep(0.05)
            os.kill(first, signal.SIGTERM)
            assert container.wait(60) == 0
            assert (folder / "left").exists()
        finally:
            container.kill()


@in_a_container
def test_the_first_process_ends_with_the_status_of_its_child(folder: Path, backend: str) -> None:
    wrong = subprocess.run([*CONTAINER, *command(backend), "--no-such-option"], capture_output=True, cwd=folder)
    assert wrong.returncode == 2
    server = [sys.executable, "-m", "indianyio.indiserver", "-u", f"{folder}/socket", "-p", "0"]
    more = ["--host", "localhost", "--backend", backend, "indi_simulator_focus"]
    with subprocess.Popen([*CONTAINER, *server, *more], cwd=folder, stderr=subprocess.PIPE) as container:
        try:
            assert container.stderr is not None
            assert b"startup" in container.stderr.readline()
            with connected(f"\0{folder}/socket"):
                pass
            time.sleep(0.5)
            [first] = children(container.pid)
            os.kill(first, signal.SIGTERM)
            container.stderr.read()
            assert container.wait(60) == 128 + signal.SIGTERM
        finally:
            container.kill()


@in_a_container
def test_ctrl_c_reaches_the_program_in_a_container_once(folder: Path, backend: str) -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", *CONTAINER, *command(backend)],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        cwd=folder,
    ) as container:
        try:
            os.close(terminal)
            os.write(controller, GET)
            heard = b""
            while b"</defTextVector>" not in heard:
                heard += os.read(controller, 65536)
            os.write(controller, b"\x03")
            _, errors = container.communicate(timeout=60)
            assert container.returncode == 0, errors
            assert b"again" not in errors
            assert (folder / "left").exists()
        finally:
            container.kill()
            os.close(controller)


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    deadline = time.monotonic() + 60
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            assert time.monotonic() < deadline
            time.sleep(0.02)
            continue
        with sock:
            yield sock
        return


def answer(client: socket.socket) -> bytes:
    """Ask for definitions and return what came up to the end of the first."""
    client.sendall(GET)
    heard = b""
    while b"</defTextVector>" not in heard:
        heard += (data := client.recv(65536))
        assert data, "it has ended"
    return heard
