"""What the rules measure of a server is so, and no server outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.client import BrokenRuleError
from tests.peers.flawed import flawed
from tests.peers.servers import ROOT, Server, guard

SECONDS = 60.0

RUNNER = """
import time
from tests.peers.flawed import flawed

with flawed().serving("Box") as server:
    print(server.process.pid, flush=True)
    time.sleep(60)
"""


def members(group: int) -> list[str]:
    """Return the processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text(errors="replace").rpartition(")")
        except OSError:
            continue  # it has just ended
        state, _parent, its_group = rest.split()[:3]
        if int(its_group) == group and state != "Z":
            found.append(name)
    return found


def wait_for_members(group: int, number: int) -> None:
    deadline = time.monotonic() + SECONDS
    while len(members(group)) != number and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(members(group)) == number, members(group)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_and_its_driver_die_with_their_runner(end: signal.Signals, tmp_path: Path) -> None:
    where = {**os.environ, "TMPDIR": str(tmp_path)}  # what it cannot remove any more
    with subprocess.Popen([sys.executable, "-c", RUNNER], cwd=ROOT, env=where, stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None
        group = int(runner.stdout.readline())
        wait_for_members(group, 2)  # the server and its driver
        runner.send_signal(end)
    wait_for_members(group, 0)


def test_the_end_of_the_block_ends_what_the_server_leaves_behind() -> None:
    stubborn = "trap '' TERM HUP; sleep 60 & wait; wait"
    with guard() as watch:
        process = subprocess.Popen(["/bin/sh", "-c", stubborn], start_new_session=True)
        watch(process.pid)
        assert members(process.pid)
    assert process.wait(SECONDS) == -signal.SIGKILL
    wait_for_members(process.pid, 0)


@contextmanager
def server_of(program: str, folder: Path) -> Iterator[Server]:
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-IS", "-c", program], stdin=subprocess.PIPE, stdout=out, stderr=out
        )
    with process:
        server = Server(process, 0, None, log)
        try:
            yield server
        finally:
            server.end()


def wait_for_word(server: Server, word: str) -> None:
    deadline = time.monotonic() + SECONDS
    while word not in server.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)


def go_on(server: Server) -> None:
    assert server.process.stdin is not None
    server.process.stdin.write(b"\n")
    server.process.stdin.flush()


def test_memory_and_descriptors_are_those_of_the_process(tmp_path: Path) -> None:
    takes = "import os\nprint('before', flush=True)\ninput()\nheld = bytearray(b'x') * 50_000_000\n"
    takes += "[os.dup(0) for _ in range(10)]\nprint('after', flush=True)\ninput()\n"
    with server_of(takes, tmp_path) as server:
        wait_for_word(server, "before")
        memory, descriptors = server.megabytes(), server.descriptors()
        go_on(server)
        wait_for_word(server, "after")
        assert 50 <= server.megabytes() - memory < 60
        assert server.descriptors() - descriptors == 10


def test_descriptors_can_be_made_scarce(tmp_path: Path) -> None:
    with server_of("import os\ninput()\nwhile True: os.dup(0)\n", tmp_path) as server:
        server.allow_descriptors(20)
        go_on(server)
        server.process.wait(SECONDS)
        assert "Too many open files" in server.last_words()
        assert server.last_words().startswith("status 1, and had said: ")


def test_how_long_it_takes_to_end(tmp_path: Path) -> None:
    with server_of("print('up', flush=True)\ninput()\n", tmp_path) as server:
        wait_for_word(server, "up")
        seconds = server.seconds_to_end(SECONDS)
        assert seconds is not None
        assert 0 < seconds < SECONDS


def test_what_does_not_end_is_killed(tmp_path: Path) -> None:
    deaf = "import signal\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ninput()\n"
    with server_of(deaf, tmp_path) as server:
        wait_for_word(server, "up")
        assert server.seconds_to_end(0.1) is None
        assert server.process.wait(SECONDS) == -signal.SIGKILL


def lose_it() -> None:
    with flawed().serving() as server:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        raise BrokenRuleError("no answer")


def kill_it() -> None:
    with flawed().serving() as server:
        server.kill()
        raise BrokenRuleError("no answer")


def test_a_server_that_has_ended_is_said_to_have() -> None:
    with pytest.raises(BrokenRuleError, match=r"no answer; the server has ended, status -9$"):
        lose_it()


def test_a_server_that_was_told_to_end_is_not_blamed() -> None:
    with pytest.raises(BrokenRuleError, match=r"no answer$"):
        kill_it()
