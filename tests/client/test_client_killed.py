"""A server that is killed in the middle of a large image."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from indianyio.client import ConnectionLostError, open_client
from tests.client.scripted import DEVICE, blobs, ends_with
from tests.libindi.libindi_harness import wait_until

pytestmark = pytest.mark.anyio

# It sends half of an image of 100 MB to each client, and then nothing.
SERVER = f"""
import socket, sys
listening = socket.socket(fileno=int(sys.argv[1]))
clients = []
while True:
    client = listening.accept()[0]
    clients.append(client)
    client.sendall({blobs()!r}.encode())
    received = b""
    while b"enableBLOB" not in received:
        received += client.recv(65536)
    client.sendall(b'<setBLOBVector device="{DEVICE}" name="CCD1" state="Ok">'
                   b'<oneBLOB name="CCD1" size="100000000" format=".fits">')
    for _ in range(1000):
        client.sendall(b"QUJD" * (50000 // 3))
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def started(listening: socket.socket) -> subprocess.Popen[bytes]:
    descriptor = listening.fileno()
    return subprocess.Popen([sys.executable, "-c", SERVER, str(descriptor)], pass_fds=[descriptor])


def spool_files(folder: Path) -> list[str]:
    """Return the unnamed files of a folder that are open."""
    targets = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue  # it was closed meanwhile, or is that of listdir
    return [each for each in targets if each.startswith(str(folder))]


@pytest.mark.parametrize("reconnect", [False, True])
async def test_in_the_middle_of_an_image(listening: socket.socket, reconnect: bool, tmp_path: Path) -> None:
    host, port = listening.getsockname()
    folder = tmp_path / "spool"
    folder.mkdir()

    async def lose_an_image() -> None:
        half = anyio.Event()

        async def kill() -> None:
            await half.wait()
            assert spool_files(folder)
            server.send_signal(signal.SIGKILL)

        async with open_client(host, port, reconnect=reconnect, folder=folder) as indi:
            device = await indi.device(DEVICE, timeout=10)

            def look(progress: object) -> None:
                if isinstance(progress, tuple) and progress[0] > 40_000_000:
                    half.set()

            async with anyio.create_task_group() as tasks, device.next("CCD1", progress=look) as image:
                tasks.start_soon(kill)
                with anyio.fail_after(20):
                    if not reconnect:
                        await image.save(tmp_path / "a.fits")
                    with pytest.raises(ConnectionLostError, match="was lost"):
                        await image.save(tmp_path / "a.fits")
            # The block goes on: the server comes back, and what was known is told anew.
            assert device["CCD1"].stale
            with started(listening) as again:
                await device["CCD1"].wait_for(lambda vector: not vector.stale, timeout=20)
                again.kill()

    with started(listening) as server:
        if reconnect:
            await lose_an_image()
        else:
            with ends_with(ConnectionLostError, "was lost"):
                await lose_an_image()
    assert wait_until(lambda: not spool_files(folder), 10)  # what is large is closed by a thread
    assert os.listdir(tmp_path) == ["spool"]
