"""Peers that do not read, clients that send too much, code that fails in unusual ways."""

from __future__ import annotations

import asyncio
import io
import os
import zlib
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pybase64
import pytest
import trio.testing

from indianyio import _turns, newBLOBVector, newNumberVector, newSwitchVector
from indianyio._model import SnoopEvent, setTextVector
from indianyio.driver import NewEvent
from indianyio.examples.mount import Mount
from indianyio.protocol import (
    DefNumberVector,
    DelProperty,
    PingReply,
    SetBLOBVector,
    SetNumberVector,
    SetSwitchVector,
)
from indianyio.streams import SharedMemory, memory_pair
from indianyio.testing import Peer, running
from tests.driver.gadget import DEVICE, Gadget, new_abort, new_number

pytestmark = pytest.mark.anyio

on_virtual_time = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="mock-trio")],
)
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def settle(peer: Peer) -> None:
    await peer.send('<pingRequest uid="settled"/>')
    while (await peer.expect(PingReply)).uid != "settled":
        pass
    await anyio.wait_all_tasks_blocked()


# -- many messages at once -----------------------------------------------------------------------------------------


async def test_writes_and_updates_of_one_chunk_are_all_handled_by_handlers_that_do_not_wait() -> None:
    written: list[float] = []

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        assert isinstance(event, newNumberVector)
        written.append(float(event["position"]))

    driver = Gadget(on_write=on_write)
    driver.snoop("Box", "T", 30)
    updates = "".join(
        f'<setTextVector device="Box" name="T" state="Ok"><oneText name="t">{number}</oneText></setTextVector>'
        for number in range(200)
    )
    async with running(driver) as peer:
        await peer.send(updates)
        await settle(peer)
        await peer.send("".join(new_number(number) for number in range(101)))
        await settle(peer)
    assert [event["t"] for event in driver.snooped if isinstance(event, setTextVector)] == [
        str(number) for number in range(200)
    ]
    assert written == list(range(101))


@pytest.mark.parametrize("turns", [1, 2])
async def test_so_they_are_by_handlers_that_wait_for_a_turn_or_two(turns: int) -> None:
    """As one that takes a lock does; there is room for 32 that wait."""
    written: list[float] = []

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        assert isinstance(event, newNumberVector)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        written.append(float(event["position"]))

    async with running(Gadget(on_write=on_write)) as peer:
        await peer.send("".join(new_number(number) for number in range(50)))
        await settle(peer)
    assert written == list(range(50))


async def test_a_full_lane_delays_what_comes_behind_it_by_few_turns() -> None:
    turns = 0

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        await anyio.sleep_forever()

    async def count(driver: Gadget) -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with running(Gadget(on_write=on_write, work=count)) as peer:
        with _turns.measured_by(lambda: 0.0):  # how long reading takes is not what is counted
            before = turns
            await peer.send("".join(map(new_number, range(100))) + '<pingRequest uid="behind it"/>')
            await peer.expect(PingReply)
        assert turns - before < 60


# -- a peer that does not read -------------------------------------------------------------------------------------


class Chatty(Gadget):
    """Fills its outbox, and takes a hundred sends to leave."""

    def __init__(self) -> None:
        super().__init__(work=self.chat)
        self.parked = False

    async def chat(self, _: Gadget) -> None:
        while True:
            await self.text.send_setVector(message="x" * 10_000)

    async def leave(self) -> None:
        for _ in range(100):
            await self.text.send_setVector(message="y" * 10_000)
            await anyio.sleep(0.001)
        self.parked = True


@on_virtual_time
async def test_leave_is_not_held_up_by_a_peer_that_does_not_read() -> None:
    driver = Chatty()
    near, far = memory_pair(capacity_bytes=1000)
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        await anyio.sleep(1)
        driver.shutdown()
        await driver.stopped.wait()
    assert driver.parked
    await near.aclose()


def switch_on(vector: str, member: str) -> str:
    head = f'<newSwitchVector device="indianyio Mount" name="{vector}">'
    return f'{head}<oneSwitch name="{member}">On</oneSwitch></newSwitchVector>'


@on_virtual_time
async def test_the_mount_parks_though_nobody_reads() -> None:
    driver = Mount()
    driver.park_file = None  # virtual time does not see the thread that writes it
    near, far = memory_pair(capacity_bytes=2_000_000)
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        peer = Peer(near)
        await peer.get_properties()
        await peer.send(switch_on("CONNECTION", "CONNECT"))
        await anyio.sleep(1)
        await peer.send(switch_on("TELESCOPE_PARK", "UNPARK"))
        await anyio.sleep(1)
        assert not driver.telescope.parked

        async def chat() -> None:
            while True:
                await driver.coordinates.report(message="x" * 10_000)

        driver.add_background(chat)
        await anyio.sleep(60)
        driver.shutdown()
        await driver.stopped.wait()
    assert driver.telescope.parked
    await near.aclose()


