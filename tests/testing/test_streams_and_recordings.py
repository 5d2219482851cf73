"""A stream with faults, and what passed over one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import anyio
import pytest

from indianyio.client import open_client
from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream, SharedMemory, memory_pair
from indianyio.testing import MisbehavingStream, driver_client, read_recording, record, replay
from tests.testing.instruments import FOCUSER, Focuser

pytestmark = pytest.mark.anyio

TEXT = bytes(range(256)) * 40


async def all_of(stream: ByteStream) -> tuple[bytes, list[int]]:
    """Return what arrives up to the end, and in what pieces."""
    data, lengths = b"", []
    while piece := (await stream.receive()).data:
        data += piece
        lengths.append(len(piece))
    return data, lengths


async def sent_through(seed: int = 0, **faults: float) -> MisbehavingStream:
    near, far = memory_pair()
    await near.send(TEXT)
    await near.aclose()
    return MisbehavingStream(far, seed=seed, **faults)  # type: ignore[arg-type]


async def test_pieces_and_delays_lose_nothing() -> None:
    data, lengths = await all_of(await sent_through(pieces=7, delay=0.00001))
    assert data == TEXT
    assert set(lengths) == set(range(1, 8))
    assert (await all_of(await sent_through(pieces=7)))[1] == (await all_of(await sent_through(pieces=7)))[1]
    assert (await all_of(await sent_through(pieces=7)))[1] != (await all_of(await sent_through(1, pieces=7)))[1]


async def test_garbling() -> None:
    first, _ = await all_of(await sent_through(garble=0.1))
    again, _ = await all_of(await sent_through(garble=0.1, pieces=5))
    other, _ = await all_of(await sent_through(1, garble=0.1))
    assert first == again != other
    changed = sum(one != another for one, another in zip(first, TEXT, strict=True))
    assert 0.05 < changed / len(TEXT) < 0.15


@pytest.mark.parametrize("pieces", [None, 7])
async def test_the_end_after_so_many_bytes(pieces: int | None) -> None:
    stream = await sent_through(end_after=1000, pieces=pieces)  # type: ignore[arg-type]
    data, _ = await all_of(stream)
    assert data == TEXT[:1000]
    assert stream.received_bytes == 1000
    assert (await stream.receive()).data == b""


@pytest.mark.parametrize("where", [0, 1, 1000])
async def test_the_loss_after_so_many_bytes(where: int) -> None:
    stream = await sent_through(lose_after=where, pieces=100)
    with pytest.raises(ConnectionLostError, match=f"lost after {where} bytes"):
        await all_of(stream)
    assert stream.received_bytes == where


async def test_a_stall_can_be_cancelled() -> None:
    stream = await sent_through(stall_after=1000)
    with anyio.move_on_after(0.05) as scope:
        await all_of(stream)
    assert scope.cancelled_caught
    assert stream.received_bytes == 1000


async def test_what_is_sent_goes_through() -> None:
    near, far = memory_pair(names=("near", "far"), carries_attachments=True)
    stream = MisbehavingStream(near, garble=1)
    assert (stream.name, stream.carries_attachments) == ("near", True)
    memory = SharedMemory.create("x")
    memory.write(b"abc")
    memory.seal()
    await stream.send(b"<a/>", [memory])
    memory.close()
    received = await far.receive()
    assert received.data == b"<a/>"
    assert received.attachments[0].read(3) == b"abc"
    received.attachments[0].close()
    await stream.aclose()
    assert (await far.receive()).data == b""


@pytest.mark.parametrize("wrong", [{"pieces": 0}, {"garble": 2}, {"delay": -1}])
def test_faults_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MisbehavingStream(memory_pair()[0], **wrong)  # type: ignore[arg-type]


# -- recordings ----------------------------------------------------------------------------------------------------


async def recorded(path: Path) -> None:
    """Record, at the client's end, how a focuser moves."""
    async with driver_client(Focuser(), client_stream=lambda stream: record(stream, path)) as (_, indi):
        await indi[FOCUSER].set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1)


