"""What all tests share: both back ends, by their anyio names."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run an anyio test once on each back end."""
    return str(request.param)
