"""What waits for a driver: nobody's messages crowd out those of another, and writes come first."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio._model import Outgoing
from indianyio._routing import HOLDING_BYTES, OUTBOX_BYTES, SHARE_BYTES, DriverOutbox, FairQueue, Room, rank_of
from indianyio.protocol import Frame

KIB = 1024
MIB = 1024 * KIB


def queue(limit: int = OUTBOX_BYTES, share: int = SHARE_BYTES) -> tuple[FairQueue[str], list[str]]:
    dropped: list[str] = []
    return FairQueue(dropped.append, limit_bytes=limit, share_bytes=share), dropped


def put(waiting: FairQueue[str], *items: str, size: int = 100) -> None:
    """Queue items such as ``a1``, from sender ``a``; with a ``!`` it is a write, with ``=x`` it tells about x."""
    for item in items:
        key = item.partition("=")[2] or None
        assert waiting.offer(item[0], item, size, urgent="!" in item, key=key)


def all_of(waiting: FairQueue[str]) -> list[str]:
    return list(waiting.drain())


@pytest.mark.parametrize(
    ("put_in", "taken"),
    [
        pytest.param("a1 a2 a3", "a1 a2 a3", id="one sender"),
        pytest.param("a1 b1 a2 b2", "a1 a2 b1 b2", id="a turn is several messages"),
        pytest.param("a1 a2 b1!", "b1! a1 a2", id="a write overtakes others"),
        pytest.param("a1 b1 b2 b3! a2", "b1 b2 b3! a1 a2", id="not its own sender's"),
        pytest.param("a1 b1! b2 b3", "b1! a1 b2 b3", id="what follows a write does not"),
        pytest.param("a1! b1! a2!", "a1! a2! b1!", id="writes in the order of their senders"),
        pytest.param("c1 a1 a2! b1 b2!", "a1 a2! b1 b2! c1", id="two who write"),
    ],
)
def test_order(put_in: str, taken: str) -> None:
    waiting, _ = queue()
    put(waiting, *put_in.split())
    assert len(waiting) == len(put_in.split())
    assert all_of(waiting) == taken.split()
    assert (len(waiting), waiting.waiting_bytes, waiting.is_empty) == (0, 0, True)


def test_the_server_comes_first_and_is_never_refused() -> None:
    waiting, dropped = queue(share=1)
    put(waiting, "a1!")
    for number in range(5):
        assert waiting.offer(None, f"s{number}", 100)
    assert waiting.offer(None, "policy 1", 100, key="b")
    assert waiting.offer(None, "policy 2", 100, key="b")
    assert all_of(waiting) == ["s0", "s1", "s2", "s3", "s4", "policy 2", "a1!"]
    assert dropped == ["policy 1"]


def test_who_writes_thousands_delays_the_abort_of_another_by_one_turn() -> None:
    waiting, _ = queue()
    put(waiting, *(f"a{number}!" for number in range(5000)))
    put(waiting, "b!")
    assert all_of(waiting).index("b!") <= 16 * KIB / (100 + HOLDING_BYTES) + 1


def test_a_flood_of_writes_does_not_starve_what_is_no_write() -> None:
    waiting, _ = queue()
    put(waiting, "b1")
    put(waiting, *(f"a{number}!" for number in range(5000)))
    assert all_of(waiting).index("b1") <= 4 * 16 * KIB / (100 + HOLDING_BYTES) + 1


def test_a_share_is_refused_beyond_and_others_are_not() -> None:
    waiting, _ = queue(share=10 * KIB)
    sent = 0
    while waiting.offer("a", "a", 100):
        sent += 1
    assert sent == -(-10 * KIB // (100 + HOLDING_BYTES))
    assert waiting.cost_of("a") >= 10 * KIB
    assert waiting.offer("b", "b", 100)
    assert waiting.take() == "a"
    assert not waiting.offer("a", "a", 100)  # what was taken counts until it is with the driver
    waiting.release()
    assert waiting.offer("a", "a", 100)


def test_a_large_message_is_taken_and_its_sender_is_to_wait() -> None:
    waiting, _ = queue(share=MIB)
    assert waiting.offer("a", "image", 20 * MIB)
    assert waiting.is_behind("a")
    assert waiting.room_for("a", taken=True) is Room.LITTLE
    assert not waiting.offer("a", "next", 100)
    assert not waiting.is_behind("b")
    assert waiting.take() == "image"
    assert waiting.is_behind("a")
    waiting.release()
    assert not waiting.is_behind("a")
    assert waiting.is_empty


def test_many_small_ones_are_not_waited_for() -> None:
    waiting, _ = queue(share=MIB)
    while waiting.offer("a", "small", 1000):
        pass
    assert not waiting.is_behind("a")
    assert waiting.room_for("a", taken=False) is Room.NONE


def test_with_many_senders_all_stay_within_the_limit() -> None:
    waiting, _ = queue(limit=MIB)
    for sender in range(10):
        for _ in range(1000):
            waiting.offer(sender, "x", KIB)
    assert waiting.waiting_bytes < 2 * MIB
    assert waiting.offer("one more", "x", KIB)


@pytest.mark.parametrize("size", [60 * KIB, 3 * MIB], ids=["least shares", "an image each"])
def test_who_comes_and_goes_does_not_fill_the_memory(size: int) -> None:
    """What each of them leaves for a driver that hangs waits on; when all is over there is room again."""
    waiting, _ = queue(limit=10 * MIB)
    taken = [waiting.offer(f"client {number}", "x", size, urgent=True) for number in range(1_000)]
    assert taken.index(False) == sum(taken)
    assert 20 * MIB <= waiting.waiting_bytes < 20 * MIB + size + HOLDING_BYTES
    assert waiting.offer(None, "the server's own", 100)
    for _ in range(3):
        waiting.take_some(10 * MIB)
    assert waiting.offer("the last", "abort", 100, urgent=True)


def test_the_newest_of_each_key_wins_when_much_waits() -> None:
    waiting, dropped = queue(share=MIB)
    for number in range(20_000):
        put(waiting, f"a{number}=x", f"a{number}=y")
    assert waiting.cost_of("a") < MIB
    taken = all_of(waiting)
    assert taken[-2:] == ["a19999=x", "a19999=y"]
    assert len(taken) + len(dropped) == 40_000
    for key in "xy":
        numbers = [int(item[1:-2]) for item in taken if item.endswith(key)]
        assert numbers == sorted(numbers)


def test_a_newer_state_takes_the_place_of_the_older_when_there_is_no_room() -> None:
    """Otherwise it would push out the older one and be refused itself, and nobody would tell of the clouds."""
    waiting, dropped = queue(share=MIB)
    put(waiting, "a1=clouds")
    put(waiting, "a2=image", size=3 * MIB)
    put(waiting, "a3=clouds")
    assert not waiting.offer("a", "a4=rain", 100, key="rain")
    assert dropped == ["a1=clouds"]
    assert all_of(waiting) == ["a2=image", "a3=clouds"]


def test_a_burst_of_some_hundreds_is_kept() -> None:
    waiting, dropped = queue()
    put(waiting, *(f"a{number}=x" for number in range(400)))
    assert (len(all_of(waiting)), dropped) == (400, [])


def test_take_some_is_bounded() -> None:
    waiting, _ = queue()
    put(waiting, *(f"a{number}" for number in range(10)))
    assert len(waiting.take_some(3 * (100 + HOLDING_BYTES))) == 3
    assert waiting.take_some(1) == ["a3"]
    assert len(waiting.take_some(MIB)) == 6
    assert waiting.take_some(MIB) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["", "!", "=x", "=y", "take", "some", "release"]),
            st.sampled_from([0, 100, 5_000, 70_000, 300_000]),
        ),
        max_size=200,
    )
)
def test_nothing_is_lost_or_comes_out_of_order(steps: list[tuple[str, str, int]]) -> None:
    waiting, dropped = queue(limit=2 * MIB, share=MIB)
    accepted: dict[str, list[str]] = defaultdict(list)
    taken: list[str] = []
    for number, (sender, what, size) in enumerate(steps):
        if what == "take":
            one = waiting.take()
            taken += [] if one is None else [one]
        elif what == "some":
            taken += waiting.take_some(size)
        elif what == "release":
            waiting.release()
        else:
            item = f"{sender}{number}{what}"
            before = waiting.cost_of(sender)
            if waiting.offer(sender, item, size, urgent=what == "!", key=what[1:] if "=" in what else None):
                accepted[sender].append(item)
            else:
                assert before >= 64 * KIB
        pending = sum(map(len, accepted.values())) - len(taken) - len(dropped)
        assert len(waiting) == pending
        assert (waiting.waiting_bytes == 0) == (pending == 0)
    taken += all_of(waiting)
    assert waiting.is_empty
    assert all(waiting.cost_of(sender) == 0 for sender in "abc")
    for sender, items in accepted.items():
        assert [item for item in taken if item[0] == sender] == [item for item in items if item not in dropped]
    assert all("=" in item for item in dropped)


@pytest.mark.long
def test_a_driver_that_reads_nothing_costs_what_is_counted() -> None:
    """Pings of 20 bytes from three peers stay within the share of each, whatever Python needs to hold them."""
    box = DriverOutbox()
    ping = Frame("pingRequest", b'<pingRequest uid="1"/>')
    tracemalloc.start()
    try:
        for number in range(8500):
            for sender in range(3):
                box.offer(Outgoing((b"%d %s\n" % (number, ping.data),)), sender, rank_of(ping))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert box.queued_bytes >= 3 * SHARE_BYTES
    assert peak_bytes < 1.1 * 3 * SHARE_BYTES


def test_who_is_refused_for_what_others_sent_is_told_so() -> None:
    waiting: FairQueue[str] = FairQueue(lambda item: None, limit_bytes=1000, share_bytes=1000)
    assert waiting.offer("flood", "image", 3000, urgent=True)
    assert not waiting.offer("honest", "abort", 1, urgent=True)
    assert waiting.room_for("honest", taken=False) is Room.FULL
    assert waiting.room_for("flood", taken=False) is Room.NONE
    assert Room.FULL.is_refusal
    assert Room.NONE.is_refusal
    assert not Room.LITTLE.is_refusal


@pytest.mark.parametrize(
    ("tag", "urgent", "keyed", "by_server"),
    [
        ("newNumberVector", True, False, False),
        ("newBLOBVector", True, False, False),
        ("setNumberVector", False, True, False),
        ("defTextVector", False, True, False),
        ("delProperty", False, False, False),
        ("message", False, False, False),
        ("getProperties", False, False, False),
        ("pingReply", False, False, False),
        ("enableBLOB", False, True, True),
    ],
)
def test_how_messages_wait(tag: str, urgent: bool, keyed: bool, by_server: bool) -> None:
    rank = rank_of(Frame(tag, f'<{tag} device="D" name="v"/>'.encode()))
    assert (rank.urgent, rank.key is not None, rank.by_server) == (urgent, keyed, by_server)


def test_an_outbox_of_a_driver_counts_and_is_emptied() -> None:
    box = DriverOutbox()
    assert box.failure is None
    for number in range(3):
        assert box.offer(Outgoing((b"%d" % number,)), "a")
    assert not box.full
    box.traffic.messages_in += 1
    box.traffic.bytes_in += 7
    assert box.take() == [Outgoing((b"012",))]
    assert not box.is_empty
    box.release()
    assert box.is_empty
    box.add(Outgoing((b"last",)))
    box.discard()
    assert box.offer(Outgoing((b"x",)), "a")  # the driver has gone, and takes everything
    seen = box.statistics()
    assert (seen.messages_in, seen.bytes_in, seen.messages_out, seen.bytes_out, seen.queued_bytes) == (
        1,
        7,
        4,
        7,
        0,
    )


def test_a_driver_s_outbox_has_a_bound() -> None:
    with pytest.raises(ValueError, match="cannot be bounded to 0 bytes"):
        DriverOutbox(0)
