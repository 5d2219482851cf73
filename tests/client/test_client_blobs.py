"""BLOBs: asked for, awaited, saved; large ones in a file while they arrive, and never in memory as a whole."""

from __future__ import annotations

import base64
import os
import resource
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.client import (
    Blob,
    ConnectionLostError,
    OperationAbortedError,
    Progress,
    RefusedError,
    open_client,
)
from indianyio.client._connection import _unnamed_file
from indianyio.client._spooling import Spooler, SpoolProgress
from indianyio.driver import NewEvent
from indianyio.protocol import EnableBLOB
from indianyio.server import IPyServer
from indianyio.streams import RefusedAttachment, SharedMemory
from tests.client.scripted import (
    DEVICE,
    Script,
    blobs,
    deleted,
    enabled,
    ends_with,
    numbers,
    scripted,
    set_numbers,
)
from tests.driver.gadget import Gadget
from tests.libindi.libindi_harness import wait_until
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param, idle_seconds=0.3)


CONTENT = os.urandom(3 << 20)


def set_blob(content: bytes, *, name: str = "CCD1", suffix: str = ".fits", wrap: bool = False) -> str:
    text = base64.encodebytes(content) if wrap else base64.b64encode(content)
    return (
        f'<setBLOBVector device="{DEVICE}" name="CCD1" state="Ok"><oneBLOB name="{name}" '
        f'size="{len(content)}" format="{suffix}">{text.decode()}</oneBLOB></setBLOBVector>'
    )


@asynccontextmanager
async def camera(member: str = "CCD1") -> AsyncGenerator[Script]:
    async with scripted(blobs(member=member), numbers("CCD_EXPOSURE", "Ok", S=0), capacity_bytes=1 << 23) as script:
        yield script


# -- asking and waiting --------------------------------------------------------------------------------------------


async def test_the_server_is_asked_before_the_block_and_told_after_it() -> None:
    async with camera() as script:
        async with script.device.next("CCD1") as image:
            assert await enabled(script) == EnableBLOB(device=DEVICE, name="CCD1", value="Also")
            async with script.device.next("CCD1") as other:
                assert (await enabled(script)).value == "Also"
                await script.say(set_blob(b"first"), set_blob(b"second"))
                assert (await image.get()).content() == b"first"
                assert (await other.get(timeout=1)).content() == b"first"
            await script.say(set_blob(b"third"))
            assert (await image.get()).content() == b"first"
            vector = script.vector("CCD1")
            assert vector["CCD1"].content() == b"third"
        assert (await enabled(script)).value == "Never"


async def test_what_nobody_has_asked_for_is_not_kept() -> None:
    async with camera() as script:
        await script.say(set_blob(b"unasked").replace('state="Ok"', 'state="Busy"'))
        assert script.vector("CCD1")["CCD1"] is None
        assert script.vector("CCD1").state == "Busy"
        await script.device.enable_blobs("CCD1")
        await script.say(set_blob(b"asked"))
        assert script.vector("CCD1")["CCD1"].content() == b"asked"
        await script.device.enable_blobs("CCD1", "Never")
        assert [(await enabled(script)).value, (await enabled(script)).value] == ["Also", "Never"]


async def test_a_policy_and_blocks_that_wait_do_not_disturb_each_other() -> None:
    async with camera() as script:
        async with script.device.next("CCD1") as image:
            await script.device.enable_blobs("CCD1", "Never")
            await script.say(set_blob(b"first"))
            assert (await image.get(timeout=1)).content() == b"first"
        assert [(await enabled(script)).value for _ in range(3)] == ["Also", "Also", "Never"]
        async with script.device.next("CCD1") as image:
            await script.say(set_blob(b"second"))
            assert (await image.get(timeout=1)).content() == b"second"
        for _ in range(2):
            await script.device.enable_blobs("CCD1")
        async with script.device.next("CCD1"):
            pass
        await script.say(set_blob(b"third"))
        assert script.vector("CCD1")["CCD1"].content() == b"third"
        await script.device.enable_blobs("CCD1", "Never")
        values = [(await enabled(script)).value for _ in range(6)]
        assert values == ["Also", "Never", "Also", "Also", "Also", "Never"]


