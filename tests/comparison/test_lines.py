"""The table of lines in docs/comparison is that of the sources beside it, and ours are the fewest."""

from __future__ import annotations

import re

from tests.comparison.sources import FOLDER
from tests.test_readme import run_python


def test_the_table_is_what_the_sources_count_and_ours_are_the_fewest() -> None:
    counted = run_python(str(FOLDER / "count.py"), folder=FOLDER).splitlines()
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [row.split()[1] for row in counted] == ["thermostat", "focuser", "camera", "mount"]
    for row in counted:
        assert row in page.splitlines()
        ours, *others = map(int, re.findall(r"\d+", row))
        assert len(others) == 4
        assert ours < min(others)
