"""check_driver on real drivers: our examples, as programs too, and libindi's simulators."""

from __future__ import annotations

import gc
import shutil
import sys
from pathlib import Path

import anyio
import pytest

from indianyio import IPyDriver
from indianyio.examples.camera import Camera
from indianyio.examples.mount import Mount
from indianyio.examples.thermostat import Thermostat
from indianyio.examples.window import Window
from indianyio.testing import Bounds, Finding, _check, check_driver
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio

BACKENDS = ["asyncio", "trio"]
QUICK = Bounds(answer=0.1, quiet=0.1)


@pytest.mark.parametrize("anyio_backend", [virtual_backend(name) for name in BACKENDS], ids=BACKENDS)
@pytest.mark.parametrize("make", [Camera, Mount, Thermostat, Window])
async def test_our_examples_keep_all_rules(make: type[IPyDriver]) -> None:
    assert await check_driver(make) == []


async def test_a_program() -> None:
    command = [sys.executable, "-m", "indianyio.run", "indianyio.examples.thermostat:Thermostat"]
    findings: list[Finding] = []
    # It shares the machine with the tests beside this one, which may take it away for longer than that.
    for quiet in (0.4, 3.0):
        findings = await check_driver(command, bounds=Bounds(start=60, answer=30, quiet=quiet, most=30))
        if not findings:
            break
    assert findings == []


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        await check_driver([tmp_path / "none"])


async def test_a_program_that_ends_at_once() -> None:
    [first, *_] = await check_driver([sys.executable, "-c", ""], bounds=QUICK)
    assert first.rule == "survives"


async def test_a_program_that_does_not_end() -> None:
    program = "import sys, time; print('hello'); sys.stdout.flush(); time.sleep(100)"
    bounds = Bounds(start=0.5, answer=0.1, quiet=0.1, end=0.1)
    findings = await check_driver([sys.executable, "-c", program], bounds=bounds)
    assert "ends" in {finding.rule for finding in findings}


async def test_a_cancelled_check_ends_its_program_and_no_more_is_needed_than_sigterm(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_check, "_SIGNAL_SECONDS", 3.0)  # for SIGTERM to be heeded on a machine that stalls
    monkeypatch.setattr(_check, "_END_SECONDS", 60.0)
    program = "import sys, time; print('hello'); sys.stdout.flush(); time.sleep(100)"
    with anyio.move_on_after(0.5) as patience:
        await check_driver([sys.executable, "-c", program], bounds=Bounds(start=60))
    assert patience.cancelled_caught
    assert [each.message.rpartition(" ")[2] for each in caplog.records if "sending it" in each.message] == [
        "SIGTERM"
    ]
    gc.collect()  # which would tell of a process that nobody has waited for


# What libindi 1.9.9 breaks: by rule, the vectors that are named, or "" for all that it says.
EVERYWHERE = {"refuses-read-only"}
EXPECTED = {
    "ccd": {"defined", "limits"},
    "telescope": {"one-on"},
    "focus": {"one-on", "answers-star"},
    "wheel": set[str](),
    "dome": {"one-on"},
    "gps": set[str](),
}
SHOWN = {
    "defined": b"name='DRIVER_INFO'",
    "limits": b"NumberVector",
    "one-on": b"rule='OneOfMany'",
    "answers-star": b'device="*"',
    "refuses-read-only": b"<newTextVector",
}


@pytest.mark.libindi
@pytest.mark.long
@pytest.mark.parametrize("name", EXPECTED)
async def test_libindi_s_simulators(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which(f"indi_simulator_{name}")
    if program is None:
        pytest.skip("indi-bin is not installed")
    monkeypatch.setenv("HOME", str(tmp_path))  # where they look for settings, and keep them
    with anyio.fail_after(60):
        findings = await check_driver([program], bounds=Bounds(quiet=0.3))
    assert {finding.rule for finding in findings} == EXPECTED[name] | EVERYWHERE, shown(findings)
    for finding in findings:
        assert SHOWN[finding.rule] in finding.data


def shown(findings: list[Finding]) -> str:
    return "\n".join(map(str, findings))
