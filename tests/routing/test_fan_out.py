"""One frame goes to many receivers: each form is made once, and descriptors live as long as anybody needs them."""

from __future__ import annotations

import os

import pybase64
import pytest

from indianyio._routing import PlainRelay, Relay
from indianyio.protocol import Frame
from indianyio.streams import SharedMemory

INLINE = b'<setBLOBVector device="D" name="B"><oneBLOB name="a" size="3" format=".x">YWJj</oneBLOB></setBLOBVector>'
ATTACHED = INLINE.replace(b">YWJj<", b' len="3" attached="true"><')
TEXT = b'<setTextVector device="D" name="T"/>'


class Memory:
    """Shared memory that counts what is done with it."""

    def __init__(self, label: str = "", content: bytes = b"") -> None:
        self.content = content
        self.reads = 0
        self.closed = 0

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        self.content += piece

    def seal(self) -> None:
        pass

    def read(self, length: int) -> bytes:
        if length > len(self.content):
            raise ValueError("there is not so much")
        self.reads += 1
        return self.content[:length]

    def close(self) -> None:
        self.closed += 1


class Maker:
    def __init__(self) -> None:
        self.made: list[Memory] = []

    def __call__(self, label: str) -> Memory:
        self.made.append(Memory())
        return self.made[-1]


def test_a_message_without_blobs_is_made_once() -> None:
    make = Maker()
    relay = Relay(Frame("setTextVector", TEXT), make)
    first, second = relay.outgoing(attach=False), relay.outgoing(attach=False)
    assert first is second
    assert relay.outgoing(attach=True) == first
    assert first.parts == (TEXT + b"\n",)
    assert [frame.data for frame in relay.frames()] == [TEXT]
    assert not relay.is_stream
    assert not make.made


def test_a_long_message_is_not_copied() -> None:
    data = TEXT.replace(b"/>", b" " * (64 << 10) + b"/>")
    outgoing = Relay(Frame("setTextVector", data), Maker()).outgoing(attach=False)
    assert outgoing.parts[0] is data
    assert outgoing.parts == (data, b"\n")


def test_inline_for_many_receivers_of_both_kinds() -> None:
    make = Maker()
    frame = Frame("setBLOBVector", INLINE)
    relay = Relay(frame, make)
    inline = [relay.outgoing(attach=False) for _ in range(3)]
    attached = [relay.outgoing(attach=True) for _ in range(3)]
    assert [received is frame for received in relay.frames()] == [True]
    [memory] = make.made
    assert {outgoing.parts for outgoing in inline} == {(INLINE + b"\n",)}
    assert {outgoing.parts for outgoing in attached} == {(ATTACHED + b"\n",)}
    assert [(outgoing.size, outgoing.attached_bytes) for outgoing in attached] == [(len(ATTACHED) + 4, 3)] * 3
    relay.close()
    for outgoing in attached:
        assert memory.closed == 0
        assert outgoing.attachments[0].read(3) == b"abc"
        outgoing.close()
        outgoing.close()
    assert memory.closed == 1


def test_attached_for_many_receivers_of_both_kinds() -> None:
    make, memory = Maker(), Memory(content=b"abcdef")
    relay = Relay(Frame("setBLOBVector", ATTACHED, (memory,), 1), make)
    inline = [relay.outgoing(attach=False) for _ in range(3)]
    attached = [relay.outgoing(attach=True), relay.outgoing(attach=True)]
    [as_it_came] = relay.frames()
    assert memory.reads == 1
    assert not make.made
    assert inline[0] is inline[1]
    assert (inline[0].parts, inline[0].attachments, inline[0].attached_bytes) == ((INLINE + b"\n",), (), 0)
    assert (as_it_came.data, as_it_came.attached, len(as_it_came.attachments)) == (ATTACHED, 1, 1)
    relay.close()
    relay.close()
    for holder in (attached[0].attachments[0], attached[1].attachments[0], as_it_came.attachments[0]):
        assert memory.closed == 0
        holder.close()
    assert memory.closed == 1


def test_a_vector_of_both_kinds() -> None:
    make, there = Maker(), Memory(content=b"abc")
    data = ATTACHED.replace(b"</set", b'<oneBLOB name="b" size="3" format=".x">ZGVm</oneBLOB></set')
    relay = Relay(Frame("setBLOBVector", data, (there,), 1), make)
    outgoing = relay.outgoing(attach=True)
    relay.close()
    [made] = make.made
    assert outgoing.attached_bytes == 6
    assert [attachment.read(3) for attachment in outgoing.attachments] == [b"abc", b"def"]
    assert (there.closed, made.closed) == (0, 0)
    outgoing.close()
    assert (there.closed, made.closed) == (1, 1)


def test_a_relay_that_nobody_wanted_closes_its_descriptors() -> None:
    memory = Memory(content=b"abc")
    Relay(Frame("setBLOBVector", ATTACHED, (memory,), 1), Maker()).close()
    assert memory.closed == 1


def test_a_descriptor_that_cannot_be_read_spoils_only_the_inline_form() -> None:
    memory = Memory(content=b"ab")
    relay = Relay(Frame("setBLOBVector", ATTACHED, (memory,), 1), Maker())
    with pytest.raises(ValueError, match="not so much"):
        relay.outgoing(attach=False)
    assert len(relay.outgoing(attach=True).attachments) == 1


def test_a_stream_is_known_by_its_format() -> None:
    assert Relay(Frame("setBLOBVector", INLINE.replace(b".x", b".stream")), Maker()).is_stream
    assert not Relay(Frame("setBLOBVector", INLINE), Maker()).is_stream


def test_plain_messages_travel_as_one() -> None:
    frames = [Frame("setTextVector", TEXT, plain=True), Frame("setTextVector", TEXT * 2, plain=True)]
    relay = PlainRelay(frames)
    outgoing = relay.outgoing(attach=False)
    assert outgoing is relay.outgoing(attach=True)
    assert outgoing.parts == (TEXT + b"\n" + TEXT * 2 + b"\n",)
    assert (outgoing.messages, outgoing.attachments) == (2, ())
    assert not relay.is_stream
    assert relay.frames() is frames


def attached_frame(memory: SharedMemory, length: int) -> Frame:
    data = ATTACHED.replace(b'"3"', b'"%d"' % length)
    return Frame("setBLOBVector", data, (memory,), 1)


def test_a_long_attachment_becomes_base64_in_slices() -> None:
    content = bytes(range(251)) * 20_000
    memory = SharedMemory.create("image")
    memory.write(content)
    relay = Relay(attached_frame(memory, len(content)), Maker())
    assert relay.needs_conversion(attach=False)
    relay.convert(attach=False)
    assert not relay.needs_conversion(attach=False)
    outgoing = relay.outgoing(attach=False)
    assert max(map(len, outgoing.parts)) <= 1 << 20
    base64 = pybase64.b64encode(content)
    assert (
        b"".join(outgoing.parts) == INLINE.replace(b'"3"', b'"%d"' % len(content)).replace(b"YWJj", base64) + b"\n"
    )
    relay.close()


def test_an_attachment_that_becomes_shorter_meanwhile_has_no_base64() -> None:
    memory = SharedMemory.create("image")
    memory.write(bytes(3 << 20))
    relay = Relay(attached_frame(memory, 3 << 20), Maker())
    os.truncate(memory.fileno(), 1 << 20)
    relay.convert(attach=False)
    with pytest.raises(ValueError, match="bytes"):
        relay.outgoing(attach=False)
    relay.close()
