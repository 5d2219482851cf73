"""Where messages begin and end, whatever surrounds them, and what a peer may make us hold."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from indianyio.protocol import Frame, Framer, Limits, Unusable, decode
from indianyio.protocol._blob_spans import blob_spans
from indianyio.protocol._messages import MESSAGES

DEFAULTS = Limits()
GOOD = b"<getProperties version='1.7'/>"
NEW = b"<newTextVector device='D' name='N'><oneText name='T'>x</oneText></newTextVector>"

Summary = list[tuple[str, bytes]]


def read(pieces: Iterable[bytes], limits: Limits = DEFAULTS) -> tuple[list[Frame | Unusable], str | None]:
    framer = Framer(limits)
    found: list[Frame | Unusable] = []
    for piece in pieces:
        found += framer.feed(piece)
    failure = framer.failure
    found += framer.close()
    assert framer.pending_bytes == 0
    return found, None if failure is None else str(failure)


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    yield [stream]
    yield [stream[index : index + 1] for index in range(len(stream))]
    for position in range(1, len(stream)):
        yield [stream[:position], stream[position:]]


def read_anyhow(stream: bytes, limits: Limits = DEFAULTS) -> tuple[list[Frame | Unusable], str | None]:
    """Read a stream cut in every way; the answer is always the same."""
    answer = read([stream], limits)
    for pieces in cuts(stream):
        assert read(pieces, limits) == answer
    return answer


def summary(stream: bytes) -> Summary:
    found, failure = read_anyhow(stream)
    assert failure is None
    return [
        ("frame", item.data) if isinstance(item, Frame) else (item.tag or "garbage", item.excerpt) for item in found
    ]


def frame_of(data: bytes) -> Frame:
    [item], _ = read([data])
    assert isinstance(item, Frame)
    return item


# -- what is read ----------------------------------------------------------------------------------------------

ORDERLY = {
    "nothing": (b"", []),
    "white space": (b" \t\r\n ", []),
    "self-closed": (GOOD, [GOOD]),
    "with end tag": (NEW, [NEW]),
    "neighbours": (NEW + GOOD + NEW, [NEW, GOOD, NEW]),
    "white space around": (b"\n " + NEW + b"\r\n\n" + GOOD + b"\n", [NEW, GOOD]),
    "white space in the end tag": (
        b"<message></message \n\t ><message/>",
        [b"<message></message \n\t >", b"<message/>"],
    ),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, [GOOD]),
    "greater-than in a value": (b"<message message='a > b'/>", [b"<message message='a > b'/>"]),
    "slash in a value": (b"<message message='/>'></message>", [b"<message message='/>'></message>"]),
    "other quote in a value": (b"""<message message="it's" /> """, [b"""<message message="it's" />"""]),
    "start tag over lines": (b"<message\n  message='m'\n/>", [b"<message\n  message='m'\n/>"]),
    "end tag of a longer name": (
        b"<message></messages></message>",
        [b"<message></messages></message>"],
    ),
    "unknown tag inside": (b"<message><messages/></message>", [b"<message><messages/></message>"]),
    "comment inside": (b"<message><!-- > --></message>", [b"<message><!-- > --></message>"]),
}


@pytest.mark.parametrize(("stream", "expected"), ORDERLY.values(), ids=ORDERLY)
def test_orderly_streams(stream: bytes, expected: list[bytes]) -> None:
    assert summary(stream) == [("frame", data) for data in expected]


@pytest.mark.parametrize("tag", MESSAGES)
def test_every_tag_is_known(tag: str) -> None:
    name = tag.encode()
    for data in (b"<%b/>" % name, b"<%b a='b'></%b>" % (name, name)):
        assert summary(data) == [("frame", data)]
        assert frame_of(data).tag == tag


DECLARATIONS = (
    b"<?xml version='1.0'?>",
    b'<?xml version="1.0"?>',
    b'<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>',
    b"<?xml  version = '1.1' ?>\r\n",
    b"<?xml?>",
)


@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_s11_any_xml_declaration_is_tolerated(declaration: bytes) -> None:
    assert summary(declaration + GOOD + b"\n" + declaration + declaration + b"\n" + NEW + declaration) == [
        ("frame", GOOD),
        ("frame", NEW),
    ]


# Each: what is in front of a good message, and what is reported of it.
BROKEN = {
    "unfinished element": (b"<setTextVector device='D'>", "setTextVector"),
    "unfinished start tag": (b"<setTextVector device=", "setTextVector"),
    "open quote": (b"<setTextVector device='", "setTextVector"),
    "open double quote": (b'<setTextVector device="a>', "setTextVector"),
    "half an end tag": (b"<message></message", "message"),
    "wrong end tag": (b"<message></delProperty>", "message"),
    "open comment": (b"<message><!-- ", "message"),
    "open character data": (b"<message><![CDATA[", "message"),
    "open instruction": (b"<message><?pi ", "message"),
    "unfinished member": (b"<newTextVector device='D' name='N'><oneText name='a'>b", "newTextVector"),
    "comment outside": (b"<!-- hello -->", "garbage"),
    "open comment outside": (b"<!--", "garbage"),
    "text": (b"hello", "garbage"),
    "less-than": (b"<", "garbage"),
    "unknown element": (b"<foo><bar/></foo>", "garbage"),
    "a tag that only begins like a known one": (b"<messages/>", "garbage"),
    "half a known tag": (b"<setTextVec", "garbage"),
    "stray end tag": (b"</message>", "garbage"),
    "lone member": (b"<oneNumber name='a'>1</oneNumber>", "garbage"),
    "document type": (b"<!DOCTYPE x [<!ENTITY a 'b'>]>", "garbage"),
    "binary": (bytes(range(256)).replace(b"<", b""), "garbage"),
    "half a declaration": (b"<?xml version='1.0'", "garbage"),
}


@pytest.mark.parametrize(("broken", "kind"), BROKEN.values(), ids=BROKEN)
def test_garbage_costs_only_itself(broken: bytes, kind: str) -> None:
    assert summary(GOOD + broken + NEW + GOOD) == [
        ("frame", GOOD),
        (kind, broken[:120]),
        ("frame", NEW),
        ("frame", GOOD),
    ]


@pytest.mark.parametrize(("broken", "kind"), BROKEN.values(), ids=BROKEN)
def test_what_is_unfinished_at_the_end_is_reported(broken: bytes, kind: str) -> None:
    assert summary(GOOD + broken) == [("frame", GOOD), (kind, broken[:120])]


TARGETS = {
    "unfinished element": (b"<newTextVector device='D' name='N'><oneText name='a'>b", ("D", "N")),
    "open quote in the name": (b"<newTextVector device='D' name='N><oneText name='a'>b</oneText>", ("D", "N")),
    "open quote in the device": (b"<newTextVector name='N' device='D>\n<!-- ' -->", ("D", "N")),
    "open quote that never ends": (b"<newTextVector device='D' name='N>", None),
    "no name": (b"<newTextVector device='D'>", None),
    "no device": (b"<newTextVector name='N'>", None),
    "nothing that is waited for": (b"<setTextVector device='D' name='N'>", None),
    "garbage": (b"device='D' name='N'", None),
}


@pytest.mark.parametrize(("broken", "target"), TARGETS.values(), ids=TARGETS)
def test_what_a_write_was_for_is_told_where_it_can_be(broken: bytes, target: tuple[str, str] | None) -> None:
    [report, good] = Framer().feed(broken + GOOD)
    assert isinstance(report, Unusable)
    assert isinstance(good, Frame)
    assert report.target == target
    refused = report.refused_write()
    assert (refused and (refused.tag, refused.device, refused.name)) == (target and (report.tag, *target))
    assert refused is None or decode(refused) is report


def test_what_a_write_was_for_is_told_of_one_that_is_too_long() -> None:
    framer = Framer(Limits(message_bytes=100, attributes_bytes=100), forgiving=True)
    [report, _] = framer.feed(b"<newTextVector device='D' name='N'><oneText name='a'>" + b"x" * 100 + GOOD)
    assert isinstance(report, Unusable)
    assert report.target == ("D", "N")


@pytest.mark.parametrize("fault", [b"</oops>", b"<?xml version='1.0'?>", b" & "])
def test_d5_messages_before_and_after_a_fault_are_read(fault: bytes) -> None:
    frames = [data for kind, data in summary(GOOD + NEW + fault + NEW + GOOD) if kind == "frame"]
    assert frames == [GOOD, NEW, NEW, GOOD]


def test_s4_bad_bytes_do_not_end_the_stream() -> None:
    framer = Framer()
    found = framer.feed(b"<message message='\xff\xfe'/></oops>\x00\xff" + GOOD)
    assert [item.tag for item in found] == ["message", None, "getProperties"]
    assert framer.failure is None


def test_a_run_of_garbage_is_one_report() -> None:
    run = b"hello\n<?xml version='1.0'?></a></b> more"
    [report, _], _ = read_anyhow(b"\n\n" + run + b" \n" + GOOD)
    assert report == Unusable("not part of any message", run, len(run))


def test_a_report_says_what_was_dropped() -> None:
    dropped = b"<setTextVector device='D'>" + b"x" * 500
    [report, _], _ = read([dropped + GOOD])
    reason = "another message begins inside a setTextVector"
    assert report == Unusable(reason, dropped[:120], len(dropped), 0, "setTextVector")


@pytest.mark.parametrize("data", [GOOD, NEW, b"<message>x</message \n >"])
def test_a_message_comes_with_its_last_byte(data: bytes) -> None:
    framer = Framer()
    assert framer.feed(data[:-1]) == []
    [frame] = framer.feed(data[-1:])
    assert isinstance(frame, Frame)
    assert frame.data == data


def test_a_closed_framer_begins_anew() -> None:
    framer = Framer()
    framer.feed(b"<message message='")
    assert [report.tag for report in framer.close()] == ["message"]
    assert framer.close() == []
    assert [item.tag for item in framer.feed(GOOD)] == ["getProperties"]


# -- limits ----------------------------------------------------------------------------------------------------

SMALL = Limits(message_bytes=200, blob_bytes=400, attributes_bytes=60, garbage_bytes=50, dropped_in_a_row=3)

EXCESS = {
    "message": (b"<newTextVector>" + b"x" * 300, "newTextVector is longer than 200"),
    "whole message": (b"<newTextVector>" + b"x" * 300 + b"</newTextVector>", "newTextVector is longer than 200"),
    "BLOB": (b"<setBLOBVector>" + b"x" * 400, "setBLOBVector is longer than 400"),
    "whole BLOB": (b"<newBLOBVector>" + b"x" * 400 + b"</newBLOBVector>", "newBLOBVector is longer than 400"),
    "definition of a BLOB": (b"<defBLOBVector>" + b"x" * 300, "defBLOBVector is longer than 200"),
    "start tag": (b"<message message='" + b"x" * 60, "start tag of a message is longer than 60"),
    "whole start tag": (b"<message message='" + b"x" * 60 + b"'/>", "start tag of a message is longer than 60"),
    "dropped start tag": (b"<message a='" + b"x" * 60 + GOOD, "start tag of a message is longer than 60"),
    "dropped message": (b"<message>" + b"x" * 300 + GOOD, "message is longer than 200"),
    "end tag": (b"<message></message" + b" " * 300, "message is longer than 200"),
    "garbage": (b"x" * 51 + GOOD, "more than 50 bytes without"),
    "much garbage": (b"x" * 1500, "more than 50 bytes without"),
    "garbage in all": ((b"x" * 20 + b"<message>") * 3 + GOOD, "more than 50 bytes without"),
    "dropped in a row": (b"<message>" * 5, "more than 3 unusable messages in a row"),
}


@pytest.mark.parametrize(("stream", "reason"), EXCESS.values(), ids=EXCESS)
def test_beyond_a_limit_the_peer_has_failed(stream: bytes, reason: str) -> None:
    found, failure = read_anyhow(GOOD + NEW + stream + GOOD, SMALL)
    assert failure is not None
    assert reason in failure
    assert [item.data for item in found if isinstance(item, Frame)] == [GOOD, NEW]


WITHIN = {
    "message": b"<message>" + b"x" * 181 + b"</message>",
    "BLOB": b"<setBLOBVector>" + b"x" * 369 + b"</setBLOBVector>",
    "start tag": b"<message message='" + b"x" * 39 + b"'/>",
    "garbage": b"x" * 50 + GOOD + b"x" * 50 + GOOD,
    "dropped in a row": b"<message>" * 3 + GOOD + b"<message>" * 3 + GOOD,
    "white space": b" \n" * 300,
    "declarations": b"<?xml version='1.0'?>\n" * 30,
    "long declaration": b"<?xml version='1.0' encoding='UTF-8' standalone='yes'" + b" " * 60 + b"?>",
}


@pytest.mark.parametrize("stream", WITHIN.values(), ids=WITHIN)
def test_up_to_a_limit_the_peer_is_kept(stream: bytes) -> None:
    found, failure = read_anyhow(stream + GOOD, SMALL)
    assert failure is None
    assert found[-1] == Frame("getProperties", GOOD)


def test_a_failed_framer_is_silent_and_empty() -> None:
    framer = Framer(SMALL)
    framer.feed(b"<newTextVector>" + b"x" * 300)
    assert framer.failure is not None
    assert framer.pending_bytes == 0
    assert framer.feed(GOOD) == []
    assert framer.close() == []


def test_one_lost_blob_does_not_cost_the_connection() -> None:
    framer = Framer(Limits(garbage_bytes=100))
    found = framer.feed(b"<setBLOBVector><oneBLOB>" + b"A" * 5000 + GOOD)
    assert [item.tag for item in found] == ["setBLOBVector", "getProperties"]
    assert framer.failure is None


def refused(size: int = 1, tag: str = "message") -> Unusable:
    return Unusable("for the test", b"", size, 0, tag)


def test_refused_frames_in_a_row_fail_the_peer() -> None:
    framer = Framer(SMALL)
    for _ in range(3):
        framer.count_unusable(refused())
    assert framer.failure is None
    framer.count_unusable(refused())
    assert "more than 3 unusable messages in a row" in str(framer.failure)
    assert framer.feed(GOOD) == []


def test_a_good_message_breaks_the_row() -> None:
    framer = Framer(SMALL)
    for _ in range(10):
        framer.count_unusable(refused(size=20))
        framer.count_good()
    assert framer.failure is None


def test_refused_bytes_fail_the_peer_unless_they_are_a_blob() -> None:
    framer = Framer(SMALL)
    framer.count_unusable(refused(size=10_000, tag="setBLOBVector"))
    assert framer.failure is None
    framer.count_unusable(refused(size=51))
    assert "more than 50 bytes" in str(framer.failure)


@pytest.mark.parametrize("opening", [b"<setTextVector>", b"<setTextVector ", b"<setTextVector a='", b"text "])
def test_s7_memory_never_grows_past_the_limit(opening: bytes) -> None:
    limits = Limits(message_bytes=100_000, attributes_bytes=100_000, garbage_bytes=100_000)
    framer, piece = Framer(limits), b"x" * 10_000
    framer.feed(opening)
    most = 0
    for _ in range(100):
        framer.feed(piece)
        most = max(most, framer.pending_bytes)
    assert framer.failure is not None
    assert most <= 100_000


BLOB_BYTES = 16 << 20
PIECE_BYTES = 64 << 10


def blob_pieces(piece_bytes: int) -> Iterator[bytes]:
    yield b"<setBLOBVector device='D' name='N' state='Ok'><oneBLOB name='B' size='12582912' format='.fits'>"
    piece = b"A" * piece_bytes
    for _ in range(BLOB_BYTES // piece_bytes):
        yield piece
    yield b"</oneBLOB></setBLOBVector>"


def test_a_long_blob_is_held_once() -> None:
    tracemalloc.start()
    try:
        [frame], _ = read(blob_pieces(PIECE_BYTES))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(frame, Frame)
    assert len(frame.data) > BLOB_BYTES
    assert peak < 1.5 * BLOB_BYTES


TWO_BLOBS = (
    b"<setBLOBVector device='D' name='N' state='Ok'>"
    b"<oneBLOB name='A' size='30' format='.a'>" + b"A" * 40 + b"</oneBLOB><!-- > -->"
    b"<oneBLOB name='B' size='3' format='.stream' attached='true'/>\n\n\n"
    b"<oneBLOB name='C' size='60' format='.c'>" + b"C" * 80 + b"</oneBLOB >  </setBLOBVector >"
)


def test_what_is_known_to_have_no_markup_has_none_and_changes_nothing() -> None:
    [whole] = Framer().feed(TWO_BLOBS)
    assert isinstance(whole, Frame)
    assert (whole.attached, whole.bare) == (1, (0, 0))
    longest = 0
    for size in range(1, len(TWO_BLOBS)):
        [frame], _ = read(TWO_BLOBS[at : at + size] for at in range(0, len(TWO_BLOBS), size))
        assert isinstance(frame, Frame)
        start, end = frame.bare
        assert b"<" not in frame.data[start:end]
        assert frame == whole
        assert [(span.start, span.content_end) for span in blob_spans(frame.data, frame.bare)] == [
            (span.start, span.content_end) for span in blob_spans(whole.data)
        ]
        longest = max(longest, end - start)
    assert longest >= 80


def test_what_is_known_of_one_blob_is_not_taken_for_the_next() -> None:
    middle = TWO_BLOBS.index(b"AAAA") + 10
    found, _ = read([TWO_BLOBS[:middle], TWO_BLOBS[middle : middle + 10], TWO_BLOBS[middle + 10 :] + TWO_BLOBS])
    assert [item.bare for item in found if isinstance(item, Frame)] == [(middle, middle + 10), (0, 0)]


def test_most_of_a_long_blob_is_known_to_have_no_markup() -> None:
    [frame], _ = read(blob_pieces(PIECE_BYTES))
    assert isinstance(frame, Frame)
    assert frame.bare == (frame.data.index(b">A") + 1, frame.data.index(b"</oneBLOB>"))


def test_a_long_blob_in_small_pieces_takes_linear_time() -> None:
    """Were it looked at again with every piece, this would be hundreds of gigabytes of bytes to look at."""
    begun = time.process_time()
    [frame], _ = read(blob_pieces(256))
    assert isinstance(frame, Frame)
    assert time.process_time() - begun < 20


HOSTILE = (
    b"<",
    b"</",
    b"<!--",
    b"<oneBLOB ",
    b"<message",
    b"'\"",
    b"<?xml",
    b"<?xml ",
    b"<a b='",
    b"</message",
    b"&",
)


@pytest.mark.parametrize("token", HOSTILE)
@pytest.mark.parametrize(
    "opening",
    [
        b"",
        pytest.param(b"<message ", marks=pytest.mark.long),
        b"<message a='",
        pytest.param(b"<message>", marks=pytest.mark.long),
        b"<setBLOBVector attached='true'>",
    ],
)
def test_hostile_repetition_takes_linear_time(opening: bytes, token: bytes) -> None:
    limits = Limits(attributes_bytes=1 << 20)
    stream = opening + token * (500_000 // len(token))
    begun = time.process_time()
    read([stream[start : start + 4096] for start in range(0, len(stream), 4096)], limits)
    assert time.process_time() - begun < 5