async def test_a_recording_played_to_a_client(tmp_path: Path) -> None:
    path = tmp_path / "move.jsonl"
    await recorded(path)
    pieces = list(read_recording(path))
    assert pieces[0].way == "sent"
    assert b"getProperties" in pieces[0].data
    assert [piece.at for piece in pieces] == sorted(piece.at for piece in pieces)
    assert pieces[-1].at >= 0.1  # the way took as long
    header = json.loads(path.read_text().splitlines()[0])
    assert (header["indianyio"], header["version"]) == ("recording", 1)
    for speed in (1.0, 10.0, math.inf):
        near, far = memory_pair()
        began = anyio.current_time()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                async with open_client(stream=far) as indi:
                    tasks.start_soon(_played, path, near, speed)
                    moved = await (await indi.device(FOCUSER)).vector("ABS_FOCUS_POSITION")
                    await moved.wait_for(lambda v: v["FOCUS_ABSOLUTE_POSITION"] == 1)
        assert anyio.current_time() - began >= (0.1 if speed == 1 else 0)


async def _played(path: Path, stream: ByteStream, speed: float) -> None:
    await replay(path, stream, speed=speed)


async def test_a_recording_played_to_a_driver(tmp_path: Path) -> None:
    path = tmp_path / "move.jsonl"
    await recorded(path)
    focuser = Focuser()
    near, far = memory_pair()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(focuser.asyncrun, far)
            await replay(path, near, way="sent")
    assert focuser.left == 1
    assert focuser.position.state in ("Busy", "Ok")


async def test_bytes_of_all_kinds_and_descriptors(tmp_path: Path) -> None:
    path = tmp_path / "bytes.jsonl"
    near, far = memory_pair(carries_attachments=True)
    stream = record(near, path)
    memory = SharedMemory.create("x")
    memory.write(b"an image")
    memory.seal()
    with stream:
        await stream.send("é\n".encode(), [memory])
        assert stream.send_now(b"\xff\x00") in (0, 2)
        await far.send(b"answer")
        assert (await stream.receive()).data == b"answer"
    await stream.send(b"what comes after the recording passes")
    memory.close()
    await stream.aclose()
    first, *rest = read_recording(path)
    assert (first.way, first.data, first.attachments) == ("sent", "é\n".encode(), (b"an image",))
    assert rest[-1][1:] == ("received", b"answer", ())
    again, there = memory_pair(carries_attachments=True)
    await replay(path, again, way="sent", speed=math.inf)
    received = await there.receive()
    assert received.attachments[0].read(8) == b"an image"
    received.attachments[0].close()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], r"^$"),
        (['{"some": "json"}'], "line 1"),
        (["no json"], "line 1"),
        (
            ['{"indianyio": "recording", "version": 2}'],
            "line 1: its first line is not that of a recording of version 1",
        ),
        (['{"indianyio": "recording", "version": 1}', '{"at": 0, "way": "up", "text": ""}'], "line 2: a field has"),
        (['{"indianyio": "recording", "version": 1}', '{"at": 0, "way": "sent"}'], "line 2: 'base64'"),
        (['{"indianyio": "recording", "version": 1}', "[]"], "line 2"),
    ],
)
async def test_what_is_no_recording(lines: list[str], told: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text("\n".join(lines))
    near, far = memory_pair()
    if not lines:
        await replay(path, near)
    else:
        with pytest.raises(ValueError, match=told):
            await replay(path, near)
    assert (await far.receive()).data == b""


async def test_a_speed_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="speed is 0"):
        await replay(tmp_path / "x", memory_pair()[0], speed=0)


async def test_the_other_end_hangs_up(tmp_path: Path) -> None:
    path = tmp_path / "move.jsonl"
    await recorded(path)
    near, far = memory_pair()
    await far.send(b"<getProperties/>")
    await far.aclose()
    with anyio.fail_after(5), pytest.raises(ConnectionLostError):
        await replay(path, near, speed=math.inf)
