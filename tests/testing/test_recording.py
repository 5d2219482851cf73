"""Recordings of what goes over a stream: written, read, and played again."""

from __future__ import annotations

import errno
import io
import json
import math
import os
from pathlib import Path

import anyio
import pytest
import trio.testing

from indianyio.client import open_client
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import DefNumberVector, SetNumberVector
from indianyio.streams import SharedMemory, memory_pair
from indianyio.testing import (
    Peer,
    RecordingStream,
    assert_states,
    driver_client,
    read_recording,
    record,
    record_proxy,
    replay,
)
from tests.testing.slider import DEVICE, Slider, move

pytestmark = pytest.mark.anyio

virtual = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["trio"]
)


async def test_what_goes_over_a_stream_is_written_down(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    near, far = memory_pair(names=("near", "far"), capacity_bytes=10)
    stream = record(near, path)
    assert stream.name == "near"
    assert not stream.carries_attachments
    await stream.send("grüß".encode())
    await stream.send(b"\xff\n")
    assert stream.send_now(b"no more than two") == 2
    assert stream.send_now(b"none of it") == 0
    await far.send(b"<answer/>")
    await stream.receive()
    await far.aclose()
    await stream.receive()
    header, *lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert (header["format"], header["version"], header["stream"]) == ("indianyio recording", 1, "near")
    assert [{key: line[key] for key in line if key != "t"} for line in lines] == [
        {"dir": "sent", "text": "grüß"},
        {"dir": "sent", "base64": "/wo="},
        {"dir": "sent", "text": "no"},
        {"dir": "received", "text": "<answer/>"},
        {"dir": "received", "text": ""},
    ]
    await stream.aclose()
    with pytest.raises(ConnectionLostError):
        await stream.send(b"too late")
    assert [piece.data for piece in read_recording(path)] == [
        *("grüß".encode(), b"\xff\n", b"no"),
        *(b"<answer/>", b""),
    ]
    times = [piece.seconds for piece in read_recording(path)]
    assert times == sorted(times)


async def recorded_move(path: Path, seconds: float) -> None:
    """Record a client that moves the slider."""
    slider = Slider(seconds=seconds)
    async with driver_client(slider, wrap=lambda stream: record(stream, path)) as (driver, client):
        await move(driver, client)


async def test_played_as_a_server_to_a_client(tmp_path: Path) -> None:
    await recorded_move(tmp_path / "move", 0)
    near, far = memory_pair()
    async with open_client(stream=far) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: replay(tmp_path / "move", near, speed=math.inf))
            device = await client.device(DEVICE, timeout=5)
            vector = await device.vector("ABS_FOCUS_POSITION", timeout=5)
            await vector.wait_for(lambda vector: vector["FOCUS_ABSOLUTE_POSITION"] == 2, timeout=5)
            await vector.wait_for(lambda vector: vector.state == "Ok", timeout=5)


async def test_played_as_a_client_to_a_driver(tmp_path: Path) -> None:
    await recorded_move(tmp_path / "move", 0)
    slider = Slider(seconds=0)
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slider.asyncrun, far)
        sent = await replay(tmp_path / "move", near, speed=math.inf, direction="sent")
        assert sent == sum(
            len(piece.data) for piece in read_recording(tmp_path / "move") if piece.direction == "sent"
        )
        peer = Peer(near)
        await peer.expect(SetNumberVector, state="Ok", FOCUS_ABSOLUTE_POSITION=2)
        await peer.close()


@virtual
@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 12.0), (4.0, 3.0), (math.inf, 0.0)])
async def test_in_the_time_of_the_recording(tmp_path: Path, speed: float, seconds: float) -> None:
    await recorded_move(tmp_path / "move", 6)
    near, far = memory_pair()
    began = anyio.current_time()
    await replay(tmp_path / "move", near, speed=speed)
    assert anyio.current_time() - began == pytest.approx(seconds)
    await far.aclose()


@virtual
async def test_states_of_a_replay(tmp_path: Path) -> None:
    """A recording of a real instrument is a test of the script that uses it."""
    await recorded_move(tmp_path / "move", 6)
    near, far = memory_pair()
    async with open_client(stream=far) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(replay, tmp_path / "move", near)
        device = await client.device(DEVICE, timeout=5)
        await assert_states(device["ABS_FOCUS_POSITION"], "Busy", "Ok", timeout=100)


async def test_whoever_hangs_up_ends_the_replay(tmp_path: Path) -> None:
    await recorded_move(tmp_path / "move", 0)
    near, far = memory_pair()
    await far.aclose()
    with pytest.raises(ConnectionLostError):
        await replay(tmp_path / "move", near, speed=math.inf)


