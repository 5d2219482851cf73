"""How external drivers end: all that a program can do instead of its work, and the end of the server."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from pathlib import Path

import anyio
import pytest
import trio

from indianyio._vocabulary import Limits
from indianyio.protocol import DefTextVector, DelProperty, Message, SetBLOBVector, SetTextVector
from indianyio.server import _exdrivers
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._hub import Hub
from tests.driver.test_life import CancelAtStep
from tests.server.programs import Programs, gone, process_of, value_shown, write
from tests.server.watching import Watcher, errors, feeding, new_hub, nothing_left, texts, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at processes as Linux shows them"),
]


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        "socket.socket(fileno=0).shutdown(socket.SHUT_RD); time.sleep(60)",
        "os.close(0); os.close(1); time.sleep(60)",
        "socket.socket(fileno=1).shutdown(socket.SHUT_WR); time.sleep(60)",
    ],
)
async def test_s9_a_program_that_closes_its_side_is_ended_and_started_again(programs: Programs, body: str) -> None:
    driver = programs.driver(f"show(os.getpid()); hear(); {body}", restarts=1, grace_seconds=0.1)
    async with feeding(new_hub(), driver) as watcher:
        first = await process_of(watcher)
        watcher.say(write("now"))
        with anyio.move_on_after(0.2):
            while True:
                watcher.say(write("more"))
                await anyio.sleep(0.01)
        assert "it has not ended" in ((await watcher.expect(Message, device="Box")).message or "")
        await watcher.expect(DelProperty, device="Box")
        assert await process_of(watcher) != first
        assert gone(first)


async def test_s10_a_program_that_does_not_read_is_sent_no_more_and_lives(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    driver = programs.driver(
        "show(os.getpid()); time.sleep(60)", restarts=1, grace_seconds=0.1, outbox_bytes=10_000
    )
    async with feeding(new_hub(), driver) as watcher:
        first = await process_of(watcher)
        for _ in range(2000):
            watcher.say(write("x" * 1000))
            await anyio.lowlevel.checkpoint()
        answer = await watcher.expect(SetTextVector, device="Box", state="Alert")
        assert "waits for box" in (answer.message or "")
        assert not gone(first)
        assert driver.statistics().queued_bytes < 12_000
    assert driver.restarts_done == 0
    lines = [text for text in texts(caplog, logging.WARNING) if "is refused" in text]
    assert 1 <= len(lines) <= 10
    assert lines[0].startswith("the watcher: a newTextVector is refused: too much of what it sent waits for box")


async def test_s10_a_program_that_ignores_sigterm_is_killed_after_twice_the_grace(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN); show(os.getpid()); time.sleep(60)"
    driver = programs.driver(body, grace_seconds=0.2)
    with nothing_left():
        async with feeding(new_hub(), driver) as watcher:
            process = await process_of(watcher)
            began = anyio.current_time()
        took = anyio.current_time() - began
    assert 0.4 <= took < 30  # and not the 60 s that it would sleep
    assert gone(process)
    assert "sending it SIGTERM" in caplog.text
    assert "sending it SIGKILL" in caplog.text


async def test_a_program_that_may_not_be_signalled_is_waited_for(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(process: subprocess.Popen[bytes], number: int) -> None:
        if number == signal.SIGKILL:  # it ends all the same, but not before both have been tried
            os.kill(process.pid, number)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(subprocess.Popen, "send_signal", refuse)
    driver = programs.driver("time.sleep(60)", grace_seconds=0.1)
    with nothing_left():
        async with feeding(new_hub(), driver) as watcher:
            await watcher.expect(DefTextVector)
    assert len(errors(caplog)) == 2
    assert "box: cannot send it SIGKILL" in caplog.text


async def test_what_a_program_says_when_its_input_has_ended_reaches_its_clients(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = """
try:
    hear()
finally:
    time.sleep(0.1)
    show("parked")
    os.write(2, b"has parked")
"""
    async with feeding(new_hub(), programs.driver(body)) as watcher:
        await watcher.expect(DefTextVector)
    assert await value_shown(watcher) == "parked"
    assert "the server has ended it" in ((await watcher.expect(Message, device="Box")).message or "")
    await watcher.expect(DelProperty, device="Box")
    assert "has parked" in caplog.text
    assert "SIGTERM" not in caplog.text


async def test_what_waits_for_a_program_is_sent_before_its_input_ends(programs: Programs) -> None:
    body = """
heard = ""
while data := os.read(0, 65536):
    heard += data.decode()
show(heard.count("abort") and len(heard))
"""
    async with feeding(new_hub(), programs.driver(body)) as watcher:
        await watcher.expect(DefTextVector)
        for _ in range(100):
            watcher.say(write("x" * 10_000))
        watcher.say(write("abort"))
    assert int(await value_shown(watcher)) > 1_000_000
    await watcher.expect(DelProperty)


async def test_what_a_program_says_at_sigterm_reaches_its_clients(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    body = """
def end(*_):
    show("terminated")
    os._exit(0)

