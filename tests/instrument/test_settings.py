"""CONFIG_PROCESS: settings are kept, taken up again, and never move anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indianyio import RefusedError, State
from indianyio.instrument._framework._settings_file import DamagedSettingsError, SettingsFile
from indianyio.protocol import NewNumberVector, OneNumber
from indianyio.simulators import focuser
from indianyio.testing import driver_client
from tests.instrument.connecting import connected_to
from tests.instrument.stage import NAME, Note, Stage


def _write(home: Path, content: str) -> None:
    (home / "Stage_config.xml").write_text(content)


def _setting(value: int) -> NewNumberVector:
    return NewNumberVector(device=NAME, name="SPEED", members=(OneNumber(name="V", value=str(value)),))


@pytest.mark.anyio
async def test_settings_are_saved_and_loaded_through_the_methods_that_carry_them_out(home: Path) -> None:
    stage = Stage()
    stage.gate.set()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await device.vector("SPEED", timeout=5)
            await device["SPEED"].set(V=4)
            await device["NOTE"].set(TEXT="cloudy & cold", AUTHOR="me")
            await device["STEPS"].set(N=77)
            config = device["CONFIG_PROCESS"]
            await config.set(CONFIG_SAVE=True)
            assert not any(config.values())
            await device["SPEED"].set(V=5)
            await config.set(CONFIG_LOAD=True)
            assert device["SPEED"]["V"] == 4
    saved = (home / "Stage_config.xml").read_text()
    assert "STEPS" not in saved  # an operation is no setting
    assert saved == (home / "Stage_config.xml.default").read_text()

    # The next one takes them up when it is connected, and moves nothing.
    again = Stage()
    async with driver_client(again) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await device.vector("SPEED", timeout=5)
            await device["SPEED"].wait_for(lambda it: it["V"] == 4, timeout=5)
            await device["CONFIG_PROCESS"].set(CONFIG_LOAD=True)
            assert again.note.value == Note(words="cloudy & cold", author="me")
            await device["CONFIG_PROCESS"].set(CONFIG_PURGE=True)
    assert "me notes cloudy & cold" in again.done()
    assert not [what for what in again.done() if what.startswith("move")]
    assert not (home / "Stage_config.xml").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("member", ["CONFIG_LOAD", "CONFIG_DEFAULT"])
async def test_who_loads_what_was_never_saved_is_told(member: str) -> None:
    async with driver_client(Stage()) as (_, client):
        device = await client.device(NAME, timeout=5)
        config = await device.vector("CONFIG_PROCESS", timeout=5)
        with pytest.raises(RefusedError, match=r"nothing was saved in .*Stage_config\.xml"):
            await config.set({member: True})
        assert not any(config.values())
        await config.set(CONFIG_PURGE=True)


@pytest.mark.anyio
async def test_a_damaged_file_is_told_and_set_aside(home: Path) -> None:
    async with driver_client(Stage()) as (_, client):
        device = await client.device(NAME, timeout=5)
        await device.vector("CONFIG_PROCESS", timeout=5)
        _write(home, "<INDIDriver><newNumberVector device='Stage'")
        with pytest.raises(RefusedError, match="is damaged"):
            await device["CONFIG_PROCESS"].set(CONFIG_LOAD=True)
        await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True)
        assert device["CONFIG_PROCESS"].state is State.OK
    assert (home / "Stage_config.xml.damaged").exists()


@pytest.mark.anyio
async def test_what_is_always_seen_is_as_it_was_saved_before_anybody_connects(home: Path) -> None:
    _write(
        home,
        "<INDIDriver>"
        "<newNumberVector device='Stage' name='SPEED'><oneNumber name='V'>4</oneNumber></newNumberVector>"
        "<newTextVector device='Stage' name='NOTE'><oneText name='TEXT'>hello</oneText></newTextVector>"
        "</INDIDriver>",
    )
    async with driver_client(Stage()) as (stage, client):
        device = await client.device(NAME, timeout=5)
        assert (await device.vector("NOTE", timeout=5))["TEXT"] == "hello"
        assert stage.done() == ["nobody notes hello"]
        assert stage.speed.value.speed == 1


@pytest.mark.anyio
async def test_settings_that_cannot_be_read_at_the_start_are_alert_and_the_driver_runs(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "Stage_config.xml").mkdir()
    async with driver_client(Stage()) as (_, client):
        device = await client.device(NAME, timeout=5)
        assert (await device.vector("CONFIG_PROCESS", timeout=5)).state is State.ALERT
    assert "Stage: its settings cannot be read" in caplog.text


@pytest.mark.anyio
async def test_a_setting_that_is_not_legal_is_told_and_the_others_are_taken_up(home: Path) -> None:
    _write(
        home,
        "<INDIDriver>"
        "<newNumberVector device='Stage' name='SPEED'><oneNumber name='V'>\n  77\n</oneNumber></newNumberVector>"
        "<newTextVector device='Stage' name='NOTE'><oneText name='TEXT'>\n  hello\n</oneText></newTextVector>"
        "</INDIDriver>",
    )
    stage = Stage()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await device.vector("SPEED", timeout=5)
            with pytest.raises(RefusedError, match="SPEED: Invalid range"):
                await device["CONFIG_PROCESS"].set(CONFIG_LOAD=True)
    assert stage.note.value.words.strip() == "hello"
    assert stage.speed.value.speed == 1


@pytest.mark.anyio
async def test_instruments_that_share_a_file_have_their_own_settings_in_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDICONFIG", str(home / "both.xml"))
    left, right = focuser("Left"), focuser("Right")
    for driver, limit in ((left, 4000), (right, 5000)):
        async with connected_to(driver, "FOCUS_MAX") as (device, _):
            assert device["FOCUS_MAX"]["FOCUS_MAX_VALUE"] == 100_000
            await device["FOCUS_MAX"].set(FOCUS_MAX_VALUE=limit)
            await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True)
    for name, limit in (("Left", 4000), ("Right", 5000)):
        async with connected_to(focuser(name), "FOCUS_MAX") as (device, _):
            await device["FOCUS_MAX"].wait_for(lambda it: it["FOCUS_MAX_VALUE"] < 9000, timeout=5)
            assert device["FOCUS_MAX"]["FOCUS_MAX_VALUE"] == limit
            await device["FOCUS_MAX"].set(FOCUS_MAX_VALUE=9000)
            await device["CONFIG_PROCESS"].set(CONFIG_DEFAULT=True)
            assert device["FOCUS_MAX"]["FOCUS_MAX_VALUE"] == limit
            await device["CONFIG_PROCESS"].set(CONFIG_PURGE=True)
    assert not (home / "both.xml").exists()


def test_two_that_are_saved_at_once_are_both_saved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDICONFIG", str(home / "all.xml"))

    def setting(name: str, value: int) -> NewNumberVector:
        return NewNumberVector(device=name, name="SPEED", members=(OneNumber(name="V", value=str(value)),))

    def save(name: str) -> None:
        for value in range(10):
            SettingsFile(name).save([setting(name, value)])

    names = [f"Stage {number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(save, names))
    for name in names:
        assert SettingsFile(name).load() == [setting(name, 9)]


def test_no_name_of_a_device_leads_out_of_the_folder(home: Path) -> None:
    assert SettingsFile("../../etc/passwd").path == home / ".._.._etc_passwd_config.xml"


@pytest.mark.parametrize(
    "content", [b"", b"<INDIDriver>", b"<html/>", b"<INDIDriver><getProperties/></INDIDriver>", b"\xff\x00", b"<"]
)
def test_what_is_no_settings_file_is_set_aside(home: Path, content: bytes) -> None:
    file = SettingsFile(NAME)
    file.path.write_bytes(content)
    with pytest.raises(DamagedSettingsError, match=r"set aside as Stage_config\.xml\.damaged"):
        file.load()
    assert not file.path.exists()
    file.save([_setting(1)])
    assert file.load() == [_setting(1)]


_SAVES = """
import sys
from indianyio.instrument._framework._settings_file import SettingsFile
from indianyio.protocol import NewNumberVector, OneNumber
file = SettingsFile("Stage")
print("ready", flush=True)
value = 0
while True:
    value += 1
    members = tuple(OneNumber(name=f"V{n}", value=str(value)) for n in range(300))
    file.save([NewNumberVector(device="Stage", name="SPEED", members=members)])
