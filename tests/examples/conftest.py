"""The examples are tested in virtual time; a test that names its back ends runs on those instead."""

from __future__ import annotations

import pytest
from trio.testing import MockClock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Let time pass as soon as every task waits for it."""
    return ("trio", {"clock": MockClock(autojump_threshold=0)})
