"""What libindi's reader takes and an XML parser refuses arrives, with the meaning that it has there."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import (
    EnableBLOB,
    Frame,
    Framer,
    Limits,
    Message,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    OneBLOB,
    SetBLOBVector,
    SetTextVector,
    Unusable,
    WireMessage,
    decode,
)
from indianyio.protocol._decoder import parse_element
from indianyio.protocol._lilxml import UnrepairableError, repaired
from indianyio.protocol._relayable import relayable
from tests.protocol import lilxml
from tests.protocol.test_relay import CAPTURED, PLAIN, REWRITTEN


def frame_of(data: bytes) -> Frame:
    [frame] = Framer().feed(data)
    assert isinstance(frame, Frame), frame
    return frame


def relayed(data: bytes) -> WireMessage:
    """Return what a reader of what is handed on gets; that is plain, and names the same device."""
    first = frame_of(data)
    found = relayable(first)
    assert isinstance(found, Frame), found
    assert found is not first
    again = frame_of(found.data)
    assert relayable(again).__class__ is Frame
    message = decode(again)
    assert isinstance(message, WireMessage)
    assert message == decode(first)
    assert (first.device, first.name) == (again.device, again.name)
    return message


def text_vector(text: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    text_of = b"<oneText name='a'%b>%b</oneText%b>" % (before, text, after)
    return b"<setTextVector device='D' name='T' state='Ok'>%b</setTextVector>" % text_of


TEXTS = [
    # characters that XML has not
    (b"\x06ver T3C", "ver T3C"),
    (b"NGC\x1b[A 7000", "NGC[A 7000"),
    (b"M31 \x00", "M31 "),
    (b"a\x0bb\x0c", "ab"),
    (b"\xef\xbf\xbea\xef\xbf\xbf", "a"),
    (b"5\xb0\x07", "5°"),
    ("5°\x07".encode(), "5°"),
    # references
    (b"a & b", "a & b"),
    (b"a & b; c", "a & b; c"),
    (b"a && b &amp; c", "a && b & c"),
    (b"&", "&"),
    (b"5&deg;", "5&deg;"),
    (b"a&#7;b", "a&#7;b"),
    (b"a&#xD800;b&#0;&#x110000;&#99999999;", "a&#xD800;b&#0;&#x110000;&#99999999;"),
    (b"&#65;\x07&#x42;", "AB"),
    (b"x&am\x07p;", "x&amp;"),
    # what only looks like markup
    (b"a ]]> b", "a ]]> b"),
    (b"a ]]\x07> b", "a ]]> b"),
    (b"a ]]<!-- -- -->> b", "a ]]> b"),
    # comments and the like, where XML has no place for them
    (b"a<!-- b -- c -->d", "ad"),
    (b"a<!-- b --->c", "ac"),
    (b"a<!-->b", "ab"),
    (b"a<!>b<?>c", "abc"),
    (b"a<?xml version='1.0'?>b", "ab"),
    (b"a<![CDATA[<b> & &lt;]]>\x07c", "a<b> & &lt;c"),
    (b"a<![CDATA[b>c", "ac"),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_a_text_arrives(text: bytes, expected: str) -> None:
    message = relayed(text_vector(text))
    assert isinstance(message, SetTextVector)
    assert [one.value for one in message.members] == [expected]


ATTRIBUTES = [
    (b"message='sensor 2 < sensor 1'", "sensor 2 < sensor 1"),
    (b"message='beep\x07'", "beep"),
    (b"message='a\0\x1b\xef\xbf\xbfb'", "ab"),
    (b"message='a & b'", "a & b"),
    (b"message='a & b; c &quot;'", 'a & b; c "'),
    (b"message='5&deg;&#7;&#65;'", "5&deg;&#7;A"),
    (b"""message='"a" < b'""", '"a" < b'),
    (b"message='a <b c=\"d\"> e'", 'a <b c="d"> e'),
    (b"message='a\n<b'", "a <b"),
    (b"message='1' message='2'", "1"),
    (b"message='1'timestamp='2'", "1"),
    (b"timestamp='2'message='1'", "1"),
    (b"message = = '1'", "1"),
    (b"message '1'", "1"),
    (b"message\x0b=\x0c'1'", "1"),
    (b"xmlns='u' message='1'", "1"),
    (b"x:message='2' message='1'", "1"),
    (b"message='1' <!-- c > x=''", "1"),
    (b"<!-- c --> message='1'", "1"),
    (b"<?xml version='1.0'?> message='1' <!x>", "1"),
    (b"message<!-- c -->='1'", "1"),
    (b"message='a<!-- c -->b'", "ab"),
    (b"message='a<!-- b'", "a<!-- b"),
    (b"message='a <! b > c <? d'", "a  c <? d"),
]


@pytest.mark.parametrize(("attributes", "expected"), ATTRIBUTES)
def test_an_attribute_arrives(attributes: bytes, expected: str) -> None:
    message = relayed(b"<message device='D' %b/>" % attributes)
    assert isinstance(message, Message)
    assert (message.device, message.message) == ("D", expected)


def test_a_device_that_is_repaired_is_addressed_as_it_is_read() -> None:
    for written, device in [(b"a & b", "a & b"), (b"M\x07ount", "Mount"), (b"a<b", "a<b"), (b"a<!-- x -->b", "ab")]:
        message = relayed(b"<newSwitchVector device='%b'name='N'/>" % written)
        assert isinstance(message, NewSwitchVector)
        assert (message.device, message.name) == (device, "N")


MEMBERS = [
    (b"", b"x='1'y='2'", b""),
    (b"", b" <!-- c -->", b""),
    (b"v", b" name='b'", b""),
    (b"v", b" q='<'", b" "),
    (b"v", b"", b"\n\t"),
]


@pytest.mark.parametrize(("text", "before", "after"), MEMBERS)
def test_a_member_arrives(text: bytes, before: bytes, after: bytes) -> None:
    message = relayed(text_vector(b"<!-- -- -->" + text, before, after))
    assert isinstance(message, SetTextVector)
    assert [(one.name, one.value) for one in message.members] == [("a", text.decode())]


def test_white_space_inside_the_tags_of_a_member() -> None:
    vector = b"<setTextVector device='D' name='T' state='Ok'>< oneText name='a'>v</ one\nText ></setTextVector>"
    message = relayed(vector)
    assert isinstance(message, SetTextVector)
    assert [(one.name, one.value) for one in message.members] == [("a", "v")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"1\x072", "1\N{REPLACEMENT CHARACTER}2"), (b"\x0612", "\N{REPLACEMENT CHARACTER}12"), (b"\x0b12\x0c", "12")],
)
def test_a_number_never_becomes_another(text: bytes, expected: str) -> None:
    """To libindi 1, BEL, 2 is not 12; so something must stay there that parts the digits."""
    message = relayed(
        b"<newNumberVector device='D' name='N'><oneNumber name='a'>%b</oneNumber></newNumberVector>" % text
    )
    assert isinstance(message, NewNumberVector)
    assert [one.value for one in message.members] == [expected]


def test_a_word_never_becomes_another() -> None:
    message = relayed(b"<enableBLOB device='D'>Al\x07so</enableBLOB>")
    assert message == EnableBLOB(device="D", value="Al\N{REPLACEMENT CHARACTER}so")


# -- BLOBs -----------------------------------------------------------------------------------------------------


class Attached:
    """An attachment."""

    def read(self, length: int) -> bytes:
        return b"x" * length

    def close(self) -> None:
        pass


def blobs(*members: bytes) -> bytes:
    return b"<setBLOBVector device='D' name='B' state='Ok' message='a < b'>%b</setBLOBVector>" % b"".join(members)


def test_blobs_keep_their_contents() -> None:
    first = b"<oneBLOB name='a<'size='3' format='.x' n='\x07'>YWJj</oneBLOB>"
    message = relayed(blobs(first, b"<oneBLOB name='b' size='3' format='.x'>ZGVm</oneBLOB>"))
    assert isinstance(message, SetBLOBVector)
    assert [(one.name, bytes(one.data)) for one in message.members] == [("a<", b"abc"), ("b", b"def")]


@pytest.mark.parametrize(
    "attributes",
    [b"name='a'attached='true' ", b"name='<'attached='true' ", b"<!-- c --> name='a' attached = = 'true' "],
)
def test_each_attached_blob_has_its_descriptor(attributes: bytes) -> None:
    """The framer counts what the decoder will read; otherwise the next BLOB would get the wrong descriptor."""
    frame = frame_of(blobs(b"<oneBLOB %bsize='3' format='.x'></oneBLOB>" % attributes))
    assert frame.attached == 1
    frame.attachments = (Attached(),)
    found = relayable(frame)
    assert isinstance(found, Frame)
    assert found.attachments == frame.attachments


def test_where_contents_cannot_be_told_apart_the_message_is_unusable() -> None:
    found = relayable(frame_of(blobs(b"< oneBLOB name='a' size='3' format='.x'>YWJj</oneBLOB>")))
    assert isinstance(found, Unusable)
    assert "which content belongs to which oneBLOB" in found.reason


def test_bad_base64_is_not_repaired() -> None:
    found = relayable(frame_of(blobs(b"<oneBLOB name='a' size='3' format='.x'>YW\x07Jj</oneBLOB>")))
    assert isinstance(found, Unusable)
    assert "base64" in found.reason


# -- what cannot be repaired -----------------------------------------------------------------------------------

HOPELESS = [
    (b"<message message=1/>", "the tag message neither ends nor has another attribute"),
    (b"<message message/>", "neither ends nor has another attribute"),
    (b"<message \x07message='1'/>", "neither ends nor has another attribute"),
    (text_vector(b"a < b"), "the tag b neither ends nor has another attribute"),
    (text_vector(b"a <3 b"), "a '<' does not begin a tag"),
    (text_vector(b"<b>"), "b is closed by another end tag"),
    (text_vector(b"</b>"), "oneText is closed by another end tag"),
    (b"<message><!DOCTYPE x></message>", "declares a document type"),
    (b"<message>a & b<?x</message>", "message is not closed"),
    (b"<message>a & b<?x</message", "has no end"),
]


@pytest.mark.parametrize(("data", "reason"), HOPELESS)
def test_what_cannot_be_repaired_is_unusable_and_says_why(data: bytes, reason: str) -> None:
    found = relayable(Frame(data[1:].split(b" ")[0].split(b">")[0].decode(), data))
    assert isinstance(found, Unusable)
    assert reason in found.reason
    assert "\n" not in found.reason


@pytest.mark.parametrize("data", [b"", b"x<a/>", b"<a>", b"<a/><b/>", b"<a/>x", b"</a>", b"<!-- -->"])
def test_only_one_element_is_repaired(data: bytes) -> None:
    with pytest.raises(UnrepairableError):
        repaired(data)


def test_the_element_itself_can_be_had() -> None:
    element = parse_element(b"<message message='a < b'>\x07<c/></message>")
    assert (element.attrib, [child.tag for child in element]) == ({"message": "a < b"}, ["c"])


@pytest.mark.parametrize(
    "data",
    [
        text_vector(b"<!-- " * 200_000),
        text_vector(b"<![CDATA[" * 100_000),
        text_vector(b"<?" * 500_000),
        text_vector(b"&" * 1_000_000),
        text_vector(b"&#1" * 300_000),
        text_vector(b"<b>" * 300_000),
        text_vector(b"\x07" * 1_000_000),
        b"<message message='" + b"<!" * 500_000 + b"'/>",
        b"<message message='" + b"<! >" * 250_000 + b"'/>",
        b"<message message='\x07' " + b"a='' " * 200_000 + b"/>",
        b"<message " + b"<!" * 500_000 + b"/>",
        b"<message " + b"= " * 500_000 + b"/>",
        b"<message x" + b" <!>" * 250_000 + b"/>",
    ],
    ids=lambda data: repr(data[:40] + b"..." + data[-40:]),
)
def test_no_repair_takes_long(data: bytes) -> None:
    frame = Frame(data[1:].split()[0].decode(), data)
    start = time.process_time()
    with suppress(RemoteProtocolError):  # far too deep
        assert relayable(frame) is not frame
    assert frame.device in ("D", None)
    assert time.process_time() - start < 3


# -- compared with others --------------------------------------------------------------------------------------

WELL_FORMED = [
    *PLAIN,
    *(data for data, _ in REWRITTEN if b"xmlns" not in data),
    *(item.data for item in CAPTURED if isinstance(item, Frame)),
]


def test_a_repair_changes_nothing_that_is_well_formed() -> None:
    for data in WELL_FORMED:
        first = frame_of(data)
        try:
            again = Frame(first.tag, repaired(data).encode())
        except UnrepairableError as error:  # pragma: no cover - a failure that is to be seen
            pytest.fail(f"{data!r}: {error}")
        assert decode(again) == decode(first)


PIECES = [
    *(b"\x07", b"\0", b"\x1b[A", b"\x0b", b"\x0c", b"\xb0", b"\xef\xbf\xbf", b"&", b"& ", b"&a", b";", b"&foo;"),
    *(b"&#7;", b"&amp;", b"&lt;", b"&quot;", b"<", b"<3", b">", b"]]>", b"--", b"<!-- c -->", b"<!-- -- -->"),
    *(b"<!x>", b"<?xml version='1.0'?>", b"<?p?>", b"'", b'"', b" x='1'", b"x='1'", b" name='q'", b" y", b" z=1"),
    *(b"\n", b" ", b"/", b"<b/>", b"< b/>", b"</b>", b"<b>u</b>", b" e='a<b'", b" f='a & b'", b" = "),
]
BASES = [
    b"<setTextVector device='D' name='T'><oneText name='a'>v w</oneText><oneText name='b'/></setTextVector>",
    b'<defTextVector device="D" name="T" perm="ro"><defText name="a" label="l">v</defText></defTextVector>',
    b"<newNumberVector device='D' name='N'><oneNumber name='a'>12.5</oneNumber></newNumberVector>",
    b"<newSwitchVector device='D' name='S'><oneSwitch name='a'>On</oneSwitch></newSwitchVector>",
    b"<message device='D' message='hello there'/>",
]


def mutated(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(BASES))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.choice(PIECES)
    return bytes(data)


def mutations(seed: int, count: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    return (mutated(rng) for _ in range(count))


Fields = dict[str, str]


def compare(seen: lilxml.Seen, message: WireMessage) -> None:
    """Compare what lilxml reads with what we do, but for what the table in docs/protocol.md says."""
    assert seen.tag == message.tag
    compare_fields(seen.attributes, message, ("device", "name", "message"))
    named = [one for one in seen.children if one.tag in MEMBER_TAGS and bare(one.attributes.get("name", ""))]
    members = getattr(message, "members", ())
    assert len(named) == len(members)
    for one, member in zip(named, members, strict=True):
        compare_fields(one.attributes, member, ("name", "label"))
        assert bare(one.text) == bare(member.value)


MEMBER_TAGS = ("oneText", "defText", "oneNumber", "oneSwitch")


def compare_fields(attributes: Fields, element: object, names: tuple[str, ...]) -> None:
    for name in names:
        if hasattr(element, name):
            assert bare(attributes.get(name, "")) == bare(getattr(element, name) or "")


def bare(text: str) -> str:
    """Return a text without that in which we differ on purpose: control characters, blanks, a leading entity."""
    text = re.sub(r"[\x00-\x20\x7F\uFFFD-\uFFFF]", "", text)
    for entity, character in lilxml.ENTITIES.items():
        text = text.replace(entity, character)
    return text


def check_like_model(data: bytes) -> bool:
    """Compare our reading with the model's; return whether both have read it."""
    try:
        seen = lilxml.read(data, may_cross=False)
    except lilxml.NotReadError:
        return False
    if re.search(rb"<!--(?![^>]*-->)", data):
        return False  # a comment with a ">" in it ends where XML says
    if seen.tag not in {base[1:].split()[0].decode() for base in BASES}:
        return False
    found = Framer().feed(data)
    frames = [item for item in found if isinstance(item, Frame)]
    if not frames:
        return False  # the end of a message is a matter of bytes (docs/decisions/0003)
    [message] = [decode(frame) for frame in frames]
    if isinstance(message, Unusable):
        # A required name is empty or missing, or there is a declaration in the middle of a tag.
        assert "without" in message.reason or re.search(rb"<[!?]", data), (data, message)
        return False
    compare(seen, message)
    return True


