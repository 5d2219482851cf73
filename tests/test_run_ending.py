"""The process of ``python -m indianyio.run`` ends within its bound, whatever the driver and the log's reader do."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SAMPLE = """
import ctypes, logging, signal, time
from pathlib import Path
import anyio
import anyio.to_thread
from indianyio import Device, IPyDriver, NumberMember, NumberVector
from indianyio.run import _ending

# The alarm comes when the bound itself has not ended the process, as on a machine that stalls.
_ending.ALARM_SECONDS = 60.0

class Quiet(IPyDriver):
    def __init__(self):
        vector = NumberVector("number", "Number", "Main", "rw", "Ok", [NumberMember("value", format="%g")])
        super().__init__(Device("Quiet", [vector]))

    async def leave(self):
        Path("left").touch()

class Chatty(Quiet):
    async def rxevent(self, event):
        # More than a pipe holds. On a slow machine the library would say that this keeps the event loop.
        logging.getLogger("indianyio").setLevel(logging.CRITICAL)
        for _ in range(2000):
            logging.warning("x" * 100)
        Path("said").touch()

class ChattyAndHanging(Chatty):
    async def hardware(self):
        await anyio.to_thread.run_sync(time.sleep, 600)

class Swallowing(Quiet):
    async def hardware(self):
        while True:
            try:
                await anyio.sleep(100)
            except BaseException:
                pass

class HoldingTheLock(Quiet):
    def __init__(self):
        super().__init__()
        _ending.ALARM_SECONDS = 1.0

    async def leave(self):
        Path("left").touch()
        ctypes.PyDLL(None).sleep(600)

class OwnAlarm(Quiet):
    async def hardware(self):
        signal.signal(signal.SIGALRM, lambda number, frame: Path("rang").touch())
        signal.setitimer(signal.ITIMER_REAL, 600)

    async def leave(self):
        assert 500 < signal.getitimer(signal.ITIMER_REAL)[0] <= 600
        signal.raise_signal(signal.SIGALRM)
        Path("left").touch()
"""

GET = b'<getProperties version="1.7"/>\n'
WRITE = b'<newNumberVector device="Quiet" name="number"><oneNumber name="value">3</oneNumber></newNumberVector>\n'

GRACE_SECONDS = 0.2
# For those that are to end by themselves, before the runner's bound, on any machine.
LONG_GRACE_SECONDS = 20.0
# The runner's bound, its alarm, and time for a busy machine.
PATIENCE_SECONDS = 3 * LONG_GRACE_SECONDS + 2 + 1 + 10

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path, backend: str) -> Iterator[Start]:
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    processes: list[Process] = []

    def run(name: str, stderr: int = subprocess.PIPE, grace_seconds: float = GRACE_SECONDS) -> Process:
        command = [sys.executable, "-m", "indianyio.run", "--backend", backend]
        command += ["--grace", str(grace_seconds), f"sample:{name}"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, cwd=tmp_path)
        processes.append(process)
        wait_for_definition(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        for file in (process.stdin, process.stdout, process.stderr):
            if file is not None:
                file.close()


def wait_for_definition(process: Process) -> None:
    tell(process, GET)
    assert process.stdout is not None
    while b"</defNumberVector>" not in (line := process.stdout.readline()):
        assert line, "the driver has ended"


def tell(process: Process, message: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(message)
    process.stdin.flush()


def ask_to_end(process: Process, how: str) -> None:
    if how == "signal":
        process.send_signal(signal.SIGTERM)
    else:
        assert process.stdin is not None
        process.stdin.close()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.01)


def unread_pipe() -> tuple[int, int]:
    return os.pipe()


def unread_terminal() -> tuple[int, int]:
    return pty.openpty()


@pytest.mark.parametrize(
    ("make", "how", "name", "status"),
    [
        (unread_pipe, "signal", "Chatty", 0),
        (unread_pipe, "end of input", "Chatty", 0),
        (unread_terminal, "signal", "Chatty", 0),
        (unread_terminal, "end of input", "Chatty", 0),
        # Each of these takes the whole bound, of nearly three seconds.
        (unread_pipe, "signal", "ChattyAndHanging", 1),
        (unread_terminal, "end of input", "ChattyAndHanging", 1),
    ],
)
def test_d13_a_log_that_nobody_reads_stops_nothing(
    start: Start, tmp_path: Path, make: Callable[[], tuple[int, int]], how: str, name: str, status: int
) -> None:
    reader, writer = make()
    process = start(name, writer, GRACE_SECONDS if status else LONG_GRACE_SECONDS)
    os.close(writer)
    tell(process, WRITE)
    wait_for(tmp_path / "said")
    ask_to_end(process, how)
    assert process.wait(PATIENCE_SECONDS) == status
    assert (tmp_path / "left").exists()
    os.close(reader)


def test_a_second_sigint_ends_at_once_though_nobody_reads_the_log(start: Start, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    process = start("ChattyAndHanging", writer)
    os.close(writer)
    tell(process, WRITE)
    wait_for(tmp_path / "said")
    process.send_signal(signal.SIGINT)
    wait_for(tmp_path / "left")
    time.sleep(1.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 1
    os.close(reader)


def test_the_log_says_how_much_of_it_was_lost(start: Start, tmp_path: Path) -> None:
    process = start("Chatty", grace_seconds=LONG_GRACE_SECONDS)
    tell(process, WRITE)
    wait_for(tmp_path / "said")
    assert process.stderr is not None
    read: list[bytes] = []
    reading = threading.Thread(target=lambda: read.extend(process.stderr or []))
    reading.start()
    while len(read) < 100:
        time.sleep(0.01)
    ask_to_end(process, "end of input")
    assert process.wait(PATIENCE_SECONDS) == 0
    reading.join()
    # More than one count: the first fits where the line itself did not.
    lost = [int(line.rpartition(b":")[2]) for line in read if b"lines lost" in line]
    whole = sum(line.count(b"x" * 100) for line in read)
    assert sum(lost) > 0
    assert whole + sum(lost) == 2000


@pytest.mark.long
@pytest.mark.parametrize("attempt", range(2))
def test_work_that_refuses_to_end_is_ended_with_status_1_and_its_stack(start: Start, attempt: int) -> None:
    process = start("Swallowing")
    ask_to_end(process, "signal")
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert b"indianyio.run: Timeout: no end within 2.6 s" in errors
    assert b" (main), innermost call first:\n" in errors
    assert b", in main\n" in errors


def test_code_that_holds_the_interpreter_lock_is_ended_by_the_alarm(start: Start, tmp_path: Path) -> None:
    process = start("HoldingTheLock")
    ask_to_end(process, "end of input")
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGALRM
    assert (tmp_path / "left").exists()


@pytest.mark.parametrize("how", ["signal", "end of input"])
def test_a_driver_keeps_its_own_alarm(start: Start, tmp_path: Path, how: str) -> None:
    process = start("OwnAlarm", grace_seconds=LONG_GRACE_SECONDS)
    ask_to_end(process, how)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert (tmp_path / "rang").exists()
    assert (tmp_path / "left").exists()
