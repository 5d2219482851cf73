"""One peer: what is logged, what is survived, and what ends it."""

from __future__ import annotations

import logging
import os
import socket

import anyio
import anyio.lowlevel
import pybase64
import pytest

from indianyio import newBLOBVector
from indianyio.protocol import DefTextVector, PingReply, SetBLOBVector
from indianyio.streams import SharedMemory, SocketStream, attachments_supported, memory_pair
from indianyio.testing import Peer, running
from tests.driver.gadget import DEVICE, Gadget, new_number

pytestmark = pytest.mark.anyio

needs_attachments = pytest.mark.skipif(not attachments_supported(), reason="no shared memory on this system")


async def test_the_drivers_xml_is_logged_when_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="indianyio.wire")
    driver = Gadget()
    async with running(driver) as peer:
        await peer.get_properties(DEVICE, "TEXT")
        await peer.expect(DefTextVector)
    assert caplog.text == ""
    driver.debug_enable = True
    async with running(driver) as peer:
        await peer.get_properties(DEVICE, "TEXT")
        await peer.expect(DefTextVector)
        driver.image["a"] = bytes(10_000)
        await driver.image.send_setVectorMembers(members=["a"])
        await peer.expect(SetBLOBVector)
    assert "<getProperties" in caplog.text
    assert "<defTextVector" in caplog.text
    assert "... (13" in caplog.text, "of a BLOB only the beginning is shown"


async def test_what_is_dropped_is_logged_with_the_peers_name(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Gadget()) as peer:
        await peer.send("rubbish" + new_number(5).replace("</oneNumber>", "") + new_number(5))
        await peer.send('<pingRequest uid="1"/>')
        await peer.expect(PingReply)
    dropped = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(dropped) == 2
    assert all(text.startswith("test: ") for text in dropped)
    assert "rubbish" in dropped[0]


async def test_an_unfinished_message_at_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    driver = Gadget()
    near, far = memory_pair()
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        await near.send(b'<newNumberVector device="Gadget"')
        await near.aclose()
    assert "ended inside" in caplog.text
    assert driver.left == 1


async def test_a_reset_ends_the_driver_in_order() -> None:
    near, far = socket.socketpair()
    driver = Gadget()
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, SocketStream(far))
        near.send(b"<getProperties/>")
        near.close()  # with unread data: the driver's next read or write fails
    assert driver.left == 1
    assert driver.stopped.is_set()


@needs_attachments
async def test_descriptors_without_messages_are_given_up_on(caplog: pytest.LogCaptureFixture) -> None:
    """A peer cannot make us hold its descriptors."""
    before = len(os.listdir("/proc/self/fd"))
    near, far = memory_pair(carries_attachments=True)
    driver = Gadget()
    memory = SharedMemory.create("junk")
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        while not driver.stop:
            await near.send(b" ", [memory])
            await anyio.wait_all_tasks_blocked()
    memory.close()
    await near.aclose()
    assert "descriptors without a message" in caplog.text
    assert len(os.listdir("/proc/self/fd")) <= before


@needs_attachments
async def test_descriptors_of_broken_messages_go_to_no_other_blob() -> None:
    """W36: the n-th attached BLOB owns the n-th descriptor, also when its message is unusable."""
    near, far = memory_pair(carries_attachments=True)
    driver = Gadget()
    peer = Peer(near)

    def blob(size: object) -> bytes:
        return (
            f'<newBLOBVector device="{DEVICE}" name="IMAGE">'
            f'<oneBLOB name="a" size="{size}" format=".bin" attached="true"></oneBLOB></newBLOBVector>'
        ).encode()

    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        for content, message in ((b"broken", blob("none")), (b"cut", blob(3)[:-5]), (b"good", blob(4))):
            with_content = SharedMemory.create("content")
            with_content.write(content)
            await near.send(message, [with_content])
            with_content.close()
        await peer.send('<pingRequest uid="1"/>')
        await peer.expect(PingReply)
        await anyio.wait_all_tasks_blocked()
        await near.aclose()
    (event,) = driver.events
    assert isinstance(event, newBLOBVector)
    assert dict(event) == {"a": b"good"}


async def test_blobs_may_be_sent_all_at_once_or_as_they_change() -> None:
    driver = Gadget()
    driver.ping_timeout = 0
    async with running(driver) as peer:
        driver.image["a"] = b"first"
        await driver.image.send_setVector(state="Ok")
        blob = await peer.expect(SetBLOBVector)
        assert [(one.name, bytes(one.data)) for one in blob.members] == [("a", b"first")]
        await driver.image.send_setVector(allvalues=False)
        driver.image["b"] = b"second"
        await driver.image.send_setVector(allvalues=False)
        blob = await peer.expect(SetBLOBVector)
        assert [one.name for one in blob.members] == ["b"]
    assert sum(isinstance(message, SetBLOBVector) for message in peer.received) == 2


async def test_drivers_and_devices_describe_themselves() -> None:
    driver = Gadget()
    assert repr(driver) == "<Gadget of 'Gadget'>"
    assert repr(driver[DEVICE]) == "<Device 'Gadget'>"
    assert len(driver) == 1
    assert DEVICE in driver
    assert driver[DEVICE].properties()[0] is driver.text
    assert not driver[DEVICE].stop
    async with running(driver):
        driver[DEVICE].shutdown()
        await driver.stopped.wait()
    assert driver[DEVICE].stop


def long_blob(content: bytes, fault: bytes = b"") -> bytes:
    blob = b'<oneBLOB name="a" size="%d" format=".bin">%b%b</oneBLOB>' % (
        len(content),
        pybase64.b64encode(content),
        fault,
    )
    return b'<newBLOBVector device="%b" name="IMAGE">%b</newBLOBVector>' % (DEVICE.encode(), blob)


async def test_a_long_blob_is_decoded_beside_the_event_loop_and_in_its_turn() -> None:
    content = bytes(range(255)) * 10_000
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send(long_blob(content) + long_blob(content, b"*") + b'<pingRequest uid="1"/>')
        refused = await peer.expect(SetBLOBVector, state="Alert")
        await peer.expect(PingReply)
    assert "0x2A" in (refused.message or "")
    (event,) = driver.events
    assert isinstance(event, newBLOBVector)
    assert dict(event) == {"a": content}


@pytest.mark.parametrize("turns", range(6))
async def test_a_driver_may_end_while_a_long_blob_is_decoded(turns: int) -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send(long_blob(bytes(3_000_000)))
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        driver.shutdown()
