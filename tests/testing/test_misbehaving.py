"""The stream on which things go wrong."""

from __future__ import annotations

import anyio
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import SetNumberVector
from indianyio.streams import MemoryStream, SharedMemory, memory_pair
from indianyio.testing import MisbehavingStream, Mischief, Peer
from tests.driver.gadget import DEVICE, Gadget, new_number

pytestmark = pytest.mark.anyio

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
