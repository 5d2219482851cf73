"""Fixtures for tests of drivers; pytest finds them by itself if indianyio is installed.

For tests that do not ask for one of them nothing changes, and nothing but this module is imported.

- ``indi_clock``: virtual time. The test runs on trio only, and an hour of sleep passes at once. It works for tests
  with the mark ``anyio`` and for those of pytest-trio; its value is the clock (``trio.testing.MockClock``).
- ``driver_client``: :func:`indianyio.testing.driver_client`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from trio.testing import MockClock

__all__ = ["driver_client", "indi_clock"]

_BACKEND = "anyio_backend"


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run an anyio test that asks for ``indi_clock`` on trio, with a clock of its own."""
    names = metafunc.fixturenames
    if "indi_clock" not in names or _BACKEND not in names or _says_its_back_end(metafunc):
        return
    # A mark, not metafunc.parametrize(), because only a mark overrides a fixture that has parameters of its own.
    backend = ("trio", {"clock": _new_clock()})
    metafunc.definition.add_marker(pytest.mark.parametrize(_BACKEND, [pytest.param(backend, id="trio")]))


@pytest.fixture
def indi_clock(request: pytest.FixtureRequest) -> MockClock:
    """Give the test virtual time, in which only computing takes time."""
    from trio.testing import MockClock

    if _BACKEND not in request.fixturenames:
        if request.node.get_closest_marker("trio") is None:
            raise pytest.UsageError("indi_clock needs a test with the mark anyio, or with pytest-trio's mark trio")
        return _new_clock()  # pytest-trio uses a fixture's value that is a clock
    backend = request.getfixturevalue(_BACKEND)
    clock = backend[1].get("clock") if isinstance(backend, tuple) else None
    if not isinstance(clock, MockClock):
        raise pytest.UsageError(
            f"indi_clock needs trio and its clock, but the test says that it runs on {backend!r}"
        )
    return clock


@pytest.fixture
def driver_client() -> Callable[..., AbstractAsyncContextManager[Any]]:
    """Give the test :func:`indianyio.testing.driver_client`."""
    from indianyio.testing import driver_client

    return driver_client


def _new_clock() -> MockClock:
    from trio.testing import MockClock

    return MockClock(autojump_threshold=0)


def _says_its_back_end(metafunc: pytest.Metafunc) -> bool:
    marks = metafunc.definition.iter_markers("parametrize")
    return any(_BACKEND in str(mark.args[0] if mark.args else mark.kwargs["argnames"]) for mark in marks)
