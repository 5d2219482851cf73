"""Frames become messages: tolerant of what others write, safe from what nobody should."""

from __future__ import annotations

import base64
import doctest
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

import indianyio.protocol
from indianyio._vocabulary import Permission, Rule, State
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import (
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    EnableBLOB,
    Frame,
    Framer,
    GetProperties,
    Limits,
    Message,
    NewBLOBVector,
    NewTextVector,
    OneBLOB,
    OneNumber,
    OneSwitch,
    OneText,
    PingReply,
    SetBLOBVector,
    SetNumberVector,
    SetTextVector,
    Unusable,
    WireMessage,
    decode,
    encode,
)
from indianyio.protocol._decoder import parse_element
from indianyio.protocol._elements import WireElement
from indianyio.protocol._messages import MEMBERS, MESSAGES


class Memory:
    """An attachment without a descriptor."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def read(self, length: int) -> bytes:
        return self.content[:length]

    def close(self) -> None:
        self.content = b""


def frame_of(data: bytes | str) -> Frame:
    [frame] = Framer().feed(data.encode() if isinstance(data, str) else data)
    assert isinstance(frame, Frame)
    return frame


def message_of(data: bytes | str) -> WireMessage:
    message = decode(frame_of(data))
    assert isinstance(message, WireMessage), message
    return message


def reason_of(data: bytes | str) -> str:
    frame = frame_of(data)
    answer = decode(frame)
    assert isinstance(answer, Unusable), answer
    assert (answer.tag, answer.size, answer.attached) == (frame.tag, len(frame.data), 0)
    assert answer.excerpt == frame.data[:120]
    return answer.reason


def text_vector(members: str, attributes: str = "") -> SetTextVector:
    message = message_of(f"<setTextVector device='D' name='N' state='Ok' {attributes}>{members}</setTextVector>")
    assert isinstance(message, SetTextVector)
    return message


# -- every message and attribute -------------------------------------------------------------------------------

WORDS: dict[str, object] = {"state": State.BUSY, "perm": Permission.RW, "rule": Rule.ANY_OF_MANY}


def sample(cls: type[WireElement], *, full: bool) -> dict[str, object]:
    """Return values for the attributes of a class: all of them, or those it cannot do without."""
    skipped = {"members", "data", "attachment", "attached", "enclen", "len"}
    chosen: dict[str, object] = {}
    for entry in fields(cls):
        if entry.name not in skipped and (full or entry.required):
            chosen[entry.name] = WORDS.get(entry.name, f"{entry.name} <&>")
    return chosen


def full_message(tag: str) -> WireMessage:
    cls = MESSAGES[tag]
    arguments = sample(cls, full=True)
    if cls in MEMBERS:
        member = sample(MEMBERS[cls], full=True)
        if MEMBERS[cls] is OneBLOB:
            member |= {"size": "4", "data": b"\0\xff\0\xff"}
        arguments["members"] = (cast("object", MEMBERS[cls](**member)),) * 2
    return cls(**arguments)


@pytest.mark.parametrize("tag", MESSAGES)
def test_every_attribute_is_read(tag: str) -> None:
    message = full_message(tag)
    assert message_of(encode(message)) == message


@pytest.mark.parametrize("tag", MESSAGES)
def test_optional_attributes_may_be_missing(tag: str) -> None:
    cls = MESSAGES[tag]
    written = " ".join(f"{name}='x'" for name in sample(cls, full=False))
    message = message_of(f"<{tag} {written}/>")
    for entry in fields(cls):
        absent = {"members": (), "value": ""}.get(entry.name)
        assert getattr(message, entry.name) == (absent if not entry.required else "x")


@pytest.mark.parametrize("tag", [tag for tag, cls in MESSAGES.items() if "device" in sample(cls, full=False)])
@pytest.mark.parametrize("attributes", ["name='N'", "name='N' device=''"])
def test_required_attributes_are_named_when_missing(tag: str, attributes: str) -> None:
    assert reason_of(f"<{tag} {attributes}/>") == f"{tag} without device"


def test_a_vector_needs_a_name() -> None:
    assert reason_of("<setTextVector device='D'/>") == "setTextVector without name"


def test_a_version_is_not_invented() -> None:
    assert message_of("<getProperties/>") == GetProperties(version=None)


# -- what is tolerated -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *((str(state), state) for state in State),
        ("Okay", State.OK),
        ("ok", None),
        ("Alert!", None),
        ("", None),
    ],
)
def test_states(written: str, read: State | None) -> None:
    message = message_of(f"<setTextVector device='D' name='N' state='{written}'/>")
    assert isinstance(message, SetTextVector)
    assert message.state is read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ro", Permission.RO),
        ("wo", Permission.WO),
        ("rw", Permission.RW),
        ("row", Permission.RO),
        ("r", None),
        ("", None),
    ],
)
def test_permissions(written: str, read: Permission | None) -> None:
    message = message_of(f"<defTextVector device='D' name='N' perm='{written}'/>")
    assert isinstance(message, DefTextVector)
    assert message.perm is read


@pytest.mark.parametrize(
    ("written", "read"), [*((str(rule), rule) for rule in Rule), ("oneofmany", None), ("", None)]
)
def test_rules(written: str, read: Rule | None) -> None:
    message = message_of(f"<defSwitchVector device='D' name='N' rule='{written}'/>")
    assert isinstance(message, DefSwitchVector)
    assert message.rule is read


def test_unknown_attributes_and_elements_are_ignored() -> None:
    message = text_vector(
        "<new/><oneText name='a' b='c'>x<i>y</i>z</oneText><oneNumber name='n'>1</oneNumber>", "q='1'"
    )
    assert message.members == (OneText(name="a", value="xz"),)


def test_members_without_a_name_are_dropped() -> None:
    message = text_vector("<oneText>x</oneText><oneText name=''>y</oneText><oneText name='a'>z</oneText>")
    assert message.members == (OneText(name="a", value="z"),)


TEXTS = {
    "plain": ("a b", "a b"),
    "nothing": ("", ""),
    "blanks are content": ("  a  ", "  a  "),
    "indiserver": ("\na b\n", "a b"),
    "libindi": ("\n      a\n b  \n  ", "a\n b"),
    "blanks before the line end": (" \t\n a \n", "a"),
    "carriage returns": ("\r\n a\r\n", "a"),
    "trailing line end only": ("a\n", "a\n"),
    "line end alone": ("\n", ""),
    "entities": ("&lt;&amp;&#65;", "<&A"),
    "comment": ("a<!-- b -->c", "ac"),
    "character data": ("<![CDATA[<a>]]>", "<a>"),
    "instruction": ("a<?b c?>d", "ad"),
    "other blanks": ("\u00a0a\u00a0", "\u00a0a\u00a0"),
}


@pytest.mark.parametrize(("written", "read"), TEXTS.values(), ids=TEXTS)
def test_texts(written: str, read: str) -> None:
    assert text_vector(f"<oneText name='a'>{written}</oneText>").members == (OneText(name="a", value=read),)


def test_numbers_and_words_are_stripped() -> None:
    number = message_of(
        "<setNumberVector device='D' name='N'><oneNumber name='a'> \n 1.5\t</oneNumber></setNumberVector>"
    )
    assert isinstance(number, SetNumberVector)
    assert number.members == (OneNumber(name="a", value="1.5"),)
    assert message_of("<enableBLOB device='D'>\nAlso\n</enableBLOB>") == EnableBLOB(device="D", value="Also")


def test_values_are_not_judged() -> None:
    switch = message_of(
        "<newSwitchVector device='D' name='N'><oneSwitch name='a'>Maybe</oneSwitch></newSwitchVector>"
    )
    assert getattr(switch, "members", None) == (OneSwitch(name="a", value="Maybe"),)


def test_latin_1_is_read_where_utf_8_is_not() -> None:
    written = "<message device='Caméra' message='20°'/>"
    expected = Message(device="Caméra", message="20°")
    assert message_of(written.encode("latin-1")) == expected
    assert message_of(written.encode("utf-8")) == expected


def test_d19_a_member_without_a_value_is_read() -> None:
    message = message_of("<defNumberVector device='D' name='N'><defNumber name='a'/></defNumberVector>")
    assert isinstance(message, DefNumberVector)
    [member] = message.members
    assert (member.name, member.value, member.format) == ("a", "", None)


def test_d20_a_state_alone_is_a_message() -> None:
    assert message_of("<setNumberVector device='D' name='N' state='Busy'/>") == SetNumberVector(
        device="D", name="N", state=State.BUSY
    )


def test_a_message_is_decoded_once() -> None:
    frame = frame_of("<pingReply uid='1'/>")
    assert decode(frame) is decode(frame)
    ready = PingReply(uid="2")
    assert decode(Frame("pingReply", b"<pingReply uid='1'/>", decoded=ready)) is ready


# -- what is refused -------------------------------------------------------------------------------------------

LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
REFUSED = {
    "mismatched tag": "<message><a></b></message>",
    "attribute without quotes": "<message message=a/>",
    "attribute without value": "<message message/>",
    "less-than in a text": "<message>a < b</message>",
    "control character in a tag": "<message \x01 message='a'/>",
    "tag without name": "<message><></message>",
    "document type inside": "<message><!DOCTYPE x></message>",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_a_broken_message_is_unusable(data: str) -> None:
    assert reason_of(data)


DECLARATIONS = {
    "document type": "<!DOCTYPE message>",
    "entity": "<!DOCTYPE x [<!ENTITY a 'b'>]>",
    "billion laughs": f"<!DOCTYPE x [<!ENTITY l0 'ha'>{LAUGHS}]>",
    "external entity": "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>",
    "external document type": "<!DOCTYPE x SYSTEM 'http://localhost/x.dtd'>",
}


@pytest.mark.parametrize("declaration", DECLARATIONS.values(), ids=DECLARATIONS)
def test_declarations_are_refused(declaration: str) -> None:
    data = f"{declaration}<message message='&a;&l9;'/>"
    frame = Frame("message", data.encode())  # a framer would never let it into a frame
    answer = decode(frame)
    assert isinstance(answer, Unusable)
    assert "declares a document type" in answer.reason
    with pytest.raises(ValueError, match="declares a document type"):
        parse_element(data.encode())


@pytest.mark.parametrize("declaration", DECLARATIONS.values(), ids=DECLARATIONS)
def test_declarations_on_the_stream_cost_only_themselves(declaration: str) -> None:
    dropped, frame = Framer().feed(f"{declaration}<pingReply uid='1'/>".encode())
    assert isinstance(dropped, Unusable)
    assert isinstance(frame, Frame)
    assert decode(frame) == PingReply(uid="1")


@pytest.mark.parametrize("tag", ["foo", "oneText", ""])
def test_an_unknown_tag_is_unusable(tag: str) -> None:
    assert isinstance(decode(Frame(tag, b"<foo/>")), Unusable)


def test_a_frame_must_be_what_it_says() -> None:
    answer = decode(Frame("message", b"<delProperty device='D'/>"))
    assert isinstance(answer, Unusable)
    assert answer.reason == "it is not a message"


@given(
    tag=st.sampled_from([*MESSAGES, "foo"]),
    data=st.one_of(st.binary(max_size=200), st.text(st.sampled_from("<>/'\"&;=! abmesg-[]?\0é"), max_size=60)),
)
def test_nothing_escapes_from_decode(tag: str, data: bytes | str) -> None:
    content = data if isinstance(data, bytes) else data.encode("latin-1")
    for wrapped in (content, b"<%b>%b</%b>" % (tag.encode(), content, tag.encode())):
        assert isinstance(decode(Frame(tag, wrapped)), Unusable | WireMessage)


def nested(depth: int) -> str:
    return "<message>" + "<a>" * (depth - 1) + "</a>" * (depth - 1) + "</message>"


def test_s7_depth_is_limited() -> None:
    assert message_of(nested(3)) == Message()
    for depth in (4, 900, 100_000):
        with pytest.raises(RemoteProtocolError, match="more than 3 deep in a message"):
            decode(frame_of(nested(depth)))
    assert decode(frame_of(nested(5)), Limits(depth=5)) == Message()


def test_s7_members_are_limited() -> None:
    members = "<oneText name='a'/>" * 5
    frame = frame_of(f"<newTextVector device='D' name='N'>{members}</newTextVector>")
    assert isinstance(decode(frame_of(frame.data), Limits(members=5)), NewTextVector)
    with pytest.raises(RemoteProtocolError, match="more than 4 members in a newTextVector"):
        decode(frame, Limits(members=4))


@pytest.mark.parametrize(
    "data",
    [
        nested(4),
        nested(2000),
        "<newTextVector device='D' name='N'>" + "<oneText name='a'/>" * 5 + "</newTextVector>",
        "<newBLOBVector device='D' name='N'>" + "<oneBLOB name='a'/>" * 5 + "</newBLOBVector>",
    ],
)
def test_a_frame_beyond_a_limit_is_beyond_it_every_time(data: str) -> None:
    frame, limits = frame_of(data), Limits(members=4)
    texts = []
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="more than") as caught:
            decode(frame, limits)
        texts.append(str(caught.value))
        assert frame.decoded is None
    assert texts[0] == texts[1]


def test_lost_end_tags_cost_only_the_message() -> None:
    assert "not well-formed" in reason_of("<message>" + "<a>" * 10 + "</message>")


# -- BLOBs -----------------------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 3
ENCODED = base64.b64encode(CONTENT).decode()
SIZED = f"size='{len(CONTENT)}' format='.fits'"
WRAPPED = base64.encodebytes(CONTENT).decode()


def blob_vector(members: str, attachments: tuple[Memory, ...] = ()) -> WireMessage | Unusable:
    frame = frame_of(f"<setBLOBVector device='D' name='N' state='Ok'>{members}</setBLOBVector>")
    frame.attachments = attachments
    return decode(frame)


def blobs(members: str, attachments: tuple[Memory, ...] = ()) -> tuple[OneBLOB, ...]:
    message = blob_vector(members, attachments)
    assert isinstance(message, SetBLOBVector), message
    return message.members


def content_of(members: str) -> bytes:
    [blob] = blobs(members)
    return bytes(blob.data)


INLINE = {
    "unwrapped": f"<oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB>",
    "wrapped": f"<oneBLOB name='b' {SIZED}>\n{WRAPPED}</oneBLOB>",
    "carriage returns": f"<oneBLOB name='b' {SIZED}>{WRAPPED}</oneBLOB>".replace("\n", "\r\n"),
    "single quotes or double": f"<oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB>".replace("'", '"'),
    "wrong enclen": f"<oneBLOB name='b' enclen='7' {SIZED}>{ENCODED}</oneBLOB>",
    "blanks around the size": f"<oneBLOB name='b' size=' {len(CONTENT)} '>{ENCODED}</oneBLOB>",
    "not attached": f"<oneBLOB name='b' attached='false' {SIZED}>{ENCODED}</oneBLOB>",
    "white space in the end tag": f"<oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB\n >",
    "comment inside": f"<oneBLOB name='b' {SIZED}>{ENCODED[:8]}<!-- no -->{ENCODED[8:]}</oneBLOB>",
    "character data": f"<oneBLOB name='b' {SIZED}><![CDATA[{ENCODED}]]></oneBLOB>",
    "comment before": f"<!--<oneBLOB size='3'>AAAA</oneBLOB>--><oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB>",
    "deeper one before": f"<x><oneBLOB>AAAA</oneBLOB></x><oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB>",
    "unnamed one before": f"<oneBLOB size='3'>AAAA</oneBLOB><oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB>",
    "one in a value before": f"<x y='&lt;oneBLOB>'/><oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB>",
}


@pytest.mark.parametrize("members", INLINE.values(), ids=INLINE)
def test_inline_content(members: str) -> None:
    assert content_of(members) == CONTENT


def test_padding_may_be_missing() -> None:
    assert content_of("<oneBLOB name='b' size='5' format='.txt'>aGVsbG8</oneBLOB>") == b"hello"


def test_each_blob_has_its_own_content() -> None:
    members = "".join(
        f"<oneBLOB name='{n}' size='1'>{base64.b64encode(bytes([n])).decode()}</oneBLOB>" for n in range(9)
    )
    assert [(blob.name, blob.data) for blob in blobs(members)] == [(str(n), bytes([n])) for n in range(9)]


@pytest.mark.parametrize(
    "members",
    [
        "<oneBLOB name='b' size='0' format='.fits'/>",
        "<oneBLOB name='b' size='0' format='.fits'></oneBLOB>",
        "<oneBLOB name='b' size='00' enclen='0'>\n</oneBLOB>",
        "<oneBLOB name='b' size='5'> \n </oneBLOB>",
        "<oneBLOB name='b'/>",
        "<oneBLOB name='b' size='five'/>",
        "<oneBLOB name='b' size='0'>AAAA</oneBLOB>",
        "<oneBLOB name='b' size='0'>no base64</oneBLOB>",
    ],
)
def test_no_content(members: str) -> None:
    assert content_of(members) == b""


@pytest.mark.parametrize("size", ["", "size=''", "size='-1'", "size='4.0'", "size='x'", f"size='{'9' * 5000}'"])
def test_content_needs_a_size(size: str) -> None:
    for member in (f"<oneBLOB name='b' {size}>AAAA</oneBLOB>", f"<oneBLOB name='b' {size} attached='true'/>"):
        answer = blob_vector(member, (Memory(),) if "attached" in member else ())
        assert isinstance(answer, Unusable)
        assert "its size is" in answer.reason
        assert len(answer.reason) < 300


@pytest.mark.parametrize("content", ["A", "AAAA=AAA", "AA*A", "&#65;AAA", "é", "AAAA\0AAA", "<x>AAAA</x>A"])
def test_bad_base64_is_unusable(content: str) -> None:
    answer = blob_vector(f"<oneBLOB name='b' size='3'>{content}</oneBLOB>")
    assert isinstance(answer, Unusable)
    assert answer.reason


def test_attachments_go_to_the_attached_in_order() -> None:
    first, second = Memory(b"first"), Memory(b"second")
    members = (
        "<oneBLOB name='a' size='5' len='5' attached='true'></oneBLOB><oneBLOB name='b' size='3'>AAAA</oneBLOB>"
        "<oneBLOB name='c' size='6' attached='true'/>"
    )
    found = blobs(members, (first, second))
    assert [blob.attachment for blob in found] == [first, None, second]
    assert [blob.data for blob in found] == [b"", b"\0\0\0", b""]
    assert found[0].len == "5"


def test_an_unnamed_blob_keeps_its_attachment() -> None:
    first, second = Memory(b"first"), Memory(b"second")
    members = "<oneBLOB size='5' attached='true'/><oneBLOB name='c' size='6' attached='true'/>"
    [blob] = blobs(members, (first, second))
    assert blob.attachment is second


@pytest.mark.parametrize("count", [0, 1, 3])
def test_attachments_must_be_as_many_as_attached(count: int) -> None:
    members = "<oneBLOB name='a' size='1' attached='true'/><oneBLOB name='b' size='1' attached='true'/>"
    answer = blob_vector(members, tuple(Memory() for _ in range(count)))
    assert isinstance(answer, Unusable)
    assert "descriptor" in answer.reason


def test_a_blob_to_a_driver() -> None:
    data = f"<newBLOBVector device='D' name='N'><oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB></newBLOBVector>"
    message = message_of(data)
    assert isinstance(message, NewBLOBVector)
    assert message.members[0].data == CONTENT


def test_only_base64_may_be_long() -> None:
    limits = Limits(message_bytes=200)
    long = frame_of(
        f"<setBLOBVector device='D' name='N'><oneBLOB name='b' {SIZED}>{ENCODED}</oneBLOB></setBLOBVector>"
    )
    assert isinstance(decode(long, limits), SetBLOBVector)
    wordy = frame_of(f"<setBLOBVector device='D' name='N'><x>{ENCODED}</x></setBLOBVector>")
    answer = decode(wordy, limits)
    assert isinstance(answer, Unusable)
    assert "more than 200 bytes beside its base64" in answer.reason


def test_s7_blobs_in_a_message_are_limited() -> None:
    data = "<setBLOBVector device='D' name='N'>" + "<oneBLOB name='b'/>" * 3 + "</setBLOBVector>"
    assert isinstance(decode(frame_of(data), Limits(members=3)), SetBLOBVector)
    with pytest.raises(RemoteProtocolError, match="more than 2 "):
        decode(frame_of(data), Limits(members=2))


@given(st.lists(st.binary(max_size=300), max_size=5), st.booleans())
def test_content_comes_back(contents: list[bytes], wrap: bool) -> None:
    encoder = base64.encodebytes if wrap else base64.b64encode
    members = "".join(
        f"<oneBLOB name='b' size='{len(content)}'>{encoder(content).decode()}</oneBLOB>" for content in contents
    )
    assert [blob.data for blob in blobs(members)] == contents


# -- for code that reads XML itself ----------------------------------------------------------------------------


def test_parse_element() -> None:
    element = parse_element("<message device='é'> a<!-- b --><c/> </message>".encode("latin-1"))
    assert (element.tag, element.attrib, element.text) == ("message", {"device": "é"}, " a")
    assert [child.tag for child in element] == ["c"]


@pytest.mark.parametrize("data", [b"", b"<a>", b"<a/><b/>", b"<a b=c/>", b"\xff\0"])
def test_parse_element_refuses_what_is_broken(data: bytes) -> None:
    with pytest.raises(ValueError, match="not well-formed"):
        parse_element(data)


def test_the_example_of_the_package_runs() -> None:
    result = doctest.testmod(indianyio.protocol)
    assert result.attempted > 0
    assert result.failed == 0
