"""A slow peer misses frames of a video, then is given up; nothing it does not read piles up."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio._model import Outgoing
from indianyio._routing import DROP_STREAM_BYTES, OUTBOX_BYTES, PeerOutbox, PeerStatistics, Verdict

KIB = 1024
MIB = 1024 * KIB
EMPTY_BYTES = 153  # what a message counts beside its bytes


class Attached:
    """An attachment that can tell whether it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def read(self, length: int) -> bytes:
        return b""

    def close(self) -> None:
        self.closed += 1


def message(size: int) -> Outgoing:
    return Outgoing((b"x" * size,))


def box_with(queued: int, *, limit: int = 100 * KIB, drop: int = 10 * KIB) -> PeerOutbox:
    box = PeerOutbox(limit, drop_stream_bytes=drop)
    if queued:
        box.add(message(queued - EMPTY_BYTES))
    assert box.queued_bytes == queued
    return box


@pytest.mark.parametrize(
    ("queued", "drop", "is_stream", "verdict"),
    [
        (0, 10 * KIB, False, Verdict.SENT),
        (0, 10 * KIB, True, Verdict.SENT),
        (10 * KIB, 10 * KIB, True, Verdict.SENT),
        (10 * KIB + 1, 10 * KIB, True, Verdict.DROPPED),
        (10 * KIB + 1, 10 * KIB, False, Verdict.SENT),
        (100 * KIB, 10 * KIB, False, Verdict.SENT),
        (100 * KIB + 1, 10 * KIB, False, Verdict.OVERFLOW),
        (100 * KIB + 1, 10 * KIB, True, Verdict.DROPPED),
        # 0: frames of a video are treated like everything else
        (99 * KIB, 0, True, Verdict.SENT),
        (100 * KIB + 1, 0, True, Verdict.OVERFLOW),
        # a threshold beyond the limit never counts
        (100 * KIB + 1, 200 * KIB, True, Verdict.OVERFLOW),
    ],
)
def test_s2_what_becomes_of_a_message(queued: int, drop: int, is_stream: bool, verdict: Verdict) -> None:
    box = box_with(queued, drop=drop)
    attached = Attached()
    outgoing = Outgoing((b"<x/>",), (attached,), 5)
    assert box.offer(outgoing, is_stream=is_stream) is verdict
    assert attached.closed == (verdict is not Verdict.SENT)
    after = {Verdict.SENT: queued + 9 + EMPTY_BYTES, Verdict.DROPPED: queued, Verdict.OVERFLOW: 0}
    assert box.queued_bytes == after[verdict]
    assert (box.failure is not None) == box.discarding == (verdict is Verdict.OVERFLOW)


def test_one_message_may_be_longer_than_the_limit() -> None:
    box = PeerOutbox(KIB)
    assert box.offer(message(MIB), is_stream=False) is Verdict.SENT
    assert box.full
    assert box.offer(message(1), is_stream=False) is Verdict.OVERFLOW


def test_after_an_overflow_nothing_is_kept() -> None:
    waiting, later = Attached(), Attached()
    box = PeerOutbox(KIB)
    box.offer(Outgoing((b"1",), (waiting,), 2 * KIB), is_stream=False)
    assert box.offer(message(1), is_stream=False) is Verdict.OVERFLOW
    assert (box.failure or "").startswith("it does not read: 2202 bytes wait for it, more than 1024")
    assert box.offer(Outgoing((b"1",), (later,), 1), is_stream=False) is Verdict.GONE
    box.add(Outgoing((b"1",), (later,), 1))
    assert (waiting.closed, later.closed, box.take(), box.queued_bytes) == (1, 2, [], 0)


def test_a_peer_that_has_gone_is_no_overflow() -> None:
    box = PeerOutbox()
    box.discard()
    assert box.offer(message(1), is_stream=False) is Verdict.GONE
    assert box.failure is None


def test_descriptors_are_bounded_too() -> None:
    box = PeerOutbox()
    verdicts = [box.offer(Outgoing((b"x",), (Attached(),), 1), is_stream=False) for _ in range(258)]
    assert verdicts == [Verdict.SENT] * 257 + [Verdict.OVERFLOW]
    assert "descriptors" in (box.failure or "")
    box = PeerOutbox()
    for _ in range(1000):
        assert box.offer(Outgoing((b"x",), (Attached(),), 1), is_stream=False) is Verdict.SENT
        assert len(box.take()) == 1


