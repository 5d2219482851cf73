"""Code that keeps the event loop: it is named while the driver runs, and interrupted when the process is to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from indianyio.driver import NewEvent, _guard
from indianyio.protocol import SetNumberVector
from indianyio.testing import running
from tests.driver.gadget import Gadget, new_number

SAMPLE = """
import subprocess, time
from pathlib import Path
import anyio
from indianyio import Device, IPyDriver, NumberMember, NumberVector
from indianyio.run import _ending

# The alarm comes when the bound itself has not ended the process, as on a machine that stalls.
_ending.ALARM_SECONDS = 60.0

class Box(IPyDriver):
    def __init__(self):
        self.number = NumberVector("n", "n", "g", "rw", "Ok", [NumberMember("x", format="%g", membervalue=0)])
        super().__init__(Device(type(self).__name__, [self.number]))

    async def leave(self):
        await anyio.sleep(0.05)
        await self.number.send_setVector(state="Idle")
        with open("left", "a") as left:
            left.write(type(self).__name__ + " ")

class Dome(Box):
    pass

class Sleeping(Box):
    async def hardware(self):
        Path("blocking").touch()
        time.sleep(600)

class InHandler(Box):
    async def rxevent(self, event):
        Path("blocking").touch()
        time.sleep(600)

class Computing(Box):
    async def hardware(self):
        Path("blocking").touch()
        while True:
            try:
                sum(range(1000))
            except Exception:
                pass

class InATask(Box):
    async def hardware(self):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.poll)

    async def poll(self):
        await anyio.sleep(0.01)
        Path("blocking").touch()
        subprocess.run(["sleep", "60"])

class InCleanup(Box):
    async def hardware(self):
        Path("blocking").touch()
        try:
            await anyio.sleep_forever()
        finally:
            time.sleep(600)

class InLeave(Box):
    async def hardware(self):
        Path("blocking").touch()

    async def leave(self):
        time.sleep(4)
        Path("left").write_text("InLeave ")

