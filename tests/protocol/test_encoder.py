"""Messages to bytes: the canonical form, what is refused, and what an XML reader makes of every message."""

from __future__ import annotations

import base64
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from indianyio._vocabulary import Permission, Rule, State
from indianyio.exceptions import LocalProtocolError
from indianyio.protocol._elements import (
    DefBLOB,
    DefNumber,
    DefSwitch,
    OneBLOB,
    OneNumber,
    OneSwitch,
    OneText,
    WireElement,
    WireMessage,
    attributes_of,
)
from indianyio.protocol._encoder import _written_carefully, encode, encode_blob_parts, encode_parts
from indianyio.protocol._messages import (
    MEMBERS,
    MESSAGES,
    DefNumberVector,
    DefSwitchVector,
    DelProperty,
    EnableBLOB,
    GetProperties,
    Message,
    NewBLOBVector,
    NewSwitchVector,
    NewTextVector,
    PingReply,
    SetBLOBVector,
    SetNumberVector,
    SetTextVector,
)


class Memory:
    """An attachment that nothing here needs to read."""

    def read(self, length: int) -> bytes:
        return bytes(length)

    def close(self) -> None:
        """Have nothing to release."""


def set_text(*members: OneText, message: str | None = None) -> SetTextVector:
    return SetTextVector(device="D", name="V", state=State.OK, message=message, members=members)


def set_blob(*members: OneBLOB) -> SetBLOBVector:
    return SetBLOBVector(device="D", name="V", state=State.OK, members=members)


# ---- canonical form ------------------------------------------------------------------------------------------

CANONICAL: list[tuple[WireMessage, str]] = [
    (GetProperties(), '<getProperties version="1.7"/>\n'),
    (EnableBLOB(device="D", value="Also"), '<enableBLOB device="D">Also</enableBLOB>\n'),
    (Message(message='a & b < "c"'), '<message message="a &amp; b &lt; &quot;c&quot;"/>\n'),
    (
        DelProperty(device="D", timestamp="2024-03-05T12:00:07"),
        '<delProperty device="D" timestamp="2024-03-05T12:00:07"/>\n',
    ),
    (PingReply(uid="q"), '<pingReply uid="q"/>\n'),
    (
        DefSwitchVector(
            device="D",
            name="CONNECTION",
            label="",
            state=State.IDLE,
            perm=Permission.RW,
            rule=Rule.ONE_OF_MANY,
            timeout="60",
            members=(
                DefSwitch(name="CONNECT", label="Connect", value="Off"),
                DefSwitch(name="DISCONNECT", value="On"),
            ),
        ),
        (
            '<defSwitchVector device="D" name="CONNECTION" label="" state="Idle" perm="rw" rule="OneOfMany"'
            ' timeout="60">\n'
            '<defSwitch name="CONNECT" label="Connect">Off</defSwitch>\n'
            '<defSwitch name="DISCONNECT">On</defSwitch>\n'
            "</defSwitchVector>\n"
        ),
    ),
    (
        DefNumberVector(
            device="D",
            name="V",
            members=(DefNumber(name="RA", format="%g", min="0", max="24", step="0", value="12.5"),),
        ),
        (
            '<defNumberVector device="D" name="V">\n'
            '<defNumber name="RA" format="%g" min="0" max="24" step="0">12.5</defNumber>\n'
            "</defNumberVector>\n"
        ),
    ),
    (
        NewTextVector(
            device="D", name="V", members=(OneText(name="a", value=">Grüße\n& 'more'"), OneText(name="b"))
        ),
        (
            '<newTextVector device="D" name="V">\n'
            "<oneText name=\"a\">>Grüße\n&amp; 'more'</oneText>\n"
            '<oneText name="b"/>\n'
            "</newTextVector>\n"
        ),
    ),
    (set_text(message="done"), '<setTextVector device="D" name="V" state="Ok" message="done"/>\n'),
]


@pytest.mark.parametrize(("message", "text"), CANONICAL, ids=[message.tag for message, _ in CANONICAL])
def test_the_canonical_form(message: WireMessage, text: str) -> None:
    assert encode(message).decode() == text
    assert encode_parts(message) == [text.encode()]


def wire_attributes(cls: type[WireElement]) -> list[str]:
    content = {"members", "value", "data", "attachment", "enclen", "len", "attached"}
    return [field.name for field in fields(cls) if field.name not in content]


@pytest.mark.parametrize("cls", MESSAGES.values(), ids=MESSAGES)
def test_every_message_writes_its_attributes_in_field_order(cls: type[WireMessage]) -> None:
    values: dict[str, object] = {name: f"v{name}" for name in wire_attributes(cls)}
    if cls in MEMBERS:
        attributes = {name: f"m{name}" for name in wire_attributes(MEMBERS[cls])}
        if "size" in attributes:
            attributes["size"] = "0"
        values["members"] = (MEMBERS[cls](**attributes),)
    element = ElementTree.fromstring(encode(cls(**values)))
    assert element.tag == cls.tag
    assert list(element.attrib) == wire_attributes(cls)
    for member in element:
        assert member.tag == MEMBERS[cls].tag
        assert list(member.attrib) == wire_attributes(MEMBERS[cls])


