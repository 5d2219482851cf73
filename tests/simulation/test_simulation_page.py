"""What docs/simulation.md shows is run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from indianyio.testing import simulation
from tests.test_readme import FEW_PLUGINS, python_blocks, run_python, write_all

PAGE = "docs/simulation.md"


@pytest.mark.long
def test_its_tests_pass(tmp_path: Path) -> None:
    assert sorted(python_blocks(PAGE)) == ["test_my_rule.py", "test_my_thermostat.py", "test_my_time_outs.py"]
    write_all(PAGE, tmp_path)
    options = ("-p", "no:indianyio", "-p", "no:cacheprovider", "--timeout", "60")
    output = run_python("-m", "pytest", *options, folder=tmp_path, **FEW_PLUGINS)
    assert "45 passed" in output


def test_it_names_every_rule_for_drivers() -> None:
    page = Path(PAGE).read_text(encoding="utf-8")
    assert all(f"| `{rule.__name__}` |" in page for rule in simulation.RULES)