async def test_attachments_are_kept_and_played(tmp_path: Path) -> None:
    near, far = memory_pair(carries_attachments=True)
    stream = record(near, tmp_path / "blob")
    memory = SharedMemory.create("test")
    memory.write(b"content")
    await far.send(b"<x/>", [memory])
    memory.close()
    for attachment in (await stream.receive()).attachments:
        attachment.close()
    await stream.aclose()
    assert [piece.attachments for piece in read_recording(tmp_path / "blob")] == [(b"content",)]
    near, far = memory_pair(carries_attachments=True)
    await replay(tmp_path / "blob", near)
    [attachment] = (await far.receive()).attachments
    assert attachment.read(7) == b"content"
    attachment.close()
    near, far = memory_pair()
    with pytest.raises(ValueError, match="no attachments"):
        await replay(tmp_path / "blob", near)


async def test_a_proxy_records_what_it_hands_on(tmp_path: Path) -> None:
    near, client_end = memory_pair()
    server_end, far = memory_pair()
    slider = Slider(seconds=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slider.asyncrun, far)
        tasks.start_soon(record_proxy, client_end, server_end, tmp_path / "proxy")
        peer = Peer(near)
        await peer.get_properties()
        await peer.expect(DefNumberVector)
        await peer.write(DEVICE, "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1)
        await peer.expect(SetNumberVector, state="Ok")
        await peer.close()
    sides = {"received": b"", "sent": b""}
    for piece in read_recording(tmp_path / "proxy"):
        sides[piece.direction] += piece.data
    assert sides["sent"].count(b"<newNumberVector") == 1
    assert sides["received"].count(b"<defNumberVector") == 1
    assert slider.left == 1


@pytest.mark.parametrize("where", ["no/folder", "there"])
async def test_a_proxy_whose_file_cannot_be_opened_closes_both_streams(tmp_path: Path, where: str) -> None:
    (tmp_path / "there").write_text("precious", encoding="utf-8")
    near, client_end = memory_pair()
    server_end, far = memory_pair()
    with pytest.raises(FileNotFoundError if where == "no/folder" else FileExistsError):
        await record_proxy(client_end, server_end, tmp_path / where, overwrite=False)
    assert (await near.receive()).data == (await far.receive()).data == b""
    assert (tmp_path / "there").read_text(encoding="utf-8") == "precious"


async def test_a_proxy_that_cannot_hand_on_a_descriptor_says_so_bare(tmp_path: Path) -> None:
    near, client_end = memory_pair()
    server_end, far = memory_pair(carries_attachments=True)
    memory = SharedMemory.create("test")
    await far.send(b"<x/>", [memory])
    memory.close()
    with pytest.raises(ValueError, match="carries no attachments"):
        await record_proxy(client_end, server_end, tmp_path / "proxy")
    assert (await near.receive()).data == (await far.receive()).data == b""


class FullDisk(io.FileIO):
    """A file that takes so many bytes, a few at a time, and then no more."""

    room = 200

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = super().write(bytes(data)[: min(30, self.room)])
        self.room -= taken
        return taken


async def test_a_disk_that_is_full_ends_the_recording_with_the_file_s_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "full"
    near, far = memory_pair(carries_attachments=True)
    stream = RecordingStream(near, FullDisk(path, "w"))
    await stream.send(b"it fits")
    memory = SharedMemory.create("test")
    await far.send(b"it does not" * 10, [memory])
    memory.close()
    for wait in (stream.receive, stream.receive, lambda: stream.send(b"not sent")):
        with pytest.raises(ConnectionLostError, match=f"the recording has ended: .*No space left.*{path}"):
            await wait()
    assert stream.failure is not None
    assert stream.send_now(b"not sent") == 0
    assert [piece.data for piece in read_recording(path)] == [b"it fits"]
    assert "line 3, the last one, is incomplete" in caplog.text
    await stream.aclose()
    assert (await far.receive()).data == b"it fits"
    assert (await far.receive()).data == b""


async def test_a_full_disk_ends_a_proxy_and_a_client_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io, "FileIO", FullDisk)
    near, client_end = memory_pair()
    server_end, far = memory_pair()
    await near.send(b"x" * 500)
    with pytest.raises(OSError, match="No space left"):
        await record_proxy(client_end, server_end, tmp_path / "proxy")
    assert (await near.receive()).data == (await far.receive()).data == b""
    slider = Slider()
    with pytest.raises(ConnectionLostError, match="No space left"):
        async with driver_client(slider, wrap=lambda stream: record(stream, tmp_path / "client")):
            await anyio.sleep_forever()
    assert slider.left == 1


async def test_each_line_is_whole_in_the_file_at_once(tmp_path: Path) -> None:
    """So a program that is killed leaves what it had recorded."""
    near, _ = memory_pair()
    stream = record(near, tmp_path / "killed")
    for number in range(1, 4):
        await stream.send(b"x" * 100_000)
        text = (tmp_path / "killed").read_bytes()
        assert text.endswith(b"\n")
        assert text.count(b"\n") == number + 1
    await stream.aclose()