# No carriage return, which XML readers take for a line feed, and none of the white space that attributes lose.
CARRIED = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@given(CARRIED, CARRIED, CARRIED)
def test_an_xml_reader_gets_everything_back(name: str, message: str, value: str) -> None:
    vector = set_text(OneText(name=name, value=value), message=message)
    element = ElementTree.fromstring(encode(vector))
    assert element.attrib == {"device": "D", "name": "V", "state": "Ok", "message": message}
    assert [(one.attrib, one.text or "") for one in element] == [({"name": name}, value)]


# ---- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        set_text(message="bell\x07"),
        set_text(OneText(name="a", value="nul\x00")),
        set_text(OneText(name="a\ud800")),
        EnableBLOB(value="\x1b"),
    ],
)
def test_d16_control_characters_never_reach_the_wire(message: WireMessage) -> None:
    with pytest.raises(ValueError, match="which XML cannot carry"):
        encode(message)


def test_d16_what_is_no_text_never_reaches_the_wire() -> None:
    with pytest.raises(TypeError, match=r"^oneNumber value must be a str, not float"):
        encode(
            SetNumberVector(
                device="D",
                name="V",
                state=State.OK,
                members=(OneNumber(name="a", value=5.0),),  # type: ignore[arg-type]
            )
        )


@pytest.mark.parametrize("cls", [cls for tag, cls in MESSAGES.items() if tag.startswith("set")])
def test_a_set_needs_a_state(cls: type[WireMessage]) -> None:
    with pytest.raises(LocalProtocolError, match=f"^{cls.tag} D V has no state"):
        encode(cls(device="D", name="V"))


def test_a_new_needs_no_state() -> None:
    new = NewSwitchVector(device="D", name="V", members=(OneSwitch(name="a", value="On"),))
    assert b"state" not in encode(new)


GOOD = OneBLOB(name="a", size="5", format=".txt", data=b"hello")


@pytest.mark.parametrize(
    ("blob", "fault"),
    [
        (replace(GOOD, size=None), "has content but no size"),
        (replace(GOOD, format=None), "has content but no format"),
        (replace(GOOD, size="0"), "has the size 0 and some content"),
        (replace(GOOD, data=b""), "has the size 5 and no content"),
        (replace(GOOD, size="5.0"), "is not a count of bytes"),
        (replace(GOOD, size="-5"), "is not a count of bytes"),
        (replace(GOOD, size=""), "is not a count of bytes"),
        (replace(GOOD, size="5" * 19), "is not a count of bytes"),
        (replace(GOOD, size="5" * 5000), "is not a count of bytes"),
        (replace(GOOD, size="\u0665"), "is not a count of bytes"),
        (replace(GOOD, attachment=Memory(), len="5"), "content of two kinds"),
        (replace(GOOD, data=b"", attachment=Memory()), "is attached but has no len"),
        (replace(GOOD, data=b"", attachment=Memory(), len="5", size=None), "has content but no size"),
        (replace(GOOD, data=b"", attachment=Memory(), len="0", size="0"), "has the size 0 and some content"),
    ],
)
def test_a_blob_that_would_break_its_readers_is_refused(blob: OneBLOB, fault: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"^setBLOBVector D V: oneBLOB 'a' .*{fault}"):
        encode(set_blob(blob))
    with pytest.raises(LocalProtocolError, match=f"^newBLOBVector D V: oneBLOB 'a' .*{fault}"):
        encode(NewBLOBVector(device="D", name="V", members=(blob,)))


# ---- BLOBs ---------------------------------------------------------------------------------------------------


def lines(message: WireMessage) -> list[str]:
    return encode(message).decode().splitlines()[1:-1]


def test_a_blob_is_inline_and_has_no_enclen() -> None:
    blob = replace(GOOD, enclen="8", len="5", attached="true")
    assert lines(set_blob(blob)) == ['<oneBLOB name="a" size="5" format=".txt">aGVsbG8=</oneBLOB>']


@pytest.mark.parametrize("size", ["0", None])
def test_a_blob_without_content_is_closed_at_once(size: str | None) -> None:
    attributes = 'name="a"' if size is None else 'name="a" size="0"'
    for wrap in (False, True):
        parts = encode_parts(set_blob(OneBLOB(name="a", size=size)), wrap=wrap)
        assert b"".join(parts).decode().splitlines()[1] == f"<oneBLOB {attributes}/>"


def test_an_attached_blob_has_an_end_tag_and_no_enclen() -> None:
    blob = OneBLOB(name="a", size="9", format=".z", enclen="12", len="5", attachment=Memory())
    assert lines(set_blob(blob)) == ['<oneBLOB name="a" size="9" format=".z" len="5" attached="true"></oneBLOB>']


