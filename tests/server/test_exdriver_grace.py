"""How long external drivers may take in the end: what is asked for, and what a file of ours records."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import anyio
import pytest

from indianyio.run._executable import make_executable
from indianyio.server import IPyServer
from indianyio.server._exdrivers import END_SECONDS, ExternalDriver
from indianyio.server._processes import FIRST_LINES, grace_line, recorded_grace
from tests.server.programs import Programs, process_of
from tests.server.watching import feeding, new_hub, nothing_left

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at processes as Linux shows them")

STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); show(os.getpid()); time.sleep(60)"


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def recording(programs: Programs, seconds: float, first_lines: bytes = FIRST_LINES) -> str:
    """Return a file that records a grace, and starts a program that ends by SIGKILL only."""
    path = programs.folder / "made"
    path.write_bytes(first_lines + grace_line(seconds) + f"exec {programs.path(STUBBORN)}\n".encode())
    path.chmod(0o755)
    return str(path)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("recorded", "first_lines", "counts"),
    [
        (0.4, FIRST_LINES, 0.4),
        (0.01, FIRST_LINES, 0.1),  # shorter than what the server gives
        (0.4, b"#!/bin/sh\n# Made by hand\n", 0.1),
    ],
)
async def test_the_longer_grace_that_a_file_of_ours_records_counts(
    programs: Programs, recorded: float, first_lines: bytes, counts: float
) -> None:
    driver = ExternalDriver(recording(programs, recorded, first_lines), grace_seconds=0.1)
    with nothing_left():
        async with feeding(new_hub(), driver) as watcher:
            await process_of(watcher)
            began = anyio.current_time()
        took = anyio.current_time() - began
    # How much longer it takes is up to the machine; how much longer it may take is the server's own figure.
    assert took >= 2 * counts
    assert driver.end_seconds == pytest.approx(2 * counts + END_SECONDS)


@pytest.mark.anyio
async def test_the_file_is_found_as_its_start_finds_it(programs: Programs) -> None:
    recording(programs, 0.4)
    environment = {"PATH": f"/nowhere:{programs.folder}:{os.environ['PATH']}"}
    driver = ExternalDriver("made", grace_seconds=0.1, environment=environment)
    before = driver.end_seconds
    async with feeding(new_hub(), driver) as watcher:
        await process_of(watcher)
        assert driver.end_seconds == pytest.approx(before + 2 * 0.3)


def test_a_file_that_was_made_says_its_grace(tmp_path: Path) -> None:
    for grace, recorded in ((None, None), (7, 7.0), (0.25, 0.25), (1e300, 9999999.0)):
        make_executable(tmp_path / "made", ["a:A"], grace)
        assert recorded_grace(str(tmp_path / "made")) == recorded


@pytest.mark.parametrize("text", ["-1.0", "inf", "nan", "1e9", "", "12345678.0", "5.0; rm x", "٣"])
def test_what_is_no_grace_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "made").write_bytes(FIRST_LINES + f"# Grace in seconds: {text}\nexec true\n".encode())
    assert recorded_grace(str(tmp_path / "made")) is None


def test_no_other_file_is_read_for_long_or_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "late").write_bytes(b"\n" + FIRST_LINES + grace_line(9))
    for name in ("fifo", "loop", "binary", "late", "missing", "."):
        assert recorded_grace(f"{tmp_path}/{name}") is None
    assert recorded_grace("/dev/zero") is None


def test_a_server_gives_each_driver_the_grace_that_was_asked_for() -> None:
    server = IPyServer(port=0)
    server.grace = 3.0
    server.add_exdriver("cat")
    server.add_exdriver("cat", grace=20)
    ordinary, patient = (exdriver.end_seconds for exdriver in server.exdrivers)
    assert patient - ordinary == pytest.approx(2 * 17.0)
    with pytest.raises(ValueError, match="a grace is"):
        server.add_exdriver("cat", grace=0)


# Without the longer grace it would be killed after twice the shorter one.
SHORT_SECONDS, PARK_SECONDS = 0.2, 0.8
PARKING = """
import anyio
from indianyio import Device, IPyDriver, NumberMember, NumberVector

class Driver(IPyDriver):
    GRACE

    def __init__(self):
        number = NumberVector("N", "N", "g", "ro", "Ok", [NumberMember("a", membervalue=0)])
        super().__init__(Device("Mount", [number]))

    async def hardware(self):
        open("works", "w").close()

    async def leave(self):
        with open("said", "a") as said:
            print("parking", file=said, flush=True)
            await anyio.sleep(PARK_SECONDS)
            print("parked", file=said)
"""


INT, TERM = signal.SIGINT, signal.SIGTERM
# Every pair of a program, a signal and a back end; the other half of all triples takes as long again.
PAIRS = {
    ("run", INT, "asyncio"),
    ("run", TERM, "trio"),
    ("run with --exec-grace", TERM, "asyncio"),
    ("run with --exec-grace", INT, "trio"),
    ("indiserver", INT, "asyncio"),
    ("indiserver", TERM, "trio"),
}
TRIPLES = [
    pytest.param(*triple, marks=[] if triple in PAIRS else pytest.mark.long)
    for triple in product(("run", "run with --exec-grace", "indiserver"), (INT, TERM), ("asyncio", "trio"))
]


@pytest.mark.long
@pytest.mark.parametrize(("program", "number", "backend"), TRIPLES)
def test_a_driver_that_needs_longer_parks_although_the_whole_group_gets_the_signal(
    tmp_path: Path, program: str, number: signal.Signals, backend: str
) -> None:
    recorded = "" if program == "run with --exec-grace" else "grace = 4"
    parking = PARKING.replace("GRACE", recorded).replace("PARK_SECONDS", str(PARK_SECONDS))
    (tmp_path / "parking.py").write_text(parking, encoding="utf-8")
    made = tmp_path / "indi_mount"
    python = [sys.executable, "-m"]
    make = [*python, "indianyio.run", "--backend", backend, "--make-executable", str(made), "parking:Driver"]
    subprocess.run(make, cwd=tmp_path, check=True, timeout=60)
    address = str(tmp_path / "socket")
    serve = [
        *python,
        "indianyio.run",
        "--backend",
        backend,
        "--unix",
        address,
        "--grace",
        str(SHORT_SECONDS),
        "--exec",
        str(made),
    ]
    command = {
        "run": serve,
        "run with --exec-grace": [*serve, "--exec-grace", "4"],
        "indiserver": [
            *[*python, "indianyio.indiserver", "--backend", backend, "-u", address, "-p", "0"],
            *["--host", "localhost", "--exec-grace", str(SHORT_SECONDS), str(made)],
        ],
    }[program]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True) as group:
        try:
            deadline = time.monotonic() + 30
            while not (tmp_path / "works").exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            os.killpg(group.pid, number)
            _, errors = group.communicate(timeout=60)
        finally:
            group.kill()
    assert (tmp_path / "said").read_text(encoding="ascii") == "parking\nparked\n", errors
    assert group.returncode == (-number if program == "indiserver" else 0)
