"""What a server tells of its peers, and how often: names, figures, lines in the log."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import uuid
from dataclasses import FrozenInstanceError
from pathlib import Path

import anyio
import pytest
import trio.testing

from indianyio.protocol import DefTextVector, DelProperty, SetTextVector
from indianyio.run._arguments import add_server_arguments
from indianyio.run._serving import make_server
from indianyio.server import IPyServer
from indianyio.server._ports import distinct
from tests.driver.gadget import Gadget
from tests.server.doors import Client
from tests.server.network import Network, fence
from tests.server.programs import ANSWERING, Programs, write
from tests.server.watching import until

pytestmark = pytest.mark.anyio

IN_VIRTUAL_TIME = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual")]
)


def served(*drivers: Gadget, interval: float | None = None) -> IPyServer:
    return IPyServer(*drivers, host=None, unix=f"@{uuid.uuid4().hex}", statistics_interval=interval)


async def asking(network: Network, *devices: str) -> Client:
    """Return a client that has the definitions of these devices, which come in any order."""
    client = network.connect()
    await client.get_properties()
    while {device for device, _ in client.definitions} < set(devices):
        await client.expect(DefTextVector)
    return client


@pytest.mark.parametrize(
    ("taken", "name"), [([], "x"), (["y"], "x"), (["x"], "x#2"), (["x", "x#2"], "x#3"), (["x#2"], "x")]
)
def test_a_name_that_is_taken_gets_a_number(taken: list[str], name: str) -> None:
    assert distinct("x", taken) == name


async def test_two_programs_of_one_name_have_names_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = served()
    for device in ("One", "Two"):
        folder = tmp_path / device
        folder.mkdir()
        body = f"os.write(2, b'here\\n'){ANSWERING}"
        server.add_exdriver(Programs(folder).path(body, device=device))
    async with server:
        network = Network(server.addresses)
        client = await asking(network, "One", "Two")
        await until(lambda: caplog.messages.count("here") == 2)
        before = server.statistics()
        await client.send(write("hello", "One"))
        await until(lambda: server.statistics()["box"].messages_out > before["box"].messages_out)
        after = server.statistics()
        assert {name for name in after if "box" in name} == {"box", "box#2"}
        assert after["box#2"].messages_out == before["box#2"].messages_out
        assert after["box"].bytes_out > before["box"].bytes_out
        network.tidy()
    loggers = {record.name for record in caplog.records if record.getMessage() == "here"}
    assert loggers == {"indianyio.server.driver.box", "indianyio.server.driver.box#2"}


async def test_one_server_that_is_asked_for_two_devices_is_two_peers() -> None:
    server = served()
    for device in ("One", "Two"):
        server.add_remote("127.0.0.1", 1, device=device)
    async with server:
        assert list(server.statistics()) == ["127.0.0.1:1", "127.0.0.1:1#2"]


async def test_restarts_are_counted_and_what_is_told_cannot_be_changed(tmp_path: Path) -> None:
    server = served()
    server.add_exdriver(Programs(tmp_path).path("until_written()\nshow(os.getpid())\nwhile True: hear()"))
    async with server:
        network = Network(server.addresses)
        client = await asking(network, "Box")
        await client.send(write("hello"))
        os.kill(await process_shown(client), signal.SIGKILL)
        await client.expect(DelProperty, device="Box")
        await client.expect(DefTextVector, device="Box")
        passed = server.statistics()["box"]
        assert passed.restarts == 1
        with pytest.raises(FrozenInstanceError):
            passed.restarts = 0  # type: ignore[misc]
        network.tidy()


async def process_shown(client: Client) -> int:
    return int(str((await client.expect(SetTextVector)).members[0].value))


# -- in the log ------------------------------------------------------------------------------------------------


@IN_VIRTUAL_TIME
async def test_every_so_often_a_line_for_each_peer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with served(Gadget(), Gadget(device="Other"), interval=60) as server:
        network = Network(server.addresses)
        client = await network.greeted()
        await fence(client)
        passed = server.statistics()
        await anyio.sleep(59)
        assert lines(caplog) == []
        await anyio.sleep(2)
        assert [line.split(": ")[0] for line in lines(caplog)] == list(passed)
        for name, one in passed.items():
            (line,) = (line for line in lines(caplog) if line.startswith(f"{name}: "))
            assert f"{one.messages_in} messages of {one.bytes_in} bytes in" in line
            assert f"{one.messages_out} of {one.bytes_out} out" in line
        await anyio.sleep(600)
        assert len(lines(caplog)) == 11 * len(passed) == 33
        network.tidy()
    await anyio.sleep(600)
    assert len(lines(caplog)) == 33


@IN_VIRTUAL_TIME
async def test_nothing_is_logged_unless_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with served(Gadget()):
        await anyio.sleep(6000)
    assert lines(caplog) == []


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "indianyio.server._ports"]


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_an_interval_is_a_number_above_0(interval: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        served(interval=interval)


@pytest.mark.parametrize(("options", "interval"), [([], None), (["--statistics"], 60)])
def test_the_command_logs_every_minute_if_asked_to(options: list[str], interval: float | None) -> None:
    parser = argparse.ArgumentParser()
    add_server_arguments(parser)
    arguments = parser.parse_args(["--port", "0", *options])
    arguments.grace, arguments.debug = None, False
    assert make_server([Gadget()], arguments).statistics_interval == interval
