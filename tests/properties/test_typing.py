"""Type checkers know the members: mypy and pyright accept what is right, and say what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "typing"
ACCEPTED, REJECTED = FOLDER / "accept.py", FOLDER / "reject.py"

# What a type checker has against a file, by file and line.
Found = dict[str, dict[int, list[str]]]


def run(command: list[str], folder: Path) -> str:
    command += [str(ACCEPTED), str(REJECTED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def mypy(folder: Path) -> Found:
    found: Found = {}
    for line in run([sys.executable, "-m", "mypy", "--strict", "--no-error-summary"], folder).splitlines():
        place = re.match(r"(.*?):(\d+): error: (.*)", line)
        assert place or ": note: " in line, line
        if place:
            found.setdefault(Path(place[1]).name, {}).setdefault(int(place[2]), []).append(place[3])
    return found


def pyright(folder: Path) -> Found:
    """Run basedpyright, which brings what pyright needs of node."""
    program = Path(sys.executable).parent / "basedpyright"
    command = [str(program), "--pythonpath", sys.executable, "--outputjson", "--level", "error"]
    told = json.loads(run(command, folder))
    assert told["summary"]["filesAnalyzed"] == 2
    found: Found = {}
    for one in told["generalDiagnostics"]:
        line = one["range"]["start"]["line"] + 1
        found.setdefault(Path(one["file"]).name, {}).setdefault(line, []).append(one["message"])
    return found


def assert_rejected(found: Found, mark: str, lines_below: int) -> None:
    """Check that there is something against the lines that a mark announces, and against nothing else."""
    assert found.keys() == {REJECTED.name}, found
    lines = enumerate(REJECTED.read_text(encoding="utf-8").splitlines(), start=1 + lines_below)
    wanted = {number: line.split(mark)[1] for number, line in lines if mark in line}
    assert len(wanted) > 10
    assert found[REJECTED.name].keys() == wanted.keys()
    for number, beginning in wanted.items():
        told = found[REJECTED.name][number]
        assert told[0].startswith(beginning), f"line {number}: {told}"


def test_what_is_accepted_also_runs() -> None:
    assert import_module("tests.properties.typing.accept").place == "at 1200"


@pytest.mark.long
def test_mypy_accepts_what_is_right_and_says_what_is_wrong(tmp_path: Path) -> None:
    assert_rejected(mypy(tmp_path), "#: ", lines_below=2)


@pytest.mark.long
def test_pyright_accepts_what_is_right_and_says_what_is_wrong(tmp_path: Path) -> None:
    assert_rejected(pyright(tmp_path), "#! ", lines_below=1)
