"""``simulate``: a driver in simulated runs; every rule for any driver, and that it can fail."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import anyio
import pytest

from indianyio import IPyDriver, NewEvent
from indianyio.examples.thermostat import Thermostat
from indianyio.examples.window import Window
from indianyio.testing.simulation import (
    RULES,
    LastWritesAreHandled,
    NothingUnexpectedIsLogged,
    Plan,
    PlanError,
    QueuesAreBounded,
    Rule,
    Written,
    _driver_run,
    plan_for_driver,
    play_driver,
    simulate,
)
from indianyio.testing.simulation._standstill import Standstill
from indianyio.wires import TcpWire
from tests.simulation import small_drivers
from tests.simulation.small_drivers import Good

test_the_thermostat = simulate(Thermostat, seeds=6)
test_the_window = simulate(Window, seeds=3)
test_a_driver_without_a_flaw = simulate(Good, seeds=10)


def _broken(make: Callable[[], IPyDriver], seeds: range = range(12)) -> set[str]:
    """Return the rules that a driver breaks with the first seed with which it breaks one."""
    for seed in seeds:
        found = {finding.rule for finding in play_driver(plan_for_driver(seed), make).findings}
        if found:
            return found
    return set()


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (small_drivers.LeavesTwice, "LeavesOnce"),
        (small_drivers.Fails, "EndsInTime"),
        (small_drivers.TakesItsTime, "EndsInTime"),
        (small_drivers.AnswersNoAbort, "AbortIsAnswered"),
        (small_drivers.WaitsForEver, "LastWritesAreHandled"),
        (small_drivers.FailsToAbort, "NothingUnexpectedIsLogged"),
        (small_drivers.SaysNothing, "ClientsKnowTheTruth"),
        (small_drivers.ChecksNothing, "RefusesBadWrites"),
        (small_drivers.StartsTasks, "QueuesAreBounded"),
        (small_drivers.LeavesATask, "LeavesNoTask"),
        (small_drivers.UsesTheClock, "NothingIsReal"),
        (small_drivers.CountsNanoseconds, "NothingIsReal"),
        (small_drivers.Sleeps, "NothingIsReal"),
        (lambda: small_drivers.Sleeps(), "NothingIsReal"),
        (partial(small_drivers.Sleeps), "NothingIsReal"),
        (small_drivers.UsesThreads, "NothingIsReal"),
        (small_drivers.StartsAThread, "NothingIsReal"),
    ],
)
def test_a_rule_finds_who_breaks_it(make: Callable[[], IPyDriver], rule: str) -> None:
    assert rule in _broken(make)


class TakesMinutes(Good):
    """Its mode takes five minutes, as a long exposure does in a handler that waits for it."""

    async def rxevent(self, event: NewEvent) -> None:
        if event.vector is self.mode:
            await anyio.sleep(300)
        await super().rxevent(event)


class DeletesItsNote(Good):
    """It deletes its note when the mode is chosen, before the note's handler has come to the write that waits."""

    async def rxevent(self, event: NewEvent) -> None:
        if event.vector is self.note:
            await anyio.sleep(700)
            await self.note.send_delProperty()
        else:
            await super().rxevent(event)


@pytest.mark.parametrize("make", [TakesMinutes, DeletesItsNote])
def test_a_last_write_may_wait_for_others_and_its_vector_may_go(make: Callable[[], IPyDriver]) -> None:
    for seed in range(4):
        plan = plan_for_driver(seed)
        assert play_driver(plan, make, [LastWritesAreHandled]).findings == []


def test_a_driver_that_never_lets_time_pass_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_driver_run, "Standstill", partial(Standstill, most_at_a_moment=3000))
    [first, *_] = play_driver(plan_for_driver(1), small_drivers.NeverWaits).findings
    assert first.rule == "TimePasses"
    assert "time does not pass any more: all tasks had 3001 turns" in first.text


def test_a_run_without_an_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_driver_run, "Standstill", partial(Standstill, most_in_a_run=50))
    [first, *_] = play_driver(plan_for_driver(1), Good).findings
    assert (first.rule, first.text) == ("TimePasses", "the run does not end: all tasks had 51 turns")


def test_the_order_of_writes_is_looked_at() -> None:
    """The library keeps the order, so what a driver of another library would show is played to the rule."""
    seen: list[str] = []

    class Confused(Rule):
        def begins(self, vector: object, number: int) -> None:
            orders = next(rule for rule in self.scene.rules if type(rule).__name__ == "HandlesInOrder")
            if number > 1 and not seen:
                seen.append("once")
                orders.begins(vector, number - 1)  # type: ignore[arg-type]
                orders.begins(vector, number)  # type: ignore[arg-type]

    plan = plan_for_driver(1)
    outcome = play_driver(plan, Good, (*RULES, Confused))
    assert seen
    assert {finding.rule for finding in outcome.findings} == {"HandlesInOrder"}


def test_tasks_that_are_left_are_counted() -> None:
    class Leaves(Rule):
        def over(self) -> None:
            self.scene.tasks_left = 2
            self.scene.rules[2].over()

    outcome = play_driver(plan_for_driver(1), Good, (*RULES, Leaves))
    assert [finding.text for finding in outcome.findings] == ["2 tasks were left when the run had ended"]


class DefinedHere(Good):
    """A driver beside its test."""


def test_what_plays_a_driver_is_not_taken_for_the_driver() -> None:
    assert play_driver(plan_for_driver(1), DefinedHere).findings == []


class KeyErrorsAreExpected(NothingUnexpectedIsLogged):
    expected: ClassVar[tuple[type[BaseException], ...]] = (KeyError,)