@pytest.mark.parametrize("length", [1, 53, 54, 55, 108, 2_000_000])
def test_enclen_never_makes_a_reader_swallow_the_end_tag(length: int) -> None:
    blob = OneBLOB(name="a", size=str(length), format=".bin", data=bytes(length))
    text = b"".join(encode_parts(set_blob(blob), wrap=True))
    element = ElementTree.fromstring(text)[0]
    enclen = int(element.attrib["enclen"])
    content = element.text or ""
    assert enclen == len("".join(content.split())) == len(base64.b64encode(bytes(length)))
    assert {len(line) for line in content.split("\n")[:-2]} <= {72}
    # What libindi's reader takes without looking for "<" (protocol.md W32).
    assert enclen + enclen // 72 + 1 <= len(content)


def test_a_long_blob_stays_in_slices_between_joined_xml() -> None:
    data = bytes(5_000_000)
    blob = OneBLOB(name="a", size=str(len(data)), format=".bin", data=memoryview(data))
    parts = encode_parts(set_blob(GOOD, blob, replace(GOOD, name="b")))
    head, *slices, tail = parts
    assert head.endswith(b'<oneBLOB name="a" size="5000000" format=".bin">')
    assert tail.startswith(b"</oneBLOB>\n<oneBLOB ")
    assert max(map(len, slices)) <= 1 << 20
    assert b"".join(slices) == base64.b64encode(data)
    assert all(parts)
    assert b"".join(parts) == encode(set_blob(GOOD, blob, replace(GOOD, name="b")))


def test_ready_base64_stands_where_the_content_would() -> None:
    ready = [b"aGVs", b"bG8="]
    vector = set_blob(replace(GOOD, data=b""), replace(GOOD, name="b"))
    assert b"".join(encode_blob_parts(vector, {"a": ready})) == encode(set_blob(GOOD, replace(GOOD, name="b")))


def test_long_ready_base64_is_not_copied() -> None:
    ready = bytes(100_000)
    parts = encode_blob_parts(set_blob(replace(GOOD, data=b"")), {"a": [ready]})
    assert parts[1] is ready
    assert len(parts) == 3


@pytest.mark.parametrize(
    ("blob", "contents", "fault"),
    [
        (GOOD, {"a": [b"aGVsbG8="]}, "content of two kinds"),
        (replace(GOOD, data=b""), {"a": [b""]}, "has the size 5 and no content"),
        (replace(GOOD, data=b"", size=None), {"a": [b"aGVsbG8="]}, "has content but no size"),
        (GOOD, {"x": [b"aGVsbG8="]}, "setBLOBVector D V has no member 'x'"),
    ],
)
def test_ready_base64_must_fit(blob: OneBLOB, contents: dict[str, list[bytes]], fault: str) -> None:
    with pytest.raises(LocalProtocolError, match=fault):
        encode_blob_parts(set_blob(blob), contents)


# -- the short way ---------------------------------------------------------------------------------------------

ANY_VALUE = st.one_of(
    st.none(),
    st.sampled_from(
        ["", "a", " a b ", "é", "&", "<", ">", "]]>", '"', "'", "\n", "\x7f", "\x00", "\ud800", "\uffff"]
    ),
    st.text(max_size=4),
    st.sampled_from([*State, *Permission, *Rule]),
    st.sampled_from([0, 1, 1.5, b"", b"x", [], ["x"], True]),
)


@given(st.data())
def test_the_short_way_writes_what_the_careful_one_does(data: st.DataObject) -> None:
    """It also refuses the same, with the same words."""
    cls = data.draw(
        st.sampled_from([cls for cls in MESSAGES.values() if MEMBERS.get(cls) not in {DefBLOB, OneBLOB}])
    )
    simple = st.sampled_from(["a", "B 1.5", "%g"])
    values = st.one_of(simple, simple, simple, ANY_VALUE)
    arguments: dict[str, object] = {name: data.draw(values) for name in attributes_of(cls)}
    if "value" in cls.__struct_fields__:
        arguments["value"] = data.draw(values)
    if cls in MEMBERS:
        names = MEMBERS[cls].__struct_fields__
        arguments["members"] = tuple(
            MEMBERS[cls](**{name: data.draw(values) for name in names}) for _ in range(data.draw(st.integers(0, 3)))
        )
    message = cls(**arguments)
    assert outcome(encode, message) == outcome(_written_carefully, message)


def outcome(write: Callable[[WireMessage], bytes], message: WireMessage) -> bytes | tuple[type[Exception], str]:
    try:
        return write(message)
    except (LocalProtocolError, ValueError, TypeError) as error:
        return type(error), str(error)


def test_a_member_of_another_kind_is_written_as_what_it_is() -> None:
    odd = replace(set_text(), members=(OneNumber(name="a", min="1", value="2"),))
    assert b'<oneNumber name="a" min="1">2</oneNumber>' in encode(odd)
