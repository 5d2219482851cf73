"""What a driver uses of the real world is noticed, whatever it calls it."""

from __future__ import annotations

import os
import time
from io import open as open_file
from os import open as open_descriptor
from os import system as run
from pathlib import Path
from threading import Thread as Helper
from time import asctime, strftime
from time import sleep as wait
from time import time as now

import pytest
from anyio.to_thread import run_sync

from indianyio.testing.simulation import plan_for_driver, play_driver
from tests.simulation.small_drivers import Good

DESCRIPTOR = "a file or a device by its descriptor"


def _device_by_its_descriptor() -> None:
    os.close(open_descriptor(os.devnull, os.O_RDONLY))


def _thread() -> None:
    helper = Helper(target=len, args=("",))
    helper.start()
    helper.join()


def _builtin_open() -> None:
    with open("/dev/zero", "rb") as device:
        device.read(1)


def _imported_open() -> None:
    open_file("/dev/../dev/zero").close()  # noqa: UP020 - the name that it was imported by


def _open_of_a_path() -> None:
    Path("/dev/zero").open().close()


def _found(use: object) -> list[str]:
    class Uses(Good):
        async def hardware(self) -> None:
            result = use()  # type: ignore[operator]
            if hasattr(result, "__await__"):
                await result

    return [finding.text for finding in play_driver(plan_for_driver(1, seconds=5), Uses).findings]


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda: run("true"), "a program"),
        (_device_by_its_descriptor, DESCRIPTOR),
        (_thread, "a thread"),
        (lambda: run_sync(len, ""), "a thread"),
        (lambda: wait(100), "time.sleep"),
        (lambda: now(), "time.time"),
        (lambda: strftime("%H"), "time.localtime"),
        (lambda: asctime(), "time.localtime"),
        (lambda: time.strftime("%H"), "time.localtime"),
        (lambda: time.clock_gettime(time.CLOCK_REALTIME), "time.time"),
        (lambda: time.clock_gettime(time.CLOCK_MONOTONIC), "time.monotonic"),
        (lambda: time.clock_gettime_ns(time.CLOCK_REALTIME), "time.time_ns"),
        (lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC), "time.monotonic_ns"),
    ],
)
def test_what_is_imported_by_its_name_is_noticed(use: object, told: str) -> None:
    [text] = _found(use)
    assert text.startswith(f"{told} is real: ")
    assert "test_reality.py:" in text


@pytest.mark.parametrize("use", [_builtin_open, _imported_open, _open_of_a_path])
def test_a_device_is_not_opened(use: object) -> None:
    told = _found(use)
    assert any(text.startswith("a wire is real: /dev/") and "opened at " in text for text in told), told
    assert any("a simulation opens no device" in text for text in told)  # which the driver does not expect


@pytest.mark.parametrize(
    "use",
    [
        lambda: open(__file__).close(),
        lambda: Path(__file__).read_text(encoding="utf-8"),
        lambda: open(os.devnull).close(),
        lambda: strftime("%H", (2026, 1, 1, 0, 0, 0, 0, 1, 0)),
        lambda: asctime((2026, 1, 1, 0, 0, 0, 0, 1, 0)),
    ],
)
def test_what_leads_to_nothing_real_is_allowed(use: object) -> None:
    assert _found(use) == []


def test_the_time_of_a_run_is_formatted() -> None:
    texts: list[str] = []
    _found(lambda: texts.append(strftime("%Y-%m-%d")))
    assert texts[0].startswith("2026-01-0")


def test_all_names_are_as_they_were() -> None:
    before = dict(globals())
    _found(lambda: None)
    assert {name: value for name, value in globals().items() if before.get(name) is not value} == {}
    assert open is open_file
