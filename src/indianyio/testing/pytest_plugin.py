"""Fixtures for tests of drivers; pytest finds them by itself where indianyio is installed.

Nothing is changed for tests that do not ask for one of them, and nothing but this is imported for them.

- ``indi_clock``: virtual time. The test runs on trio, only there, and an hour of sleep passes at once. It works for
  tests with the mark ``anyio`` and for those of pytest-trio; its value is the clock (``trio.testing.MockClock``).
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
    """Run a test that asks for ``indi_clock``, and is one of anyio's, on trio with a clock of its own."""
    names = metafunc.fixturenames
    if "indi_clock" not in names or _BACKEND not in names or _says_its_back_end(metafunc):
        return
    # A mark and not metafunc.parametrize(): only that has precedence over a fixture with parameters of its own.
    backend = ("trio", {"clock": _new_clock()})
    metafunc.definition.add_marker(pytest.mark.parametrize(_BACKEND, [pytest.param(backend, id="trio")]))


@pytest.fixture
def indi_clock(request: pytest.FixtureRequest) -> MockClock:
    """Give the test virtual time, in which nothing takes longer than it computes."""
    from trio.testing import MockClock

    if _BACKEND not in request.fixturenames:
        return _new_clock()  # pytest-trio uses a fixture's value that is a clock
    backend = request.getfixturevalue(_BACKEND)
    clock = backend[1].get("clock") if isinstance(backend, tuple) else None
    if not isinstance(clock, MockClock):
        raise pytest.UsageError(f"indi_clock needs trio and its clock; the test says that it runs on {backend!r}")
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
