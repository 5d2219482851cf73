"""The drivers of docs/comparison that are written for caproto do what the page says, as EPICS has it."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.comparison.sources import load

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.skipif(importlib.util.find_spec("caproto") is None, reason="caproto is not installed"),
]


class Driver:
    """A group of process variables whose scans run."""

    def __init__(self, group: Any) -> None:  # noqa: ANN401 - caproto has no types
        self._group = group

    async def put(self, name: str, value: object) -> None:
        """Write a variable as a client does."""
        await self._group.pvdb[name].write(value)

    async def refuses(self, name: str, value: object) -> None:
        """Write a variable, and be refused."""
        before = self[name]
        with pytest.raises(Exception, match=r"."):
            await self.put(name, value)
        assert self[name] == before

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - likewise
        value = self._group.pvdb[name].value
        return list(value) if hasattr(value, "tolist") else value

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that a scan will see."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(kind: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Driver]:
    """Run what a server of caproto's runs of a group, for as long as the block lasts."""
    from caproto.asyncio.server import AsyncioAsyncLayer

    group = load("caproto", kind, monkeypatch)(prefix="")
    async with asyncio.TaskGroup() as tasks:
        layer = AsyncioAsyncLayer()
        scans = [
            tasks.create_task(variable.server_scan(layer))
            for variable in group.pvdb.values()
            if hasattr(variable, "server_scan")
        ]
        yield Driver(group)
        for scan in scans:
            scan.cancel()


async def use_thermostat(driver: Driver) -> None:
    await driver.refuses("TARGET", 21)
    await driver.put("CONNECTION", "On")
    await driver.put("TARGET", 21)
    await driver.refuses("TARGET", 200)
    await driver.put("HEATING", "On")
    await driver.until(lambda: driver["TEMPERATURE"] == 21)


async def use_focuser(driver: Driver) -> None:
    await driver.refuses("TARGET", 3000)
    await driver.put("CONNECTION", "On")
    await driver.put("TARGET", 3000)
    assert driver["STATE"] == "Busy"
    await driver.until(lambda: driver["STATE"] == "Ok")
    assert driver["POSITION"] == 3000
    await driver.refuses("TARGET", 30_000)
    await driver.put("RELATIVE", 1000)
    await driver.until(lambda: driver["STATE"] == "Ok")
    assert driver["POSITION"] == 2000
    await driver.put("TARGET", 25_000)
    await asyncio.sleep(0.5)
    await driver.put("ABORT", "On")
    assert (driver["STATE"], driver["ABORT"]) == ("Idle", "Off")
    assert 2000 < driver["POSITION"] < 25_000


async def use_camera(driver: Driver) -> None:
    await driver.refuses("EXPOSURE", 2)
    await driver.put("CONNECTION", "On")
    await driver.put("FRAME", [80, 50, 64, 32])
    await driver.refuses("FRAME", [120, 50, 64, 32])
    await driver.put("BINNING", [2, 2])
    await driver.refuses("BINNING", [1, 3])
    await driver.put("EXPOSURE", 0.6)
    assert driver["STATE"] == "Busy"
    await driver.until(lambda: driver["STATE"] == "Ok")
    assert driver["IMAGE_SIZE"] == [32, 16]
    assert driver["IMAGE"] == list(range(80, 144, 2)) * 16
    await driver.refuses("EXPOSURE", 5000)
    await driver.put("EXPOSURE", 60)
    await driver.until(lambda: 58 < driver["LEFT"] < 60)
    await driver.put("ABORT", "On")
    assert (driver["STATE"], driver["LEFT"]) == ("Idle", 0)


async def use_mount(driver: Driver) -> None:
    await driver.refuses("TARGET", [0.1, 85])
    await driver.put("CONNECTION", "On")
    await driver.put("TARGET", [0.1, 85])
    assert driver["STATE"] == "Busy"
    await driver.until(lambda: driver["STATE"] == "Ok")
    assert (driver["COORDINATES"], driver["TRACK"]) == ([0.1, 85], "On")
    await driver.refuses("TARGET", [1, 120])
    await driver.put("ON_SET", "Sync")
    await driver.put("TARGET", [1, 70])
    assert driver["COORDINATES"] == [1, 70]
    await driver.put("ON_SET", "Slew")
    await driver.put("TARGET", [1, -80])
    await asyncio.sleep(0.6)
    await driver.put("ABORT", "On")
    assert driver["STATE"] == "Ok"
    assert -80 < driver["COORDINATES"][1] < 70
    await driver.put("ON_SET", "Sync")
    await driver.put("TARGET", [0, 88])
    await driver.put("PARK", "On")
    await driver.until(lambda: driver["PARKING"] == "Ok")
    assert (driver["COORDINATES"], driver["TRACK"]) == ([0, 90], "Off")
    await driver.refuses("TARGET", [1, 20])


SCRIPTS: dict[str, Callable[[Driver], Awaitable[None]]] = {
    "thermostat": use_thermostat,
    "focuser": use_focuser,
    "camera": use_camera,
    "mount": use_mount,
}


@pytest.mark.long
@pytest.mark.parametrize("kind", SCRIPTS)
async def test_they_do(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(kind, monkeypatch) as driver:
        await SCRIPTS[kind](driver)
