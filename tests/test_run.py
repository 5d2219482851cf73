"""The command ``python -m indianyio.run``, as a process of its own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SAMPLE = """
import logging, sys, time
from pathlib import Path
import anyio
import anyio.to_thread
from indianyio import Device, IPyDriver, NumberMember, NumberVector
from indianyio.run import _ending

# The alarm comes when the bound itself has not ended the process, as on a machine that stalls.
_ending.ALARM_SECONDS = 60.0

print("printed on import")

class Good(IPyDriver):
    def __init__(self):
        print("printed in the constructor")
        vector = NumberVector("number", "Number", "Main", "rw", "Ok", [NumberMember("value", format="%g")])
        super().__init__(Device("Good", [vector]))

    async def rxevent(self, event):
        print("printed in a handler")
        event.vector["value"] = event["value"]
        await event.vector.send_setVector(state="Ok")

    async def leave(self):
        print("printed in leave")
        await self["Good"]["number"].send_setVector(state="Idle")
        Path("left").touch()

class Failing(Good):
    async def hardware(self):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.fail, "the motor is hot")
            tasks.start_soon(self.fail, "the dome is\\nstuck")

    async def fail(self, text):
        raise OSError(text)

class Hanging(Good):
    async def hardware(self):
        await anyio.to_thread.run_sync(time.sleep, 600)

class Abandoning(Good):
    async def hardware(self):
        await anyio.to_thread.run_sync(time.sleep, 600, abandon_on_cancel=True)

class Blocking(Good):
    async def rxevent(self, event):
        Path("blocking").touch()
        time.sleep(600)

class SlowLeaving(Good):
    async def leave(self):
        Path("leaving").touch()
        await anyio.sleep(600)

class Chatty(Good):
    async def leave(self):
        for _ in range(1000):
            print("nobody may be there to read this")
            print("nor this", file=sys.stderr)
        logging.error("nor this")
        Path("left").touch()

good = Good()

def make_good():
    return Good()
"""

GET = b'<getProperties version="1.7"/>\n'
WRITE = b'<newNumberVector device="Good" name="number"><oneNumber name="value">3</oneNumber></newNumberVector>\n'

Run = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(folder: Path, backend: str) -> Iterator[Run]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "indianyio.run", "--backend", backend, *options, f"sample:{name}"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def started(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Wait until the driver has answered."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(GET)
    process.stdin.flush()
    while b"</defNumberVector>" not in (line := process.stdout.readline()):
        assert line, "the driver has ended"
    return process


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["Good", "good", "make_good"])
def test_class_instance_and_function_run_until_the_end_of_the_input(run: Run, folder: Path, name: str) -> None:
    output, errors = run(name).communicate(GET + WRITE, timeout=60)
    assert output.index(b"<defNumberVector") < output.index(b"<setNumberVector")
    assert b'state="Idle"' in output.rpartition(b"<setNumberVector")[2]
    assert (folder / "left").exists()
    assert b"Traceback" not in errors


def test_d27_prints_and_log_lines_never_reach_standard_output(run: Run) -> None:
    process = run("Good", "--debug", "--log-level", "debug")
    output, errors = process.communicate(GET + WRITE, timeout=60)
    assert process.returncode == 0
    assert b"printed" not in output
    for place in (b"on import", b"in the constructor", b"in a handler", b"in leave"):
        assert b"printed " + place in errors
    assert output.startswith(b"<defNumberVector")


def test_debug_logs_the_xml(run: Run) -> None:
    _, errors = run("Good", "--debug").communicate(GET + WRITE, timeout=60)
    assert b"indianyio.wire" in errors
    assert b"newNumberVector" in errors


def test_without_debug_the_xml_is_not_logged(run: Run) -> None:
    _, errors = run("Good", "--log-level", "debug").communicate(GET + WRITE, timeout=60)
    assert b"newNumberVector" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_d13_a_signal_ends_the_driver_in_order(run: Run, folder: Path, number: signal.Signals) -> None:
    process = started(run("Good"))
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b'state="Idle"' in output
    assert (folder / "left").exists()


def test_a_second_sigint_ends_the_process_at_once_as_the_first_one_has_said(run: Run, folder: Path) -> None:
    process = started(run("SlowLeaving", "--grace", "100"))
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while b"another one, 1 s later or more, ends at once" not in (line := process.stderr.readline()):
        assert line
    wait_for(folder / "leaving")
    time.sleep(1.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"SIGINT again: ending at once" in errors


def test_each_failure_is_one_line(run: Run) -> None:
    process = run("Failing")
    _, errors = process.communicate(timeout=60)
    lines = [line for line in errors.decode().splitlines() if line.startswith("indianyio.run: ")]
    assert process.returncode == 1
    assert sorted(lines) == [
        "indianyio.run: OSError: the dome is stuck",
        "indianyio.run: OSError: the motor is hot",
    ]
    assert b"Traceback" not in errors


def test_failures_have_tracebacks_when_the_log_level_is_debug(run: Run) -> None:
    _, errors = run("Failing", "--log-level", "debug").communicate(timeout=60)
    assert b"Traceback" in errors
    assert b"in fail" in errors


@pytest.mark.parametrize("how", ["end of input", "signal"])
def test_d13_a_thread_that_never_ends_cannot_keep_the_process(run: Run, folder: Path, how: str) -> None:
    process = started(run("Hanging", "--grace", "1"))
    if how == "signal":
        process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"Timeout" in errors
    assert (folder / "left").exists()


def test_an_abandoned_thread_cannot_keep_the_process(run: Run, folder: Path) -> None:
    process = started(run("Abandoning", "--grace", "1"))
    process.communicate(timeout=60)
    assert (folder / "left").exists()


def test_a_handler_that_blocks_the_loop_cannot_keep_the_process(run: Run, folder: Path) -> None:
    process = started(run("Blocking", "--grace", "1"))
    assert process.stdin is not None
    process.stdin.write(WRITE)
    process.stdin.flush()
    wait_for(folder / "blocking")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"in rxevent" in errors
    assert (folder / "left").exists()


def test_d14_leave_runs_to_its_end_though_nobody_reads_standard_error(run: Run, folder: Path) -> None:
    process = started(run("Chatty"))
    assert process.stdin is not None
    assert process.stderr is not None
    process.stderr.close()
    process.stdin.close()
    assert process.wait(timeout=30) == 0
    assert (folder / "left").exists()


def test_on_a_terminal_it_says_what_it_waits_for(folder: Path, backend: str) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "indianyio.run", "--backend", backend, "sample:Good"]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, cwd=folder)
    try:
        os.close(terminal)
        assert process.stderr is not None
        while b"waiting for INDI messages on standard input" not in (line := process.stderr.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(controller)


def test_the_made_executable_runs_from_anywhere(folder: Path, tmp_path: Path, backend: str) -> None:
    path = tmp_path / "my driver"
    command = [sys.executable, "-m", "indianyio.run", "--backend", backend, "sample:Good"]
    subprocess.run([*command, "--make-executable", str(path)], cwd=folder, check=True, timeout=60)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # A folder that would break the driver if it came first in the module search path.
    (elsewhere / "sample.py").write_text("raise RuntimeError", encoding="ascii")
    (elsewhere / "signal.py").write_text("raise RuntimeError", encoding="ascii")
    done = subprocess.run([path], input=GET, capture_output=True, cwd=elsewhere, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"<defNumberVector" in done.stdout