class Stubborn(Box):
    async def hardware(self):
        Path("blocking").touch()
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
"""

WRITE = b"<newNumberVector device='InHandler' name='n'><oneNumber name='x'>1</oneNumber></newNumberVector>"
# Not too short for leave() on a machine that stalls.
GRACE_SECONDS = 2.0
PATIENCE_SECONDS = 60

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path, backend: str) -> Iterator[Start]:
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    processes: list[Process] = []

    def run(*names: str, grace_seconds: float = GRACE_SECONDS) -> Process:
        command = [sys.executable, "-m", "indianyio.run", "--backend", backend, "--grace", str(grace_seconds)]
        command += [f"sample:{name}" for name in names]
        command += ["--port", "0"] if len(names) > 1 else []
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
        )
        processes.append(process)
        assert process.stdin is not None
        process.stdin.write(WRITE)
        process.stdin.flush()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (tmp_path / "blocking").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def end(process: Process) -> bytes:
    """Ask a process to end, and return what it has said."""
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=PATIENCE_SECONDS)[1]


@pytest.mark.parametrize("name", ["Sleeping", "InHandler", "Computing", "InATask", "InCleanup"])
def test_what_blocks_is_interrupted_and_the_driver_leaves(start: Start, tmp_path: Path, name: str) -> None:
    process = start(name)
    errors = end(process)
    assert (tmp_path / "left").read_text() == f"{name} "
    assert process.returncode == 1
    assert b"keeps the event loop, and is interrupted at " in errors
    assert b"LoopBlockedError" in errors
    where = {"InATask": b"in poll", "InHandler": b"in rxevent"}.get(name, b"in hardware")
    assert where in errors


@pytest.mark.parametrize("name", ["Sleeping", "InATask", "InCleanup"])
def test_the_other_drivers_of_the_process_leave_too(start: Start, tmp_path: Path, name: str) -> None:
    end(start("Dome", name))
    assert sorted((tmp_path / "left").read_text().split()) == ["Dome", name]


@pytest.mark.parametrize("name", ["Sleeping", "InHandler"])
def test_the_end_of_the_input_is_a_request_to_end_that_needs_no_signal(
    start: Start, tmp_path: Path, name: str
) -> None:
    """A server closes the input first; by the time of its SIGKILL the driver has left."""
    process = start(name)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (tmp_path / "left").read_text() == f"{name} "
    assert b"keeps the event loop, and is interrupted at " in errors


def test_nothing_is_interrupted_within_its_grace(start: Start, tmp_path: Path) -> None:
    process = start("Sleeping", grace_seconds=100)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2.5)


def test_leave_is_never_interrupted(start: Start, tmp_path: Path) -> None:
    process = start("InLeave", grace_seconds=3)
    errors = end(process)
    assert (tmp_path / "left").read_text() == "InLeave "
    assert process.returncode == 0
    assert b"interrupted" not in errors


def test_what_catches_everything_is_ended_by_the_bound(start: Start) -> None:
    process = start("Stubborn")
    errors = end(process)
    assert process.returncode == 1
    assert b"Timeout: no end within 8 s" in errors
    # It was tried more than once, and did not put off the bound each time.
    assert 2 <= errors.count(b"interrupted at") <= 12


# -- while it runs -------------------------------------------------------------------------------------------------

LOOK_SECONDS = 0.05


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guard, "LOOK_SECONDS", LOOK_SECONDS)


def block_until_named(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the event loop until that is told, however late this machine runs the thread that tells."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(record.name == _guard.__name__ for record in caplog.records):
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECONDS)


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_what_blocks_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    # A name of its own: what was named a moment ago is not named again, in another run neither.
    device = f"Mount {uuid4()}"
    has_blocked = anyio.Event()

    async def block(driver: Gadget) -> None:
        block_until_named(caplog)
        for _ in range(2):
            await anyio.sleep(LOOK_SECONDS)
            time.sleep(6 * LOOK_SECONDS)  # noqa: ASYNC251 - what it is about
        has_blocked.set()
        await anyio.sleep_forever()

    async with running(Gadget(work=block, device=device)):
        await has_blocked.wait()
    [record] = [record for record in caplog.records if record.name == _guard.__name__]
    assert record.levelname == "WARNING"
    text = record.getMessage()
    assert text.startswith(f"driver of {device}: hardware has kept the event loop")
    assert f"it is at {__file__}:" in text
    assert " in block_until_named, called from " in text
    assert " in block" in text.partition(", called from ")[2]


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("waits", [0, 1])
async def test_a_handler_that_blocks_is_named_whether_it_has_waited_or_not(
    caplog: pytest.LogCaptureFixture, waits: int
) -> None:
    device = f"Mount {uuid4()}"

    async def block_in_handler(driver: Gadget, event: NewEvent) -> None:
        for _ in range(waits):
            await anyio.sleep(LOOK_SECONDS)
        block_until_named(caplog)
        await driver.number.send_setVector()

    async with running(Gadget(on_write=block_in_handler, device=device)) as peer:
        await peer.send(new_number(5, device=device))
        await peer.expect(SetNumberVector)
    [record] = [record for record in caplog.records if record.name == _guard.__name__]
    text = record.getMessage()
    assert text.startswith(f"driver of {device}: rxevent has kept the event loop")
    assert " in block_until_named, called from " in text
    assert " in block_in_handler" in text.partition(", called from ")[2]
    assert "_readers.py" not in text


@pytest.mark.anyio
@pytest.mark.usefixtures("impatient")
async def test_an_idle_driver_wakes_nobody(caplog: pytest.LogCaptureFixture) -> None:
    others = set(threading.enumerate())
    async with running(Gadget(work=lambda _: anyio.sleep_forever())):
        [watch] = [each for each in threading.enumerate() if each not in others and each.name == "indianyio watch"]
        before, after = 0, -1
        for _ in range(60):  # it stops looking when it has been idle for a while, which a slow machine makes longer
            before = switches(watch)
            await anyio.sleep(10 * LOOK_SECONDS)
            if (after := switches(watch)) == before:
                break
        assert after == before
    watch.join(PATIENCE_SECONDS)
    assert not watch.is_alive()


def switches(thread: threading.Thread) -> int:
    """Return how often a thread has waited so far."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text(encoding="ascii")
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