async def test_a_refusal_shows_what_holds_when_it_is_sent() -> None:
    """While the outbox is full the refusal waits; the driver goes on meanwhile."""
    driver = Gadget()
    near, far = memory_pair(capacity_bytes=1000)

    async def fill() -> None:
        while True:
            await driver.text.send_setVector(message="x" * 10_000)

    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        with anyio.CancelScope() as filling:

            async def until_full() -> None:
                await anyio.wait_all_tasks_blocked()
                await near.send(new_number(1e9).encode())
                await anyio.wait_all_tasks_blocked()
                filling.cancel()

            tasks.start_soon(until_full)
            await fill()
        driver.number["position"] = 42
        peer = Peer(near)
        refusal = await peer.expect(SetNumberVector, state="Alert")
        assert refusal.members[0].value == "42"
        await near.aclose()


async def test_pings_of_absurd_length_are_not_kept() -> None:
    async with running(Gadget()) as peer:
        await peer.send(f'<pingRequest uid="{"x" * 60_000}"/>')
        await settle(peer)
    assert [message.uid for message in peer.received if isinstance(message, PingReply)] == ["settled"]


# -- a client that sends too much ----------------------------------------------------------------------------------


def packed_blob(content: bytes) -> bytes:
    text = pybase64.b64encode(zlib.compress(content)).decode()
    return (
        f'<newBLOBVector device="{DEVICE}" name="IMAGE">'
        f'<oneBLOB name="a" size="{len(content)}" format=".bin.z">{text}</oneBLOB></newBLOBVector>'
    ).encode()


async def test_a_compressed_blob_is_inflated_in_its_turn() -> None:
    contents: list[bytes] = []

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        assert isinstance(event, newBLOBVector)
        assert event.sizeformat["a"] == (1_000_000, ".bin")
        contents.append(event["a"])

    async with running(Gadget(on_write=on_write)) as peer:
        await peer.send(packed_blob(bytes(1_000_000)))
        while not contents:
            await settle(peer)
    assert contents == [bytes(1_000_000)]


async def test_a_blob_that_cannot_be_read_is_refused() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send(packed_blob(bytes(1000)).replace(b'size="1000"', b'size="999"'))
        refusal = await peer.expect(SetBLOBVector, state="Alert")
        assert refusal.message
    assert driver.events == []


async def test_a_flood_of_blobs_costs_no_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held is bounded over all lanes, and a small write on an idle lane always finds room."""
    monkeypatch.setattr("indianyio.driver._run._LANES_BYTES", 64 << 20)
    released = anyio.Event()
    aborted = anyio.Event()

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        if isinstance(event, newSwitchVector):
            aborted.set()
        else:
            await released.wait()

    driver = Gadget(on_write=on_write)
    blob = packed_blob(b"")  # small as sent, large as it is declared below
    big = b"A" * 30_000_000
    message = blob[: blob.index(b"<oneBLOB")] + (
        f'<oneBLOB name="a" size="{len(big) * 3 // 4}" format=".bin">'.encode()
        + big
        + b"</oneBLOB></newBLOBVector>"
    )
    async with running(driver) as peer:
        async with anyio.create_task_group() as tasks:

            async def flood() -> None:
                for _ in range(5):
                    await peer.send(message)
                await peer.send(new_abort())

            tasks.start_soon(flood)
            refusal = await peer.expect(SetBLOBVector, state="Alert")
            assert "too many" in (refusal.message or "")
            await aborted.wait()
            released.set()
    assert len([event for event in driver.events if isinstance(event, newBLOBVector)]) <= 4


async def test_a_snooped_device_gone_mad_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(Gadget):
        async def snoopevent(self, event: SnoopEvent) -> None:
            await super().snoopevent(event)
            await anyio.sleep_forever()

    driver = Slow()
    async with running(driver) as peer:
        await driver.send_getProperties("Weather")
        for number in range(3000):
            await peer.send(f'<setTextVector device="Weather" name="V{number}" state="Ok"/>')
        await settle(peer)
    assert len(driver.snooped) == 1000
    assert "dropped" in caplog.text


# -- code that fails in unusual ways -------------------------------------------------------------------------------


@on_asyncio
async def test_a_cancelled_task_of_its_own_does_not_end_the_driver() -> None:
    """Ported drivers await tasks that an Abort cancels; asyncio's CancelledError then leaves rxevent."""
    slew: list[asyncio.Task[None]] = []

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        if isinstance(event, newSwitchVector):
            slew[0].cancel()
        else:
            slew.append(asyncio.create_task(asyncio.sleep(1000)))
            await slew[0]

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        await peer.send(new_number(5))
        await settle(peer)
        await peer.send(new_abort())
        answer = await peer.expect(SetNumberVector, state="Alert")
        assert "cancelled" in (answer.message or "")
        await settle(peer)
        assert not driver.stop


