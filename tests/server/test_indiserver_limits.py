"""Clients that fall behind, under the drop-in and, to see the same, under indiserver (protocol.md 2.8)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indianyio.protocol import (
    DefBLOBVector,
    EnableBLOB,
    GetProperties,
    NewTextVector,
    OneText,
    SetTextVector,
    encode,
)
from tests.libindi.libindi_harness import IndiServer, installed, tcp_client
from tests.server.dropin import DROP_IN, ON_TRIO, SECONDS, program
from tests.server.programs import Programs

pytestmark = pytest.mark.long

FRAMES = 24

# Sends as many frames of 1 MB as a video or as images, and says when it has.
CAMERA = f"""
import base64
BODY = base64.b64encode(bytes(1 << 20)).decode()

def send(format):
    for _ in range({FRAMES}):
        say(f'<setBLOBVector device="Box" name="B" state="Ok"><oneBLOB name="b" size="{{1 << 20}}" '
            f'format="{{format}}">{{BODY}}</oneBLOB></setBLOBVector>')
    show("sent")

def define_more():
    say('<defBLOBVector device="Box" name="B" state="Ok" perm="ro"><defBLOB name="b"/></defBLOBVector>' * 2)

define_more()
while True:
    heard = hear()
    if "getProperties" in heard:
        define_more()
    for format in (".stream_jpg", ".fits"):
        if format in heard:
            send(format)
"""

SERVERS = [
    pytest.param(DROP_IN, id="asyncio"),
    pytest.param(ON_TRIO, id="trio"),
    pytest.param(
        ("indiserver",),
        id="indiserver",
        marks=[
            pytest.mark.libindi,
            pytest.mark.skipif(not installed("indiserver"), reason="indi-bin is not installed"),
        ],
    ),
]


@contextmanager
def slow_client(server: IndiServer) -> Iterator[socket.socket]:
    """Connect a client that wants everything and has not begun to read."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.settimeout(SECONDS)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(encode(GetProperties()) + encode(EnableBLOB(device="Box", value="Also")))
        yield sock


def rest(sock: socket.socket, last: bytes, pause: float = 0.0) -> tuple[bytes, bool]:
    """Return what is left for a client up to this, and whether it was disconnected first."""
    data = bytearray()
    try:
        while last not in data[-4096:]:
            time.sleep(pause)
            piece = sock.recv(1 << 16)
            if not piece:
                return bytes(data), True
            data += piece
    except ConnectionResetError:
        return bytes(data), True
    return bytes(data), False


@pytest.mark.parametrize("launcher", SERVERS)
@pytest.mark.parametrize(
    ("megabytes", "drop_megabytes", "format_", "misses", "is_cut"),
    [
        ("4", "2", ".fits", True, True),
        ("400", "2", ".fits", False, False),
        ("400", "2", ".stream_jpg", True, False),
        ("400", "0", ".stream_jpg", False, False),
        ("4", "0", ".stream_jpg", True, True),
    ],
)
def test_a_client_that_falls_behind(
    tmp_path: Path,
    launcher: tuple[str, ...],
    megabytes: str,
    drop_megabytes: str,
    format_: str,
    misses: bool,
    is_cut: bool,
) -> None:
    camera = Programs(tmp_path).path(CAMERA)
    with program(tmp_path, "-m", megabytes, "-d", drop_megabytes, camera, launcher=launcher) as server:
        with slow_client(server) as slow, tcp_client(server, SECONDS) as client:
            client.ask()
            client.expect(DefBLOBVector)
            client.send(NewTextVector(device="Box", name="T", members=(OneText(name="t", value=format_),)))
            # It wants no BLOBs, so it is told while the other one sleeps.
            assert client.expect(SetTextVector).members[0].value == "sent"
            data, was_cut = rest(slow, b"sent")
            assert was_cut == is_cut
            assert (data.count(b"</setBLOBVector>") < FRAMES) == misses
            client.ask()
            client.expect(DefBLOBVector)


@pytest.mark.parametrize("launcher", SERVERS)
def test_with_a_limit_of_0_nothing_may_wait(tmp_path: Path, launcher: tuple[str, ...]) -> None:
    """It does not mean that there is no limit: a message that comes before the one before it is out cuts."""
    camera = Programs(tmp_path).path(CAMERA)
    with program(tmp_path, "-m", "0", camera, launcher=launcher) as server, slow_client(server) as slow:
        _, was_cut = rest(slow, b"</defBLOBVector>\n")
        if not was_cut:
            slow.sendall(encode(NewTextVector(device="Box", name="T", members=(OneText(name="t", value=".fits"),))))
            # A few MB in a second, where the images come much faster.
            _, was_cut = rest(slow, b"never", pause=0.02)
        assert was_cut