def test_mutated_messages_are_read_as_lilxml_reads_them() -> None:
    assert sum(map(check_like_model, mutations(seed=1, count=10_000))) > 1000


@given(st.integers(min_value=0))
def test_any_mutation_is_read_as_lilxml_reads_it(seed: int) -> None:
    check_like_model(mutated(random.Random(seed)))


@given(st.binary(max_size=60), st.sampled_from([b"<message message='%b'/>", text_vector(b"%b")]))
def test_whatever_is_repaired_is_plain_for_everybody(garbage: bytes, frame: bytes) -> None:
    for item in Framer(Limits()).feed(frame.replace(b"%b", garbage)):
        found = relayable(item) if isinstance(item, Frame) else item
        if isinstance(found, Frame):
            parse_element(found.data).attrib.items()
            lilxml.read(found.data)


def test_a_blob_named_twice_counts_once() -> None:
    message = relayed(blobs(b"<oneBLOB name='a' name='b' size='0'/>"))
    assert isinstance(message, SetBLOBVector)
    assert message.members == (OneBLOB(name="a", size="0"),)


def test_a_write_with_rubbish_is_the_write_without() -> None:
    message = relayed(
        b"<newTextVector device='D' name='T'><oneText name='a'>NGC\x1b[A 7000</oneText></newTextVector>"
    )
    assert isinstance(message, NewTextVector)
    assert message.members[0].value == "NGC[A 7000"