@pytest.mark.parametrize("overwrite", [True, False])
async def test_a_file_that_is_there(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "there"
    path.write_text("precious", encoding="utf-8")
    near, _ = memory_pair()
    if overwrite:
        await record(near, path).aclose()
        assert list(read_recording(path)) == []
    else:
        with pytest.raises(FileExistsError):
            record(near, path, overwrite=False)
        assert path.read_text(encoding="utf-8") == "precious"
        await near.send(b"the stream is open")


async def test_an_attachment_that_cannot_be_read_is_recorded_as_empty(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    near, far = memory_pair(carries_attachments=True)
    stream = record(near, tmp_path / "blob")
    large = SharedMemory.create("test")
    os.ftruncate(large.fileno(), 2 << 30)
    await far.send(b"<x/>", [large])
    large.close()
    for attachment in (await stream.receive()).attachments:
        attachment.close()
    await stream.aclose()
    assert [piece.attachments for piece in read_recording(tmp_path / "blob")] == [(b"",)]
    assert "an attachment is recorded as empty: it has 2147483648 bytes" in caplog.text


HEADER = '{"format": "indianyio recording", "version": 1}\n'
WHOLE = '{"t": 1, "dir": "received", "text": "whole"}\n'


@pytest.mark.parametrize("cut", [b'{"t": 2, "dir": "recei', b'{"t": 2, "dir": "sent", "text": "gr\xc3', b"{"])
def test_a_cut_last_line_is_left_out_and_told(tmp_path: Path, cut: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes((HEADER + WHOLE).encode() + cut)
    told: list[str] = []
    assert [piece.data for piece in read_recording(path, on_cut=told.append)] == [b"whole"]
    assert told == [f"{path}: line 3, the last one, is incomplete and is left out"]
    path.write_bytes((HEADER + WHOLE).encode() + cut + b"\n")
    with pytest.raises(ValueError, match="line 3"):
        list(read_recording(path))


def test_a_last_line_without_its_end_counts_if_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(HEADER + WHOLE.rstrip(), encoding="utf-8")
    assert [piece.data for piece in read_recording(path, on_cut=pytest.fail)] == [b"whole"]


async def test_what_is_before_a_damaged_line_is_played(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(HEADER + WHOLE + "nonsense\n", encoding="utf-8")
    near, far = memory_pair()
    with pytest.raises(ValueError, match="line 3"):
        await replay(tmp_path / "file", near, speed=math.inf)
    assert (await far.receive()).data == b"whole"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("<xml/>\n", "line 1"),
        ('{"format": "other"}\n', "line 1: this is not an indianyio recording"),
        ("[]\n", "line 1"),
        ('{"format": "indianyio recording", "version": 2}\n', "has version 2"),
        (HEADER + '{"t": 1, "dir": "up", "text": ""}\n', "line 2: dir is 'up'"),
        (HEADER + '{"t": 1, "dir": "sent"}\n', "line 2"),
        (HEADER + '{"t": 1, "dir": "sent", "base64": "?"}\n', "line 2"),
        (HEADER + '{"t": "later", "dir": "sent", "text": ""}\n', "line 2"),
        (HEADER + '{"t": 1, "dir": "sent", "text": 5}\n', "line 2: text is 5"),
        (HEADER + '{"dir": "sent", "text": ""}\n', "line 2: it has no 't'"),
        (HEADER + '{"t": NaN, "dir": "sent", "text": ""}\n', "line 2: t is nan"),
        (HEADER + '{"t": -1, "dir": "sent", "text": ""}\n', "line 2: t is -1"),
        (HEADER + '{"t": 1e999, "dir": "sent", "text": ""}\n', "line 2: t is inf"),
        (HEADER + f'{{"t": 1{"0" * 400}, "dir": "sent", "text": ""}}\n', "line 2"),
        (HEADER + '{"t": 1, "dir": "sent", "text": "\\ud800"}\n', "line 2"),
        (HEADER + '{"t": 1, "dir": "sent", "text": "", "attachments": ["?"]}\n', "line 2"),
        (HEADER + "[" * 100_000 + "\n", "line 2"),
    ],
)
def test_files_that_are_no_recordings(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=why):
        list(read_recording(path))


async def test_speeds_and_directions_that_cannot_be(tmp_path: Path) -> None:
    near, _ = memory_pair()
    with pytest.raises(ValueError, match="direction is 'up'"):
        await replay(tmp_path / "none", near, direction="up")  # type: ignore[arg-type]
    for speed in (0, -1, math.nan):
        with pytest.raises(ValueError, match="must be positive"):
            await replay(tmp_path / "none", near, speed=speed)
