"""Somebody who connects again and again causes no more log lines than somebody can read."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from indianyio import IPyServer
from indianyio.exceptions import ConnectionLostError
from indianyio.server import Access, Connection
from indianyio.streams import MemoryStream
from tests.driver.gadget import Gadget
from tests.server.memory_world import World
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio

NEAR = ("near", 7625)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


def failing(connection: Connection) -> Access:
    raise KeyError(connection.uid)


async def connect_again_and_again(server: IPyServer, world: World, said: bytes) -> None:
    async with server:
        for _ in range(100):
            client = await world.connect(*NEAR, 10.0, name="a client")
            assert isinstance(client, MemoryStream)
            if said:
                with suppress(ConnectionLostError):
                    await client.send(said)
                client.close_sending()
                while (await client.receive()).data:
                    await anyio.lowlevel.checkpoint()
            else:
                await anyio.sleep(0.001)
            await client.aclose()


async def test_an_access_rule_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    async with anyio.create_task_group() as tasks:
        world = World(tasks)
        server = IPyServer(host=NEAR[0], port=NEAR[1], environment=world, access=failing)
        await connect_again_and_again(server, world, b"")
    lines = [record for record in caplog.records if "the access rule failed" in record.getMessage()]
    assert all(record.levelno == logging.ERROR for record in lines)
    assert len([record for record in lines if record.exc_info]) == 10
    assert len(lines) == 11
    assert lines[-1].getMessage().endswith("89 such lines before it were left out")


@pytest.mark.long
@pytest.mark.parametrize(
    ("said", "line"),
    [
        (b"<newTextVector/>" * 101, "giving up on this peer"),
        (b"rubbish<setTextVector device='a'/>", "dropped"),
    ],
)
async def test_a_client_that_speaks_no_indi(said: bytes, line: str, caplog: pytest.LogCaptureFixture) -> None:
    async with anyio.create_task_group() as tasks:
        world = World(tasks)
        server = IPyServer(Gadget(), host=NEAR[0], port=NEAR[1], environment=world)
        await connect_again_and_again(server, world, said)
    lines = [text for text in caplog.messages if line in text]
    assert len(lines) == 11
    assert lines[-1].endswith("such lines before it were left out")
