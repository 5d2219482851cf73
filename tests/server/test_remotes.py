"""Other servers: how they are connected to, lost and found again."""

from __future__ import annotations

import itertools
import logging
import socket
import struct
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
import trio
import trio.testing

from indianyio._environment import Environment
from indianyio._vocabulary import Limits
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import DefTextVector, DelProperty, GetProperties, Message, NewTextVector, SetTextVector
from indianyio.server._hub import Hub
from indianyio.server._remotes import RemoteServer
from indianyio.server._supervision import Backoff
from indianyio.streams import ByteStream, MemoryStream, SocketStream, dial, memory_pair
from indianyio.testing import Peer
from tests.server.programs import write
from tests.server.watching import errors, feeding, new_hub, nothing_left, texts, until

pytestmark = pytest.mark.anyio

SOON = Backoff(first_seconds=0.01, most_seconds=0.02)
DEFINITION = (
    '<defTextVector device="Box" name="T" label="T" group="G" state="Ok" perm="rw">'
    '<defText name="t" label="t">new</defText></defTextVector>'
)


class Elsewhere:
    """A server on a port of this machine, by hand."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET, port: int = 0) -> None:
        self.host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._socket = socket.create_server((self.host, port), family=family)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.streams: list[SocketStream] = []
        self.sockets: list[socket.socket] = []

    async def accept(self) -> Peer:
        with anyio.fail_after(60):
            await anyio.wait_readable(self._socket)
        accepted = self._socket.accept()[0]
        self.sockets.append(accepted)
        self.streams.append(SocketStream(accepted))
        return Peer(self.streams[-1])

    def reset(self) -> None:
        """Drop the last connection without a good-bye."""
        self.sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.streams[-1].close()

    def close(self) -> None:
        self._socket.close()
        for stream in self.streams:
            stream.close()

    def remote(self, device: str | None = None) -> RemoteServer:
        return RemoteServer(self.host, self.port, device, backoff=SOON)


@asynccontextmanager
async def elsewhere(family: socket.AddressFamily = socket.AF_INET, port: int = 0) -> AsyncGenerator[Elsewhere]:
    place = Elsewhere(family, port)
    try:
        yield place
    finally:
        place.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_a_server_is_asked_defines_and_is_written_to(family: socket.AddressFamily) -> None:
    with nothing_left():
        async with elsewhere(family) as place, feeding(new_hub(), remote := place.remote()) as watcher:
            peer = await place.accept()
            assert [(await peer.expect(GetProperties)).device for _ in range(2)] == [None, "*"]
            await peer.send(DEFINITION)
            await watcher.expect(DefTextVector, device="Box")
            watcher.say(write("hello"))
            assert (await peer.expect(NewTextVector)).members[0].value == "hello"
            assert remote.connected
            assert remote.statistics().messages_in == 1
            assert remote.statistics().restarts == 0
        assert not remote.connected
        assert (await watcher.expect(DelProperty)).device == "Box"
    host = "[::1]" if family == socket.AF_INET6 else "127.0.0.1"
    assert remote.name == f"{host}:{place.port}"


async def test_a_single_device_may_be_wanted() -> None:
    async with elsewhere() as place, feeding(new_hub(), place.remote("Box")) as watcher:
        peer = await place.accept()
        assert (await peer.expect(GetProperties)).device == "Box"
        watcher.say(write("at once"))
        await peer.expect(NewTextVector, device="Box")


@pytest.mark.parametrize("reset", [False, True])
async def test_s12_a_lost_server_is_missed_and_found_again(reset: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with elsewhere() as place, feeding(new_hub(), remote := place.remote()) as watcher:
        peer = await place.accept()
        await peer.send(DEFINITION + '<setTextVector device="Box" name="T"><oneText na')
        await watcher.expect(DefTextVector)
        if reset:
            place.reset()
        else:
            await peer.close()
        said = (await watcher.expect(Message, device="Box")).message or ""
        assert f"the connection to {remote.name} was lost: " in said
        await watcher.expect(DelProperty, device="Box")
        again = await place.accept()
        await again.expect(GetProperties)
        await again.send(DEFINITION)
        await watcher.expect(DefTextVector, device="Box")
        assert remote.statistics().restarts == 1
    lost = [text for text in texts(caplog, logging.WARNING) if "was lost" in text]
    assert len(lost) == 1
    assert texts(caplog, logging.INFO).count(f"{remote.name}: connected") == 2


async def test_a_server_that_says_nothing_stays_connected() -> None:
    async with elsewhere() as place, feeding(new_hub(), remote := place.remote()):
        await place.accept()
        await until(lambda: remote.connected)
        with anyio.move_on_after(0.1):
            await place.accept()
            pytest.fail("it has connected again")
        assert remote.connected


@pytest.mark.long
async def test_a_server_that_does_not_read_is_sent_no_more_and_stays_connected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = new_hub()
    async with elsewhere() as place:
        remote = RemoteServer(place.host, place.port, "Box", outbox_bytes=10_000, backoff=SOON)
        async with feeding(hub, remote) as watcher:
            await place.accept()
            await until(lambda: remote.connected)
            for _ in range(5000):
                watcher.say(write("x" * 10_000))
                await anyio.lowlevel.checkpoint()
            answer = await watcher.expect(SetTextVector, device="Box", state="Alert")
            assert f"waits for {remote.name}" in (answer.message or "")
            assert remote.connected
            assert remote.statistics().queued_bytes < 22_000
    assert any(f"waits for {remote.name}" in text for text in texts(caplog, logging.WARNING))


@pytest.mark.parametrize(
    "excess",
    [
        pytest.param(
            b"<newTextVector device='Nobody' name='T'><a><b><c><d/></c></b></a></newTextVector>", id="depth"
        ),
        pytest.param(
            b"<newTextVector device='Nobody' name='T'>%b</newTextVector>" % (b"x" * 1_100_000), id="length"
        ),
        pytest.param(
            b"<newTextVector device='Nobody' name='T'>%b</newTextVector>" % (b"<oneText/>" * 10_001), id="members"
        ),
        pytest.param(b"<message device='Nobody' message='%b'/>" % (b"x" * 70_000), id="attributes"),
        pytest.param(b"no message at all " * 100_000, id="garbage"),
    ],
)
async def test_s7_what_a_client_of_the_server_sends_does_not_cost_the_connection(
    excess: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """An indiserver shows us what any of its clients writes to a device that nobody has (protocol.md S21)."""
    async with elsewhere() as place, feeding(new_hub(), remote := place.remote()) as watcher:
        peer = await place.accept()
        await peer.send(DEFINITION)
        await watcher.expect(DefTextVector)
        await peer.send(excess + b"<setTextVector device='Box' name='T' state='Ok'/>")
        await watcher.expect(SetTextVector)
        assert remote.connected
    assert any("dropped" in text for text in texts(caplog, logging.WARNING))


async def test_a_server_that_the_hub_does_not_take_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = new_hub()
    monkeypatch.setattr(hub, "add_remote", lambda *_, **__: "there is no room for it")
    async with elsewhere() as place, feeding(hub, remote := place.remote()):
        for _ in range(3):
            peer = await place.accept()
            with pytest.raises(ConnectionLostError):
                await peer.receive()
    assert texts(caplog, logging.WARNING) == [f"{remote.name}: there is no room for it"]


async def test_nobody_there_is_said_once_and_tried_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with elsewhere() as place:
        remote = place.remote()
    async with feeding(new_hub(), remote):
        await until(lambda: caplog.text.count("cannot be reached") > 3)
        async with elsewhere(port=place.port) as back:
            await back.accept()
            await until(lambda: remote.connected)
    warnings = [text for text in texts(caplog, logging.WARNING) if "cannot be reached" in text]
    assert warnings == [f"{remote.name}: cannot be reached: [Errno 111] Connection refused"]


async def test_a_host_that_does_not_exist_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bad_name = RemoteServer("a" * 70 + ".example", backoff=SOON)  # no name in DNS: a UnicodeError
    async with feeding(new_hub(), bad_name):
        await until(lambda: caplog.text.count("cannot be reached") > 2)


async def test_a_limit_ends_the_attempts(caplog: pytest.LogCaptureFixture) -> None:
    async with elsewhere() as place:
        host, port = place.host, place.port
    backoff = Backoff(first_seconds=0.01, limit=2)
    await RemoteServer(host, port, backoff=backoff).run(new_hub())
    assert errors(caplog) == [f"{host}:{port}: given up after 3 attempts"]


async def test_the_connection_is_looked_after() -> None:
    async with elsewhere() as place:
        stream = await dial(place.host, place.port, 5, name="elsewhere")
        sock = stream._socket
        assert stream.name == "elsewhere"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if sys.platform == "linux":
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        stream.close()


def unanswering() -> tuple[socket.socket, list[socket.socket]]:
    """Return a socket on which nobody connects, because its queue is full, and what fills it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    filling = []
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        filling.append(sock)
    return listener, filling


