"""BLOBs that a client writes: over TCP as base64, over a unix socket as shared memory."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from indianyio import newBLOBVector, sync
from indianyio.client import Client, RefusedError, Upload, open_client
from indianyio.client._writes import with_contents
from indianyio.driver import NewEvent
from indianyio.protocol import NewBLOBVector, OneBLOB
from indianyio.server import IPyServer
from indianyio.streams._contents import OutgoingContent
from tests.client.scripted import blobs, scripted
from tests.client.test_client_life import GADGET, port_of
from tests.driver.gadget import Gadget

pytestmark = pytest.mark.anyio

LONG = bytes(range(256)) * 20_000


async def accept(driver: Gadget, event: NewEvent) -> None:
    state = "Alert" if isinstance(event, newBLOBVector) and b"bad" in event.values() else "Ok"
    await driver.image.send_setVectorMembers(state=state, message="no such map" if state == "Alert" else "")


@asynccontextmanager
async def connected(way: str, folder: Path) -> AsyncGenerator[tuple[Gadget, Client]]:
    driver = Gadget(on_write=accept)
    socket = str(folder / "socket")
    with anyio.fail_after(60):
        async with IPyServer(driver, host="127.0.0.1", port=0, unix=socket) as server:
            unix = socket if way == "unix" else None
            async with open_client("127.0.0.1", port_of(server), unix=unix) as indi:
                await (await indi.device(GADGET, timeout=60)).vector("IMAGE", timeout=60)
                yield driver, indi


def received(driver: Gadget) -> tuple[dict[str, bytes], dict[str, object]]:
    event = driver.events.pop()
    assert isinstance(event, newBLOBVector)
    return dict(event), dict(event.sizeformat)


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_contents_arrive_as_they_were_given(way: str, tmp_path: Path) -> None:
    path = tmp_path / "map.fits"
    path.write_bytes(LONG)
    descriptors = len(os.listdir("/proc/self/fd"))
    async with connected(way, tmp_path) as (driver, indi):
        vector = indi[GADGET]["IMAGE"]
        await vector.set(a=path)
        assert received(driver) == ({"a": LONG}, {"a": (len(LONG), ".fits")})
        assert await vector.set({"a": b"abc", "b": Upload(LONG, ".xisf")}) is vector
        assert received(driver) == ({"a": b"abc", "b": LONG}, {"a": (3, ".bin"), "b": (len(LONG), ".xisf")})
        await indi[GADGET].set("IMAGE", a=Upload(path, ".jpg"))
        assert received(driver)[1] == {"a": (len(LONG), ".jpg")}
        with pytest.raises(RefusedError, match="no such map"):
            await vector.set(b=b"bad")
    assert len(os.listdir("/proc/self/fd")) <= descriptors


async def test_without_an_event_loop(tmp_path: Path) -> None:
    driver = Gadget(on_write=accept)

    def write(port: int) -> None:
        with sync.open_client("127.0.0.1", port) as indi:
            indi.device(GADGET, timeout=10).set("IMAGE", a=Upload(LONG, ".fits"))

    with anyio.fail_after(60):
        async with IPyServer(driver, host="127.0.0.1", port=0) as server:
            await anyio.to_thread.run_sync(write, port_of(server))
    assert received(driver) == ({"a": LONG}, {"a": (len(LONG), ".fits")})


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_what_cannot_be_sent_is_not(way: str, tmp_path: Path) -> None:
    (tmp_path / "empty.fits").touch()
    wrong: list[tuple[object, type[Exception], str]] = [
        (1.5, TypeError, "BLOB a must be bytes, a path"),
        ("map.fits", TypeError, "not 'map.fits'"),
        (Upload("map.fits"), TypeError, "must be bytes"),  # type: ignore[arg-type]
        (Upload(b"x", "fits"), ValueError, "a suffix with its dot"),
        (Upload(b"x", ".\0"), ValueError, "the format"),
        (b"", ValueError, "must not be empty"),
        (tmp_path / "empty.fits", ValueError, "is empty"),
        (tmp_path / "none.fits", FileNotFoundError, "none.fits"),
    ]
    async with connected(way, tmp_path) as (driver, indi):
        for value, kind, text in wrong:
            with pytest.raises(kind, match=text):
                await indi[GADGET]["IMAGE"].set({"a": value})  # type: ignore[dict-item]
        for vector, member in (("NUMBER", "free"), ("TEXT", "word"), ("ABORT", "ABORT")):
            with pytest.raises((TypeError, ValueError)):
                await indi[GADGET][vector].set({member: b"bytes"})
        assert driver.events == []


async def test_what_is_read_only_is_not_written() -> None:
    async with scripted(blobs()) as script:
        with pytest.raises(ValueError, match="is read-only"):
            await script.vector("CCD1").set(CCD1=b"x")


async def test_a_slow_upload_is_no_silence_of_the_driver() -> None:
    """The driver's time to answer begins when it has the whole of it."""
    async with scripted(blobs("MAP", "map").replace('"ro"', '"rw"'), capacity_bytes=1 << 16) as script:
        ended: list[BaseException | None] = []

        async def upload() -> None:
            try:
                await script.vector("MAP").set(map=LONG[:500_000], start_timeout=0.2)
            except TimeoutError as error:
                ended.append(error)
            else:
                ended.append(None)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            await anyio.sleep(0.5)
            assert (await script.asked(NewBLOBVector)).members[0].data == LONG[:500_000]
            await script.say('<setBLOBVector device="Scripted" name="MAP" state="Ok"/>')
        assert ended == [None]


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_what_is_long_is_encoded_in_a_thread(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "map.fits"
    path.write_bytes(LONG)
    pieces: list[tuple[bool, int]] = []
    write = OutgoingContent.write

    def watched(content: OutgoingContent, piece: bytes) -> None:
        pieces.append((threading.get_ident() == loop, len(piece)))
        write(content, piece)

    loop = threading.get_ident()
    async with connected(way, tmp_path) as (_, indi):
        monkeypatch.setattr(OutgoingContent, "write", watched)
        for content in (path, LONG):
            await indi[GADGET]["IMAGE"].set(a=content)
            assert sum(size for _, size in pieces) == len(LONG)
            assert all(size <= 1 << 20 and not in_loop for in_loop, size in pieces)
            pieces.clear()


async def test_no_more_is_attached_than_a_message_may_carry() -> None:
    """What comes beyond goes as base64, as for a driver's."""
    names = [str(number) for number in range(20)]
    message = NewBLOBVector(device="D", name="B", members=tuple(OneBLOB(name=name, format=".x") for name in names))
    loaded = await with_contents(message, {name: Upload(b"abcd", ".x") for name in names}, attach=True)
    assert [one.attachment is not None for one in loaded.message.members] == [True] * 16 + [False] * 4
    assert list(loaded.base64) == names[16:]
    assert b"".join(loaded.base64["16"]) == b"YWJjZA=="


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_a_cancelled_upload_leaves_nothing(way: str, tmp_path: Path) -> None:
    path = tmp_path / "map.fits"
    path.write_bytes(LONG)
    async with connected(way, tmp_path) as (_, indi):
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            with anyio.move_on_after(0.002):
                await indi[GADGET]["IMAGE"].set(a=path)
        await indi[GADGET]["IMAGE"].set(a=b"end")
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 2
