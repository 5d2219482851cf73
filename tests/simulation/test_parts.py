"""What simulations are made of: seeded runs, lines, the reader, plans."""

from __future__ import annotations

import random
import ssl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
import trio
from trio._core import _run as scheduler

from indianyio.exceptions import ConnectionLostError
from indianyio.testing.simulation import (
    BEGINNING,
    Fault,
    Finding,
    Line,
    LineConditions,
    LineEnd,
    Mirror,
    Network,
    Outcome,
    Part,
    Plan,
    PlanError,
    Reader,
    Reality,
    chance,
    load_plan,
    run_seeded,
    shrink,
)

# -- seeded runs -----------------------------------------------------------------------------------------------


async def _order_of_tasks() -> list[int]:
    order: list[int] = []

    async def note(number: int) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(note, number)
    return order


def test_a_seed_decides_the_order_of_tasks() -> None:
    orders = [tuple(run_seeded(seed, _order_of_tasks)) for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3


def test_everything_else_goes_on_as_it_was() -> None:
    random.seed(5)
    expected = random.Random(5).random()
    flag, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    run_seeded(1, _order_of_tasks)
    assert flag == scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    assert scheduler._r.getstate() == state
    assert random.random() == expected


def test_time_is_virtual() -> None:
    async def wait() -> float:
        await anyio.sleep(3600)
        return trio.current_time()

    assert run_seeded(1, wait) == 3600


@pytest.mark.parametrize("name", ["_r", "_ALLOW_DETERMINISTIC_SCHEDULING"])
def test_another_trio_is_told_from_this(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(scheduler, name)
    with pytest.raises(RuntimeError, match=r"change indianyio/testing/simulation/_seeded\.py"):
        run_seeded(1, _order_of_tasks)


def test_the_kit_alone_loads_neither_trio_nor_the_simulation() -> None:
    code = (
        "import sys, indianyio.testing as kit; kit.running; "
        "print('trio' in sys.modules, 'indianyio.testing.simulation' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# -- lines -----------------------------------------------------------------------------------------------------


def _line(**conditions: float) -> Line:
    return Line("line", chance(1, "line"), LineConditions(**conditions))  # type: ignore[arg-type]


def test_a_line_is_late_and_cut_into_pieces_but_complete() -> None:
    async def carry() -> tuple[bytes, float, int]:
        line, got, pieces = _line(delay=2.0, split=7, capacity_bytes=50), b"", 0
        sent = bytes(range(200))
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await line.a.send(sent)
                await line.a.aclose()

            nursery.start_soon(send)
            while data := (await line.b.receive()).data:
                got += data
                pieces += 1
        assert got == sent
        return got, trio.current_time(), pieces

    first, second = run_seeded(1, carry), run_seeded(1, carry)
    assert first == second
    assert 2 < first[1] < 10
    assert first[2] >= 200 / 7


def test_a_sender_that_may_not_wait_is_taken_part_of() -> None:
    async def send() -> list[int]:
        line = _line(partial=True, capacity_bytes=100)
        return [line.a.send_now(bytes(60)) for _ in range(5)]

    taken = run_seeded(1, send)
    assert 0 < sum(taken) <= 100
    assert any(0 < one < 60 for one in taken)


def test_what_is_sent_on_a_stalled_line_arrives_later() -> None:
    async def carry() -> float:
        line = _line()
        line.stall()
        await line.a.send(b"late")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 5)
            with trio.move_on_after(3):
                await line.b.receive()
            line.go_on()
            assert (await line.b.receive()).data == b"late"
            return trio.current_time()

    assert run_seeded(1, carry) == 3


def test_both_ends_of_a_line_that_is_cut_are_told() -> None:
    async def cut() -> None:
        line = _line()
        await line.a.send(b"lost")
        line.cut()
        for end in (line.a, line.b):
            with pytest.raises(ConnectionLostError, match="reset by peer"):
                await end.receive()
            with pytest.raises(ConnectionLostError):
                await end.send(b"x")
            assert end.send_now(b"x") == 0
        assert not line.is_open

    run_seeded(1, cut)


def test_only_one_way_is_garbled() -> None:
    async def carry() -> tuple[bytes, bytes]:
        line = _line()
        line.garble(0.5, to="b")
        await line.a.send(bytes(100))
        await line.b.send(bytes(100))
        return (await line.b.receive()).data, (await line.a.receive()).data

    there, back = run_seeded(1, carry)
    assert there != bytes(100)
    assert len(there) == 100
    assert back == bytes(100)


def test_a_line_knows_its_first_garbled_byte() -> None:
    async def carry() -> tuple[bytes, int | None, int | None]:
        line = _line()
        await line.a.send(bytes(10))
        assert line.garbled_from(to="b") is None
        line.garble(0.1, to="b")
        for _ in range(5):
            await line.a.send(bytes(20))
        return (await line.b.receive()).data, line.garbled_from(to="b"), line.garbled_from(to="a")

    data, first, back = run_seeded(1, carry)
    assert first is not None
    assert 10 <= first < 110
    assert data[:first] == bytes(first)
    assert data[first]
    assert back is None


async def _close_while_parted(nursery: trio.Nursery) -> tuple[Network, LineEnd]:
    network = Network(nursery, 1)
    line = network.new_line("A", "B")
    await line.b.send(b"good bye")
    network.part("A", "B")
    await line.b.aclose()
    assert not list(network.lines("A", "B"))
    with trio.move_on_after(5):
        await line.a.receive()
    assert trio.current_time() == 5
    return network, line.a


def test_what_was_closed_while_hosts_were_parted_is_noticed_later() -> None:
    async def close() -> list[bytes]:
        async with trio.open_nursery() as nursery:
            network, end = await _close_while_parted(nursery)
            network.join("A", "B")
            return [(await end.receive()).data for _ in range(2)]

    assert run_seeded(1, close) == [b"good bye", b""]


def test_what_was_closed_while_hosts_were_parted_may_be_lost() -> None:
    async def close() -> None:
        async with trio.open_nursery() as nursery:
            network, end = await _close_while_parted(nursery)
            network.cut("A", "B")
            network.join("A", "B")
            with pytest.raises(ConnectionLostError, match="reset by peer"):
                await end.receive()

    run_seeded(1, close)


def test_what_a_network_does_not_have_is_refused() -> None:
    async def ask() -> None:
        async with trio.open_nursery() as nursery:
            host, tls = Network(nursery, 1).host("A"), ssl.create_default_context()
            with pytest.raises(ValueError, match="has no TLS: leave tls out"):
                await host.connect("B", 7624, 1, name="B", tls=tls)
            with pytest.raises(ValueError, match="has no TLS: leave tls out"):
                await host.listen(None, 7624, None, tls=tls)
            with pytest.raises(ValueError, match="has no unix sockets: listen and connect by the host's name"):
                await host.connect_unix("@indi", 1, name="B")
            with pytest.raises(ValueError, match="has no unix sockets"):
                await host.listen(None, 7624, "@indi")

    run_seeded(1, ask)


def test_the_clocks_of_a_run_agree() -> None:
    async def look() -> None:
        async with trio.open_nursery() as nursery:
            await trio.sleep(90)
            moment = Network(nursery, 1).host("A").time_of_day()
            assert moment == BEGINNING + timedelta(seconds=90)
            reality = Reality(1)
            assert reality._time() == moment.timestamp()

    run_seeded(1, look)


# -- reading ---------------------------------------------------------------------------------------------------

_SAID = (
    b'<defNumberVector device="D" name="N" state="Ok" perm="rw"><defNumber name="n" min="0" max="5">1</defNumber>'
    b'</defNumberVector><setNumberVector device="D" name="N" state="Busy"><oneNumber name="n">\n2\n</oneNumber>'
    b'</setNumberVector><message device="D" message="&lt;hello>"/>'
)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_messages_do_not_depend_on_where_they_are_cut(size: int) -> None:
    reader, mirror, heard = Reader(), Mirror(), []
    for start in range(0, len(_SAID), size):
        heard += reader.feed(_SAID[start : start + size])
    assert [one.tag for one in heard] == ["defNumberVector", "setNumberVector", "message"]
    assert heard[2].attributes["message"] == "<hello>"
    assert not any(mirror.apply(one) for one in heard)
    known = mirror["D", "N"]
    assert (known.kind, known.state, known.values, known.is_writable) == ("Number", "Busy", {"n": "2"}, True)


def test_a_mirror_takes_the_new_limits_of_an_update() -> None:
    reader, mirror = Reader(), Mirror()
    number = b"<defNumber name='a' format='%g' min='0' max='5' step='1'>1</defNumber>"
    defined = b"<defNumberVector device='D' name='N' perm='rw' state='Ok'>" + number + b"</defNumberVector>"
    update = b"<setNumberVector device='D' name='N'><oneNumber name='a' max='9'>1</oneNumber></setNumberVector>"
    for one in reader.feed(defined + update):
        mirror.apply(one)
    assert mirror["D", "N"].members["a"] == {"name": "a", "format": "%g", "min": "0", "max": "9", "step": "1"}


def test_a_mirror_forgets_what_is_deleted() -> None:
    reader, mirror = Reader(), Mirror()
    for one in reader.feed(_SAID + b"<delProperty device='E'/>"):
        mirror.apply(one)
    kept = mirror.copied()
    [gone] = reader.feed(b"<delProperty device='D'/>")
    mirror.apply(gone)
    assert (list(mirror), list(kept)) == ([], [("D", "N")])
    [late] = reader.feed(b"<setNumberVector device='D' name='N' state='Ok'/>")
    assert mirror.apply(late)


def test_what_is_no_xml_is_told() -> None:
    with pytest.raises(ValueError, match="no XML"):
        Reader().feed(b"<a><b</a>")


# -- plans -----------------------------------------------------------------------------------------------------

_PLAN = Plan(
    "made up",
    7,
    60.0,
    knobs={"delay": 1.0, "split": 3},
    parts=[Part("client", "c1", {"writes": 20}), Part("client", "c2", {"wants": ["A", "B"]})],
    faults=[Fault(float(number), "stall", seconds=2) for number in range(9)],
)


def test_a_plan_is_json_that_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "plan.json"
    _PLAN.save(path)
    assert load_plan(path) == _PLAN
    assert load_plan(path).parts[1].names("wants") == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a plan"),
        ('{"scene": "s", "seed": 1, "seconds": 1, "knob": {}}', "unknown field `knob`"),
        ('{"scene": "s", "seed": 1, "seconds": 1, "version": 9}', "indianyio simulation 9; only"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        load_plan(text)


def test_a_setting_of_another_kind_is_told() -> None:
    part = Part("client", "c1", {"writes": "many", "wants": 3})
    with pytest.raises(PlanError, match="client c1: writes is 'many', not a number"):
        part.number("writes", 1)
    with pytest.raises(PlanError, match="wants is 3"):
        part.names("wants")


def test_a_plan_shrinks_to_what_breaks_the_rule() -> None:
    runs = 0

    def play(plan: Plan) -> Outcome:
        nonlocal runs
        runs += 1
        wrong = any(fault.at == 4 for fault in plan.faults) and plan.of_kind("client") and plan.knob("split", 0)
        findings = [Finding("Rule", "broken")] if wrong else [Finding("Other", "also")] if plan.faults else []
        return Outcome(plan, findings, "")

    small = shrink(play(_PLAN), play).plan
    assert [fault.at for fault in small.faults] == [4]
    assert [part.settings for part in small.parts] in ([{"wants": ["A", "B"]}], [{"writes": 1}])
    assert (small.knobs, small.seconds < 2) == ({"split": 3}, True)
    assert runs < 60


def test_what_breaks_nothing_is_not_shrunk() -> None:
    with pytest.raises(ValueError, match="breaks no rule"):
        shrink(Outcome(_PLAN, [], ""), lambda plan: Outcome(plan, [], ""))


def test_dropping_one_thing_leaves_the_chance_of_others_alone() -> None:
    assert chance(1, "a").random() == chance(1, "a").random()
    assert len({chance(seed, name).random() for seed in (1, 2) for name in "ab"}) == 4