async def test_each_address_has_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    listener, filling = unanswering()
    found: list[tuple[object, ...]] = []

    async def two_addresses(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        await anyio.lowlevel.checkpoint()
        return found

    monkeypatch.setattr(anyio, "getaddrinfo", two_addresses)
    async with elsewhere() as place:
        addresses = (listener.getsockname(), (place.host, place.port))
        found += [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]
        stream = await dial("both", 1, 0.4, name="second")
        assert stream._socket.getpeername() == (place.host, place.port)
        stream.close()
    found.reverse()
    with pytest.raises(OSError, match=r"no answer within 0.2 s"):
        await dial("both", 1, 0.2, name="second")
    for sock in (listener, *filling):
        sock.close()


async def test_a_connection_with_oneself_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def bound(family: int, kind: int, protocol: int) -> socket.socket:
        sock = real(family, kind, protocol)
        sock.bind(address)
        return sock

    with real() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    monkeypatch.setattr(socket, "socket", bound)
    with pytest.raises(ConnectionRefusedError):
        await dial(address[0], address[1], 5, name="myself")


@pytest.mark.parametrize(
    "make",
    [
        lambda: RemoteServer(""),
        lambda: RemoteServer("host", 0),
        lambda: RemoteServer("host", 65536),
        lambda: RemoteServer("host", 7624, ""),
        lambda: RemoteServer("host", connect_timeout_seconds=0),
        lambda: RemoteServer("host", outbox_bytes=0),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(make: Callable[[], RemoteServer]) -> None:
    with pytest.raises(ValueError, match=r"a server needs"):
        make()


# -- virtual time ----------------------------------------------------------------------------------------------

IN_VIRTUAL_TIME = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual")]
)


@IN_VIRTUAL_TIME
async def test_calls_come_ever_later_and_soon_again_after_a_good_time(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[float] = []
    good = 9

    class Unreliable(Environment):
        async def connect(self, *_: object, **__: object) -> ByteStream:
            calls.append(anyio.current_time())
            await anyio.lowlevel.checkpoint()
            if len(calls) != good:
                raise ConnectionRefusedError(111, "Connection refused")
            near, far = memory_pair()
            ends.start_soon(hang_up, far)
            return near

    async def hang_up(far: MemoryStream) -> None:
        await anyio.sleep(100)
        await far.aclose()

    remote = RemoteServer("dome.local")
    async with anyio.create_task_group() as ends, feeding(Hub(Limits(), environment=Unreliable()), remote):
        await anyio.sleep(300)
    waits = [after - before for before, after in itertools.pairwise(calls)]
    for wait, delay in zip(waits[: good + 1], [0.5, 1, 2, 4, 8, 16, 30, 30, 100.5, 1], strict=True):
        assert 0.8 * delay <= wait <= 1.2 * delay
    assert len(texts(caplog, logging.WARNING)) == 2, "not reached, and later lost"
