"""All drivers of docs/comparison do for a client what the page says, in whatever library they are written."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from indianyio.client import Client, open_client
from indianyio.server import IPyServer
from indianyio.testing import check_driver, driver_client
from tests.comparison.scripts import SCRIPTS
from tests.comparison.sources import FOLDER, compiled, load

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = pytest.mark.anyio


@pytest.mark.usefixtures("indi_clock")
@pytest.mark.parametrize("kind", SCRIPTS)
async def test_ours_do_and_keep_all_rules(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = load("indianyio", kind, monkeypatch)
    async with driver_client(driver()) as (_, client):
        await SCRIPTS[kind](client, "indianyio")
    assert await check_driver(driver) == []


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch, home: Path, *command: str) -> AsyncGenerator[Client]:
    """Serve a driver that is a program, for as long as the block lasts."""
    # Where libindi's drivers look for settings, and save them.
    monkeypatch.setenv("HOME", str(home))
    server = IPyServer(host="127.0.0.1", port=0)
    server.add_exdriver(*command)
    with anyio.fail_after(90):
        async with anyio.create_task_group() as tasks:
            [address] = await tasks.start(server.asyncrun)
            async with open_client("127.0.0.1", int(address.rpartition(":")[2])) as client:
                yield client
            server.shutdown()


# Each takes its time, so each runs on one back end.
@pytest.mark.long
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.skipif(importlib.util.find_spec("indipydriver") is None, reason="indipydriver is not installed")
async def test_those_for_indipydriver_do(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{FOLDER / 'indipydriver'}:{FOLDER}")
    run = f"import asyncio; from {kind} import {kind.capitalize()} as Driver; asyncio.run(Driver().asyncrun())"
    async with served(monkeypatch, tmp_path, sys.executable, "-c", run) as client:
        await SCRIPTS[kind](client, "indipydriver")


@pytest.mark.long
@pytest.mark.libindi
@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("kind", SCRIPTS)
async def test_those_for_libindi_are_compiled_and_do(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(monkeypatch, tmp_path, str(compiled(kind, tmp_path))) as client:
        await SCRIPTS[kind](client, "libindi")
