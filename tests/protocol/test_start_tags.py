"""What is read from start tags alone: who is addressed, and how many descriptors belong to a message."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.protocol import Frame, Framer, Unusable, _blob_spans, _lilxml

GOOD = b"<getProperties version='1.7'/>"


def frame_of(data: bytes) -> Frame:
    [frame] = Framer().feed(data)
    assert isinstance(frame, Frame)
    return frame


def dropped_of(data: bytes) -> Unusable:
    unusable, _ = Framer().feed(data + GOOD)
    assert isinstance(unusable, Unusable)
    return unusable


HEADS = {
    "plain": (b"<delProperty device='D' name='N'/>", "D", "N"),
    "double quotes": (b'<delProperty device="D" name="N"/>', "D", "N"),
    "any order, any space": (b"<delProperty\n name\t= 'N'\r\n device ='D' />", "D", "N"),
    "absent": (b"<getProperties version='1.7'/>", None, None),
    "empty": (b"<delProperty device='' name=''/>", "", ""),
    "first of duplicates": (b"<delProperty device='D' device='E' name='N' name='M'/>", "D", "N"),
    "in the value of another": (b"<message message=' device=\"X\" name=\"Y\"' device='D'/>", "D", None),
    "longer names": (b"<message xdevice='X' devices='Y' device='D'/>", "D", None),
    "not of a member": (b"<newTextVector device='D'><oneText name='T'>x</oneText></newTextVector>", "D", None),
    "entities": (b"<delProperty device='&lt;&amp;&gt;' name='&quot;&apos;'/>", "<&>", "\"'"),
    "numeric references": (b"<delProperty device='&#65;&#x42;' name='&#10;'/>", "AB", "\n"),
    "no reference at all": (b"<delProperty device='&#9999999;' name='&foo; &'/>", "&#9999999;", "&foo; &"),
    "line ends": (b"<delProperty device='a\r\nb\tc\nd'/>", "a b c d", None),
    "UTF-8": ("<delProperty device='é'/>".encode(), "é", None),
    "Latin-1": ("<delProperty device='é'/>".encode("latin-1"), "é", None),
    "one encoding for all": ("<message device='é' message='".encode() + b"\xe9'/>", "Ã©", None),
    "broken off": (b"<delProperty name='N' device=D/>", None, "N"),
}


@pytest.mark.parametrize(("data", "device", "name"), HEADS.values(), ids=HEADS)
def test_address(data: bytes, device: str | None, name: str | None) -> None:
    frame = frame_of(data)
    assert (frame.device, frame.name) == (device, name)


@given(device=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<&'")))
def test_address_of_any_text(device: str) -> None:
    assert frame_of(f"<message device='{device}'/>".encode()).device == device


ATTACHED = {
    "none": (b"<oneBLOB name='a' size='3' format='.b'>AAAA</oneBLOB>", 0),
    "one": (b"<oneBLOB name='a' attached='true'></oneBLOB>", 1),
    "self-closed": (b'<oneBLOB name="a" attached="true"/>', 1),
    "two": (b"<oneBLOB attached='true'/><oneBLOB>AAAA</oneBLOB><oneBLOB\nattached = 'true' ></oneBLOB>", 2),
    "other words": (b"<oneBLOB attached='false'/><oneBLOB attached=''/><oneBLOB attached='True'/>", 0),
    "in another value": (b"<oneBLOB name=' attached=\"true\"'/>", 0),
    "in the text": (b"<oneBLOB> attached='true'</oneBLOB>", 0),
    "in a comment": (b"<!-- <oneBLOB attached='true'/> --><oneBLOB attached='true'/>", 1),
    "in character data": (b"<![CDATA[<oneBLOB attached='true'/>]]>", 0),
    "in an instruction": (b"<?x <oneBLOB attached='true'/>?>", 0),
    "in an open comment": (b"<oneBLOB attached='true'/><!-- <oneBLOB attached='true'/>", 1),
    "another tag": (b"<oneBLOBs attached='true'/>", 0),
}


@pytest.mark.parametrize("vector", [b"setBLOBVector", b"newBLOBVector"])
@pytest.mark.parametrize(("content", "count"), ATTACHED.values(), ids=ATTACHED)
def test_attached_blobs_are_counted(content: bytes, count: int, vector: bytes) -> None:
    begun = b"<" + vector + b" device='D' name='N'>" + content
    assert frame_of(begun + b"</" + vector + b">").attached == count
    assert dropped_of(begun).attached == count


def test_attached_blobs_among_garbage_are_counted() -> None:
    assert dropped_of(b"<oneBLOB name='a' attached='true'></oneBLOB></setBLOBVector>").attached == 1


def test_only_blob_vectors_have_attachments() -> None:
    assert frame_of(b"<newTextVector><oneBLOB attached='true'/></newTextVector>").attached == 0


@pytest.mark.parametrize(
    "pattern", [_lilxml._ATTRIBUTE_BYTES.pattern, _blob_spans._REST.pattern, _lilxml.REST_OF_HEAD]
)
def test_no_pattern_looks_twice(pattern: bytes) -> None:
    repeats = re.findall(rb"[*+]\+?", pattern)
    assert repeats
    assert {repeat[1:] for repeat in repeats} == {b"+"}
