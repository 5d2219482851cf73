"""The start of a process of ours: it listens first, and says in a line what it cannot start with."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipapp
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

import indianyio
from tests.test_run_process import GET, answer, connected

SLOW = """
import os, time
from pathlib import Path
from indianyio import Device, IPyDriver, TextMember, TextVector

Path("importing").touch()
while not Path("go on").exists():
    time.sleep(0.01)
if "FAIL" in os.environ:
    raise OSError("no SDK")

def driver():
    vector = TextVector("T", "T", "g", "ro", "Ok", [TextMember("a", membervalue="x")])
    return IPyDriver(Device("D", [vector]))

def other():
    vector = TextVector("T", "T", "g", "ro", "Ok", [TextMember("a", membervalue="x")])
    return IPyDriver(Device("E", [vector]))
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    started = []

    def begin(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_client_that_comes_before_the_drivers_waits_and_is_served(
    start: Start, tmp_path: Path, backend: str
) -> None:
    port = free_port()
    address = f"{tmp_path}/socket"
    process = start("indianyio.run", "slow:driver", "--backend", backend, "--port", str(port), "--unix", address)
    wait_for(tmp_path / "importing")
    with socket.create_connection(("127.0.0.1", port), 20) as client, connected(address) as local:
        client.sendall(GET)
        (tmp_path / "go on").touch()
        assert b"</defTextVector>" in answer(client)
        assert b"</defTextVector>" in answer(local)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"listening on 127.0.0.1:{port}" in errors.decode()
    assert not Path(address).exists()


def test_a_driver_that_cannot_be_loaded_leaves_no_port_and_no_client(
    start: Start, tmp_path: Path, backend: str
) -> None:
    port = free_port()
    address = f"{tmp_path}/socket"
    arguments = ["slow:driver", "--backend", backend, "--port", str(port), "--unix", address]
    process = start("indianyio.run", *arguments, FAIL="1")
    wait_for(tmp_path / "importing")
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        (tmp_path / "go on").touch()
        assert process.wait(60) == 2
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert process.stderr is not None
    assert b"no SDK" in process.stderr.read()
    assert not Path(address).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_server_that_is_killed_while_it_imports_leaves_no_socket(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    address = tmp_path / "socket"
    process = start("indianyio.run", "slow:driver", "--unix", str(address))
    wait_for(tmp_path / "importing")
    assert address.exists()
    process.send_signal(number)
    assert process.wait(60) == -number
    assert not address.exists()


def test_a_server_that_is_killed_as_soon_as_it_listens_leaves_no_socket(start: Start, tmp_path: Path) -> None:
    address = tmp_path / "socket"
    process = start("indianyio.run", "slow:driver", "--unix", str(address))
    while not address.exists():
        time.sleep(0.0002)
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM
    assert not address.exists()


def test_a_signal_that_is_ignored_stays_ignored_while_it_imports(
    start: Start, tmp_path: Path, backend: str
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start("indianyio.run", "slow:driver", "--backend", backend, "--unix", f"{tmp_path}/socket")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for(tmp_path / "importing")
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go on").touch()
    with connected(f"{tmp_path}/socket") as local:
        local.sendall(GET)
        assert b"</defTextVector>" in answer(local)


def test_the_server_program_listens_before_it_imports_itself(start: Start, tmp_path: Path, backend: str) -> None:
    """As the other does: were its modules imported first, this one would be among them, and wait."""
    (tmp_path / "trio.py").write_text(SLOW, encoding="utf-8")
    (tmp_path / "asyncio.py").write_text(SLOW, encoding="utf-8")
    port = free_port()
    options = ["--host", "localhost", "-p", str(port), "-u", f"{tmp_path}/socket", "--backend", backend]
    process = start("indianyio.indiserver", *options, "indi_simulator_focus")
    wait_for(tmp_path / "importing")
    with socket.create_connection(("127.0.0.1", port), 20):
        pass
    process.kill()


@pytest.mark.parametrize("module", ["indianyio.run.__main__", "indianyio.indiserver._process"])
def test_what_comes_before_listening_imports_little(module: str) -> None:
    check = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=True, timeout=60, text=True)
    imported = set(done.stdout.split())
    assert not imported & {"anyio", "asyncio", "trio", "logging", "indianyio.driver", "indianyio.protocol"}


# -- the command line ------------------------------------------------------------------------------------------


def test_drivers_and_options_may_take_turns(start: Start, tmp_path: Path, backend: str) -> None:
    (tmp_path / "go on").touch()
    address = f"{tmp_path}/socket"
    start("indianyio.run", "slow:driver", "--backend", backend, "slow:other", "--unix", address)
    with connected(address) as client:
        client.sendall(GET)
        heard = b""
        while heard.count(b"</defTextVector>") < 2:
            heard += (data := client.recv(65536))
            assert data
    assert {b'device="D"', b'device="E"'} == {name for name in (b'device="D"', b'device="E"') if name in heard}


@pytest.mark.parametrize("more", [[], ["--folder", "there"], ["--make-executable", "indi_d"], ["--port", "0"]])
def test_a_working_folder_that_was_removed_is_a_line_and_status_2(tmp_path: Path, more: list[str]) -> None:
    removed = tmp_path / "removed"
    removed.mkdir()
    command = ["sh", "-c", 'rmdir "$0" && exec "$@"', str(removed), sys.executable, "-m", "indianyio.run"]
    done = subprocess.run([*command, "d:driver", *more], cwd=removed, capture_output=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"the current folder has been removed" in done.stderr


def test_an_executable_of_what_is_in_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    (tmp_path / "go on").touch()
    app = tmp_path / "app"
    source = Path(indianyio.__file__).parent
    shutil.copytree(source, app / "indianyio", ignore=shutil.ignore_patterns("__pycache__"))
    main = "import sys\nfrom indianyio.run import main\nsys.exit(main())\n"
    (app / "__main__.py").write_text(main, encoding="ascii")
    zipapp.create_archive(app, tmp_path / "app.pyz")
    # What it depends on is in a folder, because extension modules cannot be imported from an archive. In another
    # interpreter, because ours finds indianyio without the archive.
    bare = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    env = {**os.environ, "PYTHONPATH": str(dependencies(tmp_path / "dependencies"))}
    ask = [bare, "app.pyz", "slow:driver"]
    itself = subprocess.run(ask, cwd=tmp_path, env=env, input=GET, capture_output=True, timeout=60)
    assert itself.stdout.startswith(b"<defTextVector"), itself.stderr
    ask += ["--make-executable", "indi_d"]
    made = subprocess.run(ask, cwd=tmp_path, env=env, capture_output=True, timeout=60)
    assert made.returncode == 2
    assert made.stderr.count(b"\n") == 1
    assert f"would not find indianyio, which comes from {tmp_path}/app.pyz" in made.stderr.decode()
    assert not (tmp_path / "indi_d").exists()


def dependencies(folder: Path) -> Path:
    """Make a folder of all that is installed here but indianyio."""
    folder.mkdir()
    for installed in Path(anyio.__file__).parent.parent.iterdir():
        if "indianyio" not in installed.name and installed.suffix != ".pth":
            (folder / installed.name).symlink_to(installed)
    return folder
