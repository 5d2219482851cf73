"""Log records go to clients, as DEBUG and the levels say."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from indianyio.client import Client
from indianyio.client import Device as ClientDevice
from indianyio.instrument import Instrument, every
from indianyio.testing import driver_client

pytestmark = pytest.mark.anyio


class Talker(Instrument):
    """Says something when it is connected, and in a thread."""

    async def connect(self) -> None:
        self.log.error("it is %s", "broken")
        self.log.warning("nearly")
        self.log.info("a word")
        self.log.debug("a detail")

    @every(seconds=0.01)
    async def _murmur(self) -> None:
        await anyio.to_thread.run_sync(self.log.info, "from a thread")


async def heard(client: Client, device: ClientDevice, text: str) -> list[str]:
    await client.wait_for(lambda it: any(text in line for _, line in device.messages), timeout=5)
    return [line for _, line in device.messages]


async def test_records_go_to_clients_and_details_only_if_wanted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with driver_client(Talker()) as (_, client):
        device = await client.device("Talker", timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        await connection.set(CONNECT=True)
        lines = await heard(client, device, "from a thread")
        assert lines[:3] == ["[ERROR] it is broken", "[WARNING] nearly", "[INFO] a word"]
        assert not any("detail" in line for line in lines)
        assert "it is broken" in caplog.text
        await connection.set(DISCONNECT=True)

        assert "DEBUG_LEVEL" not in device
        await (await device.vector("DEBUG", timeout=5)).set(ENABLE=True)
        await (await device.vector("DEBUG_LEVEL", timeout=5)).set(
            DBG_DEBUG=True, DBG_SESSION=False, DBG_ERROR=True, DBG_WARNING=True
        )
        await connection.set(CONNECT=True)
        lines = await heard(client, device, "a detail")
        assert lines.count("[INFO] a word") == 1
        assert lines.count("[ERROR] it is broken") == 2
        await device["DEBUG"].set(DISABLE=True)
        await client.wait_for(lambda it: "DEBUG_LEVEL" not in device and "LOGGING_LEVEL" not in device, timeout=5)


async def test_what_is_kept_in_the_programs_log_can_be_chosen(caplog: pytest.LogCaptureFixture) -> None:
    async with driver_client(Talker()) as (talker, client):
        device = await client.device("Talker", timeout=5)
        await (await device.vector("DEBUG", timeout=5)).set(ENABLE=True)
        await (await device.vector("LOGGING_LEVEL", timeout=5)).set(LOG_WARNING=False)
        talker.log.warning("not kept")
        talker.log.error("kept")
        await heard(client, device, "[ERROR] kept")
    assert "not kept" not in caplog.text
    assert "kept" in caplog.text


async def test_a_client_chooses_where_records_go(caplog: pytest.LogCaptureFixture) -> None:
    async with driver_client(Talker()) as (talker, client):
        device = await client.device("Talker", timeout=5)
        await (await device.vector("DEBUG", timeout=5)).set(ENABLE=True)
        output = await device.vector("LOG_OUTPUT", timeout=5)
        assert (output["CLIENT_DEBUG"], output["FILE_DEBUG"]) == (True, True)
        await output.set(CLIENT_DEBUG=False)
        talker.log.error("for the log")
        await output.set(CLIENT_DEBUG=True, FILE_DEBUG=False)
        talker.log.error("for clients")
        lines = await heard(client, device, "for clients")
        assert "[ERROR] for the log" not in lines
        # Whoever does not choose gets both.
        await output.set(CLIENT_DEBUG=False)
        await device["DEBUG"].set(DISABLE=True)
        await client.wait_for(lambda it: "LOG_OUTPUT" not in device, timeout=5)
        talker.log.error("for all")
        await heard(client, device, "[ERROR] for all")
    assert "for the log" in caplog.text
    assert "for clients" not in caplog.text
    assert "for all" in caplog.text


async def test_a_place_that_complains_all_the_time_is_told_ten_times() -> None:
    async with driver_client(Talker()) as (talker, client):
        device = await client.device("Talker", timeout=5)
        for number in range(1000):
            talker.log.warning("again %d", number)
        talker.log.info("another place")
        lines = await heard(client, device, "another place")
        assert len([line for line in lines if "again" in line]) == 10
        assert "[WARNING] again 9 (and no more of this for 10 s)" in lines


async def test_who_chose_details_gets_them_after_a_restart_too(home: Path) -> None:
    async with driver_client(Talker()) as (_, client):
        device = await client.device("Talker", timeout=5)
        await (await device.vector("DEBUG", timeout=5)).set(ENABLE=True)
        await (await device.vector("DEBUG_LEVEL", timeout=5)).set(DBG_DEBUG=True)
        await device["POLLING_PERIOD"].set(PERIOD_MS=2000)
        await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True)
    async with driver_client(Talker()) as (_, client):
        device = await client.device("Talker", timeout=5)
        levels = await device.vector("DEBUG_LEVEL", timeout=5)
        await levels.wait_for(lambda it: it["DBG_DEBUG"], timeout=5)
        period = await device.vector("POLLING_PERIOD", timeout=5)
        await period.wait_for(lambda it: it["PERIOD_MS"] == 2000, timeout=5)


async def test_a_record_without_a_run_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    Talker().log.warning("nobody is there")
    assert "nobody is there" in caplog.text
