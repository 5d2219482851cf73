"""External drivers: how real programs are started, listened to and started again."""

from __future__ import annotations

import itertools
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Self

import anyio
import pytest
import trio
import trio.testing

from indianyio._routing import Relayed
from indianyio.protocol import DefTextVector, DelProperty, Frame, Message, NewBLOBVector, OneBLOB
from indianyio.server import _exdrivers
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._processes import REAP_SECONDS
from indianyio.server._supervision import Backoff
from indianyio.streams import MemoryStream, memory_pair
from tests.server.programs import Programs, value_shown, write
from tests.server.watching import Watcher, errors, feeding, new_hub, nothing_left

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at processes as Linux shows them"),
]


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


async def test_a_program_is_asked_defines_and_is_written_to(programs: Programs) -> None:
    driver = programs.driver()
    with nothing_left():
        async with feeding(new_hub(), driver) as watcher:
            await watcher.expect(DefTextVector, device="Box")
            watcher.say(write("hello"))
            assert int(await value_shown(watcher)) == 2, "one member begins and ends"
            passed = driver.statistics()
            assert (passed.messages_in, passed.restarts) == (2, 0)
            assert passed.bytes_out > 0
        assert (await watcher.expect(DelProperty)).device == "Box"
    assert driver.name == "box"