@on_asyncio
async def test_a_hardware_that_is_cancelled_from_inside_ends_the_driver_with_an_error() -> None:
    async def work(driver: Gadget) -> None:
        task = asyncio.create_task(asyncio.sleep(1000))
        task.cancel()
        await task

    driver = Gadget(work=work)
    _, far = memory_pair()
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="hardware"), flatten_subgroups=True):
        await driver.asyncrun(far)
    assert driver.left == 1


async def test_a_loop_of_sends_delays_no_abort() -> None:
    aborted_after: list[int] = []
    sent = 0

    async def work(driver: Gadget) -> None:
        nonlocal sent
        while not aborted_after:
            await driver.number.send_setVector()
            sent += 1

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        aborted_after.append(sent)
        await driver.abort.send_setVector(state="Ok")

    driver = Gadget(work=work, on_write=on_write)
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        await near.send(new_abort().encode())
        await tasks.start(driver.asyncrun, far)
        await Peer(near).expect(SetSwitchVector, state="Ok")
        await near.aclose()
    assert aborted_after[0] < 1000


@pytest.mark.parametrize("what", ["vector", "device", "deletion", "blob", "state"])
async def test_sends_that_send_nothing_let_the_others_have_their_turn(what: str) -> None:
    driver = Gadget()
    driver[DEVICE].enable = False
    driver.image["a"] = b"picture"
    sends: dict[str, Callable[[], Awaitable[None]]] = {
        "vector": driver.text.send_setVector,
        "device": lambda: driver[DEVICE].send_device_message("hello"),
        "deletion": driver[DEVICE].send_delProperty,
        "blob": lambda: driver.image.send_setVectorMembers(members=["a"]),
        "state": driver.image.send_setVectorMembers,
    }
    with anyio.move_on_after(0.05) as scope:
        while True:
            await sends[what]()
    assert scope.cancelled_caught


async def test_an_update_that_was_cancelled_is_told_later() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await driver.number.send_setVector()
        driver.number["position"] = 77
        with anyio.CancelScope() as scope:
            scope.cancel()
            await driver.number.send_setVector(allvalues=False)
        await driver.number.send_setVector(allvalues=False)
        await peer.expect(SetNumberVector)
        update = await peer.expect(SetNumberVector)
        assert [(one.name, one.value) for one in update.members] == [("position", "77")]


@on_virtual_time
async def test_a_blob_of_a_vector_deleted_meanwhile_is_not_sent() -> None:
    driver = Gadget()
    driver.image["a"] = b"picture"
    async with running(driver, answer_pings=False) as peer, anyio.create_task_group() as tasks:
        await driver.image.send_setVectorMembers(members=["a"])
        tasks.start_soon(lambda: driver.image.send_setVectorMembers(members=["a"]))
        await anyio.sleep(1)
        await driver.image.send_delProperty()
        await peer.expect(DelProperty)
        await anyio.sleep(10)
    assert sum(isinstance(message, SetBLOBVector) for message in peer.received) == 1


