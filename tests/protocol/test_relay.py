"""What is handed on is one sound element with the same meaning for every reader, or nothing."""

from __future__ import annotations

import re
import time
import tracemalloc
from pathlib import Path
from xml.etree.ElementTree import Element

import pybase64
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import (
    Frame,
    Framer,
    GetProperties,
    Limits,
    NewBLOBVector,
    OneBLOB,
    SetBLOBVector,
    Unusable,
    WireMessage,
    _relayable,
    decode,
    encode,
)
from indianyio.protocol._decoder import parse_element
from indianyio.protocol._messages import MESSAGES
from indianyio.protocol._relayable import relayable
from tests.protocol import lilxml

STREAMS = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "captures").glob("*.xml"))]
CAPTURED = [item for stream in STREAMS for item in Framer().feed(stream)]


class Attached:
    """An attachment that can tell whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def read(self, length: int) -> bytes:
        return b"x" * length

    def close(self) -> None:
        self.closed = True


def frame_of(data: bytes, attachments: tuple[Attached, ...] = (), limits: Limits = Limits()) -> Frame:  # noqa: B008
    [frame] = Framer(limits).feed(data)
    assert isinstance(frame, Frame)
    frame.attachments = attachments
    return frame


def relayed(data: bytes) -> bytes:
    found = relayable(frame_of(data))
    assert isinstance(found, Frame), found
    return found.data


def text_vector(text: bytes) -> bytes:
    return b'<setTextVector device="D" name="T" state="Ok"><oneText name="a">%b</oneText></setTextVector>' % text


def blob_vector(blob: bytes, tag: bytes = b"setBLOBVector") -> bytes:
    return b'<%b device="D" name="B" state="Ok">%b</%b>' % (tag, blob, tag)


PLAIN = [
    b"<getProperties version='1.7'/>",
    b'<getProperties device="*" version="1.7"/>',
    b"<getProperties version='1.2' device='D' name='N'></getProperties>",
    b"<pingReply uid='q' />",
    b"<pingRequest/>",
    b'<enableBLOB device="D">Also</enableBLOB>',
    b'<enableBLOB device="D">\n  nonsense\n</enableBLOB >',
    b'<message message="&quot;a&quot; &lt; &amp; it\'s"/>',
    b'<message device="D" timestamp="2026-11-22T20:20:19" message="m">\n</message>',
    b'<delProperty device="D"/>',
    b'<setSwitchVector device="D" name="S"/>',  # white paper: state is optional
    b'<setSwitchVector name="S" device="D" state="bogus" hint="a=&apos;b&apos;"/>',
    b'<newNumberVector device="D"\n name="N"\t><oneNumber name = "a" > -1:30 </oneNumber >\r\n</newNumberVector >',
    b'<defSwitchVector device="D" name="S"><defSwitch name=""/><defSwitch>Off</defSwitch></defSwitchVector>',
    text_vector("Grüße, 星 \U0001f52d".encode()),
    text_vector(b"a &amp;&lt;&gt;&apos;&quot; \"'> b"),
    text_vector(b"a ]] b ]&gt; ]"),
    text_vector(b" \n\t\r "),
    blob_vector(b""),
    blob_vector(b'<oneBLOB name="b" size="0" format=".fits"/>'),
    blob_vector(b'<oneBLOB name="b" size="0" enclen="0" format=".fits">\n</oneBLOB>'),
    blob_vector(b'<oneBLOB name="b" size="3" format=".txt">YWJj</oneBLOB>'),
    blob_vector(b'<oneBLOB name="b" size="9" format=".z">YWJj</oneBLOB>', b"newBLOBVector"),
]


@pytest.mark.parametrize("data", PLAIN)
def test_plain_messages_are_handed_on_as_they_are(data: bytes) -> None:
    frame = frame_of(data)
    assert relayable(frame) is frame


def test_all_that_libindi_writes_is_plain() -> None:
    for item in CAPTURED:
        assert isinstance(item, Frame)
        assert relayable(item) is item


@pytest.mark.parametrize("tag", MESSAGES)
def test_our_own_messages_are_plain(tag: str) -> None:
    names = {"device": "D", "name": "N"} if "Vector" in tag else {}
    data = encode(MESSAGES[tag](**{"device": "D"} if tag == "delProperty" else names, **state_of(tag)))
    frame = frame_of(data)
    assert relayable(frame) is frame


def state_of(tag: str) -> dict[str, str]:
    return {"state": "Ok"} if tag.startswith("set") else {}


REWRITTEN = [
    # comments, CDATA, processing instructions
    (text_vector(b"a<!-- x -->b"), text_vector(b"ab")),
    (text_vector(b"<![CDATA[a > b]]>"), text_vector(b"a > b")),
    (text_vector(b"a<?x y?>"), text_vector(b"a")),
    (b'<delProperty device="D"><!----></delProperty>', b'<delProperty device="D"/>'),
    # entities that libindi's reader does not know, or not in this place
    (text_vector(b"a &#65;&#x42; b"), text_vector(b"a AB b")),
    (text_vector(b"&quot;a&quot; &gt; b"), text_vector(b'"a" > b')),
    (text_vector(b"\n  &apos;a\n"), text_vector(b"'a")),
    (text_vector(b"&amp;a"), text_vector(b"&amp;a")),
    (text_vector(b"a &gt;"), text_vector(b"a &gt;")),
    # attributes
    (b"<message message='a > b'/>", b'<message message="a &gt; b"/>'),
    (b"<message message='a\n\tb'/>", b'<message message="a  b"/>'),
    (b"<message message='a&#10;b'/>", b'<message message="a b"/>'),
    (b"<message x-y='1' message='m'/>", b'<message message="m"/>'),
    (b"<message xmlns:x='u' x:y='1' message='m'/>", b'<message message="m"/>'),
    (b"<message enclen='9' message='m'/>", b'<message message="m"/>'),
    (text_vector(b"v").replace(b"oneText ", b"oneText enclen='9' "), text_vector(b"v")),
    # encoding
    (text_vector(b"5\xb0"), text_vector("5°".encode())),
    # structure
    (
        b'<setTextVector device="D" name="T" state="Ok"><x><y/></x>t<oneText name="a">v</oneText></setTextVector>',
        text_vector(b"v"),
    ),
    (
        b'<newTextVector device="D" name="T"><oneNumber name="a">1</oneNumber></newTextVector>',
        b'<newTextVector device="D" name="T"/>',
    ),
    (b"<message message='m'>text</message>", b'<message message="m"/>'),
    (
        b"<setTextVector device='D' name='N'><!-- stateless --></setTextVector>",
        b'<setTextVector device="D" name="N"/>',
    ),
    # what an XML parser refuses; more of that in test_repair.py
    (b"<message message='1' message='2'/>", b'<message message="1"/>'),
    (b"<message message='a < b'/>", b'<message message="a &lt; b"/>'),
    (b"<message message='\x07m'/>", b'<message message="m"/>'),
    (b"<message xmlns='u' message='m'/>", b'<message message="m"/>'),
    (text_vector(b"a\0b"), text_vector(b"ab")),
    (text_vector(b"a & b; c"), text_vector(b"a &amp; b; c")),
    (text_vector(b"a ]]> b"), text_vector(b"a ]]&gt; b")),
    (text_vector(b"&lol;"), text_vector(b"&amp;lol;")),
    (text_vector(b"\xef\xbf\xbe"), text_vector(b"").replace(b"></oneText>", b"/>")),
    # what libindi's clients crash on
    (
        blob_vector(b'<oneBLOB size="3" format=".x">YWJj</oneBLOB>'),
        b'<setBLOBVector device="D" name="B" state="Ok"/>',
    ),
    (blob_vector(b'<oneBLOB name="" size="0"/>'), b'<setBLOBVector device="D" name="B" state="Ok"/>'),
    # what libindi's drivers exit on
    (b"<getProperties/>", b'<getProperties version="1.7"/>'),
    (b"<getProperties device='D' version='9'/>", b'<getProperties version="1.7" device="D"/>'),
    (b"<getProperties device='D' version='x'/>", b'<getProperties version="1.7" device="D"/>'),
]


@pytest.mark.parametrize(("data", "expected"), REWRITTEN)
def test_the_rest_is_written_anew(data: bytes, expected: bytes) -> None:
    written = relayed(data)
    assert b"".join(written.split(b"\n")) == expected
    assert not written.endswith(b"\n")


UNUSABLE = [
    (b"<setTextVector device='D' state='Ok'/>", "without name"),
    (b"<newSwitchVector device='D' name=''/>", "without name"),
    (b"<defLightVector name='N'/>", "without device"),
    (b"<delProperty name='N'/>", "without device"),
    (b"<message message=1/>", "not well-formed"),
    (b"<message <x/>", "not well-formed"),
    (text_vector(b"a < b"), "not well-formed"),
    (text_vector(b"<x></y>"), "not well-formed"),
    (b"<message><!DOCTYPE x [<!ENTITY a 'b'>]></message>", ""),
]


@pytest.mark.parametrize(("data", "reason"), UNUSABLE)
def test_what_cannot_be_mended_is_unusable(data: bytes, reason: str) -> None:
    found = relayable(frame_of(data))
    assert isinstance(found, Unusable)
    assert reason in found.reason
    assert found.size == len(data)


def test_a_name_with_del_is_the_name_that_libindi_reads() -> None:
    """Libindi drops control characters in attributes (W5), so what looks like another device is the same there."""
    found = relayable(frame_of(b"<setTextVector device='Mo\x7funt' name='N\x7f' state='Ok'/>"))
    assert isinstance(found, Frame)
    assert found.data == b'<setTextVector device="Mount" name="N" state="Ok"/>'
    assert found.head == ("setTextVector", "Mount", "N")


# -- limits ----------------------------------------------------------------------------------------------------


def vector_of(members: int, inside: bytes = b"") -> bytes:
    return b'<setTextVector device="D" name="T">%b</setTextVector>' % (b"<oneText>%b</oneText>" % inside * members)


def test_s7_members_are_limited() -> None:
    frame = frame_of(vector_of(5), limits=Limits(members=5))
    assert relayable(frame, Limits(members=5)) is frame
    with pytest.raises(RemoteProtocolError, match="more than 4 members"):
        relayable(frame_of(vector_of(5), limits=Limits(members=4)), Limits(members=4))
    many = frame_of(blob_vector(b'<oneBLOB name="b" size="0"/>' * 5))
    assert relayable(many, Limits(members=5)) is many
    with pytest.raises(RemoteProtocolError, match="more than 4"):
        relayable(many, Limits(members=4))


def test_s7_depth_is_limited() -> None:
    with pytest.raises(RemoteProtocolError, match="deep"):
        relayable(frame_of(vector_of(1, b"<x><y/></x>")))


def test_what_is_written_anew_keeps_the_limits() -> None:
    latin = text_vector(b"\xb0" * 100)
    limits = Limits(message_bytes=len(latin) + 50)
    found = relayable(frame_of(latin), limits)
    assert isinstance(found, Unusable)
    assert "more than" in found.reason
    found = relayable(frame_of(b"<message message='%b'/>" % (b">" * 100)), Limits(attributes_bytes=200))
    assert isinstance(found, Unusable)
    assert "start tag" in found.reason


@pytest.mark.parametrize(
    "data",
    [
        b"<message " + b"a='' " * 200_000 + b"/>",
        b"<message " + b" " * 1_000_000,
        text_vector(b"&amp;" * 200_000),
        text_vector(b"a ]" * 300_000 + b"]]>"),
        vector_of(60_000),
        blob_vector(b"<oneBLOB/>" * 100_000),
        blob_vector(b"<oneBLOB " * 100_000),
        blob_vector(b"<oneBLOB size='1'>" + b" " * 1_000_000 + b"</oneBLOB>"),
        blob_vector(b"<oneBLOB size='1'>" + b"A\n" * 500_000 + b"</oneBLOB>"),
        blob_vector(b"<oneBLOB size='1'>" + b"AAAA\n" * 200_000 + b"!</oneBLOB>"),
    ],
    ids=lambda data: repr(data[:40] + b"..." + data[-40:]),
)
def test_no_bytes_take_long(data: bytes) -> None:
    start = time.process_time()
    frame = Frame(data[1:].split()[0].decode(), data)
    try:
        relayable(frame)
    except RemoteProtocolError:
        assert data.count(b"<") > 10_000
    assert time.process_time() - start < 2


# -- BLOBs -----------------------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 3
DIGITS = pybase64.b64encode(CONTENT)


def wrapped(width: int, end: bytes = b"\n", digits: bytes = DIGITS) -> bytes:
    return b"".join(digits[at : at + width] + end for at in range(0, len(digits), width))


def one_blob(content: bytes, *, enclen: int | None = None, size: int = len(CONTENT)) -> bytes:
    hint = b"" if enclen is None else b' enclen="%d"' % enclen
    return blob_vector(b'<oneBLOB name="b" size="%d"%b format=".x">%b</oneBLOB>' % (size, hint, content))


UNTOUCHED = {
    "one line": one_blob(DIGITS),
    "on a line of its own": one_blob(b"\n  " + DIGITS + b"\n    "),
    "libindi's form": one_blob(b"\n" + wrapped(72) + b"  ", enclen=len(DIGITS)),
    "lines that fill up": one_blob(b"\n" + wrapped(72, digits=DIGITS[:720]) + b"  ", enclen=720, size=540),
    "lines of 60": one_blob(wrapped(60)),
    "lines of 76": one_blob(wrapped(76)),
    "a long line": one_blob(DIGITS * 2000, size=2000 * len(CONTENT)),
    "many lines": one_blob(wrapped(72, digits=DIGITS * 2000), enclen=2000 * len(DIGITS), size=2000 * len(CONTENT)),
    "lines of 60, enclen": one_blob(wrapped(60), enclen=len(DIGITS)),
}
ANEW = {
    "lines of 70": one_blob(wrapped(70)),
    "a last line that is longer": one_blob(wrapped(72, digits=DIGITS[:864]) + DIGITS[864:]),
    "ragged lines": one_blob(wrapped(72)[:400] + b"\n" + wrapped(72)[400:]),
    "a blank inside": one_blob(DIGITS[:100] + b" " + DIGITS[100:]),
    "two line ends": one_blob(wrapped(72, b"\n\n")),
    "CRLF": one_blob(wrapped(72, b"\r\n")),
    "a comment inside": one_blob(DIGITS + b"<!-- -->"),
    "enclen, one line": one_blob(DIGITS, enclen=len(DIGITS)),
    "enclen counts newlines": one_blob(wrapped(72), enclen=len(wrapped(72))),
    "enclen too short": one_blob(wrapped(72), enclen=len(DIGITS) - 4),
    "enclen is no number": one_blob(wrapped(72)).replace(b" format", b" enclen='x' format"),
    "no padding": one_blob(pybase64.b64encode(CONTENT[:-2]).rstrip(b"="), size=len(CONTENT) - 2),
    "far too much white space": one_blob(DIGITS + b" " * 1000),
    "size with blanks": one_blob(DIGITS).replace(b'size="', b'size=" '),
}
NO_CONTENT = {
    "size 0 with content": one_blob(DIGITS, size=0),
    "size without content": one_blob(b""),
    "size without content, self-closed": blob_vector(b'<oneBLOB name="b" size="9" format=".x"/>'),
    "enclen without content": one_blob(b"", enclen=4, size=0),
}
NO_BLOB = {
    "no size": one_blob(DIGITS).replace(b"size=", b"sise="),
    "no size and no content": blob_vector(b'<oneBLOB name="b"/>'),
    "a size in words": one_blob(DIGITS).replace(b'size="768"', b'size="abc"'),
    "a broken size": one_blob(DIGITS).replace(b'size="768"', b'size="5.0"'),
    "a negative size": one_blob(DIGITS).replace(b'size="768"', b'size="-5"'),
    "a hexadecimal size": one_blob(DIGITS).replace(b'size="768"', b'size="0x3"'),
    "a size beyond 64 bit": one_blob(DIGITS).replace(b'size="768"', b'size="99999999999999999999"'),
    "an Arabic size": one_blob(DIGITS).replace(b'size="768"', 'size="٣"'.encode()),
    "no base64": one_blob(b"!" + DIGITS),
    "padding inside": one_blob(b"AA==" + DIGITS),
    "a digit where a line ends": one_blob(wrapped(72)[:145] + b"A" + wrapped(72)[146:]),
    "padding inside, at the end of a slice": one_blob(b"A" * ((1 << 20) - 4) + b"AA==" + DIGITS),
    "half a byte": one_blob(DIGITS + b"A"),
}


@pytest.mark.parametrize("data", UNTOUCHED.values(), ids=UNTOUCHED)
def test_sound_blobs_are_handed_on_as_they_are(data: bytes) -> None:
    frame = frame_of(data)
    assert relayable(frame) is frame


@given(
    content=st.binary(min_size=1, max_size=200),
    width=st.sampled_from((0, 4, 8, 12, 72, 5)),
    slice_bytes=st.sampled_from((4, 20, 52, 100, 300)),
    damage=st.none()
    | st.tuples(st.floats(0, 1), st.sampled_from((b"", b"=", b"\n", b"A", b"<", b" ")), st.booleans()),
)
@example(content=bytes(33), width=4, slice_bytes=20, damage=(0.9, b"", False))
def test_content_is_judged_alike_wherever_a_slice_ends(
    content: bytes, width: int, slice_bytes: int, damage: tuple[float, bytes, bool] | None
) -> None:
    """Lines of one length, the last perhaps shorter, of whole groups of four characters: all else is not sound."""
    text = pybase64.b64encode(content)
    text = wrapped(width, digits=text).rstrip() if width else text
    if damage is not None:
        at, byte, replaces = int(damage[0] * len(text)), *damage[1:]
        text = (text[:at] + byte + text[at + replaces :]).strip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_relayable, "_LINES_BYTES", slice_bytes)
        patch.setattr(_relayable, "_SLICE_BYTES", slice_bytes // 4 * 4)
        found = _relayable._count_digits(b">" + text + b"<", 1, 1 + len(text))
    assert found == (digits_of(text) if text else 0)


def test_a_line_of_any_length_is_checked_without_a_copy_of_it() -> None:
    line = b"QUJD" * 2_000_000
    text = line + b"\n" + line + b"\n" + line[:400]
    frame = frame_of(one_blob(text, size=12_000_300))
    tracemalloc.start()
    try:
        found = relayable(frame)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found is frame
    assert peak < len(line) / 2


def digits_of(text: bytes) -> int:
    first, *others = text.split(b"\n")
    *between, last = others or [first]
    even = len(first) % 4 == 0 and all(len(line) == len(first) for line in between) and 0 < len(last) <= len(first)
    digits = b"".join((first, *others))
    return len(digits) if even and len(digits) % 4 == 0 and re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}", digits) else 0


@pytest.mark.parametrize("data", ANEW.values(), ids=ANEW)
def test_blobs_that_break_readers_are_written_anew(data: bytes) -> None:
    frame = frame_of(data)
    found = relayable(frame)
    assert isinstance(found, Frame)
    assert found is not frame
    assert relayable(frame_of(found.data)).__class__ is Frame
    [blob] = blobs_of(frame_of(found.data))
    assert (blob.data, blob.enclen, blob.format) == (CONTENT[: len(blob.data)], None, ".x")
    assert len(blob.data) >= len(CONTENT) - 2
    assert blob.size == str(len(blob.data))


@pytest.mark.parametrize("data", NO_CONTENT.values(), ids=NO_CONTENT)
def test_blobs_without_content_have_size_0(data: bytes) -> None:
    [blob] = blobs_of(frame_of(relayed(data)))
    assert (blob.size, blob.enclen, blob.data) == ("0", None, b"")
    assert b'state="Ok"' in relayed(data)


@pytest.mark.parametrize("data", NO_BLOB.values(), ids=NO_BLOB)
def test_s29_blobs_without_a_size_or_with_nonsense_are_unusable(data: bytes) -> None:
    assert isinstance(relayable(frame_of(data)), Unusable)


def blobs_of(frame: Frame) -> tuple[OneBLOB, ...]:
    message = decode(frame)
    assert isinstance(message, SetBLOBVector | NewBLOBVector)
    return message.members


def attached(more: bytes = b'len="5"', size: bytes = b"9") -> bytes:
    return b'<oneBLOB name="b" size="%b" format=".x" %b attached="true"></oneBLOB>' % (size, more)


@pytest.mark.parametrize("more", [b"", b'len="5"'])
def test_attached_blobs_are_handed_on_as_they_are(more: bytes) -> None:
    frame = frame_of(blob_vector(attached(more)), (Attached(),))
    assert relayable(frame) is frame


@pytest.mark.parametrize(("more", "length"), [(b"", "9"), (b'len="5"', "5"), (b'len="x"', "9"), (b'len="0"', "9")])
def test_attached_blobs_written_anew_keep_their_descriptors(more: bytes, length: str) -> None:
    content = Attached()
    frame = frame_of(blob_vector(attached(more) + b"<!-- -->"), (content,))
    found = relayable(frame)
    assert isinstance(found, Frame)
    assert (found.attachments, found.attached, content.closed) == ((content,), 1, False)
    assert b'len="%b" attached="true"></oneBLOB>' % length.encode() in found.data


def test_text_beside_a_descriptor_is_left_out() -> None:
    frame = frame_of(blob_vector(attached().replace(b"><", b">YWJj<")), (Attached(),))
    found = relayable(frame)
    assert isinstance(found, Frame)
    assert b'attached="true"></oneBLOB>' in found.data


def test_what_is_beside_the_base64_is_limited() -> None:
    limits = Limits(message_bytes=300)
    assert isinstance(relayable(frame_of(one_blob(DIGITS)), limits), Frame)
    found = relayable(frame_of(one_blob(DIGITS).replace(b" format", b" " * 300 + b"format")), limits)
    assert isinstance(found, Unusable)
    assert "beside its base64" in found.reason


def test_descriptors_that_nobody_needs_any_more_are_closed() -> None:
    nameless, kept, empty = Attached(), Attached(), Attached()
    members = attached().replace(b'name="b"', b'x-y=""') + attached() + attached(size=b"0")
    found = relayable(frame_of(blob_vector(members), (nameless, kept, empty)))
    assert isinstance(found, Frame)
    assert found.attachments == (kept,)
    assert (nameless.closed, kept.closed, empty.closed) == (True, False, True)
    assert found.data.count(b"attached") == 1


@pytest.mark.parametrize("count", [0, 2])
def test_s31_a_descriptor_for_each_attached_blob(count: int) -> None:
    attachments = tuple(Attached() for _ in range(count))
    assert isinstance(relayable(frame_of(blob_vector(attached()), attachments)), Unusable)
    assert not any(each.closed for each in attachments)


@pytest.mark.parametrize("more", [b"", b"<!-- -->"])
def test_what_is_attached_is_limited(more: bytes) -> None:
    frame = frame_of(blob_vector(attached(b'len="600"') * 2 + more), (Attached(), Attached()))
    assert isinstance(relayable(frame, Limits(blob_bytes=1200)), Frame)
    found = relayable(frame, Limits(blob_bytes=1199))
    assert isinstance(found, Unusable)
    assert "attached" in found.reason


@given(
    content=st.binary(min_size=1, max_size=400), width=st.integers(1, 100), end=st.sampled_from([b"\n", b"\r\n"])
)
def test_the_content_of_a_blob_is_never_changed(content: bytes, width: int, end: bytes) -> None:
    frame = frame_of(one_blob(wrapped(width, end, pybase64.b64encode(content)), size=len(content)))
    found = relayable(frame)
    assert isinstance(found, Frame)
    assert blobs_of(frame_of(found.data))[0].data == content
    if width % 4 == 0 and end == b"\n":
        assert found is frame


# -- every reader ----------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(
            b"<oneText name='a'>",
            b"</oneText>",
            b"<oneText/>",
            b"<!--",
            b"-->",
            b"<![CDATA[",
            b"]]>",
            b"<?x",
            b"?>",
        ),
        *(b"&amp;", b"&lt;", b"&gt;", b"&", b"&#65;", b"&lol;", b"<", b">", b"/>", b"'", b'"', b"=", b"]", b"]]"),
        *(
            b" ",
            b"\n",
            b"\t",
            b"\r",
            b"\0",
            b"\x07",
            b"\x7f",
            b"\xff",
            b"\xc3\xbc",
            b"\xef\xbf\xbe",
            b"\xed\xa0\x80",
        ),
        *(b" name='b'", b' x="1"', b" x='1'", b" xmlns='u'", b" a-b='1'", b" state='Ok'", b"abc", b"<x>", b"</x>"),
    ]
)
SOUP = st.lists(PIECES, max_size=8).map(b"".join)


@given(head=SOUP, body=SOUP)
@example(head=b"", body=b"<oneText name='a'>&lt;</oneText>")
@example(head=b"", body=b"<oneText name='a'>a\xc3\xbc</oneText>")
def test_every_reader_sees_the_same(head: bytes, body: bytes) -> None:
    data = b"<setTextVector device='D' name='N' state='Ok'%b>%b</setTextVector>" % (head, body)
    for item in Framer().feed(data):
        if isinstance(item, Frame):
            check(item)


@given(st.data())
def test_mutated_captures_stay_sound(data: st.DataObject) -> None:
    item = data.draw(st.sampled_from(CAPTURED))
    assert isinstance(item, Frame)
    at = data.draw(st.integers(1, len(item.data)))
    cut = data.draw(st.integers(0, 30))
    for found in Framer().feed(item.data[:at] + data.draw(SOUP) + item.data[at + cut :]):
        if isinstance(found, Frame):
            check(found)


def check(frame: Frame) -> None:
    try:
        found = relayable(frame)
    except RemoteProtocolError:
        return
    if isinstance(found, Unusable):
        return
    [again] = Framer().feed(found.data)
    assert isinstance(again, Frame)
    assert again.data == found.data
    before, after = decode(frame), decode(again)
    assert isinstance(before, WireMessage)
    if not isinstance(before, SetBLOBVector | GetProperties):
        assert normal(after) == normal(before)
    element = parse_element(found.data)
    if undecoded(element):
        return
    compare(lilxml.read(found.data), element)
    assert relayable(again) is again


def normal(message: WireMessage | Unusable) -> str:
    """Return a message in words without white space, much of which does not reach every reader."""
    shown = repr(message).replace("\\x7f", "")  # which is left out of attributes
    return " ".join(shown.replace("\\n", " ").replace("\\t", " ").replace("\\r", " ").split())


def undecoded(element: Element) -> bool:
    """Return whether this has what libindi's readers cannot be told (W9)."""
    return any((each.text or "").lstrip().startswith(("&", "<")) for each in element.iter())


def compare(seen: lilxml.Seen, element: Element) -> None:
    assert seen.tag == element.tag
    assert seen.attributes == element.attrib
    assert seen.text.replace("\r\n", "\n").replace("\r", "\n") == (element.text or "").strip(lilxml.BLANKS)
    assert len(seen.children) == len(element)
    for child, other in zip(seen.children, element, strict=True):
        compare(child, other)