async def test_a_program_has_one_socket_and_inherits_nothing_else(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDIANYIO_TEST", "inherited")
    body = """
same = os.path.sameopenfile(0, 1)
kind = socket.socket(fileno=os.dup(0))
blocks = os.get_blocking(0)
opened = sorted(int(n) for n in os.listdir("/proc/self/fd"))
show([same, kind.family.name, kind.type.name, blocks, len(opened) - 1 - 1, os.environ.get("INDIANYIO_TEST")])
hear()
"""
    inheritable, other = socket.socketpair()
    inheritable.set_inheritable(True)
    with inheritable, other:
        for environment, expected in ((None, "inherited"), ({"INDIANYIO_TEST": "given"}, "given"), ({}, None)):
            socket.setdefaulttimeout(5)  # would make the pair non-blocking at both ends
            try:
                async with feeding(new_hub(), programs.driver(body, environment=environment)) as watcher:
                    shown = await value_shown(watcher)
            finally:
                socket.setdefaulttimeout(None)
            assert shown == str([True, "AF_UNIX", "SOCK_STREAM", True, 3, expected])


async def test_its_standard_error_is_logged_line_by_line(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = """
os.write(2, b"one\\r\\n\\n\\ntwo \\xff\\nthr")
time.sleep(0.01)
os.write(2, b"ee\\n" + b"x" * 10000 + b"\\nlast words")
"""
    await programs.driver(body).run(new_hub())
    lines = [record.getMessage() for record in caplog.records if record.name == "indianyio.server.driver.box"]
    assert lines[:3] == ["one", "two \\xff", "three"]
    assert lines[-1] == "last words"
    assert "".join(lines[3:-1]) == "x" * 10000
    assert max(map(len, lines)) < 2 * 4096 + 1


async def test_s9_a_program_that_exits_at_once_is_started_again_up_to_the_limit(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    driver = programs.driver("sys.exit(3)", restarts=2)
    hub = new_hub()
    watcher = Watcher(hub)
    with nothing_left():
        await driver.run(hub)
    said = [message.message for message in watcher.received if isinstance(message, Message)]
    assert len(said) == 3
    assert all("it exited with status 3" in (text or "") for text in said)
    assert len([message for message in watcher.received if isinstance(message, DelProperty)]) == 3
    assert driver.restarts_done == driver.statistics().restarts == 2
    assert errors(caplog) == ["box: given up after 2 restarts"]


async def test_a_run_counts_its_restarts_anew(programs: Programs) -> None:
    driver = programs.driver("sys.exit(3)", restarts=1)
    for _ in range(2):
        await driver.run(new_hub())
        assert driver.restarts_done == 1


@pytest.mark.parametrize(
    ("content", "mode", "error"),
    [
        (None, 0, FileNotFoundError),
        ("#!/bin/sh\n", 0o600, PermissionError),
        ("neither a script nor a program", 0o700, OSError),
        ("#!/no/such/interpreter\n", 0o700, FileNotFoundError),
    ],
)
async def test_what_cannot_be_started_is_an_error_that_names_it(
    tmp_path: Path, content: str | None, mode: int, error: type[OSError]
) -> None:
    program = tmp_path / "program"
    if content is not None:
        program.write_text(content, encoding="ascii")
        program.chmod(mode)
    hub = new_hub()
    watcher = Watcher(hub)
    with nothing_left():
        with pytest.raises(error, match=str(program)):
            await ExternalDriver(str(program)).run(hub)
    assert watcher.received == []


async def test_an_error_of_the_system_names_the_program_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptors() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socketpair", no_descriptors)
    with pytest.raises(OSError, match="Too many open files: 'cat'"):
        await ExternalDriver("cat").run(new_hub())


async def test_a_start_that_fails_later_counts_as_a_restart(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    driver = programs.driver("os.unlink(sys.argv[0])", restarts=3)
    await driver.run(new_hub())
    assert driver.restarts_done == 3
    assert caplog.text.count("cannot be started") == 3
    assert errors(caplog) == ["box: given up after 3 restarts"]


async def test_cancelled_between_two_lives_it_ends_at_once(programs: Programs) -> None:
    driver = ExternalDriver(programs.path("sys.exit(3)"), backoff=Backoff(first_seconds=30))
    with nothing_left():
        async with feeding(new_hub(), driver) as watcher:
            await watcher.expect(DelProperty)
            began = anyio.current_time()
        assert anyio.current_time() - began < 5


@pytest.mark.parametrize("has_descriptors", [False, True])
async def test_where_nothing_tells_of_an_end_somebody_looks(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, has_descriptors: bool
) -> None:
    def no_descriptor(process: int) -> int:
        raise OSError(24, "Too many open files")

    if has_descriptors:
        monkeypatch.setattr(os, "pidfd_open", no_descriptor)
    else:
        monkeypatch.delattr(os, "pidfd_open")
    hub = new_hub()
    watcher = Watcher(hub)
    with nothing_left():
        await programs.driver("sys.exit(3)").run(hub)
    await watcher.expect(DelProperty)


async def test_whoever_starts_it_learns_that_it_has_started() -> None:
    driver = ExternalDriver("cat")
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.run, new_hub())
        tasks.cancel_scope.cancel()
    async with anyio.create_task_group() as tasks:
        with pytest.raises(FileNotFoundError, match="no-such-driver"):
            await tasks.start(ExternalDriver("no-such-driver").run, new_hub())


@pytest.mark.parametrize(
    "make",
    [
        lambda: ExternalDriver(""),
        lambda: ExternalDriver("cat\0"),
        lambda: ExternalDriver("cat", "\0"),
        lambda: ExternalDriver("cat", environment={"A": "\0"}),
        lambda: ExternalDriver("cat", environment={"A=B": "C"}),
        lambda: ExternalDriver("cat", restarts=-1),
        lambda: ExternalDriver("cat", grace_seconds=0),
        lambda: ExternalDriver("cat", grace_seconds=float("inf")),
        lambda: ExternalDriver("cat", outbox_bytes=0),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(make: Callable[[], ExternalDriver]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()


def test_it_is_called_by_its_command() -> None:
    assert repr(ExternalDriver("/usr/bin/indi_x", "-v")) == "ExternalDriver('/usr/bin/indi_x', '-v')"


# -- virtual time ----------------------------------------------------------------------------------------------


class FakeProcess:
    """A process that lives for some seconds of virtual time and says nothing."""

    def __init__(self, seconds: float) -> None:
        self.exited = anyio.Event()
        self.outcome = "it exited with status 1"
        self.pid = 1
        self.status: int | None = None
        self.stream: MemoryStream
        self.stream, self._far = memory_pair(names=("fake", "test"))
        self._seconds = seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def reap(self) -> None:
        await anyio.sleep(self._seconds)
        await self._far.aclose()
        self.exited.set()

    async def log_errors(self, log: logging.Logger) -> None:
        pass

    def close_input(self) -> None:
        pass

    def hang_up(self) -> None:
        pass

    async def end(self, grace_seconds: float) -> None:
        await self.exited.wait()


def starts_of(driver: ExternalDriver, monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> list[float]:
    """Have lives of these lengths instead of processes; return when each begins, as long as that goes on."""
    starts: list[float] = []

    def start(_: object) -> FakeProcess:
        starts.append(anyio.current_time())
        return FakeProcess(seconds[min(len(starts), len(seconds)) - 1])

    monkeypatch.setattr(driver, "_start", start)
    return starts


IN_VIRTUAL_TIME = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual")]
)


@IN_VIRTUAL_TIME
async def test_the_restarts_of_a_program_come_ever_later(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = ExternalDriver("fake", restarts=8)
    starts = starts_of(driver, monkeypatch, [0.0])
    await driver.run(new_hub())
    waits = [after - before for before, after in itertools.pairwise(starts)]
    for wait, delay in zip(waits, [0.5, 1, 2, 4, 8, 16, 30, 30], strict=True):
        assert 0.8 * delay <= wait <= 1.2 * delay + 0.01


@IN_VIRTUAL_TIME
async def test_a_program_that_ran_for_long_is_started_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = ExternalDriver("fake", restarts=4)
    starts = starts_of(driver, monkeypatch, [0, 0, 0, 100, 0])
    await driver.run(new_hub())
    waits = [after - before for before, after in itertools.pairwise(starts)]
    assert waits[3] == pytest.approx(100 + 0.5, abs=0.2)
    assert driver.restarts_done == 4


@IN_VIRTUAL_TIME
async def test_a_process_that_cannot_be_killed_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_exdrivers, "REAP_SECONDS", REAP_SECONDS)
    driver = ExternalDriver("fake", grace_seconds=5)
    starts_of(driver, monkeypatch, [float("inf")])
    began = anyio.current_time()
    with anyio.move_on_after(1):
        await driver.run(new_hub())
    assert anyio.current_time() - began <= 1 + 2 * 5 + 2
    assert errors(caplog) == ["fake: process 1 cannot be killed"]


async def test_s32_a_driver_gets_blobs_as_base64_whatever_the_client_sent(programs: Programs) -> None:
    """Libindi's drivers send descriptors and do not read them (protocol.md S32, W35)."""
    body = """
while True:
    heard = hear()
    while "</newBLOBVector>" not in heard:
        heard += hear()
    show("attached" in heard or heard.split("oneBLOB", 1)[1].split(">", 1)[1].split("<")[0])
"""
    async with feeding(new_hub(), programs.driver(body)) as watcher:
        await watcher.expect(DefTextVector, device="Box")
        blob = OneBLOB(name="b", size="3", format=".x", data=b"abc")
        watcher.say(NewBLOBVector(device="Box", name="B", members=(blob,)))
        assert await value_shown(watcher) == "YWJj"


async def test_what_is_restarted_gets_its_device_back_from_nobody(programs: Programs) -> None:
    """A command must not reach another instrument of the same name because its own is being started again."""
    hub = new_hub()
    driver = programs.driver("\nhear()\n", restarts=1)
    async with feeding(hub, driver) as watcher:
        await watcher.expect(DefTextVector, device="Box")
        other = Silent()
        hub.router.add_remote(other, "elsewhere", host="far:1")
        watcher.say(write("die"))
        await watcher.expect(DelProperty, device="Box")
        claim = Frame("defTextVector", b"<defTextVector device='Box' name='T' state='Ok' perm='rw'/>")
        assert hub.receive(other, claim) is None
        assert hub.router.owner("Box") is not other
        await watcher.expect(DefTextVector, device="Box")
        assert hub.router.owner("Box") is driver.port
        hub.router.remove(other, "done")


class Silent:
    """A peer that takes everything."""

    name = "silent"
    attaches = None

    def deliver(self, relay: Relayed) -> None:
        """Take it."""

    def refuse(self, reason: str) -> None:
        raise AssertionError(reason)
