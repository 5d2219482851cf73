"""The programs that people start indiserver with, as far as they are seen from here: KStars, INDI Web Manager.

What they do is played with libindi's simulators, under the drop-in and under indiserver itself, so that what is
played is known to be right.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indianyio.indiserver import run_process
from tests.libindi.libindi_harness import IndiServer, alive, installed, wait_until
from tests.server.dropin import DROP_IN, ON_TRIO, SECONDS, free_port, program, text

pytestmark = [
    pytest.mark.long,
    pytest.mark.libindi,
    pytest.mark.skipif(not installed("indi_simulator_telescope"), reason="indi-bin is not installed"),
]

PROJECT = Path(__file__).parents[2] / "pyproject.toml"

SERVERS = [
    pytest.param(DROP_IN, id="asyncio"),
    pytest.param(ON_TRIO, id="trio"),
    pytest.param(("indiserver",), id="indiserver"),
]

# How KStars finds out that a driver has died, so that it can offer to start it again.
CRASHED = re.compile("Driver (.*): Terminated after #0 restarts")


def serves(server: IndiServer, device: str) -> bool:
    return wait_until(lambda: server.value(f"{device}.CONNECTION.CONNECT") == "Off", SECONDS)


def is_gone(server: IndiServer, device: str) -> bool:
    return wait_until(lambda: server.value(f"{device}.CONNECTION.CONNECT") == "", SECONDS)


def name_of(process: int) -> str:
    """Return the name under which ``ps``, ``pkill`` and psutil know a process."""
    return Path(f"/proc/{process}/comm").read_text(encoding="utf-8").strip()


# -- KStars -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("launcher", SERVERS)
def test_as_kstars_does(tmp_path: Path, launcher: tuple[str, ...]) -> None:
    fifo = tmp_path / "indififo01234567"
    os.mkfifo(fifo, 0o600)
    # Open for both, before there is a server, and until there is none.
    commands = os.open(fifo, os.O_RDWR)
    try:
        os.write(commands, b'start indi_simulator_telescope -n "Telescope Simulator"\n')
        with program(tmp_path, "-v", "-m", "1024", "-r", "0", "-f", fifo, launcher=launcher) as server:
            os.write(commands, b'start indi_simulator_ccd -n "Main Camera"\n')
            assert serves(server, "Telescope Simulator")
            assert serves(server, "Main Camera")
            (camera,) = [pid for pid in server.drivers() if name_of(pid) == "indi_simulator_"[:15] and _is_ccd(pid)]

            os.kill(camera, signal.SIGKILL)
            assert wait_until(lambda: bool(CRASHED.search(text(server))), SECONDS)
            assert CRASHED.findall(text(server)) == ["indi_simulator_ccd"]
            assert is_gone(server, "Main Camera")
            os.write(commands, b'start indi_simulator_ccd -n "Main Camera"\n')
            assert serves(server, "Main Camera")

            os.write(commands, b'stop indi_simulator_telescope -n "Telescope Simulator"\n')
            assert is_gone(server, "Telescope Simulator")
            os.write(commands, b'start indi_simulator_telescope -n "Telescope Simulator"\n')
            assert serves(server, "Telescope Simulator")
            server.process.terminate()
            assert server.process.wait(SECONDS) == -signal.SIGTERM
            assert len(CRASHED.findall(text(server))) == 1
    finally:
        os.close(commands)


def _is_ccd(process: int) -> bool:
    return b"indi_simulator_ccd" in Path(f"/proc/{process}/cmdline").read_bytes()


# -- INDI Web Manager -------------------------------------------------------------------------------------------


def make_script(path: Path) -> Path:
    """Make the script that an installation of this package makes."""
    scripts = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["scripts"]
    module, _, function = scripts["indianyio-indiserver"].partition(":")
    assert (module, function) == (run_process.__module__.rpartition(".")[0], run_process.__name__)
    path.write_text(
        f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


@contextmanager
def web_manager(home: Path, folder: Path, server: IndiServer | None = None) -> Iterator[IndiServer]:
    """Start what is called indiserver in this folder, as INDI Web Manager does: by a shell, found by its name."""
    fifo, log = home / "indiFIFO", home / f"{uuid.uuid4().hex}.log"
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    port, unix_name = (server.port, server.unix_name) if server else (free_port(), f"indianyio-{uuid.uuid4().hex}")
    command = f"exec indiserver -p {port} -m 1000 -v -f {fifo} -u {unix_name} > {log} 2>&1"
    environment = {**os.environ, "HOME": str(home), "PATH": f"{folder}:{os.environ['PATH']}"}
    process = subprocess.Popen(command, shell=True, stdin=subprocess.DEVNULL, env=environment)
    try:
        yield IndiServer(process, port, unix_name, home, log)
    finally:
        process.terminate()
        process.wait(SECONDS)


def echo(home: Path, words: str) -> None:
    escaped = words.replace('"', '\\"')
    subprocess.run(f'echo "{escaped}" > {home}/indiFIFO', shell=True, check=True, timeout=SECONDS)


@pytest.mark.parametrize("is_ours", [True, False], ids=["drop-in", "indiserver"])
def test_as_indi_web_manager_does(tmp_path: Path, is_ours: bool) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    if is_ours:
        script = make_script(tmp_path / "indianyio-indiserver")
        (folder / "indiserver").symlink_to(script)
    with web_manager(tmp_path, folder) as server:
        echo(tmp_path, 'start indi_simulator_telescope -n "Telescope Simulator"')
        echo(tmp_path, 'start indi_simulator_ccd -c "/none/CCD_config.xml" -n "CCD Simulator"')
        assert serves(server, "Telescope Simulator")
        assert serves(server, "CCD Simulator")
        assert name_of(server.process.pid) == "indiserver"
        echo(tmp_path, 'stop indi_simulator_ccd -n "CCD Simulator"')
        assert is_gone(server, "CCD Simulator")
        drivers = server.drivers()
        # It stops a server by pkill, and starts the next without waiting.
        server.process.terminate()
        with web_manager(tmp_path, folder, server) as following:
            echo(tmp_path, 'start indi_simulator_ccd -n "CCD Simulator"')
            assert serves(following, "CCD Simulator"), text(following)
            assert wait_until(lambda: not any(map(alive, drivers)), SECONDS)
