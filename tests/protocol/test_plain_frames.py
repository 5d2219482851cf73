"""Plain messages are taken by shortcuts, which must say the same as the long ways."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from indianyio._vocabulary import State
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import (
    DefNumber,
    DefNumberVector,
    Frame,
    Framer,
    GetProperties,
    Limits,
    OneNumber,
    OneText,
    SetNumberVector,
    SetTextVector,
    Unusable,
    WireMessage,
    _plain,
    decode,
    encode,
)
from indianyio.protocol._decoder import canonical_message, quoted_message
from indianyio.protocol._frames import element_of, line_of, lines_of, parts_of_line
from indianyio.protocol._messages import CONTENT_TAGS
from indianyio.protocol._plain import is_plain
from indianyio.protocol._relayable import relayable
from indianyio.protocol._xml_decoder import RefusalError, parsed_message
from tests.protocol.test_relay import SOUP

CAPTURES = sorted((Path(__file__).parent.parent / "captures").glob("*.xml"))

TEXT = b"<setTextVector device='D' name='N' state='Ok'><oneText name='a'>%b</oneText></setTextVector>"


def agree(item: Frame | Unusable) -> Frame | Unusable:
    """Check that what is known of a frame is what a closer look finds."""
    if isinstance(item, Frame):
        unknown = Frame(item.tag, item.data)
        assert item.head == unknown.head
        parsed = by_parser(item)
        if item.plain:
            assert is_plain(item.tag, item.data, Limits().members)
            assert quoted_message(item, Limits()) == parsed
        if item.tag not in CONTENT_TAGS and (item.plain or item.data.isascii()):
            assert canonical_message(item, Limits()) in (None, parsed)
        decoded = decode(unknown)
        assert decoded == (parsed if parsed is not None else unknown.decoded)
        assert isinstance(decoded, Unusable) is (parsed is None)
        assert item.decoded in (None, parsed)
        assert unknown.plain is not True or is_plain(item.tag, item.data, Limits().members)
    return item


def by_parser(frame: Frame) -> WireMessage | None:
    """Return what the XML parser makes of a frame."""
    try:
        return parsed_message(frame, Limits())
    except RefusalError:
        return None


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_what_real_programs_send_is_plain_and_understood_alike(capture: Path) -> None:
    frames = [agree(item) for item in Framer().feed(capture.read_bytes())]
    assert [agree(item) for item in Framer(decoding=True).feed(capture.read_bytes())] == frames
    assert len(frames) >= 8
    blobless = [frame for frame in frames if frame.tag != "setBLOBVector"]
    assert all(frame.plain for frame in blobless)


@given(head=SOUP, body=SOUP, cut=st.integers(0, 200))
@example(head=b"", body=b"a &amp; b\r\nc\rd", cut=0)
@example(head=b" message='&quot;&apos;&lt;'", body=b"\n  laid out\n", cut=5)
@example(head=b"", body=b"\xc3\xbc\xef\xbf\xbe", cut=0)
def test_the_shortcuts_agree_with_the_long_ways(head: bytes, body: bytes, cut: int) -> None:
    data = b"<setTextVector device='D' name='N' state='Ok'%b><oneText name='a'>%b</oneText></setTextVector>"
    stream = b" \n" + data % (head, body) + TEXT % b"behind" + b"\n"
    whole = Framer()
    items = [agree(item) for item in whole.feed(stream)]
    pieces = Framer()
    again = [agree(item) for piece in (stream[:cut], stream[cut:]) for item in pieces.feed(piece)]
    assert again == items
    assert [item.plain for item in again] == [item.plain for item in items]
    decoding = Framer(decoding=True)
    decoded = [agree(item) for piece in (stream[:cut], stream[cut:]) for item in decoding.feed(piece)]
    assert decoded == items
    assert [item.plain for item in decoded] == [item.plain for item in items]


# What stands in a vector of numbers, or does not belong there.
PARTS = st.sampled_from(
    [
        b'<oneNumber name="a">1</oneNumber>',
        b'<oneNumber name="b">\n 2.5\n</oneNumber>\n',
        b'<oneNumber name="c" min="0" max="9" step="1">3</oneNumber>',
        b'<oneNumber name="d" min="" max="9">4</oneNumber>',
        b'<oneNumber name="e" max="&lt;">&amp;5</oneNumber>',
        b"<oneNumber name='f'>6</oneNumber>",
        b'<oneNumber\n  name="g">\r\n7\r</oneNumber>',
        b'<oneNumber name="h"/>',
        b'<oneNumber name="">8</oneNumber>',
        b"<oneNumber>9</oneNumber>",
        b'<oneNumber name="i" odd="x">10</oneNumber>',
        b'<oneNumber max="1" name="j">11</oneNumber>',
        b'<oneNumber name="k">\xc3\xa9</oneNumber>',
        b'<oneNumber name="l">]]></oneNumber>',
        b'<oneNumber name="m">12</oneNumber >',
        b'<oneText name="n">13</oneText>',
        b'<!--<oneNumber name="o">14</oneNumber>-->',
        b"<![CDATA[15]]>",
        b"<?odd 16?>",
        b" stray ",
        b"&amp;",
        b"\n\t ",
        b"\x01",
    ]
)
START = st.sampled_from(
    [
        b'<setNumberVector device="D" name="N" state="Ok">\n',
        b'<setNumberVector device="D" name="N" state="Okay" timeout="" timestamp="t" message="m">',
        b"<setNumberVector device='D' name='N' state='Busy'>",
        b'<setNumberVector device="" name="N" state="Ok">',
        b'<setNumberVector device="D" name="N" state="Ok"/>',
        b'<newNumberVector device="D" name="N" timestamp="t">\n',
        b'<!-- <setNumberVector device="D" name="N" state="odd">',
        b'\xef\xbb\xbf<?xml version="1.0"?>\n<setNumberVector device="D" name="N" state="Alert">',
    ]
)


@given(
    vectors=st.lists(st.tuples(START, st.lists(PARTS, max_size=6)), min_size=1, max_size=3), cut=st.integers(0, 600)
)
def test_vectors_of_any_parts_are_understood_alike(vectors: list[tuple[bytes, list[bytes]]], cut: int) -> None:
    stream = b"".join(
        start + b"".join(parts) + b"</" + start.partition(b" device")[0].rpartition(b"<")[2] + b">\n"
        for start, parts in vectors
    )
    expected = [agree(item) for item in Framer().feed(stream)]
    for decoding in (False, True):
        framer = Framer(decoding=decoding)
        items = [agree(item) for piece in (stream[:cut], stream[cut:]) for item in framer.feed(piece)]
        assert items == expected
        assert [item.plain for item in items] == [item.plain for item in expected]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 200])
@pytest.mark.parametrize("kind", ["set", "def"])
def test_canonical_vectors_of_any_size(kind: str, count: int) -> None:
    member = DefNumber(name="a", label="l", format="%g", min="0", max="1", step="0", value="1.5")
    message: WireMessage = DefNumberVector(device="D", name="N", members=(member,) * count)
    if kind == "set":
        members = (OneNumber(name="a", value="1.5"),) * count
        message = SetNumberVector(device="D", name="N", state=State.OK, members=members)
    data = encode(message)
    for decoding in (False, True):
        for item in map(agree, Framer(decoding=decoding).feed(data * 3)):
            assert isinstance(item, Frame)
            assert item.plain
            assert item.data + b"\n" == data
            assert decode(item) == message


@pytest.mark.parametrize("count", [3, 4, 5])
def test_more_members_than_allowed_are_not_decoded(count: int) -> None:
    message = SetNumberVector(device="D", name="N", state=State.OK, members=(OneNumber(name="a"),) * count)
    data = encode(message) + encode(replace(message, members=(OneNumber(name="a", value="1"),) * count))
    limits = Limits(members=4)
    for decoding in (False, True):
        for frame in Framer(limits, decoding=decoding).feed(data):
            assert isinstance(frame, Frame)
            assert frame.plain is (count <= 4)
            if count <= 4:
                assert isinstance(decode(frame, limits), SetNumberVector)
            else:
                with pytest.raises(RemoteProtocolError, match="more than 4 members in a setNumberVector"):
                    decode(frame, limits)


class Counted:
    """Patterns of plain messages, which count how often they are tried."""

    def __init__(self, make: Callable[[str, int], re.Pattern[bytes]]) -> None:
        self._make = make
        self.tried = 0

    def __call__(self, tag: str, members: int) -> Counted:
        self._pattern = self._make(tag, members)
        return self

    def match(self, data: bytes, position: int) -> re.Match[bytes] | None:
        self.tried += 1
        return self._pattern.match(data, position)

    def fullmatch(self, data: bytes) -> re.Match[bytes] | None:
        self.tried += 1
        return self._pattern.fullmatch(data)


@pytest.mark.parametrize("prolog", [b"", b"<?xml version='1.0'?>\n"], ids=["bare", "prolog"])
@pytest.mark.parametrize(
    ("data", "plain", "unordered"),
    [
        (TEXT % b"x", True, 0),
        (b"<setTextVector name='N' device='D' state='Ok'/>", False, 1),
        (b"<setTextVector device='D' name='N' state='Ok' odd='1'/>", False, 1),
        (TEXT % b"<!-- -->", False, 1),
    ],
    ids=["plain", "another order", "unknown attribute", "comment"],
)
def test_each_pattern_is_tried_once(
    monkeypatch: pytest.MonkeyPatch, prolog: bytes, data: bytes, plain: bool, unordered: int
) -> None:
    in_order, any_order = Counted(_plain.plain_element), Counted(_plain._unordered)
    monkeypatch.setattr(_plain, "plain_element", in_order)
    monkeypatch.setattr(_plain, "_unordered", any_order)
    framer = Framer()
    framer._plain._tag = "setTextVector"
    [frame] = framer.feed(prolog + data)
    assert isinstance(frame, Frame)
    assert frame.plain is plain
    tried_at_the_prolog = bool(prolog)
    for _ in range(2):
        assert not isinstance(decode(frame), Unusable)
    assert in_order.tried == 1 + tried_at_the_prolog
    assert any_order.tried == 0
    assert isinstance(relayable(frame), Frame)
    assert in_order.tried == 1 + tried_at_the_prolog
    assert any_order.tried == unordered


def test_what_nobody_has_looked_at_is_looked_at_once() -> None:
    for data, plain in ((TEXT % b"x", True), (TEXT % b"<!-- -->", False)):
        for look in (decode, relayable):
            frame = Frame("setTextVector", data)
            assert frame.plain is None
            look(frame)
            assert frame.plain is plain


VARIANTS = [
    b'<setNumberVector device="D" name="N" state="Okay" timeout="6" timestamp="t" message="m"/>',
    b"<setNumberVector device='D' name='N'><oneNumber name=''>1</oneNumber><oneNumber/></setNumberVector>",
    b'<setNumberVector device="D" name="N"><oneNumber name="a" min="1" step="3"> 4 </oneNumber></setNumberVector >',
    b'<defSwitchVector device="D" name="N" label="" group="g" state="Busy" perm="rw" rule="OneOfMany"/>',
    b'<defSwitchVector device="D" name="N"><defSwitch name="a" label="l">On</defSwitch></defSwitchVector>',
    b'<defLightVector device="D" name="N" state="x"><defLight name="a">Ok</defLight></defLightVector>',
    b'<defBLOBVector device="D" name="N" perm="ro"><defBLOB name="a" label="b"/></defBLOBVector>',
    b'<enableBLOB device="D">\n Also </enableBLOB>',
    b"<enableBLOB device='D'/>",
    b'<getProperties version="1.7" device="D"/>',
    b'<message timestamp="t" message="&lt;b&gt; &amp; more"/>',
    b'<delProperty device="D" name="N"></delProperty>',
    b'<pingReply uid="7"/>',
    b'<setTextVector device="\xc3\xbc" name="N"><oneText name="a"> t\xc3\xa9xt </oneText></setTextVector>',
]


@pytest.mark.parametrize("data", VARIANTS)
def test_every_kind_is_understood_alike(data: bytes) -> None:
    for stream in (data, b"\n\t " + data + b"\n" + data[:10]):
        for decoding in (False, True):
            item = agree(Framer(decoding=decoding).feed(stream)[0])
            assert isinstance(item, Frame)
            assert item.plain
            assert item.data == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"<setTextVector name='N' device='D' state='Ok'/>", id="another-order"),
        pytest.param(b"<setTextVector device='D' name='N' state='Ok' odd='1'/>", id="unknown-attribute"),
        pytest.param(TEXT % b"<!-- -->", id="comment"),
        pytest.param(TEXT % b"&#65;", id="character-reference"),
        pytest.param(TEXT % b"\xff", id="latin-1"),
        pytest.param(b"<setBLOBVector device='D' name='N' state='Ok'/>", id="blobs"),
    ],
)
def test_what_needs_a_closer_look_is_not_said_to_be_plain(data: bytes) -> None:
    [item] = Framer().feed(data)
    assert isinstance(item, Frame)
    assert not item.plain
    agree(item)


def test_what_is_said_to_be_plain_keeps_the_limits() -> None:
    many = TEXT.replace(b"</set", b"<oneText name='b'/></set") % b"x"
    long = TEXT % (b"x" * 200)
    limits = Limits(members=1, attributes_bytes=150)
    assert [item.plain for item in Framer(limits).feed(many + long + TEXT % b"x")] == [False, None, True]


def test_a_plain_frame_is_handed_on_without_another_look() -> None:
    [frame] = Framer().feed(TEXT % b"x")
    assert isinstance(frame, Frame)
    assert relayable(frame) is frame


def test_made_up_names_are_not_remembered_for_ever() -> None:
    framer = Framer()
    for number in range(5000):
        [frame] = framer.feed(b"<delProperty device='D%d' name='%b'/>" % (number, b"N" * (number % 300)))
        assert isinstance(frame, Frame)
        assert frame.device == f"D{number}"
    heads = framer._plain._heads
    assert len(heads) <= 1000
    assert all(len(device or b"") + len(name or b"") <= 200 for _, device, name in heads)


def test_a_message_of_ours_as_a_frame() -> None:
    [received] = Framer().feed(TEXT % b"x")
    message = decode(received) if isinstance(received, Frame) else received
    assert not isinstance(message, Unusable)
    made = Frame.of(message, encode(message))
    assert (made.tag, made.device, made.name, made.decoded) == ("setTextVector", "D", "N", message)
    assert made.head == Frame(made.tag, made.data).head


@pytest.mark.parametrize("value", ["", "x", "y" * (64 << 10)])
def test_a_frame_of_ours_goes_on_the_wire_as_it_was_encoded(value: str) -> None:
    with_members = SetTextVector(device="D", name="N", state=State.OK, members=(OneText(name="a", value=value),))
    without_members = SetTextVector(device="D", name="N", state=State.OK)
    both = [(Frame.of(one, encode(one)), encode(one)) for one in (with_members, without_members, GetProperties())]
    for frame, encoded in both:
        assert frame.data.startswith(b"<")
        assert frame.data.endswith(b">")
        assert line_of(frame) == lines_of([frame]) == b"".join(parts_of_line([frame.data])) == encoded
        *before, last = parts_of_line([frame.data[:9], frame.data[9:]])
        assert b"".join(before) + last == encoded
        assert element_of(encoded) == element_of(frame.data) == frame.data
    assert lines_of(frame for frame, _ in both) == b"".join(encoded for _, encoded in both)
    assert lines_of([]) == b""
