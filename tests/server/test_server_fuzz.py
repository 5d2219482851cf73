"""Mutations of real streams from clients, a driver and another server at once: who is healthy notices nothing."""

from __future__ import annotations

import logging
import random
import socket
from pathlib import Path

import anyio
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import DelProperty
from indianyio.server import IPyServer
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._remotes import RemoteServer
from tests.driver.gadget import DEVICE
from tests.driver.test_any_bytes import mutated
from tests.server.doors import Client
from tests.server.network import Echo, Network, at_work, fence, talk
from tests.server.programs import SOON
from tests.server.watching import until

pytestmark = pytest.mark.anyio

# Plays the files beside it, one in each of its lives, and dies when it has said one. It speaks when it is spoken
# to: what nobody has read is lost if a program has ended before it can be written to.
PLAYER = """#!/bin/sh
cd "$(dirname "$0")"
count=$(cat count)
echo $((count + 1)) > count
[ -f part.$count ] || exec cat > /dev/null
read -r asked
exec cat part.$count
"""
PER_LIFE = 100


def windows(seed: int, count: int, prefix: bytes = b"") -> list[bytes]:
    """Return mutations of recorded streams; a prefix keeps their devices apart from those of others."""
    chance = random.Random(seed)
    found = [mutated(chance) for _ in range(count)]
    for quote in (b"'", b'"'):
        found = [data.replace(b"device=" + quote, b"device=" + quote + prefix) for data in found]
    return found


def player(folder: Path, messages: list[bytes]) -> ExternalDriver:
    """Return a driver that says these messages, dying again and again."""
    starts = range(0, len(messages), PER_LIFE)
    for part, start in enumerate(starts):
        (folder / f"part.{part}").write_bytes(b"".join(messages[start : start + PER_LIFE]))
    (folder / "count").write_text("0", encoding="ascii")
    program = folder / "player"
    program.write_text(PLAYER, encoding="ascii")
    program.chmod(0o755)
    return ExternalDriver(str(program), restarts=len(starts), backoff=SOON)


def lives(folder: Path) -> int:
    """Return how often the player was started."""
    return int((folder / "count").read_text(encoding="ascii") or 0)


async def attack(network: Network, messages: list[bytes]) -> None:
    """Say these messages as a client, who comes back whenever he is let go."""
    waiting = messages[::-1]
    while waiting:
        client = network.connect()
        try:
            while waiting:
                await client.send(waiting.pop())
        except ConnectionLostError:
            continue
        finally:
            client.wire.close()


async def pretend_to_be_a_server(listener: socket.socket, messages: list[bytes]) -> None:
    """Say these messages as another server, which is called again whenever it is dropped."""
    waiting = messages[::-1]
    while waiting:
        await anyio.wait_readable(listener)
        peer = Client(listener.accept()[0])
        try:
            while waiting:
                await peer.send(waiting.pop())
        except ConnectionLostError:
            continue
        finally:
            peer.wire.close()


async def fuzz(folder: Path, seed: int, messages: int) -> None:
    """Let three clients, a driver and another server say so many messages at once."""
    share = messages // 5
    with socket.create_server(("127.0.0.1", 0)) as far:
        far.setblocking(False)
        driver = player(folder, windows(seed, share, b"X"))
        server = IPyServer(Echo(), host="127.0.0.1", port=0, maxconnections=20)
        server.exdrivers.append(driver)
        server.remotes.append(RemoteServer("127.0.0.1", far.getsockname()[1], backoff=SOON))
        enough = anyio.Event()
        # A hang is noticed, and a machine that has other things to do as well is none.
        async with at_work(server, seconds=120 + messages / 200) as network:
            healthy = await network.greeted()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk, healthy, enough)
                async with anyio.create_task_group() as attackers:
                    attackers.start_soon(pretend_to_be_a_server, far, windows(seed + 1, share, b"Y"))
                    for number in range(3):
                        attackers.start_soon(attack, network, windows(seed + 2 + number, share))
                await until(lambda: lives(folder) > share // PER_LIFE)
                enough.set()
            await fence(healthy)
            gone = [one.device for one in healthy.received if isinstance(one, DelProperty)]
            assert DEVICE not in gone
            assert any(device and device.startswith("X") for device in gone), "the hostile driver was served"
            await network.greeted()
            await until(lambda: len(server.statistics()) <= 5)


@pytest.mark.long
async def test_s4_fuzz_from_clients_a_driver_and_a_server_at_once(tmp_path: Path) -> None:
    await fuzz(tmp_path, seed=1, messages=3_000)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("messages", [25_000, pytest.param(100_000, marks=pytest.mark.soak)])
async def test_s4_fuzz_at_length(tmp_path: Path, caplog: pytest.LogCaptureFixture, messages: int) -> None:
    caplog.set_level(logging.CRITICAL)  # or hundreds of megabytes of it are kept
    await fuzz(tmp_path, seed=100, messages=messages)
