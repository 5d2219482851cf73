"""Drivers of installed packages, by their names: the command drivers, and what run makes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from indianyio.commands import main
from indianyio.exceptions import DriverLoadError
from indianyio.run import load_driver
from tests.commands.packages import install


def test_they_are_listed_with_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path / "site", monkeypatch, "nicefocuser", indi_nice="nicefocuser:Focuser [serial]")
    assert main(["drivers"]) == 0
    assert "indi_nice  nicefocuser:Focuser  nicefocuser 3.1\n" in capsys.readouterr().out
    assert "nicefocuser" not in sys.modules
    assert main(["drivers", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"name": "indi_nice", "place": "nicefocuser:Focuser", "package": "nicefocuser 3.1"} in listed


def test_one_is_loaded_by_its_name_and_the_current_folder_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", monkeypatch, "namedfocuser", indi_named="namedfocuser:Focuser")
    (tmp_path / "namedfocuser.py").write_text("raise ZeroDivisionError\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert list(load_driver("indi_named")) == ["Nice Focuser"]
    assert str(tmp_path) not in sys.path


def test_an_unknown_name_is_told_with_those_that_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", monkeypatch, "otherfocuser", indi_other="otherfocuser:Focuser")
    with pytest.raises(DriverLoadError, match=r"installed are .*indi_other"):
        load_driver("indi_othr")


def test_a_declaration_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path / "site", monkeypatch, "wrongfocuser", indi_wrong="wrongfocuser", indi_none="wrongfocuser:Nothing"
    )
    with pytest.raises(DriverLoadError, match=r"indi_wrong.*MODULE:NAME"):
        load_driver("indi_wrong")
    with pytest.raises(DriverLoadError, match="has no 'Nothing'"):
        load_driver("indi_none")


def test_the_executable_of_one_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", monkeypatch, "madefocuser", indi_made="madefocuser:Focuser")
    made = tmp_path / "indi_made"
    assert main(["run", "--make-executable", str(made), "indi_made"]) == 0
    assert "--folder" not in made.read_text(encoding="utf-8")
    assert made.read_text(encoding="utf-8").endswith(' indi_made "$@"\n')
