"""The comparison finds what differs, and reasons for what does not."""

from __future__ import annotations

from indianyio._vocabulary import Permission, Rule, State
from indianyio.protocol import DefSwitch, DefSwitchVector
from tests.instrument.side_by_side.bench import Did, Step
from tests.instrument.side_by_side.comparison import (
    Fact,
    Reason,
    compare_definitions,
    compare_steps,
    unexplained,
    without_cause,
)

STEP = Step("go", "PLACE", {"X": 1.0})
FACT = Fact("go", "PLACE", "states: Busy Ok, Ok")
REASON = Reason("cart", "go", "PLACE", "states: Busy Ok, Ok", "It takes its time.")


def did(states: str = "Busy Ok", value: float = 1.0, *, has_said: bool = False) -> Did:
    return Did({"PLACE": states}, {"PLACE": {"X": value}}, has_said, set(), set())


def lamp(rule: Rule = Rule.ONE_OF_MANY, label: str = "On", name: str = "ON") -> dict[str, DefSwitchVector]:
    vector = DefSwitchVector(
        device="Lamp",
        name="LAMP",
        state=State.IDLE,
        perm=Permission.RW,
        rule=rule,
        members=(DefSwitch(name=name, label=label, value="Off"),),
    )
    return {"LAMP": vector}


def test_what_is_the_same_is_no_difference() -> None:
    assert [*compare_steps(STEP, did(), did(value=1.001), ["PLACE"])] == []
    assert [*compare_definitions(lamp(), lamp(), (set(), set()))] == []


def test_each_difference_of_a_step_is_found() -> None:
    assert [*compare_steps(STEP, did(), did("Ok"), ["PLACE"])] == [FACT]
    assert [*compare_steps(STEP, did(), did(value=2.0), ["PLACE"])] == [Fact("go", "PLACE", "X: 1.0, 2.0")]
    assert [*compare_steps(STEP, did(has_said=True), did(), ["PLACE"])] == [
        Fact("go", "PLACE", "done: only ours has a text")
    ]


def test_each_difference_of_a_definition_is_found() -> None:
    nowhere: tuple[set[str], set[str]] = (set(), set())
    facts = [
        *compare_definitions(lamp(), lamp(Rule.ANY_OF_MANY), nowhere),
        *compare_definitions(lamp(), lamp(label="an"), nowhere),
        *compare_definitions(lamp(), lamp(name="ONE"), nowhere),
        *compare_definitions(lamp(), {}, nowhere),
        *compare_definitions(lamp(), lamp(), ({"LAMP"}, set())),
    ]
    assert [fact.what for fact in facts] == [
        "rule: OneOfMany, AnyOfMany",
        "labels: On, an",
        "members: ON, ONE",
        "defined: connected, never",
        "defined: always, connected",
    ]


def test_a_difference_needs_a_reason_and_a_reason_a_difference() -> None:
    assert unexplained("cart", [FACT], []) == [FACT]
    assert unexplained("mount", [FACT], [REASON]) == [FACT]
    assert unexplained("cart", [FACT], [REASON]) == []
    assert without_cause("cart", [], [REASON]) == [REASON]
    assert without_cause("cart", [FACT], [REASON]) == without_cause("mount", [], [REASON]) == []
