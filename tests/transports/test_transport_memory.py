"""Connections in memory."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import MemoryStream, Received, SharedMemory, memory_pair

pytestmark = pytest.mark.anyio


async def receive_all(stream: MemoryStream) -> list[bytes]:
    pieces = []
    while piece := (await stream.receive()).data:
        pieces.append(piece)
    return pieces


async def send_all(stream: MemoryStream, messages: list[bytes]) -> None:
    for message in messages:
        await stream.send(message)
    await stream.aclose()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@given(
    messages=st.lists(st.binary(max_size=50), max_size=20),
    capacity_bytes=st.integers(1, 100),
    cut=st.none() | st.integers(1, 60),
)
@settings(max_examples=100)
def test_whatever_the_cut_the_bytes_are_the_same(
    anyio_backend: str, messages: list[bytes], capacity_bytes: int, cut: int | None
) -> None:
    async def transfer() -> None:
        one, two = memory_pair(capacity_bytes=capacity_bytes)
        two.cut = cut
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all, one, messages)
            pieces = await receive_all(two)
        assert b"".join(pieces) == b"".join(messages)
        assert all(len(piece) <= min(cut or 100, capacity_bytes) for piece in pieces)

    anyio.run(transfer, backend=anyio_backend)


async def test_a_receive_is_bounded() -> None:
    one, two = memory_pair()
    await one.send(bytes(100_000))
    assert [len((await two.receive()).data) for _ in range(2)] == [65536, 100_000 - 65536]


async def test_bytes_run_together() -> None:
    one, two = memory_pair()
    for _ in range(3):
        await one.send(b"<x/>")
    two.cut = 6
    assert await two.receive() == Received(b"<x/><x")
    assert await two.receive() == Received(b"/><x/>")


async def test_the_names_are_those_given() -> None:
    one, two = memory_pair(names=("driver", "server"), carries_attachments=True)
    assert (one.name, two.name) == ("driver", "server")
    assert one.carries_attachments
    assert two.carries_attachments


async def test_a_full_buffer_makes_the_sender_wait() -> None:
    one, two = memory_pair(capacity_bytes=10)
    done = anyio.Event()

    async def send() -> None:
        await one.send(bytes(15))
        done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        assert not done.is_set()
        assert len((await two.receive()).data) == 10
        await anyio.wait_all_tasks_blocked()
        assert done.is_set()
    assert len((await two.receive()).data) == 5


async def test_what_room_there_is_takes_a_part_at_once() -> None:
    one, two = memory_pair(capacity_bytes=5)
    assert one.send_now(b"abc") == 3
    assert one.send_now(b"defg") == 2
    assert one.send_now(b"fg") == 0
    assert await two.receive() == Received(b"abcde")
    assert one.send_now(b"fg") == 2
    await two.aclose()
    assert one.send_now(b"h") == 0


async def test_what_was_sent_before_closing_arrives() -> None:
    one, two = memory_pair()
    await one.send(b"last")
    await one.aclose()
    await one.aclose()
    assert await two.receive() == Received(b"last")
    assert await two.receive() == Received(b"")
    with pytest.raises(ConnectionLostError, match="closed by the peer"):
        await two.send(b"x")


async def test_own_closing_ends_own_use() -> None:
    one, _ = memory_pair()
    await one.aclose()
    with pytest.raises(ConnectionLostError, match="closed at this end"):
        await one.receive()
    with pytest.raises(ConnectionLostError, match="closed at this end"):
        await one.send(b"x")


@pytest.mark.parametrize("closing", [0, 1])
async def test_closing_either_end_wakes_a_waiting_sender(closing: int) -> None:
    ends = memory_pair(capacity_bytes=1)

    async def send() -> None:
        with pytest.raises(ConnectionLostError):
            await ends[0].send(b"xx")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        await ends[closing].aclose()


async def test_closing_wakes_waiting_receivers() -> None:
    one, two = memory_pair()

    async def lose() -> None:
        with pytest.raises(ConnectionLostError):
            await one.receive()

    async def end() -> None:
        assert await two.receive() == Received(b"")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lose)
        tasks.start_soon(end)
        await anyio.wait_all_tasks_blocked()
        await one.aclose()


async def test_who_is_cancelled_waits_no_more() -> None:
    one, two = memory_pair(capacity_bytes=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(two.receive)
        tasks.start_soon(two.send, b"xx")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert not two._incoming._waiting
    assert not one._incoming._waiting


async def test_a_cancelled_send_sends_nothing_more() -> None:
    one, two = memory_pair(capacity_bytes=3)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, b"abcdef")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await one.aclose()
    assert await receive_all(two) == [b"abc"]


async def test_attachments_travel_with_the_first_byte_as_duplicates() -> None:
    one, two = memory_pair(carries_attachments=True, capacity_bytes=8)
    memory = SharedMemory.create("x")
    memory.write(b"content")
    await one.send(b"<a/>")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.send, b"<attached/>", [memory])
        assert await two.receive() == Received(b"<a/>")
        await anyio.wait_all_tasks_blocked()
        memory.close()
        data, attachments = await two.receive()
        while len(data) < 11:
            more = await two.receive()
            assert not more.attachments
            data += more.data
    assert data == b"<attached/>"
    assert [attachment.read(7) for attachment in attachments] == [b"content"]
    attachments[0].close()


async def test_attachments_nobody_received_are_closed() -> None:
    one, two = memory_pair(carries_attachments=True)
    memory = SharedMemory.create("x")
    await one.send(b"<x/>", [memory])
    _, (pending,) = two._incoming.pieces[0]
    await two.aclose()
    with pytest.raises(ValueError, match="closed"):
        pending.fileno()
    memory.close()


async def test_refusals() -> None:
    with pytest.raises(ValueError, match="capacity"):
        memory_pair(capacity_bytes=0)
    plain, _ = memory_pair()
    carrying, _ = memory_pair(carries_attachments=True)
    memory = SharedMemory.create("x")
    with pytest.raises(ValueError, match="carries no attachments"):
        await plain.send(b"<x/>", [memory])
    with pytest.raises(ValueError, match="0 bytes"):
        await carrying.send(b"", [memory])
    memory.close()


async def test_one_direction_can_be_ended() -> None:
    near, far = memory_pair()
    await near.send(b"last words")
    near.close_sending()
    assert near.send_now(b"more") == 0
    with pytest.raises(ConnectionLostError, match="closed at this end"):
        await near.send(b"more")
    assert (await far.receive()).data == b"last words"
    assert (await far.receive()).data == b""
    await far.send(b"an answer")
    assert far.send_now(b", in two parts") == 14
    assert (await near.receive()).data == b"an answer, in two parts"