"""


def test_whoever_is_killed_while_saving_leaves_an_old_file_or_a_new_one(home: Path) -> None:
    for turn in range(5):
        saving = subprocess.Popen([sys.executable, "-c", _SAVES], stdout=subprocess.PIPE, env=os.environ.copy())
        assert saving.stdout is not None
        with saving, saving.stdout:
            assert saving.stdout.readline() == b"ready\n"
            try:
                saving.wait(0.02 + turn * 0.013)
            except subprocess.TimeoutExpired:
                saving.send_signal(signal.SIGKILL)
        found = SettingsFile(NAME).load()
        assert len({one.value for setting in found for one in setting.members}) <= 1  # type: ignore[union-attr]


_KILLED_AT_EACH_BYTE = """
import os, resource, signal, sys
from pathlib import Path
from indianyio.instrument._framework._settings_file import SettingsFile
from indianyio.protocol import NewNumberVector, OneNumber

def settings(value):
    members = tuple(OneNumber(name=f"V{n}", value=value) for n in range(6))
    return [NewNumberVector(device="Stage", name="SPEED", members=members)]

def killed(act):
    child = os.fork()
    if not child:
        act()
        file.save(settings("2"))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def at_byte(number):
    # Python ignores this signal, which ends a process that writes too much as kill -9 does.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, resource.RLIM_INFINITY))

