"""Plain messages are taken by shortcuts, which must say the same as the long ways."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indianyio.protocol import Frame, Framer, Limits, Unusable, decode, encode, relayable
from indianyio.protocol._plain import is_plain
from indianyio.protocol._plain_decoder import plain_message
from tests.protocol.test_relay import SOUP

CAPTURES = sorted((Path(__file__).parent.parent / "captures").glob("*.xml"))

TEXT = b"<setTextVector device='D' name='N' state='Ok'><oneText name='a'>%b</oneText></setTextVector>"


def agree(item: Frame | Unusable) -> Frame | Unusable:
    """Check that what is known of a frame is what a closer look finds."""
    if isinstance(item, Frame):
        unknown = Frame(item.tag, item.data)
        assert item.head == unknown.head
        if item.plain:
            assert is_plain(item.tag, item.data, Limits().members)
            assert plain_message(item, Limits()) == decode(unknown)
    return item


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_what_real_programs_send_is_plain_and_understood_alike(capture: Path) -> None:
    frames = [agree(item) for item in Framer().feed(capture.read_bytes())]
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
        item = agree(Framer().feed(stream)[0])
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
    assert [item.plain for item in Framer(limits).feed(many + long + TEXT % b"x")] == [False, False, True]


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