async def test_a_policy_is_never_left_over() -> None:
    """Though the server has not read for a while when the block ends, and there is no room for anything."""
    async with camera() as script:
        text = f'<defTextVector device="{DEVICE}" name="T" perm="rw"><defText name="text"/></defTextVector>'
        await script.say(text)
        async with script.device.next("CCD1"):
            assert (await enabled(script)).value == "Also"
            for _ in range(40):
                with anyio.move_on_after(0.2):
                    await script.vector("T").set(text="x" * 900_000, wait=False)
                    continue
                break
        with anyio.fail_after(5):
            assert (await enabled(script)).value == "Never"


async def test_no_image_comes() -> None:
    async with camera() as script:
        async with script.device.next("CCD1") as image:
            with pytest.raises(TimeoutError, match=r"Scripted.CCD1: no BLOB came within 0.05 s; it is Idle"):
                await image.get(timeout=0.05)
            await script.say(f'<setBLOBVector device="{DEVICE}" name="CCD1" state="Alert" message="cable"/>')
            with pytest.raises(RefusedError, match="cable"):
                await image.get()
        async with script.device.next("CCD1") as image:
            await script.say(deleted("CCD1"))
            with pytest.raises(OperationAbortedError, match="deleted"):
                await image.get()
        await script.say(blobs())
        with pytest.raises(TypeError, match="is a Number vector, which brings no BLOBs"):
            async with script.device.next("CCD_EXPOSURE"):
                pytest.fail("it is none")


async def test_the_server_is_lost_while_an_image_is_awaited() -> None:
    with anyio.fail_after(5), ends_with(ConnectionLostError):
        async with camera() as script, script.device.next("CCD1") as image:
            await script.peer.send(set_blob(CONTENT)[:3_000_000])
            await script.peer.close()
            await image.get()


async def test_a_certain_member_is_awaited() -> None:
    async with scripted(
        f'<defBLOBVector device="{DEVICE}" name="CCD1" state="Idle" perm="ro">'
        '<defBLOB name="a"/><defBLOB name="b"/></defBLOBVector>'
    ) as script:
        async with script.device.next("CCD1", "b") as image:
            await script.say(set_blob(b"of a", name="a"), set_blob(b"of b", name="b"))
            assert (await image.get()).content() == b"of b"


async def test_an_error_of_the_progress_function_comes_out_of_get() -> None:
    def broken(progress: Progress) -> None:
        raise ZeroDivisionError

    async with camera() as script, script.device.next("CCD1", progress=broken) as image:
        await script.say(set_blob(b"content"))
        with pytest.raises(ZeroDivisionError):
            await image.get()
        await script.say(set_numbers("CCD_EXPOSURE", "Busy", S=1))
        assert script.vector("CCD_EXPOSURE").state == "Busy"


async def test_nothing_comes_when_the_block_has_ended() -> None:
    """The server was told that nobody wants it: to wait would be for ever."""
    async with camera() as script:
        async with script.device.next("CCD1") as image:
            pass
        async with script.device.next("CCD1") as other:
            await script.say(set_blob(b"content"))
        with anyio.fail_after(5):
            with pytest.raises(RuntimeError, match=r"Scripted.CCD1: the block of next\(\) has ended"):
                await image.get()
            assert (await other.get()).content() == b"content"


async def test_whoever_waits_in_another_task_is_told_that_the_block_has_ended() -> None:
    async with camera() as script:
        with pytest.RaisesGroup(RuntimeError), anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                async with script.device.next("CCD1") as image:
                    tasks.start_soon(image.get)
                    await anyio.wait_all_tasks_blocked()