@pytest.mark.long
def test_an_author_says_which_errors_he_expects() -> None:
    others = [rule for rule in RULES if rule is not NothingUnexpectedIsLogged]
    plans = [plan_for_driver(seed) for seed in range(12)]
    told = {
        rule: {one.text for plan in plans for one in play_driver(plan, small_drivers.FailsToAbort, rules).findings}
        for rule, rules in ((1, RULES), (2, [*others, KeyErrorsAreExpected]))
    }
    assert told[2] == set()
    assert any(
        text.startswith("indianyio.driver")
        and "rxevent failed for Good.LEVEL_ABORT' with KeyError('made up')" in text
        and "small_drivers.py:" in text
        for text in told[1]
    )


def test_bytes_that_wait_are_counted() -> None:
    class KeepsMuch(QueuesAreBounded):
        _LARGEST_MESSAGE_BYTES = -(1 << 21)

    [first, *_] = play_driver(plan_for_driver(1), Good, [KeepsMuch]).findings
    assert "bytes wait for the peer" in first.text


def test_what_is_no_xml_is_found() -> None:
    class TalksRubbish(Rule):
        def second(self) -> None:
            self.scene.line.b.send_now(b"<a></b>")

    assert "SendsXML" in {one.rule for one in play_driver(plan_for_driver(1), Good, [TalksRubbish]).findings}


def test_a_ping_that_is_not_answered_is_found() -> None:
    class HearsNothing(Rule):
        def second(self) -> None:
            if self.scene.now > self.scene.plan.seconds:
                self.scene.line.stall()

    assert "Answers" in {one.rule for one in play_driver(plan_for_driver(1), Good, [HearsNothing]).findings}


def test_what_is_real_is_told_with_its_place_and_what_to_do() -> None:
    findings = play_driver(plan_for_driver(1), small_drivers.UsesTheClock).findings
    texts = sorted(finding.text for finding in findings)
    assert [text.split(" is real")[0] for text in texts] == ["datetime.now", "time.monotonic"]
    assert "small_drivers.py:" in texts[1]
    assert "in hardware" in texts[1]
    assert "use anyio.current_time()" in texts[1]


def test_each_clock_is_told() -> None:
    findings = play_driver(plan_for_driver(1), small_drivers.UsesTheCalendar).findings
    assert {finding.text.split(" is real")[0] for finding in findings} == {
        "date.today",
        "datetime.today",
        "time.localtime",
        "time.gmtime",
        "time.ctime",
    }
    assert play_driver(plan_for_driver(1), small_drivers.ConvertsTimes).findings == []


def test_a_temporary_file_is_no_device() -> None:
    assert play_driver(plan_for_driver(1), small_drivers.KeepsATemporaryFile).findings == []


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (small_drivers.OpensADescriptor, "a file or a device by its descriptor is real: "),
        (small_drivers.RunsACommand, "a program is real: "),
    ],
)
def test_what_leads_out_of_a_run_is_told(make: type[small_drivers.Good], told: str) -> None:
    [finding] = play_driver(plan_for_driver(1), make).findings
    assert finding.text.startswith(told)
    assert "in hardware" in finding.text


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (small_drivers.OpensAWire, "a wire is real: TcpWire to "),
        (small_drivers.OpensASerialPort, "a wire is real: SerialWire to /dev/null"),
        (small_drivers.Connects, "a connection is real: to ('127.0.0.1', "),
    ],
)
def test_no_real_instrument_is_reached(
    monkeypatch: pytest.MonkeyPatch, make: type[small_drivers.Good], told: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as instrument:
        instrument.setblocking(False)
        monkeypatch.setattr(small_drivers, "PORT", instrument.getsockname()[1])
        texts = [finding.text for finding in play_driver(plan_for_driver(1), make).findings]
        assert any(text.startswith(told) for text in texts), texts
        with pytest.raises(BlockingIOError):
            instrument.accept()
    assert "connect" not in vars(socket.socket)  # all is as it was, and what is inherited is inherited again
    assert "open" not in vars(TcpWire)


@pytest.mark.long
def test_a_run_is_the_same_again() -> None:
    for seed in range(4):
        digests = {play_driver(plan_for_driver(seed), Thermostat).digest for _ in range(2)}
        assert len(digests) == 1
    assert play_driver(plan_for_driver(1), Thermostat).digest != play_driver(plan_for_driver(2), Thermostat).digest


def test_runs_do_something() -> None:
    outcomes = [play_driver(plan_for_driver(seed), Good) for seed in range(8)]
    assert sum(outcome.figures["handled"] for outcome in outcomes) > 50
    assert {outcome.plan.end for outcome in outcomes} > {"shutdown", "close"}


def test_an_author_writes_a_rule_of_its_own() -> None:
    class LevelIsNeverAbove90(Rule):
        def heard(self, message: object) -> None:
            known = self.scene.mirror.get(("Good", "LEVEL"))
            if known is not None and float(known.values["value"]) > 90:
                self.broken("it is above 90")

        def wrote(self, written: Written) -> None:
            assert written.wish.device == "Good"

    found = set[str]()
    for seed in range(10):
        found |= {one.text for one in play_driver(plan_for_driver(seed), Good, [LevelIsNeverAbove90]).findings}
    assert found == {"it is above 90"}


def test_who_asks_for_another_end_is_told() -> None:
    plan = Plan("driver", 1, 10.0, end="fire")
    with pytest.raises(PlanError, match="not by 'fire'"):
        play_driver(plan, Good)


def test_what_is_no_driver_is_told() -> None:
    with pytest.raises(TypeError, match="is not a driver"):
        play_driver(plan_for_driver(1), lambda: "a driver")  # type: ignore[arg-type,return-value]
