"""The command indianyio, with a server in a thread; the real one's tools are in test_commands_libindi."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

import indianyio
from indianyio.commands import _main, main
from indianyio.commands._wire import Pattern
from indianyio.testing import read_recording
from tests.commands.observatory import CAMERA, IMAGE, Observatory, observatory
from tests.libindi.libindi_harness import wait_until
from tests.patience import again_and_again, patiently

STATE = f"{CAMERA}.CCD_EXPOSURE._STATE"
VALUE = f"{CAMERA}.CCD_EXPOSURE.CCD_EXPOSURE_VALUE"

# How long a command waits for what there may be; more where this machine is busy.
TIMES = (0.1, 2, 30)
Ended: TypeAlias = tuple[int, list[str], str]


@pytest.fixture(scope="module")
def night() -> Iterator[Observatory]:
    with observatory() as running:
        yield running


@pytest.fixture(params=["asyncio", "trio"])
def server(request: pytest.FixtureRequest, night: Observatory) -> list[str]:
    """Return the options that name the server."""
    return ["-H", "127.0.0.1", "-p", str(night.port), "--backend", str(request.param)]


class Runner:
    """Runs a command with the options of the server; returns status, lines and errors."""

    def __init__(self, server: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        self.server = server
        self.capsys = capsys

    def __call__(self, command: str, *arguments: str) -> Ended:
        status = main([command, *self.server, *arguments])
        shown = self.capsys.readouterr()
        return status, shown.out.splitlines(), shown.err

    def patiently(self, expected: tuple[int, list[str]], command: str, *arguments: str) -> Ended:
        """Run a command which waits as long as it may, with more and more time until it ends like this."""
        return patiently(
            lambda seconds: self(command, "-t", str(seconds), *arguments),
            lambda ended: ended[:2] == expected,
            TIMES,
        )


@pytest.fixture
def run(server: list[str], capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(server, capsys)


def test_getting(run: Runner) -> None:
    run("set", f"{VALUE}=0")
    assert run("get", VALUE) == (0, [f"{VALUE}=0.0"], "")
    assert run("get", "-1", STATE) == (0, ["Ok"], "")
    switches = [f"{CAMERA}.CONNECTION.CONNECT=Off", f"{CAMERA}.CONNECTION.DISCONNECT=On"]
    assert run.patiently((0, switches), "get", "*.CONNECTION")[:2] == (0, switches)
    lines = patiently(lambda seconds: run("get", "-t", str(seconds))[1], lambda lines: len(lines) == 4, TIMES)
    assert len(lines) == 4
    status, lines, errors = run.patiently((1, [f"{VALUE}=0.0"]), "get", "Camera.NOPE.X", VALUE)
    assert (status, lines) == (1, [f"{VALUE}=0.0"])
    assert errors.startswith("No Camera.NOPE.X from 127.0.0.1:")


def test_getting_for_machines(run: Runner) -> None:
    run("set", f"{VALUE}=0")
    _, lines, _ = run("get", "--json", VALUE, f"{CAMERA}.CONNECTION.CONNECT", f"{CAMERA}.CONNECTION._LABEL")
    assert len(lines) == 3
    found = {json.loads(line)["member"]: json.loads(line) for line in lines}
    assert found["CCD_EXPOSURE_VALUE"] == {
        "device": CAMERA,
        "vector": "CCD_EXPOSURE",
        "member": "CCD_EXPOSURE_VALUE",
        "value": 0.0,
        "kind": "Number",
        "state": "Ok",
    }
    assert found["CONNECT"]["value"] is False
    assert found["_LABEL"]["value"] == "Connection"


def test_nobody_asks_for_images_with_a_star(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    later = threading.Timer(0.2, lambda: main(["set", *run.server, f"{VALUE}=0.01"]))
    later.start()
    run("get", "-m", "-t", "0.6", f"{CAMERA}.*.*", f"{CAMERA}.CCD1._STATE")
    later.join()
    assert list(tmp_path.iterdir()) == []


def test_getting_an_image(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Not once: it is not known when the command has asked for images.
    with again_and_again(lambda: main(["set", *run.server, f"{VALUE}=0.01"]), 0.3):
        status, _, errors = run("get", "-t", "60", f"{CAMERA}.CCD1.CCD1")
    assert status == 0, errors
    assert (tmp_path / f"{CAMERA}.CCD1.CCD1.fits").read_bytes() == IMAGE


def test_setting(run: Runner) -> None:
    assert run("set", f"{VALUE}=0.01") == (0, [], "")
    assert run("get", "-1", VALUE)[1] == ["0.01"]
    assert run("set", f"{CAMERA}.CONNECTION.CONNECT;DISCONNECT=On;Off", f"{VALUE}=0.02") == (0, [], "")
    assert run("get", "-1", f"{CAMERA}.CONNECTION.CONNECT")[1] == ["On"]
    assert run("set", f"{CAMERA}.CONNECTION.DISCONNECT=On;CONNECT=Off", "--no-wait") == (0, [], "")
    assert run("set", "-n", f"{VALUE}=0.03") == (0, [], "")
    assert run("set", "-s", f"{CAMERA}.CONNECTION.CONNECT=Off", f"{VALUE}=0:0:36") == (0, [], "")


@pytest.mark.parametrize(
    ("setting", "status", "told"),
    [
        (f"{VALUE}=95", 1, f"{CAMERA}.CCD_EXPOSURE: too warm for that"),
        (f"{VALUE}=101", 1, f"{CAMERA}.CCD_EXPOSURE: .*100"),
        (f"{VALUE}=long", 1, f"{CAMERA}.CCD_EXPOSURE: .*'long'"),
        (f"{VALUE}=4,5", 1, f"{CAMERA}.CCD_EXPOSURE: CCD_EXPOSURE_VALUE: '4,5' is not a number"),
        (f"{VALUE}=1e999", 1, f"{CAMERA}.CCD_EXPOSURE: .*'1e999'"),
        (f"{CAMERA}.CONNECTION.CONNECT=on", 1, f"{CAMERA}.CONNECTION: .*'on'"),
        (f"{CAMERA}.CCD_EXPOSURE.X=1", 1, "has no member 'X'; it has 'CCD_EXPOSURE_VALUE'"),
        (f"{CAMERA}.CCD2.X=1", 1, f"No {CAMERA}.CCD2 from 127.0.0.1:.*; there is CONNECTION, CCD_EXPOSURE"),
        ("Mount.PARK.X=1", 1, f"No Mount.PARK from .*; there is {CAMERA}"),
        (f"{CAMERA}.CCD1.CCD1=1", 1, f"{CAMERA}.CCD1[:.]"),
        ("nonsense", 2, "'nonsense' is not of the form Device.VECTOR.member=value"),
        ("a.b.c;d=1", 2, "More elements than values for a.b"),
        ("a.b.c;d=1;2;3", 2, "More values than elements for a.b"),
        ("a.b.c=1;d", 2, "'d' is not of the form member=value"),
        ("a.b.c=1;c=2", 2, "names c twice"),
        ("a.b.c;c=1;2", 2, "names c twice"),
        ("a.b.c;=1;2", 2, "has a value without a member"),
    ],
)
def test_setting_what_cannot_be(run: Runner, setting: str, status: int, told: str) -> None:
    ended, lines, errors = patiently(
        lambda seconds: run("set", "-t", str(seconds), setting),
        lambda ended: re.search(told, ended[2]) is not None,
        TIMES,
    )
    assert (ended, lines) == (status, [])
    assert errors.count("\n") == 1
    assert re.search(f"^indianyio set: .*{told}", errors), errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-n", f"{VALUE}=4,5"], "CCD_EXPOSURE_VALUE: '4,5' is not a number"),
        (["-n", f"{VALUE}=nan"], "CCD_EXPOSURE_VALUE: 'nan' is not a number"),
        (["-s", f"{CAMERA}.CONNECTION.CONNECT=Yes"], "CONNECT: a switch must be On or Off, not 'Yes'"),
        (["-x", f"{CAMERA}.NAME.NAME=a\x01b"], "U\\+0001"),
        (["-x", f"{CAMERA}.NAME.NAME=a\udcffb"], "U\\+DCFF"),
        ([f"{VALUE}=0.01", "-n", f"{VALUE}=4,5"], "'4,5' is not a number"),
    ],
)
def test_nothing_is_sent_if_a_setting_is_wrong(
    run: Runner, night: Observatory, arguments: list[str], told: str
) -> None:
    night.camera.written.clear()
    status, _, errors = run("set", *arguments)
    assert (status, errors.count("\n")) == (2, 1)
    assert re.search(f"^indianyio set: .*{told}", errors), errors
    assert not night.camera.written


def test_a_number_may_have_minutes_and_seconds(run: Runner, night: Observatory) -> None:
    for option in ([], ["-n"]):
        night.camera.written.clear()
        assert run("set", *option, f"{VALUE}=0 0 36") == (0, [], "")
        written = [("CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": "0.01"})]
        assert wait_until(lambda: night.camera.written == written, 60)  # noqa: B023 - it is called at once


def test_settings_and_options_in_any_order(run: Runner, night: Observatory) -> None:
    night.camera.written.clear()
    connect, disconnect = f"{CAMERA}.CONNECTION.CONNECT=On;DISCONNECT=Off", f"{CAMERA}.CONNECTION.DISCONNECT=On"
    options = ["-t", "60", "-s", connect, f"{VALUE}=0.02", "-n", f"{VALUE}=0.03", "--limit", "9", disconnect]
    rest = [f"{VALUE}=0.03", f"-n{VALUE}=0.04", f"{VALUE}=0.05"]
    assert run("set", f"{VALUE}=0.01", *options, *rest) == (0, [], "")
    assert wait_until(lambda: len(night.camera.written) == 8, 60)
    # A driver deals with different vectors side by side, so only of one vector the order is certain.
    written = [(vector, *values.values()) for vector, values in night.camera.written]
    exposed = [value for vector, *value in written if vector == "CCD_EXPOSURE"]
    assert exposed == [["0.01"], ["0.02"], ["0.03"], ["0.03"], ["0.04"], ["0.05"]]
    assert [value for vector, *value in written if vector == "CONNECTION"] == [["On", "Off"], ["On"]]

    def members(seconds: float) -> list[str]:
        patterns = [VALUE, "-t", str(seconds), STATE, "--json", f"{CAMERA}.CONNECTION.CONNECT"]
        return [json.loads(line)["member"] for line in run("get", *patterns)[1]]

    expected = ["CONNECT", "CCD_EXPOSURE_VALUE", "_STATE"]
    assert patiently(members, lambda found: found == expected, TIMES) == expected


def test_a_limit(run: Runner) -> None:
    status, _, errors = run("set", "--limit", "0.1", f"{VALUE}=60")
    assert status == 1
    assert errors.count("\n") == 1


def test_evaluating(run: Runner) -> None:
    run("set", f"{VALUE}=0.01")
    assert run("eval", "-f", f'"{VALUE}" * 100') == (0, ["1"], "")
    assert run("eval", "-o", f'"{STATE}" == 2') == (1, [f"{STATE}=1"], "")
    assert run("eval", "-e", f'"{CAMERA}.CONNECTION.DISCONNECT"')[0] in (0, 1)
    assert run("eval", "-t", "0.1", '"Camera.NOPE.X"') == (2, [], "No values seen for Camera.NOPE.X\n")
    assert run("eval", "-t", "0.1", "-w", f'"{VALUE}" > 50')[0] == 2
    assert run("eval", "1 +")[0] == 2


def test_evaluating_what_comes_true(run: Runner) -> None:
    run("set", f"{VALUE}=0.01")
    later = threading.Timer(0.2, lambda: main(["set", *run.server, f"{VALUE}=0.02"]))
    later.start()
    assert run("eval", "-t", "60", "-w", "-f", f'"{VALUE}" == 0.02')[:2] == (0, ["1"])
    later.join()


def test_watching(run: Runner) -> None:
    def watch(seconds: float) -> tuple[int, list[str]]:
        later = threading.Timer(seconds / 3, lambda: main(["set", *run.server, f"{VALUE}=0.05"]))
        later.start()
        status, lines, _ = run("watch", "--seconds", str(seconds), "*.CCD_EXPOSURE")
        later.join()
        return status, lines

    ends = (f"{STATE}=Ok", f"{VALUE}=0.05")
    status, lines = patiently(
        watch, lambda ended: f"{STATE}=Busy" in ended[1] and ended[1][-1] in ends, (0.7, 5, 40)
    )
    assert status == 0
    assert f"{STATE}=Busy" in lines
    assert lines[-1] in ends
    assert f"{VALUE}=0.05" in lines
    assert all(line.startswith(f"{CAMERA}.CCD_EXPOSURE.") for line in lines)

    def watched(seconds: float) -> set[str]:
        lines = run("watch", "--seconds", str(seconds), "--json", CAMERA)[1]
        return {json.loads(line)["name"] for line in lines}

    names = {"CONNECTION", "CCD_EXPOSURE", "CCD_ABORT_EXPOSURE", "CCD1"}
    assert patiently(watched, lambda found: found == names, (0.2, 3, 30)) == names


def test_snapping(run: Runner, tmp_path: Path) -> None:
    pattern = str(tmp_path / "m31_{number:03}{format}")
    status, lines, errors = run("snap", CAMERA, "0.01", "--count", "2", "--save", pattern)
    assert (status, errors) == (0, "")
    assert lines == [str(tmp_path / f"m31_00{number}.fits") for number in (1, 2)]
    assert all(Path(line).read_bytes() == IMAGE for line in lines)
    assert run("get", "-1", f"{CAMERA}.CONNECTION.CONNECT")[1] == ["Off"]
    status, shown, errors = run("snap", CAMERA, "0.01", "--save", pattern)
    other = str(tmp_path / "m31_001-1.fits")
    assert (status, shown) == (0, [other])
    assert errors == f"saved under another name, because the file existed already: {other}\n"
    assert Path(other).read_bytes() == IMAGE
    status, _, errors = run("snap", CAMERA, "0.01", "--save", lines[0])
    assert (status, errors) == (2, f"indianyio snap: {lines[0]} exists already; --overwrite replaces it\n")
    status, _, errors = run("snap", CAMERA, "0.01", "--save", str(tmp_path / "no" / "a"))
    assert (status, "nothing can be saved in" in errors) == (2, True)
    assert run("snap", CAMERA, "0.01", "--overwrite", "--save", str(tmp_path / "m31_001.fits"))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ([CAMERA, "95", "--save", "a"], 1, f"{CAMERA}.CCD_EXPOSURE: too warm for that"),
        (["Nobody", "1", "--save", "a", "-t", "TIME"], 1, f"no device 'Nobody' within TIME s; there is {CAMERA}"),
        ([CAMERA, "1", "--save", "a", "--count", "2"], 2, "is one name for 2 images; put {number} into it"),
        ([CAMERA, "101", "--save", "a"], 1, f"{CAMERA}.CCD_EXPOSURE: CCD_EXPOSURE_VALUE must be from 0 to 100"),
        ([CAMERA, "1", "--save", "a", "--vector", "CONNECTION"], 1, f"{CAMERA}.CONNECTION: it is a Switch vector"),
        ([CAMERA, "1", "--save", "a", "--vector", "CCD2"], 1, "has no vector 'CCD2'"),
        ([CAMERA, "1", "--save", "a", "--exposure", "CCD_EXPOSURE"], 1, "has no member ''"),
    ],
)
def test_snapping_what_cannot_be(run: Runner, arguments: list[str], status: int, told: str) -> None:
    def snap(seconds: float) -> tuple[int, str, str]:
        ended, _, errors = run("snap", *(each.replace("TIME", str(seconds)) for each in arguments))
        return ended, errors, told.replace("TIME", str(seconds))

    ended, errors, expected = patiently(snap, lambda ended: ended[2] in ended[1], TIMES)
    assert ended == status
    assert expected in errors
    assert errors.count("\n") == 1


def test_recording_and_replaying(run: Runner, night: Observatory, tmp_path: Path) -> None:
    file = str(tmp_path / "night.jsonl")

    def record(seconds: float) -> bool:
        assert run("record", file, "--overwrite", "--seconds", str(seconds)) == (0, [], "")
        return any(b"CCD_EXPOSURE" in piece.data for piece in read_recording(file))

    assert patiently(record, bool, (0.3, 3, 30))
    command = [sys.executable, "-m", "indianyio", "replay", file, "-p", "0", "--speed", "0", "--once"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as playing:
        try:
            assert playing.stdout is not None
            port = playing.stdout.readline().rpartition(":")[2].strip()
            assert main(["get", "-H", "127.0.0.1", "-p", port, "-1", STATE]) == 0
            assert playing.wait(timeout=60) == 0
        finally:
            playing.kill()
    assert run.capsys.readouterr().out.strip() in ("Ok", "Busy", "Idle", "Alert")


def test_a_recording_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "none.jsonl"
    file.write_text("nonsense")
    assert main(["replay", str(file)]) == 2
    assert "none.jsonl, line 1" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.endswith("absent: No such file or directory\n")


@pytest.mark.parametrize("command", ["get", "watch", "eval", "set", "snap", "record"])
def test_no_server(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = {
        "eval": ['"a.b.c"'],
        "set": ["a.b.c=1"],
        "snap": ["a", "1", "--save", str(tmp_path / "a")],
        "record": [str(tmp_path / "b")],
    }
    assert main([command, "-H", "127.0.0.1", "-p", "1", *more.get(command, [])]) == 2
    told = f"indianyio {command}: 127.0.0.1:1: Connection refused; is an INDI server running there?\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("text", ["a.b.c.d", "", "a..b", "."])
def test_patterns_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not of the form Device\.VECTOR\.member"):
        Pattern.parse(text)


def test_the_version_is_that_of_the_changes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"indianyio {indianyio.__version__}\n"
    changes = Path(__file__).parents[2] / "docs" / "changelog.md"
    assert (
        re.findall("^## ([0-9.]+)", changes.read_text(encoding="utf-8"), re.MULTILINE)[0] == indianyio.__version__
    )


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [],
        ["get"],
        ["set"],
        ["watch"],
        ["eval"],
        ["snap"],
        ["record"],
        ["replay"],
        ["check"],
        ["run"],
        ["drivers"],
        ["new"],
        ["register"],
        ["registered"],
        ["unregister"],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--help"])
        assert ended.value.code == 0
        assert "usage: " in capsys.readouterr().out
    for arguments in ([], ["nonsense"], ["get", "--nonsense"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


class UnderstoodError(Exception):
    """A command has read its arguments, and would begin."""


def examples() -> list[str]:
    """Return the command lines of the documentation and of ``--help``."""
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    lines = [*page.splitlines(), *_main._EXAMPLES.splitlines()]
    return [re.split(r"\s{2,}", line.strip())[0] for line in lines if line.lstrip().startswith("indianyio ")]


@pytest.mark.parametrize("example", examples())
def test_examples_are_understood(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, command, *arguments = shlex.split(example)
    if command in ("run", "check", "replay"):
        return  # these name a driver, or a file
    module = importlib.import_module(f"indianyio.commands._{command}")

    def understood(*_: object) -> None:
        raise UnderstoodError

    talks = hasattr(module, "run_until_interrupted")
    monkeypatch.setattr(module, "run_until_interrupted" if talks else "run", understood)
    with pytest.raises(UnderstoodError):
        main([command, *arguments])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_is_under_way_is_stopped(night: Observatory, number: int, backend: str) -> None:
    night.camera.busy.clear()
    server = ["-H", "127.0.0.1", "-p", str(night.port), "--backend", backend]
    command = [sys.executable, "-m", "indianyio", "set", *server, f"{VALUE}=60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as setting:
        assert night.camera.busy.wait(60)
        setting.send_signal(number)
        assert setting.communicate(timeout=60)[1] == ""
    assert setting.returncode == 130
    assert night.camera.aborted.is_set()


def test_ctrl_c_and_a_closed_pipe(night: Observatory) -> None:
    command = [sys.executable, "-m", "indianyio", "watch", "-H", "127.0.0.1", "-p", str(night.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.communicate(timeout=60)[1] == ""
    assert watching.returncode == 130
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "indianyio", "get", "-H", "127.0.0.1", "-p", str(night.port), "-t", "0.1"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_only_what_is_needed_is_loaded(night: Observatory) -> None:
    program = (
        "import sys; from indianyio.commands import main; "
        f"main(['get', '-H', '127.0.0.1', '-p', '{night.port}', '{VALUE}']); "
        "print(*(name for name in ('indianyio.driver', 'indianyio.server', 'rich', 'indianyio.testing', 'trio')"
        " if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[1:] == [""]


@pytest.mark.long
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_checking_a_driver(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = "indianyio.examples.thermostat:Thermostat"
    assert main(["check", "--backend", backend, good]) == 0
    assert capsys.readouterr().err == f"{good}: no findings\n"
    bad = "tests.commands.observatory:LyingCamera"
    assert main(["check", "--backend", backend, "--json", bad]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(one["rule"] and one["sentence"] and one["data"] for one in found)
    assert main(["check", "indianyio.examples.thermostat:Nobody"]) == 2
    assert capsys.readouterr().err.startswith("indianyio check: ")


def test_running_a_driver() -> None:
    command = [sys.executable, "-m", "indianyio", "run", "indianyio.examples.thermostat:Thermostat"]
    text = '<getProperties version="1.7"/>'
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=True)
    assert 'name="targetvector"' in done.stdout


def test_a_progress_bar_on_a_terminal(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    status, _, errors = run("snap", CAMERA, "0.3", "--save", str(tmp_path / "a.fits"))
    assert status == 0
    assert errors.startswith("\r1/1 [          ")
    assert errors.endswith("\r\x1b[K")
    assert "##" in errors
    status, _, errors = run("snap", CAMERA, "95", "--save", str(tmp_path / "b.fits"))
    assert status == 1
    assert errors.endswith(f"indianyio snap: {CAMERA}.CCD_EXPOSURE: too warm for that\n")


def test_a_table_on_a_terminal(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    run("set", f"{VALUE}=0")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    status, lines, _ = run("get", VALUE)
    assert status == 0
    assert lines[0].split() == ["Property", "Value", "State"]
    assert lines[1].split() == [VALUE, "0.0", "Ok"]
    monkeypatch.setitem(sys.modules, "rich.table", None)
    assert run("get", VALUE) == (0, [f"{VALUE}=0.0"], "")
