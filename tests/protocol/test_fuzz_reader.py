"""Garbage gives exactly one kind of answer: a report of what could not be used, and the next message comes out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.protocol import Frame, Framer, Limits, Unusable, WireMessage, decode

CASES = 2_000
LONG_CASES = 10_000  # and ten times as many in all
SEED = 7624
WINDOW_BYTES = 1_500

GOOD = b"<newSwitchVector device='Scope' name='ABORT'><oneSwitch name='ABORT'>On</oneSwitch></newSwitchVector>"
SHORT = b"<newSwitchVector device='S' name='A'><oneSwitch name='A'>On</oneSwitch></newSwitchVector>"
STREAMS = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "captures").glob("*.xml"))]
NASTY = (
    *(
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<!DOCTYPE x [",
        b"<!ENTITY a 'b'>",
        b"]>",
        b"<?xml",
        b"?>",
        b"<?pi ",
    ),
    *(b"&", b"&amp", b"&#0;", b"&#x110000;", b"&lol;", b'"', b"'", b"<", b">", b"/>", b"</", b"=", b"\0", b"\xff"),
    *(b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\xef\xbf\xbe", b"\r", b"\n", b"\t", b" ", b"\x85", b"</a:b>"),
    *(b"<message", b"<message ", b"<message/>", b"</message>", b"<setTextVec", b"</setNumberVector", b"<oneBLOB "),
    *(b"</oneBLOB>", b" attached='true'", b" size='9999999999999999999999'", b" device=''", b" name='a' name='b'"),
    *(b"<a><b><c><d>", b"xmlns:x='y'", b" x:y='z'", b"<getProperties version='1.7'/>"),
)

TAG_LIKE = st.sampled_from(
    [b"<message", b"<newTextVector ", b" device='", b"</newTextVector", b">", b"<!--", b"&", b"<"]
)
GARBAGE = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(TAG_LIKE, st.sampled_from(NASTY), st.binary(max_size=5)), max_size=20).map(b"".join),
)


# Limits that almost every case exceeds.
NARROW = Limits(message_bytes=300, attributes_bytes=60, garbage_bytes=40, dropped_in_a_row=1)


def read(stream: bytes, cuts: list[int], framer: Framer) -> list[Frame | Unusable]:
    """Read a stream cut at some positions; whatever it is, nothing is raised and the peer is kept."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    found = [item for start, end in pairwise(edges) for item in framer.feed(stream[start:end])]
    assert framer.failure is None
    return [*found, *framer.close()]


def check(garbage: bytes, cuts: list[int]) -> None:
    check_answers(garbage + GOOD, read(garbage + GOOD, cuts, Framer()), read(garbage + GOOD, [], Framer()))
    forgiven = [read(garbage + SHORT, each, Framer(NARROW, forgiving=True)) for each in (cuts, [])]
    check_answers(garbage + SHORT, *forgiven)


def check_answers(stream: bytes, found: list[Frame | Unusable], uncut: list[Frame | Unusable]) -> None:
    assert found == uncut
    last = found[-1]
    assert isinstance(last, Frame)
    assert last.data in (GOOD, SHORT)
    for item in found:
        if isinstance(item, Frame):
            assert item.data in stream
            answer = decode(item)
            assert isinstance(answer, WireMessage | Unusable)
            if isinstance(answer, WireMessage):
                assert getattr(answer, "device", None) == item.device
        else:
            assert item.reason
            assert 0 < len(item.excerpt) <= 120


@given(garbage=GARBAGE, cuts=st.lists(st.integers(1, 400), max_size=6))
def test_any_bytes_cost_only_themselves(garbage: bytes, cuts: list[int]) -> None:
    check(garbage, cuts)


@given(garbage=GARBAGE)
def test_any_bytes_byte_by_byte(garbage: bytes) -> None:
    check(garbage, list(range(len(garbage) + len(GOOD))))


@given(before=GARBAGE, after=GARBAGE)
def test_bytes_of_a_message_are_never_changed(before: bytes, after: bytes) -> None:
    frames = [item.data for item in read(before + GOOD + after, [], Framer()) if isinstance(item, Frame)]
    assert GOOD in frames


Mutation = Callable[[random.Random, bytearray], None]


def delete(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.randrange(1, 40)]


def insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(NASTY)


def flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def duplicate(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = data[start : start + rng.randrange(1, 200)]


def splice(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data) + 1)
    data[start : start + rng.randrange(1, 60)] = window(rng)[: rng.randrange(1, 300)]


MUTATIONS: tuple[Mutation, ...] = (delete, insert, flip, duplicate, splice)


def window(rng: random.Random) -> bytes:
    stream = rng.choice(STREAMS)
    start = rng.randrange(len(stream))
    return stream[start : start + WINDOW_BYTES]


def mutated(rng: random.Random) -> bytes:
    data = bytearray(window(rng))
    for _ in range(rng.randrange(1, 8)):
        rng.choice(MUTATIONS)(rng, data)
    return bytes(data)


def cases(count: int, seed: int = SEED) -> Iterator[tuple[bytes, list[int]]]:
    rng = random.Random(seed)
    for _ in range(count):
        garbage = mutated(rng)
        yield garbage, [rng.randrange(1, WINDOW_BYTES + 200) for _ in range(rng.randrange(6))]


@pytest.mark.long
def test_mutated_captures() -> None:
    for garbage, cuts in cases(CASES):
        check(garbage, cuts)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(4, 11))])
def test_mutated_captures_at_length(seed: int) -> None:
    for garbage, cuts in cases(LONG_CASES, seed):
        check(garbage, cuts)


def test_mutations_reach_every_answer() -> None:
    """The cases above are worth something: they drop bytes, refuse frames and leave messages alone."""
    kinds = {kind(item) for garbage, _ in cases(200) for item in read(garbage, [], Framer())}
    assert kinds == {"dropped", "refused", "message"}


def kind(item: Frame | Unusable) -> str:
    if isinstance(item, Unusable):
        return "dropped"
    return "refused" if isinstance(decode(item), Unusable) else "message"