class OnlyRead:
    """All that a BLOB's file must be able to do."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


async def test_unusual_values_of_blobs() -> None:
    driver = Gadget()
    driver.ping_timeout = 0
    async with running(driver) as peer:
        for value in (OnlyRead(b"024"), memoryview(b"0123456")[::2][:3]):
            driver.image["a"] = value
            await driver.image.send_setVectorMembers(members=["a", "a"])
            blob = await peer.expect(SetBLOBVector)
            assert len(blob.members) == 1
            assert bytes(blob.members[0].data) == b"024"


def test_the_family_s_other_spelling_of_stop() -> None:
    driver = Gadget()
    assert not driver._stop
    driver.shutdown()
    assert driver._stop


async def test_the_event_s_vector_can_be_sent() -> None:
    async def on_write(driver: Gadget, event: NewEvent) -> None:
        assert isinstance(event, newNumberVector)
        event.vector["position"] = event["position"]
        await event.vector.send_setVector(state="Ok")

    async with running(Gadget(on_write=on_write)) as peer:
        await peer.send(new_number(5))
        await peer.expect(SetNumberVector, state="Ok", position=5)


# -- found by the second attempt to break it -----------------------------------------------------------------------


@pytest.mark.parametrize("size", ["9" * 5000, "1" + "0" * 24, "-1", "x"])
async def test_no_announced_length_of_an_attachment_ends_the_driver(size: str) -> None:
    near, far = memory_pair(carries_attachments=True)
    driver = Gadget()
    peer = Peer(near)
    memory = SharedMemory.create("content")
    memory.write(b"abc")
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        blob = f'<oneBLOB name="a" size="3" len="{size}" format=".bin" attached="true"></oneBLOB>'
        await near.send(f'<newBLOBVector device="{DEVICE}" name="IMAGE">{blob}</newBLOBVector>'.encode(), [memory])
        await peer.send(new_number(5))
        await settle(peer)
        assert not driver.stop
        await near.aclose()
    memory.close()
    assert [event.vectorname for event in driver.events] == ["NUMBER"]


async def test_no_update_overtakes_a_newer_one() -> None:
    """Two tasks send the same vector; what arrives last is what the driver has."""

    async def count(driver: Gadget) -> None:
        for _ in range(1000):
            driver.number["free"] = int(driver.number["free"]) + 1
            await driver.number.send_setVector(message="x" * 300)

    driver = Gadget(work=count)
    driver.add_background(count, driver)
    async with running(driver) as peer:
        await peer.expect(SetNumberVector, free=2000)
    values = [int(message.members[1].value) for message in peer.received if isinstance(message, SetNumberVector)]
    assert values == sorted(values)


@on_virtual_time
async def test_a_blob_in_leave_waits_for_no_answer() -> None:
    class Imaging(Gadget):
        parked = False

        async def leave(self) -> None:
            for _ in range(3):
                await self.image.send_setVectorMembers(members=["a"])
            await anyio.sleep(self.grace / 2)
            self.parked = True

    driver = Imaging()
    driver.image["a"] = b"picture"
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        await driver.image.send_setVectorMembers(members=["a"])
        driver.shutdown()
        await driver.stopped.wait()
    assert driver.parked
    await near.aclose()


async def test_the_last_words_reach_a_peer_that_reads_slowly() -> None:
    class Talkative(Gadget):
        async def leave(self) -> None:
            for _ in range(300):
                await self.text.send_setVector(message="y" * 20_000)
            await self.light.send_setVector(message="parked")

    driver = Talkative()
    near, far = memory_pair(capacity_bytes=64_000)
    heard = b""
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        driver.shutdown()
        while data := (await near.receive()).data:
            heard = heard[-1000:] + data
            await anyio.lowlevel.checkpoint()
        await near.aclose()
    assert b"parked" in heard


async def test_definitions_left_to_rxevent_do_not_wait_for_a_write() -> None:
    async def on_write(driver: Gadget, event: NewEvent) -> None:
        if isinstance(event, newNumberVector):
            await anyio.sleep_forever()
        await event.vector.send_defVector()

    driver = Gadget(on_write=on_write)
    driver.auto_send_def = False
    async with running(driver) as peer:
        await peer.send(new_number(5))
        await settle(peer)
        for _ in range(100):
            await peer.get_properties(DEVICE, "NUMBER")
        await peer.expect(DefNumberVector)
        await settle(peer)
        assert not [message for message in peer.received if isinstance(message, SetNumberVector)]


async def test_what_waits_is_let_go_at_the_end() -> None:
    before = len(os.listdir("/proc/self/fd"))
    near, far = memory_pair(carries_attachments=True)
    driver = Gadget(on_write=lambda *_: anyio.sleep_forever())
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        for _ in range(10):
            memory = SharedMemory.create("content")
            memory.write(b"abc")
            blob = '<oneBLOB name="a" size="3" format=".bin" attached="true"></oneBLOB>'
            text = f'<newBLOBVector device="{DEVICE}" name="IMAGE">{blob}</newBLOBVector>'
            await near.send(text.encode(), [memory])
            memory.close()
        await settle(Peer(near))
        assert len(os.listdir("/proc/self/fd")) >= before + 9
        await near.aclose()
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_write_that_waited_for_a_deleted_vector_is_not_handled() -> None:
    released = anyio.Event()

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        await driver.number.send_delProperty()
        await released.wait()

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        await peer.send(new_number(1) + new_number(2))
        await peer.expect(DelProperty)
        released.set()
        await settle(peer)
    assert len(driver.events) == 1


async def test_cancelled_definitions_and_deletions_leave_no_trace() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        driver.text.message = "waiting"
        with anyio.CancelScope() as scope:
            scope.cancel()
            await driver.text.send_defVector()
        assert driver.text.message == "waiting"
        with anyio.CancelScope() as scope:
            scope.cancel()
            await driver.text.send_delProperty()
        assert driver.text.enable
        await settle(peer)
        assert len(peer.received) == 1


async def test_a_blob_s_state_is_kept_without_a_run() -> None:
    driver = Gadget()
    driver.image["a"] = b"picture"
    await driver.image.send_setVectorMembers(members=["a"], state="Busy")
    assert driver.image.state == "Busy"
