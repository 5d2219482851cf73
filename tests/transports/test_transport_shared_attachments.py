"""A descriptor that several receivers share is passed on by any of them."""

from __future__ import annotations

import pytest

from indianyio._routing import Relay
from indianyio.protocol import Frame
from indianyio.protocol._blobs import SharedAttachment
from indianyio.streams import SharedMemory, memory_pair

pytestmark = pytest.mark.anyio

INLINE = b'<setBLOBVector device="D" name="B"><oneBLOB name="a" size="3" format=".x">YWJj</oneBLOB></setBLOBVector>'


async def test_every_receiver_gets_a_descriptor_of_its_own() -> None:
    relay = Relay(Frame("setBLOBVector", INLINE), SharedMemory.create)
    pairs = [memory_pair(carries_attachments=True) for _ in range(2)]
    outgoings = [relay.outgoing(attach=True) for _ in pairs]
    relay.close()
    for outgoing, (ours, theirs) in zip(outgoings, pairs, strict=True):
        await ours.send(outgoing.parts[0], outgoing.attachments)
        outgoing.close()
        received = await theirs.receive()
        assert received.data == outgoing.parts[0]
        [attachment] = received.attachments
        assert attachment.read(3) == b"abc"
        attachment.close()
        await ours.aclose()
        await theirs.aclose()


async def test_a_holder_that_let_go_cannot_send() -> None:
    memory = SharedMemory.create("a")
    holder = SharedAttachment(memory)
    other = holder.share()
    holder.close()
    ours, theirs = memory_pair(carries_attachments=True)
    with pytest.raises(ValueError, match="closed"):
        await ours.send(b"x", (holder,))
    await ours.send(b"x", (other,))
    other.close()
    with pytest.raises(ValueError, match="closed"):
        memory.fileno()
    for attachment in (await theirs.receive()).attachments:
        attachment.close()
    await ours.aclose()
    await theirs.aclose()
