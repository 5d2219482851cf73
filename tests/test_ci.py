"""How CI finds the Pythons on which it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PYTHONS = Path(__file__).parents[1] / ".ci" / "pythons.py"


def stub(path: Path, status: int) -> Path:
    """Make a program that only ends with a status, as a shim does for a Python that is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {status}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def found(folder: Path, *versions: str) -> tuple[list[str], list[str]]:
    """Return what is said of these versions if PATH and pyenv are in a folder, on standard output and error."""
    environment = {**os.environ, "PATH": f"{folder / 'shims'}:{folder / 'bin'}", "PYENV_ROOT": str(folder)}
    command = [sys.executable, str(PYTHONS), *versions]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines(), ran.stderr.splitlines()


def test_a_python_that_works_is_found_in_path_and_then_where_pyenv_builds(tmp_path: Path) -> None:
    for name in ("python3.12", "python3.13", "python3.14"):
        stub(tmp_path / "shims" / name, 127)
    ours = stub(tmp_path / "bin" / "python3.12", 0)
    stub(tmp_path / "versions" / "3.12.1" / "bin" / "python3.12", 0)
    built = stub(tmp_path / "versions" / "3.13.0" / "bin" / "python3.13", 0)
    told = [f"3.13 {built}", f"3.12 {ours}"]
    assert found(tmp_path, "3.14", "3.13", "3.12") == (told, ["Python 3.14 is not here"])


def test_that_none_is_there_is_no_error(tmp_path: Path) -> None:
    assert found(tmp_path, "3.14") == ([], ["Python 3.14 is not here"])
