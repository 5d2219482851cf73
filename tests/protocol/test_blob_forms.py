"""BLOBs become descriptors, or base64, for those who need it, and nothing else about them changes."""

from __future__ import annotations

import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.protocol import Frame, Framer, OneBLOB, SetBLOBVector, decode
from indianyio.protocol._blob_forms import attached_bytes, blob_form, is_stream
from indianyio.protocol._blobs import SharedAttachment
from indianyio.protocol._relayable import relayable

ABC = b'<oneBLOB name="a" size="3" format=".txt">YWJj</oneBLOB>'
LIBINDI = b"<oneBLOB\n    name='i'\n    size='6'\n    enclen='8'\n    format='.fits'\n  >\nYWJj\nZGVm\n  </oneBLOB>"
EMPTY = b'<oneBLOB name="e" size="0" format=".txt"/>'
ATTACHED = b"<oneBLOB name='d' size='9' format='.z' len='3' attached='true'></oneBLOB>"


class Memory:
    """Shared memory as it is to its users."""

    def __init__(self, label: str = "", content: bytes = b"") -> None:
        self.label = label
        self.content = content
        self.sealed = False
        self.closed = False

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        assert not self.sealed
        self.content += piece

    def seal(self) -> None:
        self.sealed = True

    def read(self, length: int) -> bytes:
        if self.closed or length > len(self.content):
            raise ValueError("there is not so much")
        return self.content[:length]

    def close(self) -> None:
        self.closed = True


class Maker:
    """Makes so much memory and no more."""

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.made: list[Memory] = []

    def __call__(self, label: str) -> Memory:
        if len(self.made) == self.most:
            raise OSError("no descriptor left")
        self.made.append(Memory(label))
        return self.made[-1]


def no_memory(label: str) -> Memory:
    raise AssertionError("nothing was to be made")


def frame_of(*blobs: bytes, attachments: tuple[Memory, ...] = (), tag: bytes = b"setBLOBVector") -> Frame:
    data = b"<%b device='D' name='B' state='Ok'>\n%b\n</%b>" % (tag, b"\n  ".join(blobs), tag)
    [frame] = Framer().feed(data)
    assert isinstance(frame, Frame)
    frame.attachments = attachments
    found = relayable(frame)
    assert isinstance(found, Frame)
    return found


# -- to descriptors --------------------------------------------------------------------------------------------


def test_s32_inline_becomes_attached() -> None:
    make = Maker()
    frame = frame_of(ABC, EMPTY, LIBINDI)
    form = blob_form(frame, attach=True, make=make)
    assert form.data == frame.data.replace(
        ABC, b'<oneBLOB name="a" size="3" format=".txt" len="3" attached="true"></oneBLOB>'
    ).replace(
        LIBINDI,
        b"<oneBLOB\n    name='i'\n    size='6'\n    format='.fits' len=\"6\" attached=\"true\"></oneBLOB>",
    )
    assert form.attachments == tuple(make.made)
    assert [(each.label, each.content, each.sealed) for each in make.made] == [
        ("a", b"abc", True),
        ("i", b"abcdef", True),
    ]
    assert (form.attached, attached_bytes(form), frame.attached, attached_bytes(frame)) == (2, 9, 0, 0)
    assert relayable(form) is form


def test_what_is_attached_stays_and_keeps_its_place() -> None:
    make, there = Maker(), Memory(content=b"def")
    frame = frame_of(ABC, ATTACHED, ABC.replace(b'"a"', b'"c"'), attachments=(there,))
    form = blob_form(frame, attach=True, make=make)
    assert form.attachments == (make.made[0], there, make.made[1])
    assert ATTACHED in form.data
    assert [blob.attachment for blob in blobs_of(form)] == list(form.attachments)


@pytest.mark.parametrize(
    "frame",
    [
        frame_of(EMPTY),
        frame_of(),
        frame_of(ATTACHED, EMPTY, attachments=(Memory(content=b"def"),)),
        Frame("setTextVector", b'<setTextVector device="D" name="N"/>'),
    ],
    ids=["state only", "no BLOB", "attached", "text"],
)
def test_nothing_to_attach(frame: Frame) -> None:
    assert blob_form(frame, attach=True, make=no_memory) is frame


def test_names_in_values_are_not_attributes() -> None:
    blob = (
        b"""<oneBLOB name=" len='7'" len = '4' enclen="4" size="3" format=' attached="true"'>YWJj\n\n</oneBLOB>"""
    )
    form = blob_form(frame_of(blob), attach=True, make=Maker())
    assert (
        b"""<oneBLOB name=" len='7'" size="3" format=' attached="true"' len="3" attached="true"></oneBLOB>"""
        in form.data
    )


@pytest.mark.parametrize("most", [0, 1])
def test_without_descriptors_blobs_stay_inline(most: int) -> None:
    make = Maker(most)
    frame = frame_of(ABC, LIBINDI)
    assert blob_form(frame, attach=True, make=make) is frame
    assert [each.closed for each in make.made] == [True] * most


