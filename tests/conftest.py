"""What all tests share: both back ends, by their anyio names; and what runs only when it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent

# Two thirds of the time of the suite are waits for other processes, which cost no core anything.
WORKERS_THAT_WAIT = 4

# Hypothesis would fail an example that takes 200 ms, and examples that take a second to make: a machine that stalls
# says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run an anyio test once on each back end."""
    return str(request.param)


@pytest.fixture(params=["asyncio", pytest.param("trio", marks=pytest.mark.long)])
def backend(request: pytest.FixtureRequest) -> str:
    """Name the back end of a program that a test starts, and run the test once for each.

    To start programs takes more of the processor than anything else in the suite. So the second of each is long.
    """
    return str(request.param)


@pytest.fixture(scope="session", autouse=True)
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Path]]:
    """Keep every test out of the home of whoever runs them; yield what gives each of them a folder of its own."""
    folder = tmp_path_factory.mktemp("homes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.delenv("INDICONFIG", raising=False)
        yield (folder / str(number) for number in count(1))


@pytest.fixture(autouse=True)
def home_of_one_test(homes: Iterator[Path]) -> Iterator[Path]:
    """Give a test a home where no other one has kept settings, or that the mount is parked.

    Tests of instruments depended on each other by it, and told the real mount of that name that it is parked.
    """
    home = next(homes)
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        yield home


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Return a folder that every user can read; pytest's own are for one."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Write the byte code of the tests once, before the workers start.

    In a fresh clone each worker would rewrite the assertions of all tests, all at the same time, which takes longer
    than anything else does. So each core rewrites its share first.
    """
    folders = sorted(path for path in TESTS.iterdir() if path.is_dir() and any(path.glob("test_*.py")))
    if sys.dont_write_bytecode or all(any(path.glob("__pycache__/test_*-pytest-*.pyc")) for path in folders):
        return
    files = sorted(TESTS.rglob("test_*.py"))
    cores = len(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet"]
    shares = [subprocess.Popen([*command, *files[core::cores]], stdout=subprocess.DEVNULL) for core in range(cores)]
    for share in shares:
        share.wait()  # what cannot be collected is told by the workers, too


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Let ``-n auto`` start more workers than there are cores."""
    return len(os.sched_getaffinity(0)) + WORKERS_THAT_WAIT


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what may take longest; leave out what takes half an hour, unless ``-m`` names it."""
    items.sort(key=_allowed_seconds, reverse=True)
    if "soak" in str(config.getoption("markexpr")):
        return
    left_out = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _allowed_seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0
