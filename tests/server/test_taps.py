"""Whoever looks at what passes a server sees every message once for its sender and once for each receiver."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import anyio
import pytest

from indianyio._routing import DriverOutbox, PeerKind
from indianyio.indiserver._logs import TRAFFIC_LOGGER, log_traffic
from indianyio.protocol import Frame
from indianyio.server._peers import FEEDER, Peer, run_guarded
from indianyio.server._ports import Direction, Port, Taps
from indianyio.streams import memory_pair
from tests.server.doors import Client, serving
from tests.server.network import Teller

pytestmark = pytest.mark.anyio

VALUES = [f"value{number}" for number in range(5)]
VALUE = re.compile(rb"value\d")


@dataclass
class Notes:
    """What a tap has seen: who, which way, and the tag with its value."""

    seen: Counter[tuple[str, Direction, str, str]] = field(default_factory=Counter)

    def note(self, port: Port, kind: PeerKind, direction: Direction, frame: Frame) -> None:
        for value in VALUE.findall(frame.data):
            assert (kind is PeerKind.CLIENT) is port.name.startswith("unix socket")
            self.seen[port.name, direction, frame.tag, value.decode()] += 1


class Far:
    """The other end of an external driver or another server, in memory."""

    def __init__(self, name: str) -> None:
        near, self.wire = memory_pair(names=(name, "server"))
        self.near = near

    async def says(self, tag: str, attributes: str, value: str) -> None:
        await self.wire.send(line(tag, self.near.name, attributes, value))

    async def hears(self, *values: str) -> None:
        got = b""
        with anyio.fail_after(10):
            while not all(value.encode() in got for value in values):
                got += (await self.wire.receive()).data


def line(tag: str, device: str, attributes: str, *values: str) -> bytes:
    one = "defText" if tag.startswith("def") else "oneText"
    text = f'<{tag} device="{device}" name="T"{attributes}><{one} name="t">{{}}</{one}></{tag}>\n'
    return "".join(text.format(value) for value in values).encode()


@asynccontextmanager
async def everybody(notes: Notes) -> AsyncGenerator[tuple[dict[str, Far], Client]]:
    """Run a server with a peer of every kind, and a client that knows all of them."""
    far = {name: Far(name) for name in ("External", "Remote")}
    async with serving(Teller("Local"), taps=[notes.note]) as (door, run), anyio.create_task_group() as tasks:
        for name, end in far.items():
            peer = Peer(run.hub, end.near, DriverOutbox(), FEEDER)
            added = run.hub.add_driver(peer) if name == "External" else run.hub.add_remote(peer, "far:7624", None)
            assert added is None
            tasks.start_soon(run_guarded, peer)
        client = await door.knock()
        await client.send('<getProperties version="1.7"/>')
        await until_heard(client, b"Local")
        for end in far.values():
            await end.says("defTextVector", ' state="Ok" perm="rw"', "")
        await until_heard(client, b"External", b"Remote")
        yield far, client
        tasks.cancel_scope.cancel("the test is over")


async def until_heard(client: Client, *texts: bytes) -> None:
    got = b""
    with anyio.fail_after(10):
        while not all(text in got for text in texts):
            got += (await client.wire.receive()).data


async def test_every_message_is_seen_once_in_each_direction_whatever_its_peer_is() -> None:
    notes = Notes()
    async with everybody(notes) as (far, client):
        for device in ("Local", "External", "Remote"):
            notes.seen.clear()
            await client.wire.send(line("newTextVector", device, "", *VALUES))
            if device in far:
                await far[device].hears(*VALUES)
                await far[device].wire.send(line("setTextVector", device, ' state="Ok"', *VALUES))
            await until_heard(client, VALUES[-1].encode())
            names = {name for name, *_ in notes.seen}
            (reader,) = [name for name in names if name.startswith("unix socket")]
            (driver,) = names - {reader}
            assert notes.seen == Counter(
                (name, direction, tag, value)
                for value in VALUES
                for name, direction, tag in (
                    (reader, Direction.RECEIVED, "newTextVector"),
                    (driver, Direction.SENT, "newTextVector"),
                    (driver, Direction.RECEIVED, "setTextVector"),
                    (reader, Direction.SENT, "setTextVector"),
                )
            ), device


async def test_what_is_refused_or_left_out_is_not_shown_as_sent() -> None:
    notes = Notes()
    async with everybody(notes) as (_, client):
        notes.seen.clear()
        # More than the share of one sender may wait for a driver that does not read.
        rest = "x" * (900 << 10)
        for value in VALUES * 3:
            await client.wire.send(line("newTextVector", "External", "", value + rest))
        await until_heard(client, b"not done")
        await anyio.wait_all_tasks_blocked()
        received = sum(count for key, count in notes.seen.items() if key[1] is Direction.RECEIVED)
        sent = sum(count for key, count in notes.seen.items() if key[1] is Direction.SENT)
        assert 0 < sent < received


def test_whoever_logs_a_long_message_shows_the_same_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "indianyio.wire")
    caplog.set_level(logging.DEBUG, TRAFFIC_LOGGER)
    taps = Taps([log_traffic])
    port = cast("Port", Named("indi_x"))
    long = Frame("message", b'<message message="%s"/>' % (b"x" * 5000))
    taps.debug(port)
    taps.show(port, PeerKind.DRIVER, Direction.RECEIVED, [long])
    whole = f"{long.data[:4096].decode()} ... (5021 bytes)"
    assert caplog.messages == [f"driver indi_x: read {whole}", f"indi_x -> {whole}"]
    taps.forget(port)
    assert taps.in_use
    taps.show(port, PeerKind.DRIVER, Direction.SENT, [long])
    assert len(caplog.messages) == 2


@dataclass(frozen=True)
class Named:
    """What a log line tells of a peer."""

    name: str
