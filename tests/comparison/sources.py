"""The drivers of the comparison, and how each is run."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.test_readme import ROOT

__all__ = ["FOLDER", "compiled", "load"]

FOLDER = ROOT / "docs" / "comparison"


def load(library: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a class of some library's
    """Return the class of a driver that is written in Python."""
    monkeypatch.setitem(sys.modules, "hardware", _module("hardware", FOLDER / "hardware.py"))
    module = _module(f"comparison_{library}_{kind}", FOLDER / library / f"{kind}.py")
    return getattr(module, kind.capitalize())


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(kind: str, folder: Path) -> Path:
    """Build a driver that is written in C++, and return the program."""
    headers = [Path("/usr/include", name) for name in ("libindi/indiccd.h", "libnova/utility.h")]
    if not all(header.is_file() for header in headers) or shutil.which("g++") is None:
        pytest.skip("needs libindi's headers and a compiler (Debian: apt-get install libindi-dev libnova-dev g++)")
    program, source = folder / kind, FOLDER / "libindi" / f"{kind}.cpp"
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-isystem", "/usr/include/libindi"]
    command = ["g++", *options, str(source), "-o", str(program), "-lindidriver"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return program
