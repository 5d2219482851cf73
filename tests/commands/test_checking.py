"""The command check: what it hands to a program, and what it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from indianyio.commands import main

# It writes down its arguments, and defines a vector.
PROGRAM = """\
import json, pathlib, sys
pathlib.Path(sys.argv[0] + ".arguments").write_text(json.dumps(sys.argv[1:]), encoding="utf-8")
print('<defTextVector device="D" name="V" state="Ok" perm="ro"><defText name="A">a</defText></defTextVector>')
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "driver"
    path.write_text(f"#!{sys.executable}\n{PROGRAM}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_options_of_the_program_come_after_two_dashes(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--no-writes", "--json", program, "word", "--", "-v", "--json"]) == 1
    assert json.loads(Path(f"{program}.arguments").read_text(encoding="utf-8")) == ["word", "-v", "--json"]
    assert '"rule": "answers-device"' in capsys.readouterr().out  # it has answered once, and never again


def test_other_options_are_refused_and_it_is_told_how(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["-v"], ["--nowrites"]):
        with pytest.raises(SystemExit) as ended:
            main(["check", program, *wrong])
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert f"unrecognized arguments: {wrong[0]}; options of the program come after --: indianyio check" in told


def test_a_driver_s_class_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "indianyio.examples.thermostat:Thermostat", "extra"]) == 2
    assert "Thermostat takes no arguments, so not extra" in capsys.readouterr().err


def test_a_program_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"indianyio check: {tmp_path / 'none'}: No such file or directory\n"


def test_the_help_says_what_is_written_and_what_may_move(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for words in (
        "CONNECTED AND WRITTEN TO",
        "out of range",
        "Cameras take an image",
        "would move",
        "--no-writes",
        "PROGRAM -- -v",
    ):
        assert re.search(re.escape(words), told)


def test_a_finding_shows_the_bytes_line_by_line(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--no-writes", program]) == 1
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].startswith("warning: answers-star: nothing was defined in answer to this")
    assert lines[1] == '  <getProperties version="1.7" device="*"/>'
    assert shown.err == f"{program}: {len(lines) // 2} findings\n"
