"""What a client that does not read, and clients that do nothing, cost a server: measured as the system does."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from indianyio._routing import DROP_STREAM_BYTES, OUTBOX_BYTES
from indianyio.protocol import NewNumberVector, OneNumber, SetBLOBVector, SetNumberVector
from tests.libindi.libindi_harness import Client, IndiServer, tcp_client, wait_until
from tests.server.processes import content, cpu_seconds, fence, ours, resident_bytes, set_policy

FLOOD = "Flood"
DRIVERS = "tests.server.interop_drivers"
# Twice as many as it took to find this out, so that they would not fit into what is allowed here.
UPDATES, FRAMES, FRAME_BYTES = 120_000, 100, 1 << 20
# As an update begins, and not a definition: the driver may answer the last request while it sends.
UPDATE, DONE = b'name="number" state="Busy"', b"all sent"
SECONDS = 100.0


@pytest.fixture(params=["asyncio", "trio"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IndiServer]:
    with ours(tmp_path, f"{DRIVERS}:Flood", f"{DRIVERS}:Sorts", backend=request.param) as running:
        yield running


@contextmanager
def small_client(server: IndiServer) -> Iterator[Client]:
    """Connect with next to no room in the kernel for what is not read."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(SECONDS)
        sock.connect(("127.0.0.1", server.port))
        yield Client(sock)


def subscribe(*clients: Client) -> None:
    for client in clients:
        client.ask(FLOOD)
        fence(client)


def begin(client: Client, what: str, count: int) -> None:
    """Let the driver send so many of these."""
    members = (OneNumber(name=what, value=f"{count}"),)
    client.send(NewNumberVector(device=FLOOD, name="number", members=members))


def count_updates(client: Client) -> int:
    """Read until the driver has said that it is done; keep nothing."""
    seen, done, rest = 0, False, b""
    while not done:
        data = client.sock.recv(1 << 18)
        assert data, f"the server has closed the connection after {seen}"
        data = rest + data
        seen += data.count(UPDATE)
        done = DONE in data
        # Enough for either to be found whole, not enough for one to be counted twice.
        rest = data[-len(UPDATE) + 1 :]
    return seen


def is_let_go(client: Client) -> bool:
    """Read what the kernel still has, to the end of the connection."""
    with suppress(ConnectionError):
        while client.sock.recv(1 << 18):
            pass
    return True


@pytest.mark.long
def test_s2_all_updates_pass_a_client_that_does_not_read(server: IndiServer) -> None:
    pid = server.process.pid
    with small_client(server) as stalled, tcp_client(server) as one, tcp_client(server) as two:
        subscribe(stalled, one, two)
        before = resident_bytes(pid)
        begin(one, "updates", UPDATES)
        with ThreadPoolExecutor() as readers:
            assert list(readers.map(count_updates, (one, two))) == [UPDATES, UPDATES]
        assert resident_bytes(pid, most=True) - before < 2 * OUTBOX_BYTES
        reason = rf"\(client 1\): it does not read: \d+ bytes wait for it, more than {OUTBOX_BYTES}\b"
        assert re.findall(reason, server.log.read_text(encoding="utf-8"))
        assert is_let_go(stalled)
        fence(two)  # which is served as before


@pytest.mark.long
def test_s2_who_watches_a_video_slowly_loses_frames_and_stays(server: IndiServer) -> None:
    pid = server.process.pid
    with small_client(server) as slow, tcp_client(server) as fast:
        subscribe(slow, fast)
        for client in (slow, fast):
            set_policy(client, FLOOD, "Also")
        before = resident_bytes(pid)
        begin(fast, "frames", FRAMES)
        # How many come to one that reads at once is a matter of speed, too: the driver does not wait.
        assert 0 < len(frames(fast)) <= FRAMES
        assert resident_bytes(pid, most=True) - before < 2 * OUTBOX_BYTES
        few = frames(slow)
        assert DROP_STREAM_BYTES // (2 * FRAME_BYTES) <= len(few) < 20
        assert all(len(frame) == FRAME_BYTES and len(set(frame)) == 1 for frame in few)
        fence(slow)
    assert "does not read" not in server.log.read_text(encoding="utf-8")


def frames(client: Client) -> list[bytes]:
    """Return the frames that come until the driver is done."""
    seen = []
    while True:
        message = client.receive()
        if isinstance(message, SetBLOBVector):
            seen.append(content(message))
        if isinstance(message, SetNumberVector) and message.state == "Ok":
            return seen


@pytest.mark.long
@pytest.mark.alone
def test_a_server_with_five_idle_clients_computes_next_to_nothing(server: IndiServer) -> None:
    pid = server.process.pid
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    try:
        subscribe(*map(Client, clients))
        before = cpu_seconds(pid)
        time.sleep(5)  # this is what is measured
        assert cpu_seconds(pid) - before < 0.01 * 5
        assert wait_until(lambda: not any(fence(Client(sock)) for sock in clients), 5)
    finally:
        for sock in clients:
            sock.close()
