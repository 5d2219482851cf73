"""Ctrl-C in a program that waits: the device is stopped, and the program ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.scripted import numbers, set_numbers, set_switches, switches
from tests.sync.server import Scripted

PROGRAM = """
import sys, threading
from indianyio.sync import open_client

try:
    with open_client("127.0.0.1", int(sys.argv[1]), backend=sys.argv[2]) as indi:
        device = indi.device("Scripted", timeout=60)
        device.vector("CCD_ABORT_EXPOSURE", timeout=60)
        print("ready", flush=True)
        {call}
finally:
    left = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
    print("left", left, flush=True)
"""

DEFINITIONS = (
    numbers("CCD_EXPOSURE", X=0),
    switches("CCD_ABORT_EXPOSURE", ABORT=False, rule="AtMostOne"),
    switches("CONNECTION", CONNECT=False, DISCONNECT=True),
)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as running:
        running.definitions = DEFINITIONS
        yield running


def started(server: Scripted, backend: str, call: str, folder: Path) -> subprocess.Popen[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM.format(call=call), encoding="utf-8")
    command = [sys.executable, "-W", "error", str(program), str(server.port), backend]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    return running


def ended(running: subprocess.Popen[str]) -> str:
    """Wait for the end that Ctrl-C makes; return the traceback."""
    out, trace = running.communicate(timeout=60)
    assert out == "left []\n"
    assert running.returncode == -signal.SIGINT
    assert trace.rstrip().endswith("KeyboardInterrupt")
    return trace


def test_a_write_is_aborted(server: Scripted, backend: str, tmp_path: Path) -> None:
    with started(server, backend, 'device.set("CCD_EXPOSURE", X=60)', tmp_path) as running:
        server.written("CCD_EXPOSURE")
        server.say(set_numbers("CCD_EXPOSURE", "Busy", X=60))
        running.send_signal(signal.SIGINT)
        assert server.written("CCD_ABORT_EXPOSURE") == {"ABORT": "On"}
        # The program waits until the device has stopped.
        assert running.poll() is None
        server.say(set_numbers("CCD_EXPOSURE", "Idle", X=0))
        assert 'device.set("CCD_EXPOSURE", X=60)' in ended(running)


@pytest.mark.long
def test_a_device_that_does_not_stop_is_given_up(server: Scripted, backend: str, tmp_path: Path) -> None:
    with started(server, backend, 'device.set("CCD_EXPOSURE", X=60)', tmp_path) as running:
        server.written("CCD_EXPOSURE")
        server.say(set_numbers("CCD_EXPOSURE", "Busy", X=60))
        running.send_signal(signal.SIGINT)
        server.written("CCD_ABORT_EXPOSURE")
        running.send_signal(signal.SIGINT)  # once more changes nothing
        ended(running)


@pytest.mark.parametrize(
    "call", ["indi.wait_for(lambda each: False)", "next(indi.watch())", "__import__('time').sleep(60)"]
)
def test_waiting_ends(server: Scripted, backend: str, tmp_path: Path, call: str) -> None:
    with started(server, backend, call, tmp_path) as running:
        running.send_signal(signal.SIGINT)
        ended(running)


def test_a_device_is_disconnected(server: Scripted, backend: str, tmp_path: Path) -> None:
    call = "with device.connected(): device.wait_for(lambda each: False)"
    with started(server, backend, call, tmp_path) as running:
        assert server.written("CONNECTION") == {"CONNECT": "On"}
        server.say(
            set_switches("CONNECTION", "Ok", CONNECT=True, DISCONNECT=False), set_numbers("CCD_EXPOSURE", "Ok")
        )
        running.send_signal(signal.SIGINT)
        assert server.written("CONNECTION") == {"DISCONNECT": "On"}
        server.say(set_switches("CONNECTION", "Idle", CONNECT=False, DISCONNECT=True))
        ended(running)


@pytest.mark.parametrize("seconds", [0, 0.3], ids=["at_once", "later"])
def test_connecting_ends(backend: str, seconds: float) -> None:
    program = (
        "import sys\nfrom indianyio.sync import open_client\nprint('ready', flush=True)\n"
        "with open_client('127.0.0.1', int(sys.argv[1]), backend=sys.argv[2], timeout=60):\n    pass\n"
    )
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        with socket.create_connection(address):  # nobody accepts it, so there is no room for another
            command = [sys.executable, "-c", program, str(address[1]), backend]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
                assert running.stdout is not None
                running.stdout.readline()
                time.sleep(seconds)  # while its loop starts, or while it connects
                running.send_signal(signal.SIGINT)
                _, trace = running.communicate(timeout=60)
    assert trace.rstrip().endswith("KeyboardInterrupt")
