"""Requests and answers on a scripted wire: the same code that drives real ports, in virtual time."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable

import anyio
import pytest
import trio
from trio.testing import MockClock

from indianyio.testing import cancel_at
from indianyio.wires import (
    AnswerTooLongError,
    Dialogue,
    FakeWire,
    Fault,
    Pause,
    Reply,
    Transport,
    Wire,
    WireError,
    WireLostError,
    WireTimeoutError,
)
from indianyio.wires._fake import FakeTransport

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@pytest.fixture
def anyio_backend(clock: MockClock) -> tuple[str, dict[str, object]]:
    return ("trio", {"clock": clock})


async def test_an_answer_ends_with_certain_bytes_or_after_so_many() -> None:
    async with FakeWire([(b":GP#", b"1200#"), (b"V", b"\x01\x02\x03\x04"), (b"x", b"one\r\ntwo\r\n")]) as wire:
        assert await wire.query(b":GP#", until=b"#") == b"1200"
        assert await wire.query(b"V", length=3) == b"\x01\x02\x03"
        assert await wire.query(b"x", until=b"\r\n") == b"one"
        assert await wire.receive(until=b"\r\n") == b"two"


async def test_an_answer_may_come_in_pieces_and_take_its_time() -> None:
    async with FakeWire([(b"?", [b"1", Pause(0.5), b"2\r", Pause(0.5), b"\n"])]) as wire:
        began = anyio.current_time()
        assert await wire.query(b"?", until=b"\r\n", timeout=2) == b"12"
        assert anyio.current_time() - began == pytest.approx(1.0)


async def test_a_time_out_says_what_was_sent_and_what_had_arrived() -> None:
    async with FakeWire([(b":GP#", b"12"), (b":GP#", None)], late=0) as wire:
        with pytest.raises(WireTimeoutError) as half:
            await wire.query(b":GP#", until=b"#", timeout=2)
        with pytest.raises(TimeoutError) as none:
            await wire.query(b":GP#", until=b"#")
    assert str(half.value) == "fake wire: no answer to b':GP#' within 2 s; b'12' had arrived"
    assert (half.value.wire, half.value.sent, half.value.received) == ("fake wire", b":GP#", b"12")
    assert str(none.value) == "fake wire: no answer to b':GP#' within 5 s; nothing had arrived"


async def test_an_answer_that_came_in_time_counts_although_the_event_loop_was_late(clock: MockClock) -> None:
    async def block() -> None:
        await anyio.sleep(0.5)
        clock.jump(5)

    async with FakeWire([(b"GP", [Pause(1), b"x" * 5000, b"#"])]) as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(block)
        assert await wire.query(b"GP", until=b"#", timeout=2) == b"x" * 5000


async def test_a_late_answer_is_not_taken_for_that_of_the_next_request() -> None:
    async with FakeWire([(b"A", [Pause(2.5), b"late#"]), (b"B", b"right#")], late=1) as wire:
        began = anyio.current_time()
        with pytest.raises(WireTimeoutError):
            await wire.query(b"A", until=b"#", timeout=2)
        assert await wire.query(b"B", until=b"#") == b"right"
        assert anyio.current_time() - began == pytest.approx(2.5)  # no longer than it takes


@pytest.mark.parametrize("pause", [0.5, 1.5, 2.5])
async def test_the_answer_of_a_cancelled_query_is_waited_for_and_dropped(pause: float) -> None:
    async with FakeWire([(b"A", [b"la", Pause(pause), b"te#"]), (b"B", b"right#")], late=1) as wire:
        with anyio.move_on_after(0.2):
            await wire.query(b"A", until=b"#", timeout=2)
        assert wire.requests == [b"A"]
        assert await wire.query(b"B", until=b"#") == b"right"


async def test_an_answer_that_never_comes_is_not_waited_for_for_ever() -> None:
    async with FakeWire([(b"A", b"garb"), (b"B", b"right#")], late=1) as wire:
        with anyio.move_on_after(0.2):
            await wire.query(b"A", until=b"#", timeout=2)
        assert await wire.query(b"B", until=b"#") == b"right"
        assert anyio.current_time() == pytest.approx(3.0, abs=0.01)


async def test_waiting_for_an_owed_answer_can_be_cancelled_and_goes_on_later() -> None:
    async with FakeWire([(b"A", [Pause(1.5), b"late#"]), (b"B", b"right#")], late=1) as wire:
        for _ in range(3):
            with anyio.move_on_after(0.2):
                await wire.query(b"A" if not wire.requests else b"B", until=b"#", timeout=2)
        assert wire.requests == [b"A"]
        assert await wire.query(b"B", until=b"#") == b"right"


async def test_a_command_without_answer_waits_for_none_that_is_owed() -> None:
    async with FakeWire([(b"GO", [Pause(1), b"0#"]), (b"STOP", None), (b"B", b"right#")]) as wire:
        with anyio.move_on_after(0.2):
            await wire.query(b"GO", until=b"#")
        began = anyio.current_time()
        await wire.send(b"STOP")
        assert anyio.current_time() == began
        assert await wire.query(b"B", until=b"#") == b"right"


async def test_a_new_connection_is_made_where_that_gets_rid_of_a_late_answer() -> None:
    dialogue: Dialogue = [(b"A", [Pause(60), b"late#"]), (b"B", [Pause(58), b"right#"])]
    async with FakeWire(dialogue, forgets=True) as wire:
        with pytest.raises(WireTimeoutError):
            await wire.query(b"A", until=b"#", timeout=2)
        assert await wire.query(b"B", until=b"#", timeout=60) == b"right"


async def test_stale_input_is_dropped_before_a_query_and_not_before_a_receive() -> None:
    async with FakeWire([(b"A", b"1#"), (b"B", b"2#")]) as wire:
        wire.arrive(b"stale#")
        assert await wire.query(b"A", until=b"#") == b"1"
        wire.arrive(b"news#")
        assert await wire.receive(until=b"#") == b"news"
        assert await wire.query(b"B", until=b"#") == b"2"


async def test_stale_input_can_be_kept() -> None:
    async with FakeWire([(b"A", b"1#")], discard_stale=False) as wire:
        wire.arrive(b"news#")
        await wire.send(b"A")
        assert await wire.receive(until=b"#") == b"news"
        assert await wire.receive(until=b"#") == b"1"


async def test_exchanges_take_place_one_at_a_time_in_order() -> None:
    answers: list[bytes] = []

    async def ask(wire: Wire, number: int) -> None:
        answers.append(await wire.query(b"%d?" % number, until=b"!"))

    async with FakeWire(lambda request: [Pause(0.5), request[:1], Pause(0.5), b"!"]) as wire:
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(ask, wire, number)
                await anyio.wait_all_tasks_blocked()
    assert answers == [b"0", b"1", b"2", b"3", b"4"]
    assert anyio.current_time() == pytest.approx(5)


async def test_nobody_comes_between_the_steps_of_an_exchange() -> None:
    async def ask(wire: Wire) -> None:
        assert await wire.query(b"P", until=b"#") == b"7"

    async with FakeWire([(b"MS", b"1"), (b"WHY", b"below#"), (b"P", b"7#")]) as wire:
        async with anyio.create_task_group() as tasks:
            async with wire.exchange() as exchange:
                tasks.start_soon(ask, wire)
                await anyio.sleep(1)
                await exchange.send(b"MS")
                await anyio.sleep(1)
                assert await exchange.receive(length=1) == b"1"
                assert await exchange.query(b"WHY", until=b"#") == b"below"
    with pytest.raises(RuntimeError, match="over"):
        await exchange.query(b"P", until=b"#")


async def test_what_an_exchange_leaves_behind_is_not_taken_for_an_answer() -> None:
    async with FakeWire([(b"MS", [Pause(1), b"late#"]), (b"P", b"7#")]) as wire:
        with anyio.move_on_after(0.5):
            async with wire.exchange() as exchange:
                await exchange.send(b"MS")
                await anyio.sleep(5)  # nobody can know yet what the answer looks like
        assert await wire.query(b"P", until=b"#") == b"7"


async def test_a_receive_that_was_cut_short_is_gone_on_with() -> None:
    async with FakeWire([(b"MOVE", [b"do", Pause(10), b"ne#"]), (b"P", b"7#")]) as wire:
        await wire.send(b"MOVE")
        for _ in range(3):
            with pytest.raises(WireTimeoutError, match=r"b'do' had arrived; the last bytes sent were b'MOVE'"):
                await wire.receive(until=b"#", timeout=2)
        with anyio.move_on_after(1):
            await wire.receive(until=b"#")
        assert await wire.receive(until=b"#") == b"done"
        assert await wire.query(b"P", until=b"#") == b"7"


async def test_a_receive_does_not_take_what_is_owed_to_a_query() -> None:
    async with FakeWire([(b"A", [Pause(1), b"late#", Pause(1), b"news#"])]) as wire:
        with anyio.move_on_after(0.5):
            await wire.query(b"A", until=b"#")
        assert await wire.receive(until=b"#") == b"news"


@pytest.mark.parametrize("reply", [[Pause(2.5), b"late#"], None])
async def test_within_an_exchange_a_late_answer_is_not_taken_either(reply: Reply) -> None:
    dialogue: Dialogue = [(b"P", b"7#"), (b"A", reply), (b"B", b"right#")]
    async with FakeWire(dialogue) as wire, wire.exchange() as exchange:
        assert await exchange.query(b"P", until=b"#") == b"7"
        with pytest.raises(WireTimeoutError):
            await exchange.query(b"A", until=b"#", timeout=2)
        await exchange.send(b"B")
        assert await exchange.receive(until=b"#") == b"right"


async def test_a_late_answer_that_waits_already_is_dropped_also_where_stale_input_is_kept() -> None:
    async with FakeWire([(b"A", [Pause(3), b"late#"]), (b"B", b"right#")], discard_stale=False, late=0) as wire:
        with pytest.raises(WireTimeoutError):
            await wire.query(b"A", until=b"#", timeout=2)
        await anyio.sleep(2)
        assert await wire.query(b"B", until=b"#") == b"right"


async def test_reports_that_do_not_come_keep_no_query_waiting() -> None:
    async with FakeWire([(b"START", b"news#"), (b"P", b"7#")]) as wire:
        await wire.send(b"START")
        assert await wire.receive(until=b"#") == b"news"
        with pytest.raises(WireTimeoutError):
            await wire.receive(until=b"#", timeout=1)
        began = anyio.current_time()
        assert await wire.query(b"P", until=b"#") == b"7"
        assert anyio.current_time() == began


async def test_what_floods_in_place_of_an_owed_answer_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "indianyio.wires")
    async with FakeWire(
        [(b"A", [b"x" * 600, Pause(0.1)] * 50), (b"B", b"right#")], max_answer=1000, late=0
    ) as wire:
        with anyio.move_on_after(0.05):
            await wire.query(b"A", until=b"#", timeout=9)
        assert await wire.query(b"B", until=b"#") == b"right"
    kept = [int(length) for length in re.findall(r"dropped .*\((\d+) bytes\)", caplog.text)]
    assert len(kept) > 10
    assert max(kept) <= 1600


async def test_a_stop_takes_nothing_from_those_who_wait_for_an_answer(clock: MockClock) -> None:
    async def stop(wire: Wire) -> None:
        await anyio.sleep(0.5)
        clock.jump(1)  # the answer has come, and he who waits for it does not know yet
        await wire.send(b"STOP", urgent=True)

    for _ in range(20):  # who is first is left to chance
        async with FakeWire({b"P": [Pause(1), b"7#"], b"STOP": None}) as wire, anyio.create_task_group() as tasks:
            tasks.start_soon(stop, wire)
            assert await wire.query(b"P", until=b"#") == b"7"


async def test_a_stop_overtakes_those_who_wait_and_the_answer_under_way() -> None:
    async def ask(wire: Wire) -> None:
        await wire.query(b"P", until=b"#")

    async with FakeWire({b"P": [Pause(3), b"7#"], b"STOP": None}) as wire:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask, wire)
            await anyio.sleep(1)
            await wire.send(b"STOP", urgent=True)
            assert anyio.current_time() == pytest.approx(1)
    assert wire.requests == [b"P", b"STOP", b"P", b"P"]


async def test_a_stop_on_a_lost_wire_waits_for_its_turn_and_opens_it() -> None:
    async with FakeWire([(b"STOP", None)]) as wire:
        wire.arrive(Fault.LOST)
        await wire.send(b"STOP", urgent=True)
    assert wire.requests == [b"STOP"]


async def test_a_lost_wire_is_opened_again_if_nothing_was_sent_yet() -> None:
    async with FakeWire([(b"MOVE", b"0#")]) as wire:
        wire.arrive(Fault.LOST)
        assert await wire.query(b"MOVE", until=b"#") == b"0"


async def test_a_command_that_may_have_been_carried_out_is_not_sent_again() -> None:
    async with FakeWire([(b"MOVE 10", Fault.LOST), (b"P", b"7#")]) as wire:
        with pytest.raises(WireLostError, match="may have been carried out") as lost:
            await wire.query(b"MOVE 10", until=b"#")
        assert lost.value.sent == b"MOVE 10"
        assert await wire.query(b"P", until=b"#") == b"7"  # it is opened again for this
    assert wire.requests == [b"MOVE 10", b"P"]


async def test_what_is_repeatable_is_sent_again_once() -> None:
    async with FakeWire(
        [(b"P", Fault.LOST), (b"P", b"7#"), (b"P", Fault.LOST), (b"P", [b"8", Fault.LOST])]
    ) as wire:
        assert await wire.query(b"P", until=b"#", repeatable=True) == b"7"
        with pytest.raises(WireLostError):
            await wire.query(b"P", until=b"#", repeatable=True)
    assert wire.requests == [b"P"] * 4


async def test_a_wire_is_opened_again_once_per_call() -> None:
    async with FakeWire([(b"P", Fault.LOST)]) as wire:
        wire.arrive(Fault.LOST)
        with pytest.raises(WireLostError):
            await wire.query(b"P", until=b"#", repeatable=True)
    assert wire.requests == [b"P"]


async def test_what_has_timed_out_is_not_repeated() -> None:
    async with FakeWire([(b"P", None)]) as wire:
        with pytest.raises(WireTimeoutError):
            await wire.query(b"P", until=b"#", repeatable=True)


async def test_half_an_exchange_does_not_go_on_over_a_new_connection() -> None:
    async with FakeWire([(b"A", [b"1#", Fault.LOST])]) as wire:
        async with wire.exchange() as exchange:
            await exchange.send(b"A")
            assert await exchange.receive(until=b"#") == b"1"
            with pytest.raises(WireLostError):
                await exchange.receive(until=b"#")
            with pytest.raises(WireLostError):
                await exchange.send(b"B")
            with pytest.raises(WireLostError):
                await exchange.query(b"C", until=b"#", repeatable=True)


async def test_an_unplugged_wire_is_opened_again_when_it_is_plugged_in() -> None:
    async with FakeWire([(b"P", b"7#")]) as wire:
        wire.unplug()
        for _ in range(2):
            with pytest.raises(WireError, match="fake wire: there is no such port"):
                await wire.query(b"P", until=b"#")
        wire.plug_in()
        assert await wire.query(b"P", until=b"#") == b"7"


async def test_an_instrument_that_reports_by_itself_is_followed_through_a_loss() -> None:
    async with FakeWire([]) as wire:
        wire.arrive(b"$1\n", Fault.LOST, b"$2\n")
        assert [await wire.receive(until=b"\n") for _ in range(2)] == [b"$1", b"$2"]


async def test_too_long_an_answer_is_refused_and_the_next_is_right() -> None:
    async with FakeWire(
        [(b"A", b"x" * 200 + b"#"), (b"B", b"y" * 99 + b"#"), (b"C", b"z" * 101 + b"#")], max_answer=100
    ) as wire:
        with pytest.raises(AnswerTooLongError, match="has no end within 100 bytes") as long:
            await wire.query(b"A", until=b"#")
        assert len(long.value.received) == 201
        assert await wire.query(b"B", until=b"#") == b"y" * 99
        with pytest.raises(AnswerTooLongError):
            await wire.query(b"C", until=b"#")
        with pytest.raises(ValueError, match="max_answer"):
            await wire.query(b"C", length=101)


async def test_a_flood_stops_nobody_and_is_an_error() -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await anyio.lowlevel.checkpoint()

    async with FakeWire([(b"A", b"?")]) as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        wire.arrive(*[b"x" * 4096] * 1000)
        with pytest.raises(AnswerTooLongError):
            await wire.query(b"A", until=b"#", timeout=1)
        assert beats >= 16
        tasks.cancel_scope.cancel()


async def test_closing_ends_what_is_under_way_and_what_waits() -> None:
    endings: list[str] = []

    async def ask(wire: Wire) -> None:
        with pytest.raises(WireError) as caught:
            await wire.query(b"P", until=b"#")
        endings.append(str(caught.value))

    wire = FakeWire([(b"P", None)])
    await wire.open()
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(ask, wire)
            await anyio.wait_all_tasks_blocked()
        await wire.close()
        await wire.open()  # for others; those who waited have waited in vain
    assert "closed" in endings[0]
    assert "closed" in endings[1]
    assert wire.requests == [b"P"]
    await wire.close()
    await wire.close()


async def test_a_wire_within_its_own_exchange_does_not_wait_for_itself() -> None:
    async with FakeWire([]) as wire, wire.exchange():
        with pytest.raises(RuntimeError):
            await wire.query(b"P", until=b"#")


async def test_an_exchange_does_not_outlive_its_wire() -> None:
    wire = FakeWire([])
    await wire.open()
    async with wire.exchange() as exchange:
        await wire.close()
        async with wire:  # somebody else's
            with pytest.raises(WireError, match="closed"):
                await exchange.send(b"A")


def test_another_event_loop_with_another_clock_does_not_wait_for_years() -> None:
    wire = FakeWire([(b"A", None), (b"B", b"2#")])

    async def give_up() -> None:
        late_clock.jump(1e9)
        async with anyio.create_task_group() as tasks:
            await wire.open()
            tasks.start_soon(ask_for, b"A")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await wire.close()

    async def ask_again() -> float:
        began = anyio.current_time()
        await wire.open()
        assert await ask_for(b"B") == b"2"
        await wire.close()
        return anyio.current_time() - began

    async def ask_for(request: bytes) -> bytes:
        return await wire.query(request, until=b"#", timeout=2)

    late_clock = MockClock(autojump_threshold=0)
    trio.run(give_up, clock=late_clock)
    assert trio.run(ask_again, clock=MockClock(autojump_threshold=0)) == pytest.approx(3)


async def test_closed_while_it_is_opened_it_is_closed() -> None:
    transports: list[Transport] = []

    class Slow(FakeWire):
        async def make_transport(self) -> FakeTransport:
            await anyio.sleep(1)
            transports.append(made := await super().make_transport())
            return made

    async def close(wire: Wire) -> None:
        await anyio.sleep(0.5)
        await wire.close()

    wire = Slow([])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close, wire)
        with pytest.raises(WireError, match="closed"):
            await wire.open()
    assert not wire.is_open
    with pytest.raises(anyio.ClosedResourceError):
        transports[0].read()


async def test_a_wire_that_is_not_open_says_so() -> None:
    wire = FakeWire([])
    for call in (wire.query(b"P", until=b"#"), wire.send(b"P", urgent=True), wire.receive(length=1)):
        with pytest.raises(WireError, match="not open"):
            await call
    async with wire:
        assert wire.is_open
        with pytest.raises(RuntimeError, match="open already"):
            await wire.open()
    assert not wire.is_open


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda wire: wire.query(b"P"), TypeError),
        (lambda wire: wire.query(b"P", until=b"#", length=1), TypeError),
        (lambda wire: wire.query(b"P", until=b""), ValueError),
        (lambda wire: wire.query(b"P", length=0), ValueError),
        (lambda wire: wire.query("P", until=b"#"), TypeError),
        (lambda wire: wire.query(b"", until=b"#"), ValueError),
        (lambda wire: wire.send("P"), TypeError),
        (lambda wire: wire.send("P", urgent=True), TypeError),
        (lambda wire: wire.query(b"P", until=b"#", timeout=0), ValueError),
        (lambda wire: wire.query(b"P", until=b"#", timeout=float("inf")), ValueError),
        (lambda wire: wire.query(b"P", until=b"#", timeout=float("nan")), ValueError),
    ],
)
async def test_wrong_calls_are_refused_before_anything_is_sent(
    call: Callable[[Wire], Awaitable[object]], error: type[Exception]
) -> None:
    async with FakeWire([]) as wire:
        with pytest.raises(error):
            await call(wire)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"late": -1}, {"max_answer": 0}])
async def test_wrong_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        FakeWire([], **options)  # type: ignore[arg-type]


async def test_every_exchange_is_in_the_debug_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "indianyio.wires")
    async with FakeWire([(b"A" * 500, [Pause(0.25), b"1#"])]) as wire:
        wire.arrive(b"stale")
        await wire.query(b"A" * 500, until=b"#")
    assert caplog.messages == [
        "fake wire: dropped b'stale' (stale input)",
        f"fake wire: sent {b'A' * 120!r}... (500 bytes)",
        "fake wire: received b'1' after 0.250 s",
    ]


class Instrument:
    """A mount that counts its moves, and answers each request with its name."""

    def __init__(self) -> None:
        self.moves = 0

    def __call__(self, request: bytes) -> list[bytes | Pause]:
        self.moves += request == b"MOVE"
        if request == b"END":
            return []
        return [Pause(0.1), request[:1], Pause(0.1), request[1:] + b"#"]


@pytest.mark.parametrize("forgets", [False, True])
async def test_cancelled_at_any_await_the_wire_is_in_step_and_nothing_is_done_twice(forgets: bool) -> None:
    async def use(wire: Wire) -> None:
        assert await wire.query(b"MOVE", until=b"#") == b"MOVE"
        async with wire.exchange() as exchange:
            await exchange.send(b"STEP")
            assert await exchange.receive(length=2) == b"ST"
            assert await exchange.receive(until=b"#") == b"EP"
        await wire.send(b"END")
        await wire.send(b"END", urgent=True)

    number = 0
    cancelled = True
    while cancelled:
        number += 1
        instrument = Instrument()
        async with FakeWire(instrument, timeout=2, late=1, forgets=forgets) as wire:
            cancelled = await cancel_at(number, lambda: use(wire))
            assert instrument.moves <= 1
            for request in (b"MINE", b"STEP", b"MORE"):
                assert await wire.query(request, until=b"#") == request
    assert number > 10