def test_a_batch_is_bounded_and_the_rest_waits_in_order() -> None:
    box = PeerOutbox()
    sizes = [400 * KIB, 400 * KIB, 400 * KIB, 5 * MIB, 10, 10]
    for size in sizes:
        box.add(message(size))
    batches = []
    while box.queued_bytes:
        batches.append([outgoing.size for outgoing in box.take()])
    assert batches == [sizes[:3], [5 * MIB], [20]]
    assert box.take() == []


def test_small_neighbours_are_joined_in_a_batch() -> None:
    box = PeerOutbox()
    for number in range(10):
        box.add(Outgoing((b"%d" % number,)))
    assert box.take() == [Outgoing((b"0123456789",))]


def test_clear_drops_more_than_a_batch() -> None:
    attached = [Attached() for _ in range(5)]
    box = PeerOutbox()
    for each in attached:
        box.add(Outgoing((b"x",), (each,), MIB))
    box.clear()
    assert ([each.closed for each in attached], box.queued_bytes, box.discarding) == ([1] * 5, 0, False)


@pytest.mark.long
def test_s2_memory_of_a_peer_that_does_not_read() -> None:
    """60 000 updates of 1 kB, and as many of next to nothing, stay below twice the limit."""
    for size in (KIB, 1):
        limit = 2 * MIB
        box = PeerOutbox(limit)
        tracemalloc.start()
        try:
            verdicts = [box.offer(message(size), is_stream=False) for _ in range(60_000)]
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak_bytes < 2 * limit
        assert verdicts.count(Verdict.OVERFLOW) == 1
        assert verdicts[-1] is Verdict.GONE


def test_statistics() -> None:
    box = box_with(10 * KIB + 1, drop=10 * KIB)
    box.offer(Outgoing((b"ab", b"c"), (Attached(),), 1000), is_stream=False)
    box.offer(message(7), is_stream=True)
    box.traffic.messages_in += 1
    box.traffic.bytes_in += 230
    box.traffic.messages_in += 1
    box.traffic.bytes_in += 20
    queued = 10 * KIB + 1 + 1003 + EMPTY_BYTES
    expected = PeerStatistics(
        messages_in=2,
        bytes_in=250,
        messages_out=2,
        bytes_out=queued - 2 * EMPTY_BYTES,
        queued_bytes=queued,
        highest_queued_bytes=queued,
        dropped_blobs=1,
    )
    assert box.statistics() == expected
    box.take()
    assert box.statistics() == replace(expected, queued_bytes=0)


def test_the_bounds_are_those_of_the_design() -> None:
    assert (OUTBOX_BYTES, DROP_STREAM_BYTES) == (64 * MIB, 5 * MIB)


@pytest.mark.parametrize(("limit", "drop"), [(0, 1), (-1, 1), (1, -1)])
def test_bounds_make_sense(limit: int, drop: int) -> None:
    with pytest.raises(ValueError, match="cannot be bounded"):
        PeerOutbox(limit, drop_stream_bytes=drop)


STEPS = st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 3 * KIB), st.booleans())), max_size=60)


@given(STEPS, st.integers(1, 8 * KIB), st.integers(0, 8 * KIB))
def test_like_a_plain_list(steps: list[tuple[int, bool] | None], limit: int, drop: int) -> None:
    box = PeerOutbox(limit, drop_stream_bytes=drop)
    waiting: list[bytes] = []
    for number, step in enumerate(steps):
        queued = sum(map(len, waiting)) + EMPTY_BYTES * len(waiting)
        assert box.queued_bytes == queued
        if step is None:
            taken = b"".join(part for outgoing in box.take() for part in outgoing.parts)
            assert taken == b"".join(waiting)
            waiting.clear()
            continue
        size, is_stream = step
        content = bytes([number]) * size
        verdict = box.offer(Outgoing((content,)), is_stream=is_stream)
        if is_stream and 0 < drop < queued:
            assert verdict is Verdict.DROPPED
        elif queued > limit:
            assert verdict is Verdict.OVERFLOW
            return
        else:
            assert verdict is Verdict.SENT
            waiting.append(content)