def test_more_than_16_descriptors_are_not_made() -> None:
    make = Maker()
    frame = frame_of(*[ABC] * 17)
    assert blob_form(frame, attach=True, make=make) is frame
    assert not make.made
    assert blob_form(frame_of(*[ABC] * 16), attach=True, make=make).attached == 16


# -- to base64 -------------------------------------------------------------------------------------------------


def test_s32_attached_becomes_inline() -> None:
    frame = frame_of(ABC, ATTACHED, EMPTY, attachments=(Memory(content=b"def and more"),))
    form = blob_form(frame, attach=False, make=no_memory)
    assert form.data == frame.data.replace(ATTACHED, b"<oneBLOB name='d' size='9' format='.z'>ZGVm</oneBLOB>")
    assert (form.attachments, form.attached, attached_bytes(frame)) == ((), 0, 3)
    assert relayable(form) is form


@pytest.mark.parametrize(
    "blob",
    [
        b"<oneBLOB attached='true' name='d' size='3'/>",
        b"<oneBLOB attached='true' name='d' size='3' enclen='9' />",
        b"<oneBLOB attached='true' name='d' size='3'>\n</oneBLOB >",
    ],
)
def test_attached_blobs_of_any_layout(blob: bytes) -> None:
    form = blob_form(frame_of(blob, attachments=(Memory(content=b"def"),)), attach=False, make=no_memory)
    assert form.data.count(b"<oneBLOB name='d' size='3'>ZGVm</oneBLOB") == 1
    assert [blob.data for blob in blobs_of(form)] == [b"def"]


def test_inline_stays_byte_for_byte() -> None:
    frame = frame_of(LIBINDI, ABC)
    assert blob_form(frame, attach=False, make=no_memory) is frame


def test_what_cannot_be_read_is_told() -> None:
    frame = frame_of(ATTACHED, attachments=(Memory(content=b"de"),))
    with pytest.raises(ValueError, match="not so much"):
        blob_form(frame, attach=False, make=no_memory)


def blobs_of(frame: Frame) -> list[OneBLOB]:
    message = decode(Frame(frame.tag, frame.data, frame.attachments, frame.attached))
    assert isinstance(message, SetBLOBVector)
    return list(message.members)


@given(st.lists(st.tuples(st.binary(max_size=200), st.booleans()), max_size=6))
def test_there_and_back(contents: list[tuple[bytes, bool]]) -> None:
    frame = frame_of(*(inline(content, wrap=wrap) for content, wrap in contents))
    there = blob_form(frame, attach=True, make=Maker())
    assert there.attached == sum(bool(content) for content, _ in contents)
    back = blob_form(there, attach=False, make=no_memory)
    assert [blob.data for blob in blobs_of(back)] == [content for content, _ in contents]
    assert back.data == blob_form(blob_form(back, attach=True, make=Maker()), attach=False, make=no_memory).data


def inline(content: bytes, *, wrap: bool) -> bytes:
    text = pybase64.b64encode(content)
    if wrap:
        text = b"".join(b"\n" + text[at : at + 72] for at in range(0, len(text), 72))
    return b'<oneBLOB name="a" size="%d" format=".x">%b</oneBLOB>' % (len(content), text)


# -- streams ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "stream"),
    [
        (b".stream", True),
        (b".stream_jpg", True),
        (b".stream.z", True),
        (b".fits", False),
        (b".Stream", False),
        (b"", False),
    ],
)
def test_a_stream_shows_in_the_format(form: bytes, stream: bool) -> None:
    blob = ABC.replace(b".txt", form).replace(b'"a"', b'"streamer"')
    assert is_stream(frame_of(blob)) is stream
    assert is_stream(frame_of(ABC, blob)) is stream
    assert not is_stream(frame_of(blob, tag=b"newBLOBVector"))


def test_base64_that_reads_stream_is_none() -> None:
    assert not is_stream(frame_of(ABC.replace(b"YWJj", b"streamAA").replace(b'"3"', b'"6"')))
    assert not is_stream(Frame("message", b"<message message='stream'/>"))


def test_half_a_vector_has_no_blob() -> None:
    assert not is_stream(Frame("setBLOBVector", b"<setBLOBVector><oneBLOB format='.stream'>YWJj"))


# -- sharing ---------------------------------------------------------------------------------------------------


def test_the_last_holder_closes() -> None:
    memory = Memory(content=b"abc")
    first = SharedAttachment(memory)
    second, third = first.share(), first.share()
    first.close()
    first.close()
    second.close()
    assert not memory.closed
    assert (third.read(2), third.attachment) == (b"ab", memory)
    third.close()
    assert memory.closed


def test_a_closed_holder_gives_nothing() -> None:
    first = SharedAttachment(Memory())
    second = first.share()
    first.close()
    for use in (lambda: first.read(0), first.share, lambda: first.attachment):
        with pytest.raises(ValueError, match="closed"):
            use()
    second.share().close()
    assert second.read(0) == b""
