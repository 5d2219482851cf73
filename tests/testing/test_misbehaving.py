"""The stream on which things go wrong."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import Attachment, SetNumberVector
from indianyio.streams import MemoryStream, Received, SharedMemory, memory_pair
from indianyio.streams._base import WrappingStream
from indianyio.testing import MisbehavingStream, Mischief, Peer
from tests.driver.gadget import DEVICE, Gadget, new_number
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


DATA = bytes(range(256)) * 20


def pair(
    receiving: Mischief | None = None, sending: Mischief | None = None
) -> tuple[MemoryStream, MisbehavingStream]:
    near, far = memory_pair(names=("near", "far"))
    return near, MisbehavingStream(far, receiving=receiving, sending=sending, seed=5)


async def received_by(stream: MemoryStream | MisbehavingStream) -> list[bytes]:
    pieces = []
    while data := (await stream.receive()).data:
        pieces.append(data)
    return pieces


async def test_without_mischief_everything_passes() -> None:
    near, bad = pair()
    assert bad.name == "far"
    assert not bad.carries_attachments
    await near.send(DATA)
    await bad.send(memoryview(DATA))
    assert bad.send_now(DATA) == 0
    await near.aclose()
    assert await received_by(bad) == [DATA]
    await bad.aclose()
    with pytest.raises(ConnectionLostError):
        await bad.receive()


async def test_pieces_are_the_same_for_the_same_seed() -> None:
    cuts = []
    for _ in range(2):
        near, bad = pair(receiving=Mischief(pieces=7))
        await near.send(DATA)
        await near.aclose()
        pieces = await received_by(bad)
        assert b"".join(pieces) == DATA
        cuts.append([len(piece) for piece in pieces])
    assert cuts[0] == cuts[1]
    assert set(cuts[0]) == set(range(1, 8))


async def test_garbled_bytes_keep_their_number_whatever_the_pieces() -> None:
    results = []
    for pieces in (None, 3):
        near, bad = pair(sending=Mischief(garble=0.1, pieces=pieces))
        await bad.send(DATA)
        await bad.aclose()
        results.append(b"".join(await received_by(near)))
    assert len(results[0]) == len(DATA)
    changed = sum(one != other for one, other in zip(results[0], DATA, strict=True))
    assert 300 < changed < 700
    assert results[0] == results[1]


async def test_it_stalls_after_so_many_bytes() -> None:
    near, bad = pair(receiving=Mischief(stall_at=10), sending=Mischief(stall_at=3))
    await near.send(DATA)
    assert (await bad.receive()).data == DATA[:10]
    with anyio.move_on_after(0.01) as scope:
        await bad.receive()
    assert scope.cancelled_caught
    with anyio.move_on_after(0.01) as scope:
        await bad.send(DATA)
    assert scope.cancelled_caught
    assert (await near.receive()).data == DATA[:3]


async def test_it_is_cut_after_so_many_bytes() -> None:
    near, bad = pair(receiving=Mischief(cut_at=10, stall_at=20))
    await near.send(DATA)
    assert (await bad.receive()).data == DATA[:10]
    with pytest.raises(ConnectionLostError, match="far: cut after 10 bytes"):
        await bad.receive()
    assert (await near.receive()).data == b""
    near, bad = pair(sending=Mischief(cut_at=10))
    with pytest.raises(ConnectionLostError, match="cut after 10 bytes"):
        await bad.send(DATA)
    assert await received_by(near) == [DATA[:10]]


@pytest.mark.parametrize("direction", ["receiving", "sending"])
async def test_it_is_cut_at_that_byte_and_not_when_somebody_next_looks(direction: str) -> None:
    """A driver that has sent its last byte, and waits for an answer, learns that there is none."""
    near, bad = pair(**{direction: Mischief(cut_at=10)})
    if direction == "sending":
        await bad.send(DATA[:10])
        assert await received_by(near) == [DATA[:10]]
    else:
        await near.send(DATA[:10])
        assert (await bad.receive()).data == DATA[:10]
        assert (await near.receive()).data == b""
    for under_way in (bad.receive, lambda: bad.send(b"more")):
        with pytest.raises(ConnectionLostError, match="far: cut after 10 bytes"):
            await under_way()
    with pytest.raises(ConnectionLostError):
        await near.send(b"more")


@pytest.mark.parametrize("wait", ["stall", "delay"])
@pytest.mark.parametrize("direction", ["receiving", "sending"])
async def test_closing_ends_what_is_stalled_or_late(direction: str, wait: str) -> None:
    near, bad = pair(**{direction: Mischief(stall_at=0) if wait == "stall" else Mischief(delay=1e6)})
    await near.send(DATA)
    lost = []

    async def wait_for_it() -> None:
        with pytest.raises(ConnectionLostError, match="far: closed at this end"):
            await (bad.receive() if direction == "receiving" else bad.send(DATA))
        lost.append(direction)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_it)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            await bad.aclose()
    assert lost == [direction]


@pytest.mark.parametrize("end", ["close", "cut"])
async def test_attachments_that_arrived_and_went_no_further_are_closed(end: str) -> None:
    near, far = memory_pair(carries_attachments=True)
    arrived: list[Attachment] = []

    class Seen(WrappingStream):
        async def receive(self) -> Received:
            received = await super().receive()
            arrived.extend(received.attachments)
            return received

    bad = MisbehavingStream(Seen(far), receiving=Mischief(delay=1e6), sending=Mischief(cut_at=5))
    memory = SharedMemory.create("test")
    await near.send(DATA, [memory])
    memory.close()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bad.receive)
        while not arrived:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    [attachment] = arrived
    assert isinstance(attachment, SharedMemory)
    assert attachment.size == 0  # it is open
    if end == "close":
        await bad.aclose()
    else:
        with pytest.raises(ConnectionLostError):
            await bad.send(DATA)
    with pytest.raises(ValueError, match="closed"):
        attachment.fileno()


async def test_what_is_sent_and_does_not_come_through_stays_the_sender_s() -> None:
    near, far = memory_pair(carries_attachments=True)
    bad = MisbehavingStream(far, sending=Mischief(cut_at=3, pieces=1))
    memories = [SharedMemory.create("test") for _ in range(40)]
    with pytest.raises(ConnectionLostError):
        await bad.send(DATA, memories)
    received = await near.receive()
    assert received.data == DATA[:3]
    assert len(received.attachments) == 40
    for attachment in (*received.attachments, *memories):
        attachment.close()
    near, far = memory_pair(carries_attachments=True)
    with pytest.raises(ValueError, match="cannot travel on 0 bytes"):
        await MisbehavingStream(far).send(b"", memories)


async def test_cancelled_in_its_delay_it_has_lost_nothing() -> None:
    near, bad = pair(receiving=Mischief(delay=0.004, pieces=400))
    await near.send(DATA)
    await near.aclose()
    got = b""
    for _ in range(20):
        with anyio.move_on_after(0.001):
            got += (await bad.receive()).data
    with anyio.fail_after(20):
        got += b"".join(await received_by(bad))
    assert got == DATA


async def test_attachments_travel_with_the_first_piece() -> None:
    near, far = memory_pair(carries_attachments=True)
    bad = MisbehavingStream(far, sending=Mischief(pieces=2), receiving=Mischief(pieces=2))
    memory = SharedMemory.create("test")
    memory.write(b"abc")
    for sender, receiver in ((near, bad), (bad, near)):
        await sender.send(DATA[:50], [memory])
        first = await receiver.receive()
        assert [one.read(3) for one in first.attachments] == [b"abc"]
        first.attachments[0].close()
        got = first.data
        while len(got) < 50:
            received = await receiver.receive()
            assert not received.attachments
            got += received.data
        assert got == DATA[:50]
    memory.close()


@pytest.mark.parametrize(
    "wrong",
    [{"pieces": 0}, {"delay": -1.0}, {"delay": float("inf")}, {"garble": 1.5}, {"stall_at": -1}, {"cut_at": -1}],
    ids=str,
)
def test_mischief_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Mischief(**wrong)  # type: ignore[arg-type]


async def test_a_driver_survives_a_bad_line() -> None:
    """Garbled in every direction, it ends in order, and answers what comes through whole."""
    near, bad = pair(receiving=Mischief(pieces=50, garble=0.002), sending=Mischief(pieces=50))
    driver = Gadget(on_write=lambda driver, _: driver.number.send_setVector(state="Ok"))
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(driver.asyncrun, bad)
            peer = Peer(near)
            await peer.send(new_number(5) * 50)
            answers = 0
            while answers < 10:
                message = await peer.receive()
                answers += isinstance(message, SetNumberVector) and message.device == DEVICE
            await peer.close()
    assert driver.left == 1
