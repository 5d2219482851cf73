from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from indianyio._model import Outbox, Outgoing

KIB = 1024


class Attached:
    """An attachment that can tell whether it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def read(self, length: int) -> bytes:
        return b""

    def close(self) -> None:
        self.closed += 1


def wire(outgoings: list[Outgoing]) -> bytes:
    return b"".join(part for outgoing in outgoings for part in outgoing.parts)


def test_the_size_counts_parts_and_attachments() -> None:
    assert Outgoing((b"abc", b"de")).size == 5
    assert Outgoing((b"abc",), (Attached(),), 1000).size == 1003


def test_an_outbox_is_full_at_its_limit() -> None:
    outbox = Outbox(5)
    outbox.add(Outgoing((b"abcd",)))
    assert (outbox.queued_bytes, outbox.full) == (4, False)
    outbox.add(Outgoing((b"x" * 100,)))
    assert (outbox.queued_bytes, outbox.full) == (104, True)
    assert wire(outbox.take()) == b"abcd" + b"x" * 100
    assert (outbox.queued_bytes, outbox.full) == (0, False)
    assert outbox.take() == []


def test_small_neighbours_are_joined() -> None:
    outbox = Outbox(KIB)
    for number in range(100):
        outbox.add(Outgoing((b"<%d" % number, b"/>")))
    assert outbox.take() == [Outgoing((b"".join(b"<%d/>" % number for number in range(100)),))]


def test_large_messages_are_handed_on_uncopied() -> None:
    large = Outgoing((b"x" * 20 * KIB, b"y"))
    outbox = Outbox(KIB)
    for outgoing in (Outgoing((b"a",)), Outgoing((b"b",)), large, Outgoing((b"c",))):
        outbox.add(outgoing)
    taken = outbox.take()
    assert [outgoing.parts[0][:1] for outgoing in taken] == [b"a", b"x", b"c"]
    assert taken[0].parts == (b"ab",)
    assert taken[1] is large


def test_messages_with_attachments_stay_alone() -> None:
    first, second = Outgoing((b"1",), (Attached(),), 9), Outgoing((b"2",), (Attached(),), 9)
    outbox = Outbox(KIB)
    for outgoing in (Outgoing((b"a",)), first, second, Outgoing((b"b",)), Outgoing((b"c",))):
        outbox.add(outgoing)
    assert outbox.take() == [Outgoing((b"a",)), first, second, Outgoing((b"bc",))]


def test_clear_drops_and_closes_and_the_box_goes_on() -> None:
    attached = Attached()
    outbox = Outbox(KIB)
    outbox.add(Outgoing((b"1",), (attached,), 9))
    outbox.clear()
    assert (attached.closed, outbox.queued_bytes, outbox.take()) == (1, 0, [])
    outbox.add(Outgoing((b"2",)))
    assert wire(outbox.take()) == b"2"


def test_what_was_taken_is_the_takers_to_close() -> None:
    attached = Attached()
    outbox = Outbox(KIB)
    outbox.add(Outgoing((b"1",), (attached,), 9))
    outbox.take()
    outbox.clear()
    assert attached.closed == 0


def test_a_box_whose_peer_has_gone_keeps_nothing() -> None:
    before, after = Attached(), Attached()
    outbox = Outbox(1)
    outbox.add(Outgoing((b"1",), (before,), 9))
    assert not outbox.discarding
    outbox.discard()
    outbox.add(Outgoing((b"2",), (after,), 9))
    assert (before.closed, after.closed) == (1, 1)
    assert (outbox.discarding, outbox.full, outbox.take()) == (True, False, [])


@given(st.lists(st.lists(st.integers(0, 40 * KIB), max_size=3), max_size=20))
def test_joining_changes_neither_bytes_nor_order(lengths: list[list[int]]) -> None:
    outbox = Outbox(KIB)
    messages = [
        Outgoing(tuple(bytes([number % 256]) * length for length in parts)) for number, parts in enumerate(lengths)
    ]
    for message in messages:
        outbox.add(message)
    assert outbox.queued_bytes == sum(message.size for message in messages)
    taken = outbox.take()
    assert wire(taken) == wire(messages)
    assert all(outgoing in messages or outgoing.size <= 64 * KIB for outgoing in taken)
