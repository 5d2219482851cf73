"""What the tests against libindi's own programs share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.libindi.libindi_harness import installed, make_driver


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.libindi)
            if not installed("indiserver"):
                reason = "indiserver is not installed (Debian: apt-get install indi-bin)"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", params=["asyncio", pytest.param("trio", marks=pytest.mark.long)])
def backend(request: pytest.FixtureRequest) -> str:
    """Name the back end on which the drivers of a test run."""
    return str(request.param)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Callable[[str], Path]:
    """Make an executable of a driver: of one in the folder drivers by its class, of another as MODULE:NAME."""
    folder = tmp_path_factory.mktemp("made drivers")

    @cache
    def make(target: str) -> Path:
        module, _, name = target.rpartition(":")
        return make_driver(folder / f"indi {name}", f"{module or 'bench_drivers'}:{name}", backend)

    return make