# -- files ---------------------------------------------------------------------------------------------------------


async def test_a_file_is_complete_when_it_is_there(tmp_path: Path) -> None:
    target = tmp_path / "image.fits"
    target.write_bytes(b"old")
    async with camera("../../evil") as script, script.device.next("CCD1") as image:
        await script.say(set_blob(b"content", name="../../evil", suffix="/../../evil.fits"))
        assert await image.save(target) == target
    assert os.listdir(tmp_path) == ["image.fits"]
    assert target.read_bytes() == b"content"
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


async def test_a_name_may_be_as_long_as_names_may_be(tmp_path: Path) -> None:
    target = tmp_path / ("m" * 250 + ".fits")
    assert await Blob("x", ".fits", 3, data=b"abc").save(target) == target
    assert os.listdir(tmp_path) == [target.name]


@pytest.mark.parametrize("path", ["", ".", "..", "/"])
async def test_a_path_that_names_no_file_is_an_error_of_the_file_system(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError):  # noqa: PT011 - as open() raises
        await Blob("x", ".fits", 3, data=b"abc").save(path)
    assert os.listdir(tmp_path) == []


async def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "image.fits"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            await Blob("x", ".fits", len(CONTENT), data=CONTENT).save(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["image.fits"]
    assert target.read_bytes() == b"old"


async def test_what_is_compressed_is_saved_as_it_was(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    blob = Blob("x", ".fits.z", len(content), data=zlib.compress(content))
    told: list[Progress] = []
    saved = await blob.save(tmp_path / "x.fits", progress=told.append)
    assert saved.read_bytes() == blob.content() == content
    assert told[-1] == Progress(len(content), len(content))
    assert len(told) > 2


@pytest.mark.parametrize(
    ("data", "size", "reason"),
    [
        (zlib.compress(b"x" * 1000), 999, "holds more than"),
        (zlib.compress(b"x" * 1000), 1001, "ends after 1000 of 1001"),
        (zlib.compress(b"x" * 1000)[:-5], 1000, "ends after"),
        (b"no zlib at all", 1000, "is damaged"),
    ],
)
async def test_a_damaged_blob_leaves_no_file(data: bytes, size: int, reason: str, tmp_path: Path) -> None:
    blob = Blob("x", ".z", size, data=data)
    with pytest.raises(ValueError, match=reason):
        await blob.save(tmp_path / "x")
    assert os.listdir(tmp_path) == []


async def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    blob = Blob("x", ".fits", 3, data=b"abc")
    with pytest.raises(FileNotFoundError):
        await blob.save(tmp_path / "nowhere" / "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        await blob.save(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]


async def test_cancelled_it_leaves_no_file(tmp_path: Path) -> None:
    blob = Blob("x", ".fits", len(CONTENT), attachment=_filled(CONTENT), length=len(CONTENT))
    for steps in range(1, 4):
        told: list[Progress] = []
        with anyio.CancelScope() as scope:

            def tell(
                progress: Progress,
                told: list[Progress] = told,
                steps: int = steps,
                scope: anyio.CancelScope = scope,
            ) -> None:
                told.append(progress)
                if len(told) == steps:
                    scope.cancel()

            await blob.save(tmp_path / "x", progress=tell)
        assert os.listdir(tmp_path) == []
    await blob.save(tmp_path / "x")
    assert os.listdir(tmp_path) == ["x"]


def _filled(content: bytes) -> SharedMemory:
    file = _unnamed_file(None)
    file.write(content)
    return file


# -- large ones ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [False, True])
async def test_a_large_blob_goes_into_a_file_as_it_comes(wrap: bool, tmp_path: Path) -> None:
    told: list[Progress] = []
    async with camera() as script, script.device.next("CCD1", progress=told.append) as image:
        await script.say(set_blob(CONTENT, wrap=wrap))
        blob = await image.get()
        assert isinstance(blob._attachment, SharedMemory)
        assert (blob.size, blob.length, blob.format) == (len(CONTENT), len(CONTENT), ".fits")
        assert blob.content() == blob.data == CONTENT
        saved = await image.save(tmp_path / "image.fits")
        assert saved.read_bytes() == CONTENT
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert told[-1] == Progress(len(CONTENT), len(CONTENT))
    assert len(told) > 5
    assert {one.total for one in told} == {len(CONTENT)}


async def test_a_large_blob_that_is_damaged_costs_nothing_but_itself() -> None:
    async with camera() as script:
        async with script.device.next("CCD1") as image:
            await script.say(set_blob(CONTENT).replace("AA", "A*", 1))
            blob = await image.get()
            with pytest.raises(ValueError, match="base64 is damaged"):
                blob.content()
        async with script.device.next("CCD1") as image:
            await script.say(set_blob(CONTENT))
            assert (await image.get()).content() == CONTENT


async def test_there_is_no_room_for_a_large_blob() -> None:
    async with scripted(blobs(), capacity_bytes=1 << 23, folder="/nowhere/at/all") as script:
        async with script.device.next("CCD1") as image:
            await script.say(set_blob(CONTENT))
            with pytest.raises(ValueError, match="no file could be made for it"):
                (await image.get()).content()


async def test_files_are_closed_with_the_last_reference() -> None:
    def spools() -> int:
        found = 0
        for number in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # a thread has closed it meanwhile
                found += "indianyio-" in os.readlink(f"/proc/self/fd/{number}")
        return found

    before = spools()
    async with camera() as script:
        for _ in range(5):
            async with script.device.next("CCD1") as image:
                await script.say(set_blob(CONTENT))
                await image.get()
            del image
        assert spools() <= before + 2
    del script
    assert wait_until(lambda: spools() <= before, 5)


class Camera(Gadget):
    """Sends an image when it is asked for one."""

    async def rxevent(self, event: NewEvent) -> None:
        self.image["a"] = CONTENT
        await self.image.send_setVectorMembers(members=["a"])
        await self.number.send_setVector(state="Ok", allvalues=True)


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_an_image_of_our_own_server(way: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    server = IPyServer(Camera(), host="127.0.0.1", port=0, unix=path)
    with anyio.fail_after(30):
        async with server:
            port = int(next(one for one in server.addresses if one.startswith("127.")).rpartition(":")[2])
            opened = open_client(unix=path) if way == "unix" else open_client("127.0.0.1", port)
            async with opened as client:
                device = await client.device("Gadget")
                for _ in range(3):
                    async with device.next("IMAGE") as image:
                        await device.set("NUMBER", position=10)
                        saved = await image.save(tmp_path / "image.fits", timeout=10)
                    assert saved.read_bytes() == CONTENT
                    assert image.blob is not None
                    assert isinstance(image.blob._attachment, SharedMemory)


# -- the spooler ---------------------------------------------------------------------------------------------------

THRESHOLD = 40


def spooled(stream: bytes, cuts: list[int]) -> tuple[bytes, list[bytes | str], list[SpoolProgress]]:
    reports: list[SpoolProgress] = []
    spooler = Spooler(
        lambda: _unnamed_file(None),
        RefusedAttachment,
        limit_bytes=10_000,
        report=reports.append,
        threshold_bytes=THRESHOLD,
    )
    passed: list[bytes] = []
    contents: list[bytes | str] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if end > start:
            data, attachments = spooler.feed(stream[start:end])
            passed.append(data)
            for each in attachments:
                if isinstance(each, SharedMemory):
                    contents.append(each.read(each.size))
                else:
                    assert isinstance(each, RefusedAttachment)
                    contents.append(each.reason)
                each.close()
    passed.append(spooler.feed(b"")[0])
    return b"".join(passed), contents, reports


LONG = bytes(range(200))
PIECES = [
    b'<message message="hello"/>\n',
    b"<setBLOBVector device='D' name='N'/>",
    b"<setBLOBVector device='D' name='N' state='Ok'></setBLOBVector>",
    b"<setBLOBVector device='D' name='N'><oneBLOB name='a' size='3' format='.x'>YWJj</oneBLOB></setBLOBVector>",
    b"<setBLOBVector device='D' name='N'>\n<oneBLOB name='a' size='200' enclen='268' format='.>'>"
    + base64.b64encode(LONG)
    + b"</oneBLOB>\n<oneBLOB name='b' size='200'>\n"
    + base64.encodebytes(LONG)
    + b"</oneBLOB></setBLOBVector>\n",
    b"<setBLOBVector device='D' name='N'><oneBLOB name='a' size='0'/></setBLOBVector>",
    b"<setBLOBVector device='D' name='N'><oneBLOB name='a' size='9'>" + b"*" * 100 + b"</oneBLOB></setBLOBVector>",
    b"<setBLOBVector device='D' <setBLOBVector <oneBLOB <oneBLOB 'x <",
    b"<setBLOBVectors><oneBLOBs>garbage " + b"A" * 80 + b" </x>",
    b"<setBLOBVector device='D' name='N'><oneBLOB name='a' len='5' attached='true'>"
    + b"A" * 80
    + b"</oneBLOB></setBLOBVector>",
]


@given(st.lists(st.sampled_from(PIECES), max_size=6), st.data())
def test_where_the_stream_is_cut_decides_nothing(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    whole = spooled(stream, [])
    cut = spooled(stream, cuts)
    assert cut[:2] == whole[:2]


def test_byte_by_byte_every_message_comes_out_with_its_last_byte() -> None:
    for piece in PIECES[:6]:
        spooler = Spooler(lambda: _unnamed_file(None), RefusedAttachment, limit_bytes=10_000, report=lambda _: None)
        passed = b"".join(spooler.feed(piece[at : at + 1])[0] for at in range(len(piece)))
        assert passed.rstrip().endswith(piece.rstrip()[-6:])


def test_what_is_short_passes_unchanged_and_what_is_long_is_taken_out() -> None:
    for piece in PIECES[:4] + PIECES[5:6] + PIECES[7:]:
        assert spooled(piece, [])[:2] == (piece, []), piece
    passed, contents, reports = spooled(PIECES[4], [])
    assert contents == [LONG, LONG]
    assert passed == (
        b"<setBLOBVector device='D' name='N'>\n"
        b"<oneBLOB name='a' size='200' format='.>' len=\"200\" attached=\"true\"></oneBLOB>\n"
        b"<oneBLOB name='b' size='200' len=\"200\" attached=\"true\"></oneBLOB></setBLOBVector>\n"
    )
    assert reports[-1] == SpoolProgress("D", "N", 200, 200)
    assert spooled(PIECES[6], [])[1] == ["its base64 is damaged: Non-base64 digit found"]


def test_how_far_it_is_is_told_of_short_ones_too() -> None:
    content = bytes(60)
    stream = set_blob(content).encode()
    reports: list[SpoolProgress] = []
    spooler = Spooler(lambda: _unnamed_file(None), RefusedAttachment, limit_bytes=10_000, report=reports.append)
    passed = b"".join(spooler.feed(stream[at : at + 7])[0] for at in range(0, len(stream), 7))
    assert passed == stream
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert 40 < done[-1] <= len(content)
    assert {report[:2] + report[3:] for report in reports} == {(DEVICE, "CCD1", len(content))}


def test_what_is_too_long_is_not_kept() -> None:
    head, end = b"<setBLOBVector device='D' name='N'><oneBLOB name='a' size='1'>", b"</oneBLOB></setBLOBVector>"
    stream = head + b"A" * 20_000 + end
    _, contents, reports = spooled(stream, list(range(0, len(stream), 1000)))
    assert contents == ["it is longer than 10000 bytes"]
    assert max(report.done for report in reports) <= 10_000
