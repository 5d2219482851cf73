"""What all tests of instruments share: a home of their own, where settings are kept."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which settings are kept."""
    (tmp_path / ".indi").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("INDICONFIG", raising=False)
    return tmp_path / ".indi"
