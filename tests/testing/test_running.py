from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from indianyio import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    NewEvent,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    getProperties,
)
from indianyio.exceptions import (
    ConnectionLostError,
    LocalProtocolError,
    RemoteProtocolError,
    UnknownVectorError,
)
from indianyio.protocol import (
    DefBLOBVector,
    DefLightVector,
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    DelProperty,
    GetProperties,
    Message,
    PingRequest,
    SetBLOBVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
    WireMessage,
)
from indianyio.streams import memory_pair
from indianyio.testing import Peer, member_values, running
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


CONTENT = bytes(range(256))


class BrokenInstrumentError(Exception):
    pass


class Sample(IPyDriver):
    """Every kind of vector; what is written is confirmed."""

    def __init__(self) -> None:
        self.left = False
        self.fault = anyio.Event()
        self.number = NumberVector("number", "", "", "rw", "Idle", [NumberMember("first value", min=0, max=10)])
        self.text = TextVector("text", "", "", "rw", "Idle", [TextMember("words")])
        self.switch = SwitchVector(
            "switch", "", "", "rw", "AnyOfMany", "Idle", [SwitchMember("a"), SwitchMember("b")]
        )
        self.light = LightVector("light", "", "", "Idle", [LightMember("lamp")])
        self.blob = BLOBVector("blob", "", "", "rw", "Idle", [BLOBMember("data")])
        super().__init__(Device("Sample", [self.number, self.text, self.switch, self.light, self.blob]))

    async def rxevent(self, event: NewEvent) -> None:
        vector = event.vector
        assert not isinstance(event, getProperties)
        vector.update(event)
        if isinstance(vector, BLOBVector):
            await vector.send_setVectorMembers(state="Ok", members=["data"])
        elif isinstance(vector, (NumberVector, TextVector, SwitchVector)):
            await vector.send_setVector(state="Ok")

    async def hardware(self) -> None:
        await self.fault.wait()
        raise BrokenInstrumentError("the motor is on fire")

    async def leave(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.left = True


async def define(peer: Peer) -> None:
    await peer.get_properties()
    await peer.expect(DefBLOBVector, name="blob")


# -- what comes out of the block -------------------------------------------------------------------------------


async def test_leaving_the_block_ends_the_driver_in_order() -> None:
    driver = Sample()
    async with running(driver) as peer:
        await define(peer)
    assert driver.left
    assert driver.stopped.is_set()


async def test_the_error_of_the_body_comes_out_bare() -> None:
    driver = Sample()
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as raised:
        async with running(driver):
            raise error
    assert raised.value is error
    assert driver.left


async def test_a_group_of_the_body_is_left_as_it_is() -> None:
    group = ExceptionGroup("mine", [ValueError()])
    with pytest.raises(ExceptionGroup) as raised:
        async with running(Sample()):
            raise group
    assert raised.value is group


async def test_the_outcome_that_pytest_raises_comes_out_bare() -> None:
    driver = Sample()
    with pytest.raises(pytest.fail.Exception, match="no good"):
        async with running(driver):
            pytest.fail("no good")
    assert driver.left


async def test_a_driver_that_fails_ends_the_block_with_its_error() -> None:
    driver = Sample()
    with pytest.RaisesGroup(BrokenInstrumentError, flatten_subgroups=True):
        async with running(driver):
            driver.fault.set()
            await anyio.sleep_forever()
    assert driver.left


async def test_a_driver_that_fails_is_told_instead_of_the_lost_connection() -> None:
    driver = Sample()
    with pytest.RaisesGroup(BrokenInstrumentError, flatten_subgroups=True):
        async with running(driver) as peer:
            driver.fault.set()
            with anyio.CancelScope(shield=True):
                await peer.expect(Message)


async def test_if_both_fail_the_body_s_error_comes_out_with_a_note() -> None:
    async def fail_after_the_driver() -> None:
        async with running(driver):
            driver.fault.set()
            with anyio.CancelScope(shield=True):
                await driver.stopped.wait()
            raise ValueError("mine")

    driver = Sample()
    with pytest.raises(ValueError, match="mine") as raised:
        await fail_after_the_driver()
    assert "the motor is on fire" in "".join(raised.value.__notes__)


async def test_a_driver_that_cannot_run_raises_on_entry() -> None:
    driver = Sample()
    async with running(driver):
        with pytest.raises(RuntimeError, match="running already"):
            async with running(driver):
                pytest.fail("there is no driver to talk to")


async def test_cancellation_from_outside_passes_and_the_driver_ends_in_order() -> None:
    driver = Sample()
    with anyio.CancelScope() as outside:
        async with running(driver) as peer:
            await define(peer)
            outside.cancel("the test is over")
            await anyio.sleep_forever()
    assert outside.cancelled_caught
    assert driver.left


async def test_a_driver_that_shuts_down_leaves_the_block_running() -> None:
    driver = Sample()
    async with running(driver) as peer:
        await define(peer)
        driver.shutdown()
        with pytest.raises(ConnectionLostError):
            await peer.receive()
        with pytest.raises(ConnectionLostError):
            await peer.get_properties()


async def test_a_driver_can_be_run_again() -> None:
    driver = Sample()
    for _ in range(2):
        async with running(driver) as peer:
            await define(peer)


# -- the peer --------------------------------------------------------------------------------------------------


async def test_definitions_are_collected_and_forgotten() -> None:
    driver = Sample()
    async with running(driver) as peer:
        await peer.get_properties("Sample", "text")
        await peer.expect(DefTextVector, device="Sample", name="text", state="Idle")
        assert set(peer.definitions) == {("Sample", "text")}
        await define(peer)
        assert len(peer.definitions) == 5
        await driver.text.send_delProperty()
        await peer.expect(DelProperty, name="text")
        assert ("Sample", "text") not in peer.definitions
        await driver["Sample"].send_delProperty()
        await peer.expect(DelProperty)
        assert peer.definitions == {}


async def test_every_kind_is_written_in_its_own_message() -> None:
    async with running(Sample()) as peer:
        await define(peer)
        await peer.write("Sample", "number", {"first value": 2.5})
        await peer.expect(SetNumberVector, {"first value": 2.5}, state="Ok")
        await peer.write("Sample", "number", {"first value": "3:30"})
        await peer.expect(SetNumberVector, {"first value": 3.5}, state="Ok")
        await peer.write("Sample", "text", words="a < b")
        await peer.expect(SetTextVector, words="a < b")
        await peer.write("Sample", "switch", a="On", b="On")
        await peer.expect(SetSwitchVector, a="On", b="On")
        await peer.write("Sample", "blob", data=CONTENT)
        update = await peer.expect(SetBLOBVector, name="blob")
        assert update.members[0].data == CONTENT


async def test_a_wrong_write_reaches_the_driver() -> None:
    async with running(Sample()) as peer:
        await define(peer)
        await peer.write("Sample", "number", {"first value": "banana"})
        await peer.expect(SetNumberVector, state="Alert")
        await peer.write("Sample", "switch", c="On")
        await peer.expect(SetSwitchVector, state="Alert")


async def test_a_write_that_cannot_be_made_is_the_caller_s_mistake() -> None:
    async with running(Sample()) as peer:
        with pytest.raises(UnknownVectorError, match="number"):
            await peer.write("Sample", "number", {"first value": 2.5})
        await define(peer)
        with pytest.raises(UnknownVectorError, match="'light'"):
            await peer.write("Sample", "nothing", a=1)
        with pytest.raises(LocalProtocolError, match="defLightVector"):
            await peer.write("Sample", "light", lamp="Ok")
        with pytest.raises(TypeError, match="BLOB"):
            await peer.write("Sample", "text", words=b"bytes")
        with pytest.raises(TypeError, match="bytes"):
            await peer.write("Sample", "blob", data="text")


async def test_expect_skips_what_is_not_as_described_and_keeps_it() -> None:
    async with running(Sample()) as peer:
        await define(peer)
        seen = len(peer.received)
        for value in (1, 2, 3):
            await peer.write("Sample", "number", {"first value": value})
        found = await peer.expect(SetNumberVector, {"first value": 3})
        assert member_values(found) == {"first value": "3"}
        values = [member_values(message)["first value"] for message in peer.received[seen:]]
        assert values == ["1", "2", "3"]


@pytest.mark.parametrize(
    "wanted",
    [{"device": "Other"}, {"name": "text"}, {"state": "Alert"}],
    ids=["device", "name", "state"],
)
async def test_expect_looks_at_everything_it_is_told(wanted: dict[str, str]) -> None:
    driver = Sample()
    async with running(driver) as peer:
        await define(peer)
        await peer.write("Sample", "number", {"first value": 1})
        await peer.expect(SetNumberVector, {"first value": 1}, device="Sample", name="number", state="Ok")
        await peer.write("Sample", "number", {"first value": 1})
        driver.shutdown()
        with pytest.raises(ConnectionLostError):
            await peer.expect(SetNumberVector, **wanted)


@pytest.mark.parametrize("values", [{"first value": 2}, {"first value": "1.0"}, {"second": 1}])
async def test_expect_looks_at_the_members(values: dict[str, str | int]) -> None:
    driver = Sample()
    async with running(driver) as peer:
        await define(peer)
        driver.number["first value"] = 1
        await driver.number.send_setVector()
        driver.shutdown()
        with pytest.raises(ConnectionLostError):
            await peer.expect(SetNumberVector, values)


async def send_two_blobs(driver: Sample) -> None:
    driver.blob["data"] = CONTENT
    for _ in range(2):
        await driver.blob.send_setVectorMembers(members=["data"])


async def test_pings_are_answered_and_not_returned() -> None:
    driver = Sample()
    async with running(driver) as peer, anyio.create_task_group() as tasks:
        tasks.start_soon(send_two_blobs, driver)
        with anyio.fail_after(driver.ping_timeout / 2):
            messages = [await peer.receive(), await peer.receive()]
        assert [type(message) for message in messages] == [SetBLOBVector, SetBLOBVector]
        assert any(isinstance(message, PingRequest) for message in peer.received)


async def test_pings_are_returned_if_the_test_answers_them_itself() -> None:
    driver = Sample()
    async with running(driver, answer_pings=False) as peer:
        driver.blob["data"] = CONTENT
        await driver.blob.send_setVectorMembers(members=["data"])
        await peer.expect(SetBLOBVector)
        assert isinstance(await peer.receive(), PingRequest)


async def test_blobs_are_attached_where_that_is_possible() -> None:
    driver = Sample()
    async with running(driver, carries_attachments=True) as peer:
        driver.blob["data"] = CONTENT
        await driver.blob.send_setVectorMembers(members=["data"])
        update = await peer.expect(SetBLOBVector)
        attachment = update.members[0].attachment
        assert attachment is not None
        assert attachment.read(len(CONTENT)) == CONTENT
    with pytest.raises(ValueError, match="closed"):
        attachment.read(1)


async def test_the_driver_can_be_fed_byte_by_byte() -> None:
    async with running(Sample(), cut=1) as peer:
        await define(peer)
        await peer.write("Sample", "text", words="in small pieces")
        await peer.expect(SetTextVector, words="in small pieces")


@pytest.mark.parametrize(
    "message",
    [
        GetProperties(device="Sample", name="number"),
        "<getProperties version='1.7' device='Sample' name='number'/>",
        b"<getProperties version='1.7' device='Sample' name='number'/>",
    ],
    ids=["message", "text", "bytes"],
)
async def test_anything_can_be_sent(message: WireMessage | str | bytes) -> None:
    async with running(Sample()) as peer:
        await peer.send("<this is no message <")
        await peer.send(message)
        assert isinstance(await peer.receive(), DefNumberVector)


async def test_lights_and_switches_are_seen_as_defined() -> None:
    async with running(Sample()) as peer:
        await peer.get_properties()
        await peer.expect(DefSwitchVector, a="Off", b="Off")
        await peer.expect(DefLightVector, lamp="Idle")


async def test_after_close_the_peer_is_of_no_use() -> None:
    driver = Sample()
    async with running(driver) as peer:
        await define(peer)
        await peer.close()
        await driver.stopped.wait()
        with pytest.raises(ConnectionLostError):
            await peer.get_properties()
        with pytest.raises(ConnectionLostError):
            await peer.receive()


async def test_what_is_no_message_is_reported() -> None:
    near, far = memory_pair()
    peer = Peer(near)
    await far.send(b"<setNumberVector device='a' name='b'><oneNumber></setNumberVector>")
    with pytest.raises(RemoteProtocolError):
        await peer.receive()


MISSING = (
    b'<setBLOBVector device="a" name="b" state="Ok"><oneBLOB name="c" size="3" format=".x" attached="true"/>'
    b"</setBLOBVector>"
)


@pytest.mark.parametrize(("sent", "times"), [(MISSING, 1), (b"rubbish " * 300_000, 3)], ids=["missing", "rubbish"])
async def test_what_nobody_can_follow_is_reported(sent: bytes, times: int) -> None:
    near, far = memory_pair(carries_attachments=True)
    peer = Peer(near)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(far.send, sent)
            for _ in range(times):
                with pytest.raises(RemoteProtocolError):
                    await peer.receive()
            tasks.cancel_scope.cancel()
