"""What a driver sends: whole, in order, with back-pressure; and what it refuses to send."""

from __future__ import annotations

import io
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from indianyio import Device, IPyDriver, TextMember, TextVector
from indianyio.exceptions import UnknownDeviceError, UnknownMemberError, UnknownVectorError
from indianyio.protocol import (
    DelProperty,
    Message,
    PingRequest,
    SetBLOBVector,
    SetNumberVector,
)
from indianyio.streams import memory_pair
from indianyio.testing import Peer, member_values, running
from tests.driver.gadget import DEVICE, Gadget

pytestmark = pytest.mark.anyio

on_virtual_time = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="mock-trio")],
)


async def test_d6_a_message_belongs_to_one_send() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await driver.number.send_setVector(message="Calibration failed")
        await driver.number.send_setVector(message="")
        await driver.number.send_setVector()
        messages = [(await peer.expect(SetNumberVector)).message for _ in range(3)]
    assert messages == ["Calibration failed", None, None]


async def test_d24_nothing_new_is_not_sent() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await driver.number.send_setVector(state="Ok")
        for _ in range(5):
            await driver.number.send_setVector(state="Ok", allvalues=False)
        driver.number["free"] = 3
        await driver.number.send_setVector(state="Ok", allvalues=False)
        await driver.number.send_setVector(state="Busy", allvalues=False)
        first, second, third = [await peer.expect(SetNumberVector) for _ in range(3)]
        assert member_values(first) == {"position": "10", "free": "0"}
        assert member_values(second) == {"free": "3"}
        assert (member_values(third), third.state) == ({}, "Busy")
    assert len(peer.received) == 3


async def test_mistakes_are_raised_where_they_are_made() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        with pytest.raises(UnknownMemberError):
            driver.number["nosuch"] = 1
        with pytest.raises(UnknownMemberError):
            await driver.number.send_setVectorMembers(members=["nosuch"])
        with pytest.raises(ValueError, match="state"):
            await driver.number.send_setVector(state="Fine")
        with pytest.raises(ValueError, match="U\\+0007"):
            await driver.number.send_setVector(message="bell\x07")
        with pytest.raises(ValueError, match="U\\+0007"):
            await driver[DEVICE].send_device_message("bell\x07")
        with pytest.raises(ValueError, match="U\\+0007"):
            await driver.send_message("bell\x07")
        with pytest.raises(TypeError):
            await driver.number.send_setVector(timestamp="now")  # type: ignore[arg-type]
        with pytest.raises(UnknownVectorError, match="it has 'TEXT'"):
            driver[DEVICE]["NOSUCH"]
        with pytest.raises(UnknownDeviceError, match="there is 'Gadget'"):
            driver["Another"]
        assert peer.received == []


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 1, 12, 0, 5), "2026-03-01T12:00:05"),
        (datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC), "2026-03-01T12:00:05"),
        (datetime(2026, 3, 1, 12, 0, 5, tzinfo=ZoneInfo("UTC")), "2026-03-01T12:00:05"),
        (datetime(2026, 3, 1, 12, 0, 5, tzinfo=timezone(timedelta(hours=2))), "2026-03-01T10:00:05"),
    ],
)
async def test_d23_any_clock_may_stamp(moment: datetime, text: str) -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await driver.number.send_setVector(timestamp=moment)
        assert (await peer.expect(SetNumberVector)).timestamp == text


async def test_deletion_disables_and_a_definition_brings_back() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await driver.number.send_delProperty("gone")
        deletion = await peer.expect(DelProperty, name="NUMBER")
        assert deletion.message == "gone"
        await driver.number.send_setVector()
        await driver[DEVICE].send_delProperty()
        assert (await peer.expect(DelProperty)).name is None
        await driver[DEVICE].send_device_message("not sent")
        await driver.text.send_setVector()
        driver[DEVICE].enable = True
        await driver[DEVICE].send_device_message("back")
        assert (await peer.expect(Message)).message == "back"
    assert len(peer.received) == 3


async def test_without_a_run_nothing_is_sent_and_nothing_fails() -> None:
    driver = Gadget()
    await driver.number.send_setVector()
    await driver.send_message("nobody hears this")
    device = Device("D", [TextVector("T", "T", "G", "ro", "Ok", [TextMember("t")])])
    await device["T"].send_defVector()
    await device.send_device_message("nobody hears this")


