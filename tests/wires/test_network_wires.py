"""Wires over TCP and UDP, on loopback."""

from __future__ import annotations

import socket

import anyio
import pytest
from anyio.abc import SocketStream

from indianyio.testing import cancel_at
from indianyio.wires import TcpWire, UdpWire, Wire, WireError, WireLostError, WireTimeoutError, _line
from tests.virtual_time import virtual_backend
from tests.wires.network_instruments import Requests, datagram_socket, listening

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param, idle_seconds=0.3)


HOST = "127.0.0.1"


async def echo(stream: SocketStream) -> None:
    async for request in Requests(stream):
        await stream.send(request[:1])
        await anyio.sleep(0.001)
        await stream.send(request[1:] + b"#")


async def test_an_answer_by_tcp() -> None:
    async with listening(echo) as port, TcpWire(HOST, port) as wire:
        assert await wire.query(b"GP1200#", until=b"#") == b"GP1200"
        assert await wire.query(b"GP#", length=3) == b"GP#"
        assert wire.name == f"{HOST}:{port}"


async def test_what_was_sent_last_arrives_although_something_was_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_line, "_DRAIN_SECONDS", 60)  # a machine that stalls for a second would lose the rest
    arrived = 0
    done = anyio.Event()

    async def read_late(stream: SocketStream) -> None:
        nonlocal arrived
        arrived += len(await stream.receive())
        await stream.send(b"what nobody reads")
        await anyio.sleep(0.05)
        try:
            while True:
                arrived += len(await stream.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            done.set()

    async with listening(read_late) as port:
        async with TcpWire(HOST, port) as wire:
            await wire.send(b"S" * 3_000_000, timeout=60)
            await anyio.sleep(0.02)
        with anyio.fail_after(60):
            await done.wait()
    assert arrived == 3_000_000


async def test_a_connection_closed_by_the_instrument_is_made_again_for_the_next_request() -> None:
    async def answer_once(stream: SocketStream) -> None:
        async for request in Requests(stream):
            await stream.send(request + b"#")
            return

    async with listening(answer_once) as port, TcpWire(HOST, port) as wire:
        for request in (b"A", b"B", b"C"):
            assert await wire.query(request + b"#", until=b"#", repeatable=True) == request


@pytest.mark.parametrize("discard_stale", [False, True])
async def test_nothing_is_sent_to_one_who_has_hung_up(discard_stale: bool) -> None:
    heard: list[bytes] = []
    last = anyio.Event()

    async def serve_once(stream: SocketStream) -> None:
        async for request in Requests(stream):
            heard.append(request)
            await stream.send(b"here#and more")
            if request == b"LAST":
                last.set()
            return

    async with listening(serve_once) as port, TcpWire(HOST, port, discard_stale=discard_stale) as wire:
        for request in (b"A#", b"B#"):
            assert await wire.query(request, until=b"#") in (b"here", b"and more")
            await anyio.sleep(0.01)
        await wire.send(b"STOP#")
        await anyio.sleep(0.01)
        await wire.send(b"LAST#", urgent=True)
        with anyio.fail_after(5):
            await last.wait()
    assert heard == [b"A", b"B", b"STOP", b"LAST"]


async def test_a_move_that_may_have_begun_is_not_sent_again() -> None:
    heard: list[bytes] = []

    async def hang_up(stream: SocketStream) -> None:
        async for request in Requests(stream):
            heard.append(request)
            if len(heard) != 2:
                return
            await stream.send(b"here#")

    async with listening(hang_up) as port, TcpWire(HOST, port) as wire:
        with pytest.raises(WireLostError, match=f"^{HOST}:{port}: closed by the other end, after b'MOVE#'"):
            await wire.query(b"MOVE#", until=b"#")
        assert await wire.query(b"GP#", until=b"#") == b"here"
        with pytest.raises(WireLostError):
            await wire.query(b"GP#", until=b"#", repeatable=True)
    assert heard == [b"MOVE", b"GP", b"GP", b"GP"]


async def test_a_late_answer_finds_nobody() -> None:
    connections = 0

    async def answer_late(stream: SocketStream) -> None:
        nonlocal connections
        connections += 1
        first = connections == 1
        async for request in Requests(stream):
            await anyio.sleep(0.1 if first else 0)
            await stream.send(request + b"#")

    async with listening(answer_late) as port, TcpWire(HOST, port, late=0) as wire:
        with pytest.raises(WireTimeoutError):
            await wire.query(b"A#", until=b"#", timeout=0.02)
        assert await wire.query(b"B#", until=b"#") == b"B"
        assert await wire.query(b"C#", until=b"#") == b"C"
    assert connections == 2


async def test_where_nobody_listens_the_error_names_the_address() -> None:
    with datagram_socket() as unused:
        port = unused.getsockname()[1]
    with pytest.raises(WireError, match=f"^{HOST}:{port}: cannot be opened: .*[Rr]efused"):
        await TcpWire(HOST, port).open()
    with pytest.raises(WireError, match=r"no\.such\.host\.invalid:4030: cannot be opened"):
        await TcpWire("no.such.host.invalid", 4030).open()
    with pytest.raises(WireError, match="cannot be opened"):
        await TcpWire("." * 300, 4030).open()


def test_wrong_addresses_are_refused_at_once() -> None:
    for port in (0, 65536):
        with pytest.raises(ValueError, match="port"):
            TcpWire(HOST, port)
    with pytest.raises(ValueError, match="open_timeout"):
        UdpWire(HOST, 4030, open_timeout=0)
    assert UdpWire("::1", 4030).name == "[::1]:4030"


@pytest.mark.long
async def test_cancelled_at_any_await_the_answers_stay_right() -> None:
    async def ask(wire: Wire) -> None:
        assert await wire.query(b"FIRST#", until=b"#") == b"FIRST"

    number = 0
    cancelled = True
    async with listening(echo) as port, TcpWire(HOST, port) as wire:
        while cancelled:
            number += 1
            cancelled = await cancel_at(number, lambda: ask(wire))
            for request in (b"NEXT", b"LAST"):
                assert await wire.query(request + b"#", until=b"#") == request
    assert number > 3


async def test_opening_can_be_cancelled_at_any_await() -> None:
    async def use(wire: Wire) -> None:
        async with wire:
            assert await wire.query(b"A#", until=b"#") == b"A"

    number = 0
    cancelled = True
    async with listening(echo) as port:
        while cancelled:
            number += 1
            wire = TcpWire(HOST, port)
            cancelled = await cancel_at(number, lambda wire=wire: use(wire))  # type: ignore[misc]
            assert not wire.is_open
    assert number > 5


async def answer_datagrams(sock: socket.socket, *answers: list[bytes]) -> None:
    """Answer each datagram that comes with the next of these."""
    for parts in answers:
        await anyio.wait_readable(sock)
        _, sender = sock.recvfrom(65536)
        for part in parts:
            sock.sendto(part, sender)


async def test_an_answer_by_udp_is_a_datagram() -> None:
    with datagram_socket() as instrument:
        async with UdpWire(HOST, instrument.getsockname()[1]) as wire, anyio.create_task_group() as tasks:
            tasks.start_soon(answer_datagrams, instrument, [b"one"], [b"", b"tw", b"o#x"], [b"three"])
            assert await wire.query(b"?") == b"one"
            assert await wire.query(b"?", until=b"#") == b"two"
            assert await wire.query(b"?") == b"three"  # and not the rest of the one before


async def test_datagrams_do_not_run_together() -> None:
    with datagram_socket() as instrument:
        async with UdpWire(HOST, instrument.getsockname()[1]) as wire:
            await wire.send(b"START")
            await anyio.wait_readable(instrument)
            _, sender = instrument.recvfrom(100)
            for report in (b"one", b"two"):
                instrument.sendto(report, sender)
            await wire.send(b"GO ON")
            assert [await wire.receive() for _ in range(2)] == [b"one", b"two"]


async def test_datagrams_of_strangers_are_not_received() -> None:
    with datagram_socket() as instrument, datagram_socket() as stranger:

        async def answer() -> None:
            await anyio.wait_readable(instrument)
            _, sender = instrument.recvfrom(100)
            stranger.sendto(b"forged", sender)
            instrument.sendto(b"true", sender)

        async with UdpWire(HOST, instrument.getsockname()[1]) as wire, anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            assert await wire.query(b"?") == b"true"


async def test_a_late_datagram_finds_nobody() -> None:
    with datagram_socket() as instrument:
        async with UdpWire(HOST, instrument.getsockname()[1], late=0) as wire:
            with pytest.raises(WireTimeoutError, match="nothing had arrived"):
                await wire.query(b"A", timeout=0.01)
            _, late_for = instrument.recvfrom(100)
            async with anyio.create_task_group() as tasks:

                async def answer() -> None:
                    await anyio.wait_readable(instrument)
                    _, sender = instrument.recvfrom(100)
                    assert sender != late_for
                    instrument.sendto(b"late", late_for)
                    instrument.sendto(b"right", sender)

                tasks.start_soon(answer)
                assert await wire.query(b"B") == b"right"


async def test_a_datagram_to_nobody_is_a_lost_wire() -> None:
    with datagram_socket() as unused:
        port = unused.getsockname()[1]
    async with UdpWire(HOST, port) as wire:
        with pytest.raises(WireLostError, match=f"{HOST}:{port}: Connection refused"):
            await wire.query(b"?", timeout=5)
