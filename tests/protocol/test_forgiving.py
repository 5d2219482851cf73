"""A forgiving framer: what exceeds a limit is lost, the peer and its next good message are not."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.protocol import Frame, Framer, Limits, Unusable

SMALL = Limits(message_bytes=200, blob_bytes=400, attributes_bytes=60, garbage_bytes=50, dropped_in_a_row=3)
GOOD = b"<getProperties version='1.7'/>"
LONG_HEAD = b"<newBLOBVector device='D' name='" + b"x" * 60 + b"'>"
TWO_ATTACHED = b"<oneBLOB name='a' attached=\"true\"/><oneBLOB name='b' attached='true'></oneBLOB>"


def read(pieces: Iterable[bytes], limits: Limits = SMALL) -> list[Frame | Unusable]:
    framer = Framer(limits, forgiving=True)
    found = [item for piece in pieces for item in framer.feed(piece)]
    found += framer.close()
    assert framer.failure is None
    assert framer.pending_bytes == 0
    return found


def read_anyhow(stream: bytes, limits: Limits = SMALL) -> list[Frame | Unusable]:
    answer = read([stream], limits)
    assert read((stream[index : index + 1] for index in range(len(stream))), limits) == answer
    for position in range(1, len(stream)):
        assert read([stream[:position], stream[position:]], limits) == answer
    return answer


def summary(found: list[Frame | Unusable]) -> list[tuple[str | None, bytes]]:
    return [(item.tag, item.data if isinstance(item, Frame) else item.excerpt) for item in found]


# Each: what exceeds a limit, what is said about it, and the tag reported.
EXCESS = {
    "message": (b"<newTextVector>" + b"x" * 300, "a newTextVector is longer than 200 bytes", "newTextVector"),
    "whole message": (
        b"<newTextVector>" + b"x" * 300 + b"</newTextVector>",
        "a newTextVector is longer than 200 bytes",
        "newTextVector",
    ),
    "message in quotes": (b"<message>" + b"'" * 300 + b"</message>", "a message is longer than 200", "message"),
    "end tag": (b"<message></message" + b" " * 300, "a message is longer than 200 bytes", "message"),
    "false end tag": (b"<message></message" + b" " * 300 + b"x", "a message is longer than 200", "message"),
    "start tag": (b"<message message='" + b"x" * 60, "start tag of a message is longer than 60", "message"),
    "whole start tag": (
        b"<message message='" + b"x" * 60 + b"'/>",
        "start tag of a message is longer than 60 bytes",
        "message",
    ),
    "start tag and more": (
        b"<message message='" + b"x" * 60 + b"'>" + b"y" * 300 + b"</message>",
        "start tag of a message is longer than 60 bytes",
        "message",
    ),
    "definition of a BLOB": (b"<defBLOBVector>" + b"x" * 300, "defBLOBVector is longer than 200", "defBLOBVector"),
    "half a tag at its end": (b"<message>" + b"x" * 300 + b"</messa", "a message is longer than 200", "message"),
    "half an opening at its end": (b"<message>" + b"x" * 300 + b"<setTex", "a message is longer than", "message"),
    "garbage": (b"x" * 51, "more than 50 bytes without", None),
    "garbage in the end blank": (b"x" + b" \n" * 30, "more than 50 bytes without", None),
    "half a declaration": (b"<?xml version='1.0'" + b" " * 60, "more than 50 bytes without", None),
    "much garbage": (b"x" * 1500, "more than 50 bytes without", None),
    "much garbage with tags": (b"</message><foo " * 100, "more than 50 bytes without", None),
}


@pytest.mark.parametrize(("excess", "reason", "tag"), EXCESS.values(), ids=EXCESS)
@pytest.mark.parametrize("after", [GOOD + GOOD, b""], ids=["messages", "end"])
def test_excess_costs_only_itself(excess: bytes, reason: str, tag: str | None, after: bytes) -> None:
    found = read_anyhow(GOOD + excess + after)
    goods = [item for item in found if isinstance(item, Frame)]
    assert [item.data for item in goods] == [GOOD] * (1 + len(after) // len(GOOD))
    report = found[1]
    assert isinstance(report, Unusable)
    assert reason in report.reason
    assert (report.excerpt, report.size, report.attached, report.tag) == (excess[:120], len(excess), 0, tag)


def test_what_follows_an_excess_is_skipped_up_to_the_next_opening() -> None:
    skipped = b"<newTextVector>" + b"x" * 300 + b"</newTextVector>\n <?xml?> <foo/> "
    assert read_anyhow(skipped + GOOD) == [
        Unusable("a newTextVector is longer than 200 bytes", skipped[:120], len(skipped), 0, "newTextVector"),
        Frame("getProperties", GOOD),
    ]


def test_an_excerpt_may_be_longer_than_a_limit() -> None:
    limits = Limits(message_bytes=30, attributes_bytes=10, garbage_bytes=5)
    long = b"<message message='" + b"x" * 300
    [report, _] = read_anyhow(long + b"<message>x</message>", limits)
    assert isinstance(report, Unusable)
    assert report.excerpt == long[:120]


def test_no_row_of_unusable_messages_is_too_long() -> None:
    found = read_anyhow((b"<message>" + b"x" * 40) * 20 + GOOD)
    assert [item.tag for item in found] == ["message"] * 20 + ["getProperties"]


def test_a_thousand_openings_inside_each_other() -> None:
    found = read([b"<newTextVector device='D'>" * 1000 + GOOD])
    assert [item.tag for item in found] == ["newTextVector"] * 1000 + ["getProperties"]


def test_refused_frames_never_fail_the_peer() -> None:
    framer = Framer(SMALL, forgiving=True)
    for _ in range(1000):
        framer.count_unusable(Unusable("for the test", b"", 1000, 0, "message"))
    assert framer.failure is None
    assert summary(framer.feed(GOOD)) == [("getProperties", GOOD)]


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (
            LONG_HEAD + TWO_ATTACHED + b"</newBLOBVector>",
            "the start tag of a newBLOBVector is longer than 60 bytes",
        ),
        (LONG_HEAD + TWO_ATTACHED, "another message begins inside a newBLOBVector"),
        (LONG_HEAD[:-1], "another message begins inside a newBLOBVector"),
        (LONG_HEAD[:-1] + b"/>", "the start tag of a newBLOBVector is longer than 60 bytes"),
    ],
)
def test_w36_descriptors_stay_in_step_behind_an_overlong_start_tag(vector: bytes, reason: str) -> None:
    attached = vector.count(b"attached")
    blob = b"<setBLOBVector device='D'><oneBLOB attached='true'/></setBLOBVector>"
    report, next_blob, _ = read_anyhow(vector + blob + GOOD)
    target = ("D", LONG_HEAD.split(b"'")[3].decode())
    assert report == Unusable(reason, vector[:120], len(vector), attached, "newBLOBVector", target)
    assert next_blob == Frame("setBLOBVector", blob, (), 1)


@pytest.mark.parametrize("opening", [b"<setBLOBVector>", b"<newBLOBVector ", b"<setBLOBVector a='"])
def test_w36_a_blob_without_end_fails_the_peer(opening: bytes) -> None:
    for piece_bytes in (1, 100, 1000):
        framer, stream = Framer(SMALL, forgiving=True), opening + b"x" * 400 + GOOD
        for start in range(0, len(stream), piece_bytes):
            assert framer.feed(stream[start : start + piece_bytes]) == []
        assert "BLOBVector is longer than 400 bytes" in str(framer.failure)
        assert framer.pending_bytes == 0


def test_a_closed_framer_begins_anew() -> None:
    framer = Framer(SMALL, forgiving=True)
    framer.feed(b"<message>" + b"x" * 300 + b"<mess")
    [report] = framer.close()
    assert report.size == 314
    assert framer.close() == []
    assert summary(framer.feed(b"age/> " + GOOD)) == [(None, b"age/>"), ("getProperties", GOOD)]


@pytest.mark.parametrize("opening", [b"<setTextVector>", b"<setTextVector ", b"<setTextVector a='", b"text "])
def test_s7_memory_never_grows_past_the_limit(opening: bytes) -> None:
    limits = Limits(message_bytes=100_000, attributes_bytes=100_000, garbage_bytes=100_000)
    framer, most = Framer(limits, forgiving=True), 0
    framer.feed(opening)
    for _ in range(100):
        assert framer.feed(b"x" * 10_000) == []
        most = max(most, framer.pending_bytes)
    assert 50_000 < most <= 100_000
    assert framer.pending_bytes == 0
    report, good = framer.feed(GOOD)
    assert isinstance(report, Unusable)
    assert report.size == len(opening) + 1_000_000
    assert good == Frame("getProperties", GOOD)


TOKENS = (
    *(b"<message", b"<newTextVector ", b"<newBLOBVector ", b"<setBLOBVector>", b"</message>", b"</newBLOBVector>"),
    *(
        b"<oneBLOB attached='true'/>",
        b" a='",
        b"'",
        b'"',
        b">",
        b"/>",
        b"<",
        b"</mess",
        b"<?xml",
        b"?>",
        b"\xef\xbb",
    ),
    *(b"\n", b" " * 30, b"x" * 10, b"y" * 61, GOOD),
)
# BLOBs may be as long as they like here: nothing but them can fail the peer.
ENDLESS = Limits(message_bytes=90, attributes_bytes=40, garbage_bytes=25, dropped_in_a_row=1)


@given(st.lists(st.sampled_from(TOKENS), max_size=30), st.lists(st.integers(1, 600), max_size=8))
def test_any_stream_reads_alike_however_it_is_cut(tokens: list[bytes], cuts: list[int]) -> None:
    check(b"".join(tokens), cuts)


@pytest.mark.long
def test_many_streams_read_alike_byte_by_byte() -> None:
    rng = random.Random(7624)
    for _ in range(1_500):
        stream = b"".join(rng.choices(TOKENS, k=rng.randrange(25)))
        check(stream, list(range(1, len(stream) + len(GOOD))))


def check(start: bytes, cuts: list[int]) -> None:
    stream = start + GOOD
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    found = read((stream[a:b] for a, b in pairwise(edges)), ENDLESS)
    assert found == read([stream], ENDLESS)
    assert found[-1] == Frame("getProperties", GOOD)
    for item in found:
        if isinstance(item, Frame) and not item.tag.endswith("BLOBVector"):
            assert len(item.data) <= ENDLESS.message_bytes


@pytest.mark.parametrize("token", [b"<", b"</", b"<message", b"<messag ", b"</message", b"<?xml ", b"'\"", b"x"])
@pytest.mark.parametrize("opening", [b"", b"<message>", b"<message a='"])
def test_skipping_takes_linear_time(opening: bytes, token: bytes) -> None:
    stream = opening + token * (500_000 // len(token))
    begun = time.process_time()
    read(stream[start : start + 256] for start in range(0, len(stream), 256))
    assert time.process_time() - begun < 5
