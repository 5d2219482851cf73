"""Wishes that the process end: signals, which are one wish however many come, and exits of a driver's code."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SAMPLE = """
import asyncio, atexit, sys, time
from pathlib import Path
import anyio
from indianyio import Device, IPyDriver, NumberMember, NumberVector

class Parking(IPyDriver):
    def __init__(self):
        self.number = NumberVector("n", "n", "g", "rw", "Ok", [NumberMember("x", format="%g", membervalue=0)])
        super().__init__(Device(type(self).__name__, [self.number]))

    async def hardware(self):
        Path("begun").touch()

    async def leave(self):
        self.note("parking ")
        await anyio.sleep(self.park_seconds)
        self.note("parked ")

    park_seconds = 1.5

    def note(self, text):
        with open("said", "a") as said:
            said.write(text)

class Exit(Parking):
    park_seconds = 0.05

    async def hardware(self):
        await anyio.sleep(0.05)
        await self.fail()

    async def fail(self):
        raise self.error

class ExitWith3(Exit):
    error = SystemExit(3)

class ExitWith0(Exit):
    error = SystemExit(0)

class ExitWithNone(Exit):
    error = SystemExit()

class ExitWithText(Exit):
    error = SystemExit("the camera\\nhas gone")

class Interrupted(Exit):
    error = KeyboardInterrupt()

class Odd(Exit):
    error = BaseException("odd")

class OwnTask(Exit):
    async def hardware(self):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.fail)
            await anyio.sleep_forever()

class OwnTaskWith3(OwnTask):
    error = SystemExit(3)

class OwnTaskInterrupted(OwnTask):
    error = KeyboardInterrupt()

class ExitsSlowly(Parking):
    park_seconds = 0.05

    async def hardware(self):
        atexit.register(self.exit)
        await super().hardware()

    def exit(self):
        Path("exits").touch()
        time.sleep(1)

class FailsToLeave(ExitWith0):
    async def leave(self):
        await super().leave()
        raise OSError("the shutter is stuck")
"""

PATIENCE_SECONDS = 30

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


@pytest.fixture
def command(tmp_path: Path, backend: str) -> list[str]:
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    return [sys.executable, "-m", "indianyio.run", "--backend", backend]


@pytest.fixture
def start(tmp_path: Path, command: list[str]) -> Iterator[Start]:
    processes: list[Process] = []

    def run(*arguments: str) -> Process:
        pipe = subprocess.PIPE
        process = subprocess.Popen([*command, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, cwd=tmp_path)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.01)


# -- signals -------------------------------------------------------------------------------------------------------

SERVING = ("--port", "0")

# What comes after so many seconds.
Signals = list[tuple[signal.Signals, float]]
AS_HONCHO_SENDS: Signals = [(signal.SIGINT, 0), (signal.SIGTERM, 0.05)]
AS_UV_SENDS: Signals = [(signal.SIGINT, 0), (signal.SIGINT, 0.05), (signal.SIGINT, 0.05)]
AS_A_TERMINAL_SENDS: Signals = [(signal.SIGHUP, 0), (signal.SIGHUP, 0)]
LATER: Signals = [(signal.SIGTERM, 0), (signal.SIGTERM, 1.2), (signal.SIGHUP, 0)]
A_FIRST_SIGINT_LATER: Signals = [(signal.SIGTERM, 0), (signal.SIGINT, 1.2)]


@pytest.mark.parametrize(
    ("signals", "serving"),
    [
        (AS_HONCHO_SENDS, ()),
        (AS_UV_SENDS, SERVING),
        (AS_A_TERMINAL_SENDS, ()),
        (LATER, ()),
        (LATER, SERVING),
        (A_FIRST_SIGINT_LATER, ()),
    ],
    ids=str,
)
def test_signals_are_one_wish(start: Start, tmp_path: Path, signals: Signals, serving: tuple[str, ...]) -> None:
    process = start("sample:Parking", *serving)
    wait_for(tmp_path / "begun")
    for number, pause_seconds in signals:
        time.sleep(pause_seconds)
        process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert (tmp_path / "said").read_text() == "parking parked "


@pytest.mark.parametrize("serving", [(), SERVING], ids=str)
def test_a_signal_after_the_run_does_not_change_the_status(
    start: Start, tmp_path: Path, serving: tuple[str, ...]
) -> None:
    process = start("sample:ExitsSlowly", *serving)
    wait_for(tmp_path / "begun")
    process.send_signal(signal.SIGTERM)
    wait_for(tmp_path / "exits")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        process.send_signal(number)
        time.sleep(0.05)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert (tmp_path / "said").read_text() == "parking parked "


def test_a_terminal_that_is_closed_does_not_cut_the_parking(command: list[str], tmp_path: Path) -> None:
    """The shell passes SIGHUP on to its jobs, and the kernel sends it again when the shell has gone."""
    shell, window = pty.fork()
    if shell == 0:
        os.chdir(tmp_path)
        os.execvp("bash", ["bash", "--norc", "-i"])
    os.write(window, (" ".join([*command, "sample:Parking"]) + "\n").encode())
    while not (tmp_path / "begun").exists():
        if select.select([window], [], [], 0.05)[0]:
            os.read(window, 65536)
    os.close(window)
    os.waitpid(shell, 0)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "said").exists() or (tmp_path / "said").read_text() != "parking parked ":
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -- exits ---------------------------------------------------------------------------------------------------------


def last_words(process: Process) -> bytes:
    """Return what a process has said that ends by itself; its input stays open until then."""
    process.wait(PATIENCE_SECONDS)
    assert process.stderr is not None
    return process.stderr.read()


@pytest.mark.parametrize(
    ("name", "status", "serving"),
    [
        ("ExitWith3", 3, ()),
        ("ExitWith3", 3, SERVING),
        ("ExitWith0", 0, ()),
        ("ExitWithNone", 0, ()),
        ("ExitWithText", 1, ()),
        ("Interrupted", 130, ()),
        ("Interrupted", 130, SERVING),
        ("Odd", 1, ()),
        ("Odd", 1, SERVING),
        ("OwnTaskWith3", 3, ()),
        ("OwnTaskInterrupted", 130, SERVING),
    ],
)
def test_the_status_is_that_of_the_exit(
    start: Start, tmp_path: Path, name: str, status: int, serving: tuple[str, ...]
) -> None:
    process = start(f"sample:{name}", *serving)
    errors = last_words(process)
    assert process.returncode == status
    assert (tmp_path / "said").read_text() == "parking parked "
    if name == "ExitWithText":
        assert errors == b"the camera\nhas gone\n"


@pytest.mark.parametrize("name", ["ExitWith3", "OwnTaskWith3"])
def test_every_driver_of_the_process_leaves_once(start: Start, tmp_path: Path, name: str) -> None:
    process = start("sample:Parking", f"sample:{name}", "--port", "0")
    last_words(process)
    assert process.returncode == 3
    assert sorted((tmp_path / "said").read_text().split()) == ["parked", "parked", "parking", "parking"]


def test_an_exit_does_not_hide_that_leaving_failed(start: Start) -> None:
    errors = last_words(start("sample:FailsToLeave"))
    assert b"ERROR indianyio.driver._run: driver of FailsToLeave: failed before the process ends" in errors
    assert b"OSError: the shutter is stuck" in errors
