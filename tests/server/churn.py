"""Clients that come and go at two servers of one process, as fast as they can; run as a program of its own.

``python -m tests.server.churn BACKEND SECONDS`` prints a line of JSON every second: how long it has run, how many
visits there were so far, how many updates were sent and received, and how much memory the process has. One server
has a driver, which sends numbers all the time and images of all sizes; the other has the first as a remote. Each is
visited over TCP and over a unix socket.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio

from indianyio.driver import NewEvent
from indianyio.exceptions import ConnectionLostError
from indianyio.server import IPyServer
from indianyio.streams import SocketStream
from tests.driver.gadget import DEVICE, Gadget
from tests.server.network import at_work, dial

VISITORS = 6
LINGER_NOT = struct.pack("ii", 1, 0)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
GREETINGS = (
    '<getProperties version="1.7"/>',
    '<getProperties version="1.7"/><enableBLOB>Also</enableBLOB>',
    f'<getProperties version="1.7" device="{DEVICE}" name="NUMBER"/>',
)
# Mostly thumbnails, and now and then an image that is read, written and closed by threads.
IMAGE_BYTES = (400_000,) * 19 + (8_000_000,)


@dataclass
class Sample:
    """What a line says."""

    seconds: float = 0.0
    visits: int = 0
    updates: int = 0
    received: int = 0
    resident_bytes: int = 0


class Instrument(Gadget):
    """Takes every write, and keeps none."""

    async def rxevent(self, event: NewEvent) -> None:
        await self.text.send_setVector(state="Ok")


async def update(driver: Gadget, sample: Sample, chance: random.Random) -> None:
    """Send numbers, and every now and then an image."""
    while True:
        driver.number["position"] = chance.uniform(0, 100)
        await driver.number.send_setVector(state="Busy", message="x" * chance.randrange(200))
        sample.updates += 1
        if sample.updates % 20 == 0:
            driver.image["a"] = bytes(chance.randrange(1, chance.choice(IMAGE_BYTES)))
            await driver.image.send_setVectorMembers(members=["a"])
        await anyio.sleep(0.002)


async def visit(address: str, sample: Sample, chance: random.Random) -> None:
    """Come, ask, listen and write for a while, and leave in order or not."""
    sock = dial(address)
    stream = SocketStream(sock)
    try:
        await stream.send(chance.choice(GREETINGS).encode())
        for _ in range(chance.randrange(1, 60)):
            received = await stream.receive()
            sample.received += received.data.count(b"</set")
            for attachment in received.attachments:
                attachment.close()
            if chance.random() < 0.1:
                await stream.send(new_word("w" * chance.randrange(1, 2000)))
        if chance.random() < 0.3 and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    finally:
        stream.close()
    sample.visits += 1


def new_word(word: str) -> bytes:
    one = f'<oneText name="word">{word}</oneText>'
    return f'<newTextVector device="{DEVICE}" name="TEXT">{one}</newTextVector>'.encode()


async def visit_for_ever(addresses: list[str], sample: Sample, chance: random.Random) -> None:
    while True:
        with suppress(ConnectionLostError):
            await visit(chance.choice(addresses), sample, chance)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


async def main(seconds: float) -> None:
    chance, sample, driver = random.Random(1), Sample(), Instrument()
    names = [f"@churn-{os.getpid()}-{where}" for where in ("near", "far")]
    near = IPyServer(driver, host="127.0.0.1", port=0, maxconnections=100, unix=names[0])
    far = IPyServer(host="127.0.0.1", port=0, maxconnections=100, unix=names[1])
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(at_work(near, float("inf")))
        far.add_remote("127.0.0.1", int(first.addresses[0].rpartition(":")[2]))
        second = await stack.enter_async_context(at_work(far, float("inf")))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(update, driver, sample, chance)
        for _ in range(VISITORS):
            tasks.start_soon(visit_for_ever, [*first.addresses, *second.addresses], sample, chance)
        start = anyio.current_time()
        while sample.seconds < seconds:
            await anyio.sleep(1)
            sample.seconds, sample.resident_bytes = anyio.current_time() - start, resident_bytes()
            print(json.dumps(asdict(sample)), flush=True)  # noqa: T201 - the answer
        tasks.cancel_scope.cancel("the time is over")


if __name__ == "__main__":
    anyio.run(main, float(sys.argv[2]), backend=sys.argv[1])
