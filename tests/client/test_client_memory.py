"""An image of 100 MB goes to disk in bounded memory."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.client.scripted import DEVICE, blobs

PIECE = os.urandom(540_000)
PIECES = 186
SIZE = PIECES * len(PIECE)
MOST_MORE_BYTES = 40_000_000

SCRIPT = """
import resource, sys
import anyio
from indianyio.client import open_client

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main():
    async with open_client("127.0.0.1", int(sys.argv[1])) as indi:
        device = await indi.device("Scripted")
        told = []
        async with device.next("CCD1", progress=told.append) as image:
            before = peak()
            saved = await image.save(sys.argv[2])
        print(peak() - before, saved.stat().st_size, told[-1].done)

anyio.run(main, backend=sys.argv[3])
"""


@pytest.mark.long
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("wrap", [False, True], ids=["in one line", "in lines"])
def test_a_large_image_takes_no_memory(backend: str, wrap: bool, tmp_path: Path) -> None:
    target = tmp_path / "image.fits"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        command = [sys.executable, "-c", SCRIPT, str(listener.getsockname()[1]), str(target), backend]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60)
                serve(connection, wrap=wrap)
            assert client.stdout is not None
            more, size, done = map(int, client.stdout.read().split())
    assert (size, done) == (SIZE, SIZE)
    with target.open("rb") as file:
        assert all(file.read(len(PIECE)) == PIECE for _ in range(PIECES))
    assert more < MOST_MORE_BYTES


def serve(connection: socket.socket, *, wrap: bool) -> None:
    """Send the image when it is asked for, and wait until the client ends."""
    text = base64.encodebytes(PIECE) if wrap else base64.b64encode(PIECE)
    connection.sendall(blobs().encode())
    asked = b""
    while b'value="Also"' not in asked and b">Also<" not in asked:
        asked += connection.recv(65536)
    vector = f'<setBLOBVector device="{DEVICE}" name="CCD1" state="Ok">'
    connection.sendall(f'{vector}<oneBLOB name="CCD1" size="{SIZE}" format=".fits">'.encode())
    for _ in range(PIECES):
        connection.sendall(text)
    connection.sendall(b"</oneBLOB></setBLOBVector>")
    with suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