def at_call(number):
    calls = 0
    def counted(call):
        def count(*args, **options):
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)
        return count
    for name in ("open", "fsync", "replace", "unlink", "close"):
        setattr(os, name, counted(getattr(os, name)))

file = SettingsFile("Stage")
file.save(settings("1"))
size = file.path.stat().st_size
for how, steps, ends in ((at_byte, range(size), (-signal.SIGXFSZ,)), (at_call, range(1, 40), (-signal.SIGKILL, 0))):
    outcomes = []
    for number in steps:
        outcomes.append(killed(lambda: how(number)))
        assert outcomes[-1] in ends, (how, number, outcomes[-1])
        found = file.load()
        assert found in (settings("1"), settings("2")), (how, number, found)
        assert how is at_call or found == settings("1"), number
        if outcomes[-1] == 0:
            break
        if found != settings("1"):
            file.save(settings("1"))
    file.save(settings("1"))
    assert file.load() == settings("1")
    print(how.__name__, len(outcomes))
"""


def test_whoever_is_killed_at_any_byte_of_a_save_leaves_the_old_file_and_the_next_one_can_be_saved(
    home: Path,
) -> None:
    script = [sys.executable, "-c", _KILLED_AT_EACH_BYTE]
    done = subprocess.run(script, capture_output=True, text=True, env=os.environ.copy(), check=False)
    assert done.returncode == 0, done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines())
    assert int(counts["at_byte"]) == (home / "Stage_config.xml").stat().st_size > 200
    assert 3 < int(counts["at_call"]) < 39, "the last save was not killed"


@pytest.mark.anyio
async def test_numbers_of_which_some_have_gone_are_refused_as_a_whole(home: Path) -> None:
    """They may be one point: half of an old one and half of the present one is a point that nobody chose."""
    numbers = "<oneNumber name='GONE'>1</oneNumber><oneNumber name='V'>7</oneNumber>"
    stage = Stage()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            speed = await device.vector("SPEED", timeout=5)
            before = dict(speed)
            setting = f"<newNumberVector device='Stage' name='SPEED'>{numbers}</newNumberVector>"
            _write(home, f"<INDIDriver>{setting}</INDIDriver>")
            with pytest.raises(RefusedError, match="GONE"):
                await device["CONFIG_PROCESS"].set(CONFIG_LOAD=True)
            assert dict(speed) == before