signal.signal(signal.SIGTERM, end)
show(os.getpid())
while True: time.sleep(1)
"""
    async with feeding(new_hub(), programs.driver(body, grace_seconds=2)) as watcher:
        await process_of(watcher)
    assert await value_shown(watcher) == "terminated"
    await watcher.expect(DelProperty)
    assert "sending it SIGTERM" in caplog.text
    assert "SIGKILL" not in caplog.text


@pytest.mark.parametrize("helper", ["", "if not os.fork(): os.setsid(); time.sleep(40); os._exit(0)"])
async def test_a_program_that_talks_on_for_ever_is_ended_in_time(
    programs: Programs, helper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exdrivers, "REST_SECONDS", 0.05)
    body = f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
show(os.getpid())
{helper}
while True: show("more")
"""
    hub = new_hub()
    async with feeding(hub, programs.driver(body, grace_seconds=0.2)) as watcher:
        process = await process_of(watcher)
        began = anyio.current_time()
    assert anyio.current_time() - began < 20  # whoever waits for the helper waits twice as long
    assert gone(process)
    assert not hub.router._routes.drivers
    await watcher.expect(DelProperty)


async def test_kill_9_in_the_middle_of_a_blob(programs: Programs) -> None:
    body = """
show(os.getpid())
say('<setBLOBVector device="Box" name="B" state="Ok"><oneBLOB name="b" size="30000" format=".bin">' + "AAAA" * 5000)
time.sleep(60)
"""
    other = programs.driver(name="other", device="Other")
    async with feeding(new_hub(), programs.driver(body, restarts=1, grace_seconds=0.1), other) as watcher:
        first = await process_of(watcher)
        # Two programs start at once, and either may be the first to define its device.
        await watcher.has(DefTextVector, device="Other")
        os.kill(first, signal.SIGKILL)
        assert "it was killed by SIGKILL" in ((await watcher.expect(Message, device="Box")).message or "")
        await watcher.expect(DelProperty, device="Box")
        assert await process_of(watcher) != first
        watcher.say(write("still there", "Other"))
        await watcher.expect(SetTextVector, device="Other")
    assert not [message for message in watcher.received if isinstance(message, SetBLOBVector)]


async def test_a_helper_that_holds_the_connection_does_not_hide_a_death(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exdrivers, "REST_SECONDS", 0.05)
    body = """
process = os.getpid()
if os.fork():
    show("before its death")
    os._exit(1)
os.setsid()
show(os.getpid())
while hear(): pass
"""
    async with feeding(new_hub(), programs.driver(body)) as watcher:
        shown = {await value_shown(watcher), await value_shown(watcher)}
        helper = int((shown - {"before its death"}).pop())
        said = (await watcher.expect(Message, device="Box")).message or ""
        assert "it exited with status 1" in said
        assert "another process holds its connection" in said
        # The helper is nobody's child any more; that its input has ended is all that can be done about it.
        await until(lambda: gone(helper) or "Z" in Path(f"/proc/{helper}/stat").read_text().split()[2])


async def test_s13_a_second_driver_of_a_device_is_stopped_for_good(
    programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    hub = new_hub()
    second = programs.driver("show(os.getpid())\nwhile True: hear()", "second", restarts=10)
    async with feeding(hub, programs.driver()) as watcher:
        await watcher.expect(DefTextVector, device="Box")
        with anyio.fail_after(10):
            await second.run(hub)
        assert second.restarts_done == 0
        (error,) = errors(caplog)
        assert error.startswith("second: driver second has a device 'Box', as driver box has already")
        watcher.say(write("still there"))
        await watcher.expect(SetTextVector)
        assert not [message for message in watcher.received if isinstance(message, DelProperty)]


async def test_a_driver_that_the_hub_does_not_take_is_stopped_for_good(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = new_hub()
    monkeypatch.setattr(hub, "add_driver", lambda port, **_: "there is no room for it")
    driver = programs.driver(restarts=10)
    with nothing_left():
        await driver.run(hub)
    assert errors(caplog) == ["box: there is no room for it"]
    assert driver.restarts_done == 0


async def test_a_driver_that_snoops_another_and_breaks_a_rule_is_no_duplicate(programs: Programs) -> None:
    broken = programs.driver(
        'say(\'<getProperties version="1.7" device="Box"/>\')\n'
        'say(\'<setBLOBVector device="Other" name="I"><oneBLOB name="i" size="3">\' + \'y\' * 2_000_000)\n'
        "while True: hear()",
        "broken",
        device="Other",
        restarts=1,
    )
    hub = Hub(Limits(blob_bytes=1_500_000))
    async with feeding(hub, programs.driver()) as watcher:
        await watcher.expect(DefTextVector, device="Box")
        with anyio.fail_after(10):
            await broken.run(hub)
    assert broken.restarts_done == 1


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_cancelled_at_any_step_it_leaves_nothing() -> None:
    with nothing_left():
        for step in range(1, 80):
            driver = ExternalDriver("cat", grace_seconds=2)
            hub = new_hub()
            Watcher(hub)
            with trio.fail_after(60), trio.CancelScope() as scope:
                instrument = CancelAtStep(scope, step)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await driver.run(hub)
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            assert scope.cancelled_caught
            assert not hub.router._routes.drivers
