"""What every byte stream does, whatever carries it: memory, sockets, standard input and output."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import NamedTuple

import anyio
import anyio.lowlevel
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream, Received, SocketStream, memory_pair, open_stdio
from indianyio.streams._files import FileReader, FileWriter
from indianyio.streams._stdio import _StdioStream

from .socket_pairs import BIG, memory, receive_bytes, tcp_pair, unix_pair
from .test_transport_stdio_inside import standard

pytestmark = pytest.mark.anyio

CONTENT = b"content"
LONGEST_RECEIVE = 512 << 10


class Pair(NamedTuple):
    """Two connected streams: what either sends the other receives.

    Where one of them is standard input and output, it is ``two``. Its end is not seen at the other before its block
    ends, because the process keeps both descriptors to put them back; so it is ``one`` that leaves.
    """

    one: ByteStream
    two: ByteStream


@asynccontextmanager
async def connected(make: Callable[[], tuple[ByteStream, ByteStream]]) -> AsyncIterator[Pair]:
    pair = Pair(*make())
    yield pair
    for stream in pair:
        await stream.aclose()


@asynccontextmanager
async def stdio_on_pipes() -> AsyncIterator[Pair]:
    (stdin, feeding), (reading, stdout) = os.pipe(), os.pipe()
    with standard(stdin, stdout):
        async with open_stdio() as stream:
            other = _StdioStream(FileReader(reading, "the other end"), FileWriter(feeding, "the other end"))
            yield Pair(other, stream)
            await other.aclose()


@asynccontextmanager
async def stdio_on_a_socket() -> AsyncIterator[Pair]:
    ours, theirs = socket.socketpair()
    shared = theirs.detach()
    with standard(shared, shared):
        async with open_stdio() as stream:
            other = SocketStream(ours, name="the other end")
            yield Pair(other, stream)
            await other.aclose()


KINDS: dict[str, Callable[[], AbstractAsyncContextManager[Pair]]] = {
    "memory": partial(connected, memory_pair),
    "memory with attachments": partial(connected, partial(memory_pair, carries_attachments=True)),
    "unix": partial(connected, unix_pair),
    "tcp": partial(connected, tcp_pair),
    "stdio on pipes": stdio_on_pipes,
    "stdio on a socket": stdio_on_a_socket,
}


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    make: Callable[[], AbstractAsyncContextManager[Pair]] = request.param
    async with make() as made:
        yield made


async def send_for_ever(stream: ByteStream) -> None:
    while True:
        await stream.send(BIG)


async def receive_all(stream: ByteStream) -> bytes:
    data = bytearray()
    while piece := (await stream.receive()).data:
        data += piece
    return bytes(data)


def takes_at_once(stream: ByteStream) -> bool:
    return not (isinstance(stream, _StdioStream) and isinstance(stream._writer, FileWriter))


# -- bytes -----------------------------------------------------------------------------------------------------


async def test_both_directions_at_once(pair: Pair) -> None:
    assert all(stream.name for stream in pair)
    received = dict[str, bytes]()

    async def collect(stream: ByteStream, key: str) -> None:
        received[key] = await receive_bytes(stream, len(BIG))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pair.one.send, BIG)
            tasks.start_soon(pair.two.send, memoryview(BIG))
            tasks.start_soon(collect, pair.one, "one")
            tasks.start_soon(collect, pair.two, "two")
    assert received == {"one": BIG, "two": BIG}


async def test_a_receive_is_bounded_and_brings_something(pair: Pair) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pair.one.send, BIG)
        left = len(BIG)
        while left:
            data = (await pair.two.receive()).data
            assert 0 < len(data) <= LONGEST_RECEIVE
            left -= len(data)


async def test_a_sender_waits_for_a_slow_receiver(pair: Pair) -> None:
    sent = anyio.Event()

    async def send() -> None:
        await pair.one.send(BIG)
        sent.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        assert not sent.is_set()
        assert await receive_bytes(pair.two, len(BIG)) == BIG
        await sent.wait()


@pytest.mark.parametrize("sender", [0, 1])
async def test_what_is_sent_now_is_a_part_and_the_rest_follows(pair: Pair, sender: int) -> None:
    stream, other = pair[sender], pair[1 - sender]
    sent = 0
    while piece := stream.send_now(BIG[sent : sent + 100_000]):
        sent += piece
        assert sent < len(BIG)
    # A pipe may make its writer wait, so nothing is written to it at once; all others take what they have room for.
    assert (sent > 0) is takes_at_once(stream)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.send, BIG[sent:])
        assert await receive_bytes(other, len(BIG)) == BIG


async def test_what_is_sent_now_on_a_closed_stream_is_nothing(pair: Pair) -> None:
    for stream in pair:
        await stream.aclose()
        assert stream.send_now(b"<x/>") == 0


async def test_a_view_may_change_after_the_send(pair: Pair) -> None:
    buffer = bytearray(b"before")
    await pair.one.send(memoryview(buffer))
    buffer[:] = b"after!"
    assert await pair.two.receive() == Received(b"before")


# -- the end ---------------------------------------------------------------------------------------------------


async def test_what_was_sent_before_closing_arrives_and_then_the_end(pair: Pair) -> None:
    await pair.one.send(b"last")
    await pair.one.aclose()
    await pair.one.aclose()
    assert await pair.two.receive() == Received(b"last")
    assert await pair.two.receive() == Received(b"")
    assert await pair.two.receive() == Received(b"")


async def test_sending_to_a_peer_that_has_gone(pair: Pair) -> None:
    await pair.one.aclose()
    with anyio.fail_after(10), pytest.raises(ConnectionLostError):
        await send_for_ever(pair.two)


@pytest.mark.parametrize("end", [0, 1])
async def test_closing_this_end_wakes_both_waits(pair: Pair, end: int) -> None:
    stream = pair[end]
    raised = list[ConnectionLostError]()

    async def receive() -> None:
        try:
            await stream.receive()
        except ConnectionLostError as error:
            raised.append(error)

    async def send() -> None:
        try:
            await send_for_ever(stream)
        except ConnectionLostError as error:
            raised.append(error)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
    assert len(raised) == 2
    with pytest.raises(ConnectionLostError):
        await stream.receive()
    with pytest.raises(ConnectionLostError):
        await stream.send(b"x")


# -- cancellation ----------------------------------------------------------------------------------------------


async def test_a_cancelled_receive_loses_nothing(pair: Pair) -> None:
    received = bytearray()

    async def receive() -> None:
        received.extend((await pair.two.receive()).data)

    for turn in range(200):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            for _ in range(turn % 5):
                await anyio.lowlevel.checkpoint()
            await pair.one.send(bytes([turn]))
            tasks.cancel_scope.cancel()
    received += await receive_bytes(pair.two, 200 - len(received))
    assert received == bytes(range(200))


async def test_a_cancelled_send_has_sent_a_part_and_sends_nothing_more(pair: Pair) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pair.one.send, BIG)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await pair.one.aclose()
    arrived = await receive_all(pair.two)
    assert 0 < len(arrived) < len(BIG)
    assert BIG.startswith(arrived)


async def test_a_cancelled_task_sends_nothing(pair: Pair) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pair.one.send(b"<abort/>")
    assert scope.cancelled_caught
    await pair.one.send(b"<next/>")
    assert await pair.two.receive() == Received(b"<next/>")


# -- other tasks -----------------------------------------------------------------------------------------------


async def test_d12_a_peer_that_does_not_read_stops_nobody_else(pair: Pair) -> None:
    beats = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pair.one.send, BIG)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
            beats += 1
        tasks.cancel_scope.cancel()
    assert beats == 10


async def test_a_fast_peer_does_not_starve_the_other_tasks(pair: Pair) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        for _ in range(100):
            await pair.one.send(b"tick")
            await pair.two.receive()
        tasks.cancel_scope.cancel()
    assert beats > 100


# -- attachments -----------------------------------------------------------------------------------------------


async def test_attachments_travel_with_the_first_byte_and_stay_the_senders(pair: Pair) -> None:
    if not pair.one.carries_attachments:
        await refuses_attachments(pair)
        return
    with pytest.raises(ValueError, match="0 bytes"):
        await pair.one.send(b"", [memory(CONTENT)])
    mine = [memory(CONTENT), memory(b"another")]
    await pair.one.send(b"<x/>", mine)
    for one in mine:
        assert one.read(7) in (CONTENT, b"another")
        one.close()
    data, attachments = await pair.two.receive()
    assert data == b"<x/>"
    assert [one.read(7) for one in attachments] == [CONTENT, b"another"]
    for attachment in attachments:
        attachment.close()


async def refuses_attachments(pair: Pair) -> None:
    mine = memory(CONTENT)
    for stream in pair:
        with pytest.raises(ValueError, match="carries no attachments"):
            await stream.send(b"<x/>", [mine])
    mine.close()
    await pair.one.send(b"<y/>")
    assert await pair.two.receive() == Received(b"<y/>")
