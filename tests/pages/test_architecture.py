"""The page on the architecture names what is there: each package and module has its row, each file exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "indianyio"

# What the text below the table names, and how a package begins.
_BESIDE_THE_TABLE = {"__init__", "__main__", "_api", "model"}


def named_in_table(heading: str) -> set[str]:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def inside(folder: Path) -> set[str]:
    modules = {path.stem for path in folder.glob("*.py")} - _BESIDE_THE_TABLE
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


def test_the_table_of_layers_is_complete() -> None:
    assert named_in_table("Layers") == inside(PACKAGE)


def test_the_table_of_what_is_inside_instrument_is_complete() -> None:
    assert named_in_table("Inside `instrument`") == inside(PACKAGE / "instrument")


def test_the_files_that_the_page_names_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)+_[a-z_]+\.py)`", page))
    assert len(named) > 30
    assert not [name for name in named if not ((PACKAGE / name).is_file() or (ROOT / name).is_file())]
