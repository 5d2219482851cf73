"""What docs/wires.md shows is run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_readme import python_blocks, run_python, write_all

PAGE = "docs/wires.md"


def test_the_page_has_these_blocks() -> None:
    assert sorted(python_blocks(PAGE)) == ["focuser.py", "ports.py", "test_focuser.py"]


@pytest.mark.long
def test_its_tests_pass(tmp_path: Path) -> None:
    write_all(PAGE, tmp_path)
    plugin = ("-p", "no:indianyio", "-p", "indianyio.testing.pytest_plugin", "-p", "no:cacheprovider")
    output = run_python("-m", "pytest", *plugin, "--timeout", "30", "test_focuser.py", folder=tmp_path)
    assert "2 passed" in output


def test_its_list_of_ports_runs(tmp_path: Path) -> None:
    write_all(PAGE, tmp_path)
    run_python("ports.py", folder=tmp_path)
