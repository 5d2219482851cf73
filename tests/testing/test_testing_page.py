"""What docs/testing.md shows is run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_readme import FEW_PLUGINS, python_blocks, run_python, write_all

PAGE = "docs/testing.md"


def test_the_page_has_these_blocks() -> None:
    assert sorted(python_blocks(PAGE)) == ["replaying.py", "test_stops_anywhere.py", "test_thermostat.py"]


@pytest.mark.long
def test_its_tests_pass(tmp_path: Path) -> None:
    write_all(PAGE, tmp_path)
    options = ("-p", "no:indianyio", "-p", "indianyio.testing.pytest_plugin", "-p", "no:cacheprovider")
    files = ("test_thermostat.py", "test_stops_anywhere.py")
    output = run_python("-m", "pytest", *options, "--timeout", "30", *files, folder=tmp_path, **FEW_PLUGINS)
    assert "7 passed" in output


def test_its_recording_is_played(tmp_path: Path) -> None:
    write_all(PAGE, tmp_path)
    assert "Thermostat" in run_python("replaying.py", folder=tmp_path)
