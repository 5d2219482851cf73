"""The fixtures: what they give to tests that ask for them, and that nothing is changed for others."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PLUGIN = "indianyio.testing.pytest_plugin"
OPTIONS = ("-p", "no:indianyio", "-p", PLUGIN, "-p", "no:cacheprovider", "-W", "error", "--timeout", "30", "-v")


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    pytester.makepyfile(tests)
    return pytester.runpytest_inprocess(*OPTIONS)


def test_virtual_time_for_anyio_s_tests(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import anyio, pytest, sniffio, trio

        @pytest.mark.anyio
        @pytest.mark.parametrize("hours", [1, 2])
        async def test_hours(indi_clock, hours):
            began = anyio.current_time()
            await anyio.sleep(hours * 3600)
            assert anyio.current_time() - began == pytest.approx(hours * 3600)
            assert isinstance(indi_clock, trio.testing.MockClock)

        @pytest.fixture
        def mine(indi_clock):
            return indi_clock

        @pytest.mark.anyio
        async def test_through_another_fixture(mine):
            await anyio.sleep(3600)

        @pytest.mark.anyio
        async def test_without():
            assert sniffio.current_async_library() in ("asyncio", "trio")
            with anyio.move_on_after(0.01):
                await anyio.sleep(3600)
        """,
    )
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["*test_hours*trio* PASSED*", "*test_without*asyncio* PASSED*"])


def test_virtual_time_beside_a_fixture_with_both_back_ends(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import anyio, pytest

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.mark.anyio
        async def test_clock(indi_clock):
            await anyio.sleep(3600)

        @pytest.mark.anyio
        async def test_without():
            pass
        """,
    )
    result.assert_outcomes(passed=3)


def test_virtual_time_for_tests_of_pytest_trio(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest, trio

        @pytest.mark.trio
        async def test_hours(indi_clock):
            began = trio.current_time()
            await trio.sleep(3600)
            assert trio.current_time() - began == pytest.approx(3600)

        @pytest.mark.trio
        async def test_without():
            with trio.move_on_after(0.01):
                await trio.sleep(3600)
        """,
    )
    result.assert_outcomes(passed=2)


def test_a_test_that_says_its_back_end_keeps_it(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import anyio, pytest
        from trio.testing import MockClock

        CLOCK = MockClock(autojump_threshold=0)

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", [("trio", {"clock": CLOCK})])
        async def test_clock(indi_clock):
            assert indi_clock is CLOCK
            await anyio.sleep(3600)

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_no_clock(indi_clock):
            pass
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*indi_clock needs trio*'asyncio'*"])


def test_a_clock_that_no_loop_would_look_at_is_refused(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_without_a_loop(indi_clock):
            pass
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*indi_clock needs a test with the mark anyio*"])


@pytest.mark.parametrize("mark", ["anyio", "trio"])
def test_a_driver_and_its_client(pytester: pytest.Pytester, mark: str) -> None:
    result = run(
        pytester,
        f"""
        import pytest
        from indianyio.examples.thermostat import Thermostat

        @pytest.mark.{mark}
        async def test_thermostat(driver_client, indi_clock):
            async with driver_client(Thermostat()) as (driver, client):
                device = await client.device("Thermostat", timeout=5)
                vector = await device.vector("targetvector", timeout=5)
                await vector.set(target=18.5)
            assert driver.stopped.is_set()
        """,
    )
    result.assert_outcomes(passed=1)


def test_the_plugin_is_found_by_pytest_where_the_package_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"indianyio": PLUGIN}


def test_importing_the_plugin_is_cheap() -> None:
    program = (
        f"import sys, pytest; before = set(sys.modules); import {PLUGIN}\n"
        "new = {one for one in set(sys.modules) - before if not one.startswith('indianyio.testing')}\n"
        "print(sorted(new - {'indianyio'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
