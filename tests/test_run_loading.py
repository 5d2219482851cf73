"""What ``python -m indianyio.run`` makes of its arguments: loading, errors, executables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from indianyio import IPyDriver
from indianyio.exceptions import DriverLoadError
from indianyio.run import load_driver, main
from indianyio.run._arguments import parse_arguments

SAMPLE = """
from indianyio import IPyDriver

class Empty(IPyDriver):
    pass

class Needy(IPyDriver):
    def __init__(self, port):
        super().__init__()

class Broken(IPyDriver):
    def __init__(self):
        raise OSError("no such port")

class Other:
    pass

instance = Empty()
number = 3

def make():
    return Empty()

def make_other():
    return Other()

async def make_later():
    return Empty()

def make_coroutine():
    return make_later()
"""

MODULES = {
    "loadable": SAMPLE,
    "bare": "x = 1\n",
    "needs_more": "import a_module_that_is_missing\n",
    "does_not_parse": "def (:\n",
    "exits": "import sys\nsys.exit(3)\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path_before, modules_before = list(sys.path), set(sys.modules)
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="ascii")
    yield tmp_path
    sys.path[:] = path_before
    for name in set(sys.modules) - modules_before:
        if name in MODULES:
            del sys.modules[name]


@pytest.mark.parametrize("name", ["Empty", "instance", "make"])
def test_a_class_an_instance_and_a_function_load(folder: Path, name: str) -> None:
    assert isinstance(load_driver(f"loadable:{name}", folder), IPyDriver)


def test_the_current_folder_is_importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert isinstance(load_driver("loadable:Empty"), IPyDriver)


FAILURES = [
    ("loadable", "is named as MODULE:NAME"),
    ("loadable:", "is named as MODULE:NAME"),
    (":Empty", "is named as MODULE:NAME"),
    (".loadable:Empty", "is named as MODULE:NAME"),
    ("no_such_module:Empty", "No module named 'no_such_module'"),
    ("no_such_package.inside:Empty", "No module named 'no_such_package'"),
    ("loadable.inside:Empty", "'loadable' is not a package"),
    ("loadable.py:Empty", "write 'loadable', without .py"),
    ("needs_more:Empty", "fails on import: ModuleNotFoundError: No module named 'a_module_that_is_missing'"),
    ("does_not_parse:Empty", "fails on import: SyntaxError"),
    ("exits:Empty", "fails on import: SystemExit: 3"),
    ("loadable:empty", "has no 'empty'; its drivers are 'Broken', 'Empty', 'Needy', 'instance'"),
    ("bare:Empty", "has no 'Empty'; it has no drivers"),
    ("loadable:number", "is of type int, not a driver; its drivers are"),
    ("loadable:Other", "is the class Other, not a driver"),
    ("loadable:Needy", "called without arguments, fails: TypeError"),
    ("loadable:Broken", "fails: OSError: no such port"),
    ("loadable:make_other", "returned of type Other"),
    ("loadable:make_later", "it is an async function"),
    ("loadable:make_coroutine", "returned of type coroutine"),
]


@pytest.mark.parametrize(("target", "reason"), FAILURES)
def test_what_cannot_be_loaded_says_why(folder: Path, target: str, reason: str) -> None:
    with pytest.raises(DriverLoadError) as caught:
        load_driver(target, folder)
    assert caught.value.target == target
    assert str(caught.value).startswith(f"cannot load {target}: ")
    assert reason in str(caught.value)


def test_cannot_load_is_status_2_and_one_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(folder), "loadable:Broken"]) == 2
    output, errors = capfd.readouterr()
    assert output == ""
    [line] = errors.splitlines()
    assert line.startswith("indianyio.run: cannot load loadable:Broken: Broken(), called without arguments, fails")
    assert line.endswith("OSError: no such port")


def test_cannot_load_shows_the_traceback_at_log_level_debug(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", str(folder), "--log-level", "debug", "loadable:Broken"]) == 2
    errors = capfd.readouterr().err
    assert "Traceback" in errors
    assert 'raise OSError("no such port")' in errors


def test_several_drivers_of_one_module_share_its_name() -> None:
    arguments = parse_arguments(["loadable:Empty,make", "--port", "0", "bare:x"])
    assert arguments.driver == ["loadable:Empty", "loadable:make", "bare:x"]


def test_several_drivers_need_a_port_and_each_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["loadable:Empty,make"])
    assert "several are served with --port or --unix" in capsys.readouterr().err
    [_, target] = parse_arguments(["loadable:Empty,", "--port", "0"]).driver
    with pytest.raises(DriverLoadError, match="a driver is named as MODULE:NAME"):
        load_driver(target, folder)


def test_drivers_and_options_may_take_turns() -> None:
    arguments = parse_arguments(["a:A", "--backend", "trio", "b:B", "--port", "0", "--exec", "program", "c:C"])
    assert arguments.driver == ["a:A", "b:B", "c:C"]
    assert (arguments.backend, arguments.port, arguments.exec) == ("trio", 0, ["program"])


@pytest.mark.parametrize("grace", ["0", "-1", "nan", "inf", "soon"])
def test_grace_must_be_seconds_above_0(grace: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--grace", grace, "loadable:Empty"])
    assert caught.value.code == 2
    assert "is not a number of seconds above 0" in capsys.readouterr().err


def test_help_names_every_option_and_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for word in (
        "MODULE:NAME",
        "--backend",
        "--grace",
        "--log-level",
        "--debug",
        "--make-executable",
        "Exit status",
    ):
        assert word in text


def test_make_executable_replaces_its_own_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "driver"
    arguments = ["--folder", str(folder), "--make-executable", str(path)]
    assert main([*arguments, "loadable:Empty"]) == 0
    first = path.read_text(encoding="utf-8")
    assert main([*arguments, "--backend", "trio", "--grace", "2.5", "--debug", "loadable:instance"]) == 0
    second = path.read_text(encoding="utf-8")
    assert "loadable:Empty" in first
    assert "--backend trio --grace 2.5 --log-level info --debug loadable:instance" in second
    assert [file.name for file in tmp_path.iterdir() if "driver" in file.name] == ["driver"]


def test_make_executable_leaves_other_files_alone(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "precious"
    path.write_text("#!/bin/sh\necho precious\n", encoding="ascii")
    assert main(["--folder", str(folder), "--make-executable", str(path), "loadable:Empty"]) == 1
    assert path.read_text(encoding="ascii") == "#!/bin/sh\necho precious\n"
    assert "was not made by --make-executable" in capfd.readouterr().err


def test_make_executable_refuses_a_folder_and_a_missing_one(folder: Path, tmp_path: Path) -> None:
    arguments = ["--folder", str(folder), "loadable:Empty", "--make-executable"]
    assert main([*arguments, str(tmp_path)]) == 1
    assert main([*arguments, str(tmp_path / "missing" / "driver")]) == 1


def test_make_executable_needs_a_driver_that_loads(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "driver"
    assert main(["--folder", str(folder), "--make-executable", str(path), "loadable:nothing"]) == 2
    assert not path.exists()


def test_make_executable_does_not_touch_the_instrument(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "driver"
    assert main(["--folder", str(folder), "--make-executable", str(path), "loadable:Broken"]) == 0
    assert path.exists()


def test_the_package_does_not_import_the_runner() -> None:
    check = "import sys, indianyio; sys.exit('indianyio.run' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=60).returncode == 0


def test_running_the_runner_warns_about_nothing() -> None:
    command = [sys.executable, "-W", "error", "-m", "indianyio.run", "--help"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
