"""What all tests of the server share."""

from __future__ import annotations

import pytest

from indianyio.server import _exdrivers


@pytest.fixture(autouse=True)
def time_to_reap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for processes that have been killed: a machine that stalls may need more than a second."""
    monkeypatch.setattr(_exdrivers, "REAP_SECONDS", 30.0)
