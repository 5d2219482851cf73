"""Fixtures for tests of drivers; pytest loads this wherever indianyio is installed, and nothing changes by that.

``indi_clock`` is a clock of trio's on which waiting takes no time. A test of pytest-trio has it by naming it; for
tests of anyio's plugin it goes into the back end::

    @pytest.fixture
    def anyio_backend(indi_clock):
        return "trio", {"clock": indi_clock}

``driver_client`` is :func:`indianyio.testing.driver_client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from trio.testing import MockClock

__all__ = ["driver_client", "indi_clock"]


@pytest.fixture
def indi_clock() -> MockClock:
    """Return a clock that jumps ahead whenever everybody waits, so that ten minutes pass at once."""
    from trio.testing import MockClock

    return MockClock(autojump_threshold=0)


@pytest.fixture
def driver_client() -> Callable[..., Any]:
    """Return what runs a driver with a client in memory; see :func:`indianyio.testing.driver_client`."""
    from indianyio.testing import driver_client as function

    return function
