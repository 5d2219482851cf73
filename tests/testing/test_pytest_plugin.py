"""The fixtures that pytest finds wherever the package is installed, and what they cost where nobody asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import anyio
import pytest
import trio

from indianyio.testing import assert_states
from tests.testing.instruments import FOCUSER, Focuser


@pytest.fixture
def anyio_backend(indi_clock):
    return "trio", {"clock": indi_clock}


async def moves_far(driver_client):
    async with driver_client(Focuser()) as (driver, indi):
        position = indi[FOCUSER]["ABS_FOCUS_POSITION"]
        began = anyio.current_time()
        async with assert_states(position, "Busy", "Ok"):
            await position.set(FOCUS_ABSOLUTE_POSITION=1000)
        assert anyio.current_time() - began >= 100


@pytest.mark.anyio
async def test_with_the_plugin_of_anyio(driver_client):
    await moves_far(driver_client)


@pytest.mark.trio
async def test_with_pytest_trio(driver_client, indi_clock):
    await moves_far(driver_client)
"""
FOLDER = Path(__file__).parents[2]


def test_the_fixtures(tmp_path: Path) -> None:
    file = tmp_path / "test_focuser.py"
    file.write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_it_loads_nothing() -> None:
    program = "import sys; import pytest; before = set(sys.modules); import indianyio.pytest_plugin"
    shown = "; print(sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", program + shown], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout
    assert "trio" not in loaded
    assert "indianyio.driver" not in loaded
    assert "indianyio.client" not in loaded
