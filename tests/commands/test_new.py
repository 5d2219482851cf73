"""The command new: the package that it writes passes its own tests, and can be run and registered."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from indianyio.commands import main
from indianyio.commands._new._kinds import kinds

GROUPS = {
    "camera": "CCDs",
    "dome": "Domes",
    "dust-cap": "Auxiliary",
    "filter-wheel": "Filter Wheels",
    "focuser": "Focusers",
    "gps": "Auxiliary",
    "light-box": "Auxiliary",
    "mount": "Telescopes",
    "power-box": "Auxiliary",
    "rotator": "Rotators",
    "switch-box": "Auxiliary",
    "weather": "Weather",
}


def write(kind: str, folder: Path, name: str = "") -> Path:
    name = name or f"my-{kind}"
    assert main(["new", name, "--kind", kind, "--folder", str(folder)]) == 0
    return folder / name


def run_tests(folder: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def test_there_is_a_kind_for_each_class_of_devices() -> None:
    assert kinds() == list(GROUPS)


@pytest.mark.long
def test_without_a_kind_it_is_a_focuser_and_its_tests_pass_at_once(tmp_path: Path) -> None:
    assert main(["new", "far-out", "--folder", str(tmp_path)]) == 0
    assert "3 passed" in run_tests(tmp_path / "far-out")
    assert "class FarOut(Focuser)" in (tmp_path / "far-out" / "far_out.py").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("kind", GROUPS)
def test_the_tests_of_each_kind_pass_at_once(kind: str, tmp_path: Path) -> None:
    assert int(re.findall(r"(\d+) passed", run_tests(write(kind, tmp_path)))[0]) >= 3


@pytest.mark.long
def test_what_is_written_has_types_and_is_tidy(tmp_path: Path) -> None:
    drivers = [str(next(write(kind, tmp_path).glob("*.py"))) for kind in GROUPS]
    rules = ["--select", "ASYNC,B,E,F,RUF,UP,W", "--ignore", "ASYNC110,RUF012"]  # a motor has to be asked again
    for command in (
        ["ruff", "check", "--isolated", *rules, str(tmp_path)],
        ["ruff", "format", "--isolated", "--check", str(tmp_path)],
        ["mypy", "--strict", "--config-file", "/dev/null", *drivers],
    ):
        ran = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=100)
        assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("kind", GROUPS)
def test_what_it_declares_is_there(kind: str, tmp_path: Path) -> None:
    folder = write(kind, tmp_path, "the-thing")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["indianyio.drivers"] == {"indi_the_thing": "the_thing:TheThing"}
    assert project["project"]["name"] == "the-thing"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}
    assert sorted(texts) == ["README.md", "pyproject.toml", "test_the_thing.py", "the_thing.py"]
    assert not re.findall("@[A-Z]+@", "".join([*texts, *texts.values()]))
    classes = [node.name for node in ast.parse(texts["the_thing.py"]).body if isinstance(node, ast.ClassDef)]
    assert classes[1:] == ["TheThing"]
    assert f"`{classes[0]}`" in texts["README.md"]
    assert "indianyio register indi_the_thing " in texts["README.md"]


@pytest.mark.parametrize("kind", GROUPS)
def test_it_can_be_registered(kind: str, tmp_path: Path) -> None:
    module = f"reg_{kind.replace('-', '_')}"
    folder = write(kind, tmp_path, module.replace("_", "-"))
    options = ["--folder", str(folder), "--prefix", str(tmp_path / "prefix")]
    class_name = "".join(word.capitalize() for word in module.split("_"))
    assert main(["register", f"{module}:{class_name}", *options]) == 0
    (catalogue,) = (tmp_path / "prefix" / "share" / "indi").iterdir()
    assert f'group="{GROUPS[kind]}"' in catalogue.read_text(encoding="utf-8")


def test_no_name_is_that_of_a_module_that_its_tests_import(tmp_path: Path) -> None:
    """A package of such a name would be imported instead, and nothing would work."""
    program = (
        "import sys; before = set(sys.modules)\n"
        "import indianyio.instrument, indianyio.run._main, indianyio.testing.pytest_plugin\n"
        "import pygments, pytest, trio\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    imported = [name for name in ran.stdout.split() if re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name)]
    assert {"anyio", "msgspec", "trio"} <= set(imported)
    assert [name for name in imported if main(["new", name, "--folder", str(tmp_path)]) != 2] == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "far-out", "--folder", str(tmp_path / "missing")]) == 2
    assert f"there is no folder {tmp_path / 'missing'}; make it first" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "name"), [("gps", "fix"), ("camera", "sensor"), ("mount", "refused-error")])
def test_a_name_of_a_class_that_it_has_already(
    kind: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", name, "--kind", kind, "--folder", str(tmp_path)]) == 2
    assert f"try my-{name}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my-focuser").mkdir()
    assert main(["new", "my-focuser", "--folder", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["my-focuser"]


@pytest.mark.parametrize(
    "name", ["", "../up", "My Focuser", "1st", "class", "a--b", "focuser", "json", "msgspec", "none", "é"]
)
def test_a_name_that_is_none(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", name, "--folder", str(tmp_path)]) == 2
    assert "cannot name a package" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