@on_virtual_time
async def test_d12_sends_wait_while_nobody_reads_and_the_rest_goes_on() -> None:
    beats = 0
    sent = 0

    async def work(driver: Gadget) -> None:
        nonlocal sent
        while True:
            await driver.text.send_setVector(message="x" * 10_000)
            sent += 1

    async def beat() -> None:
        nonlocal beats
        while True:
            await anyio.sleep(0.05)
            beats += 1

    driver = Gadget(work=work)
    driver.add_background(beat)
    near, far = memory_pair(capacity_bytes=100_000)
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        await anyio.sleep(4)
        waiting = sent
        await anyio.sleep(4)
        assert sent == waiting, "sends go on although nobody reads"
        assert waiting * 10_000 < 4 << 20, "what waits for a peer is bounded"
        assert beats > 150
        await near.aclose()


async def test_messages_keep_their_order_and_are_whole() -> None:
    """Nothing gets between the bytes of a BLOB."""

    async def work(driver: Gadget) -> None:
        for number in range(50):
            driver.number["free"] = number
            await driver.number.send_setVectorMembers(members=["free"])
            await anyio.lowlevel.checkpoint()

    driver = Gadget(work=work)
    driver.image["a"] = bytes(range(256)) * 4000
    async with running(driver) as peer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: driver.image.send_setVectorMembers(members=["a"]))
            blob = await peer.expect(SetBLOBVector)
            assert bytes(blob.members[0].data) == bytes(range(256)) * 4000
        while len(numbers(peer)) < 50:
            await peer.receive()
    assert numbers(peer) == [str(number) for number in range(50)]


def numbers(peer: Peer) -> list[str]:
    return [message.members[0].value for message in peer.received if isinstance(message, SetNumberVector)]


async def test_d7_each_blob_has_its_own_size() -> None:
    driver = Gadget()
    driver.ping_timeout = 0
    async with running(driver) as peer:
        for size in (10, 20, 3000):
            driver.image["a"] = bytes(size)
            await driver.image.send_setVectorMembers(members=["a"])
            blob = await peer.expect(SetBLOBVector)
            assert (blob.members[0].size, len(blob.members[0].data)) == (str(size), size)


class AsyncFile:
    """An asynchronous file object, as aiofiles and anyio have them."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    async def seek(self, offset: int) -> int:
        await anyio.lowlevel.checkpoint()
        return self._file.seek(offset)

    async def read(self, size: int = -1) -> bytes:
        await anyio.lowlevel.checkpoint()
        return self._file.read(size)


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 1000, 5_000_001])
async def test_every_source_of_a_blob(attached: bool, size: int, tmp_path: Path) -> None:
    data = bytes(number * 7 % 256 for number in range(256)) * (size // 256 + 1)
    data = data[:size]
    path = tmp_path / "frame.fits.fz"
    path.write_bytes(data)
    driver = Gadget()
    driver.ping_timeout = 0
    async with running(driver, carries_attachments=attached) as peer:
        with path.open("rb") as file:
            file.read(1)
            sources = [
                data,
                bytearray(data),
                memoryview(data),
                path,
                str(path),
                io.BytesIO(data),
                file,
                AsyncFile(data),
            ]
            for source in sources:
                driver.image["a"] = source
                for _ in range(2):
                    await driver.image.send_setVectorMembers(members=["a"])
                    one = (await peer.expect(SetBLOBVector)).members[0]
                    assert (one.attached == "true") is attached
                    content = one.data if one.attachment is None else one.attachment.read(size)
                    assert bytes(content) == data
                    assert one.size == str(size)
                    assert one.format == (".fits.fz" if source in (path, str(path)) else ".bin")


async def test_two_blobs_in_one_vector_both_travel() -> None:
    """W40: libindi drivers lose all but one."""
    driver = Gadget()
    driver.image["a"] = b"first"
    driver.image["b"] = b"second"
    async with running(driver, carries_attachments=True) as peer:
        await driver.image.send_setVectorMembers(members=["a", "b"], state="Ok")
        blob = await peer.expect(SetBLOBVector, state="Ok")
        assert [one.attachment.read(int(one.size or 0)) for one in blob.members if one.attachment] == [
            b"first",
            b"second",
        ]


@pytest.mark.parametrize("attached", [False, True])
async def test_a_blob_that_cannot_be_read_is_raised_and_costs_only_itself(tmp_path: Path, attached: bool) -> None:
    driver = Gadget()
    async with running(driver, carries_attachments=attached) as peer:
        driver.image["a"] = tmp_path / "missing.fits"
        with pytest.raises(FileNotFoundError):
            await driver.image.send_setVectorMembers(members=["a"])
        with pytest.raises(TypeError, match="'rb'"):
            driver.image["a"] = io.StringIO("text")
        with pytest.raises(ValueError, match="no value"):
            await driver.image.send_setVectorMembers(members=["b"])
        empty = tmp_path / "empty.fits"
        empty.touch()
        driver.image["a"] = empty
        with pytest.raises(ValueError, match="empty"):
            await driver.image.send_setVectorMembers(members=["a"])
        driver.image["a"] = b"good"
        await driver.image.send_setVectorMembers(members=["a"])
        await peer.expect(SetBLOBVector)
        assert not [message for message in peer.received if isinstance(message, SetBLOBVector)][1:]


@on_virtual_time
async def test_a_cancelled_blob_is_not_waited_for() -> None:
    driver = Gadget()
    driver.image["a"] = b"picture"
    async with running(driver) as peer:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await driver.image.send_setVectorMembers(members=["a"])
        start = anyio.current_time()
        await driver.image.send_setVectorMembers(members=["a"])
        assert anyio.current_time() == start
        await peer.expect(SetBLOBVector)


async def test_a_blob_state_alone_is_sent() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await driver.image.send_setVectorMembers(state="Busy")
        assert (await peer.expect(SetBLOBVector, state="Busy")).members == ()


@on_virtual_time
async def test_a_blob_waits_for_the_reply_to_the_one_before() -> None:
    """protocol.md 3.6: a ping follows each BLOB, and its reply lets the next one go."""
    driver = Gadget()
    driver.image["a"] = b"picture"
    async with running(driver, answer_pings=False) as peer, anyio.create_task_group() as tasks:
        await driver.image.send_setVectorMembers(members=["a"])
        tasks.start_soon(lambda: driver.image.send_setVectorMembers(members=["a"]))
        first = await peer.expect(PingRequest)
        await anyio.sleep(driver.ping_timeout / 2)
        sent_at = anyio.current_time()
        await peer.send(f'<pingReply uid="{first.uid}"/>')
        await peer.expect(SetBLOBVector)
        assert anyio.current_time() == sent_at
        assert (await peer.expect(PingRequest)).uid != first.uid


@on_virtual_time
async def test_a_server_that_answers_no_ping_costs_one_timeout() -> None:
    driver = Gadget()
    driver.image["a"] = b"picture"
    async with running(driver, answer_pings=False) as peer:
        start = anyio.current_time()
        for _ in range(10):
            await driver.image.send_setVectorMembers(members=["a"])
            await peer.expect(PingRequest)
        assert anyio.current_time() - start == pytest.approx(driver.ping_timeout)


async def test_a_large_blob_is_not_copied_more_than_needed() -> None:
    """A file of 20 MB costs its base64 and little more."""
    driver = Gadget()
    size = 20_000_000
    near, far = memory_pair()
    with io.BytesIO(bytes(size)) as file:
        driver.image["a"] = file
        async with anyio.create_task_group() as tasks:
            await tasks.start(driver.asyncrun, far)
            tracemalloc.start()
            tasks.start_soon(lambda: driver.image.send_setVectorMembers(members=["a"]))
            received = 0
            while received < size * 4 / 3:
                received += len((await near.receive()).data)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            await near.aclose()
    assert peak < size * 4 / 3 + 8_000_000


def test_names_are_checked_where_they_are_given() -> None:
    def vector(name: str = "V") -> TextVector:
        return TextVector(name, "V", "G", "ro", "Ok", [TextMember("t")])

    with pytest.raises(ValueError, match="two vectors"):
        Device("D", [vector(), vector()])
    with pytest.raises(ValueError, match="two devices"):
        IPyDriver(Device("D", [vector()]), Device("D", [vector()]))
    with pytest.raises(TypeError, match="vectors"):
        Device("D", ["V"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="devices"):
        IPyDriver(vector())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name"):
        Device("", [vector()])
    shared = vector()
    device = Device("D", [shared])
    with pytest.raises(ValueError, match="belongs"):
        Device("E", [shared])
    driver = IPyDriver(device)
    with pytest.raises(ValueError, match="belongs"):
        IPyDriver(device)
    with pytest.raises(KeyError):
        driver["E"] = device
    with pytest.raises(KeyError):
        device["W"] = shared
    assert device.driver is driver
    assert shared.driver is driver
    assert shared.device is device
