"""Every rule of an observatory can fail, and small observatories break none."""

from __future__ import annotations

import msgspec
import pytest

from indianyio.testing.simulation import Fault, Heard, Part, Plan
from tests.simulation import last_writes, observatory_run, observatory_users, write_rules
from tests.simulation.observatory import Rule
from tests.simulation.observatory_rules import RULES
from tests.simulation.observatory_run import play_observatory
from tests.simulation.saboteurs import SABOTEURS, SeesItsOwn, SeesNobodyWhoWantsBLOBs
from tests.simulation.small_observatories import CROWD, PLAN
from tests.simulation.stations import TARGET, Station
from tests.simulation.user_saboteurs import USER_SABOTEURS
from tests.simulation.writers import Session

ALL = (*SABOTEURS, *USER_SABOTEURS)


def test_the_plan_of_the_saboteurs_breaks_no_rule() -> None:
    outcome = play_observatory(PLAN, RULES)
    assert outcome.findings == []
    assert outcome.figures["lives"] == 4
    # Thirty in the night, and at its end a target and an Abort for each of three devices.
    assert outcome.figures["written"] == 36


@pytest.mark.long
@pytest.mark.parametrize("saboteur", ALL)
def test_a_rule_that_sees_something_else_is_broken(saboteur: type[Rule]) -> None:
    outcome = play_observatory(PLAN, (saboteur,))
    assert {finding.rule for finding in outcome.findings} == {saboteur.__name__}


def test_every_rule_has_a_saboteur() -> None:
    assert {saboteur.__mro__[1] for saboteur in ALL} == set(RULES)


def test_without_a_driver_the_rules_hold_too() -> None:
    """Shrinking leaves out what the broken rule does not need."""
    for kinds in ({"server", "client"}, {"server"}, set[str]()):
        parts = [part for part in PLAN.parts if part.kind in kinds]
        plan = msgspec.structs.replace(PLAN, seconds=5.0, parts=parts, faults=[])
        assert play_observatory(plan, RULES).findings == []


def test_what_finds_no_room_in_a_lane_is_refused() -> None:
    handled, refused = [], []

    class SeesRefusals(Rule):
        def handled(self, station: Station, vector: str, number: int) -> None:
            if vector == TARGET and number <= 80:
                handled.append(number)

        def heard(self, session: Session, message: Heard) -> None:
            if message.state == "Alert":
                refused.append(message.values)

    assert play_observatory(CROWD, (*RULES, SeesRefusals)).findings == []
    # One is handled and 32 wait, or some more, as the second client begins later. Both hear of each refusal.
    assert 33 <= len(handled) < 40
    assert len(refused) == 2 * (80 - len(handled))


class HandlesAndRefusesNothing(write_rules.WritesArrive):
    def handled(self, station: Station, vector: str, number: int) -> None:
        pass

    def heard(self, session: Session, message: Heard) -> None:
        pass


def test_a_write_that_is_neither_handled_nor_refused_is_found() -> None:
    findings = play_observatory(CROWD, (HandlesAndRefusesNothing,)).findings
    assert len([one for one in findings if "neither handled nor refused" in one.text]) == 80


def test_who_does_not_read_is_given_up() -> None:
    stalled = Fault(5.0, "part", "c1-A", seconds=10.0)
    parted = Fault(5.0, "part", "A-B", seconds=10.0)
    busy = [
        Part("driver", name, {"server": server, "stays": True, "every": 0.1, "burst": 20})
        for name, server in (("Mount", "A"), ("Dome", "B"))
    ]
    others = [part for part in PLAN.parts if part.kind in {"server", "client"}]
    plan = msgspec.structs.replace(
        PLAN, knobs={"outbox_bytes": 50_000.0}, parts=[*others, *busy], faults=[stalled, parted]
    )
    outcome = play_observatory(plan, RULES)
    assert outcome.findings == []
    assert outcome.figures["given_up"] == 2


@pytest.mark.parametrize("saboteur", [SeesItsOwn, SeesNobodyWhoWantsBLOBs])
def test_what_begins_in_two_pieces_is_noticed(saboteur: type[Rule]) -> None:
    plan = msgspec.structs.replace(PLAN, seconds=10.0, knobs={"split": 13.0}, faults=[])
    texts = [finding.text for finding in play_observatory(plan, (saboteur,)).findings]
    assert any(" sends " in text for text in texts)


@pytest.mark.parametrize(("seconds", "is_excused"), [(-10.0, False), (-1.0, True), (1.0, True)])
def test_only_a_line_given_up_about_then_excuses_a_last_write(seconds: float, is_excused: bool) -> None:
    class SeesNothingDone(last_writes.LastWritesGetThrough):
        def moved(self, station: Station, value: float) -> None:
            pass

        def quiet(self) -> None:
            line = next(self.scene.network.lines("c1", "A"))
            self.scene.network.hung_up.append((self.scene.now + seconds, line))

    texts = [finding.text for finding in play_observatory(PLAN, (SeesNothingDone,)).findings]
    assert is_excused == (not any("of c1, connection 1, to Mount.TARGET" in text for text in texts))
    assert any("of u1, to Mount.TARGET" in text for text in texts)


def _found(plan: Plan) -> set[str]:
    return {finding.rule for finding in play_observatory(plan, ()).findings}


def test_what_no_client_can_read_is_found() -> None:
    noise = Fault(5.0, "noise", "c1-A", seconds=2.5, amount=0.02)
    assert _found(msgspec.structs.replace(PLAN, faults=[noise])) == {"ClientsReadXML"}


def test_a_client_that_raises_anything_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object) -> None:
        raise KeyError("made up")

    monkeypatch.setattr(observatory_users, "_set_one", fail)
    assert _found(PLAN) == {"UsersGoOn"}


def test_an_observatory_without_an_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observatory_run, "_MOST_TURNS", 500)
    assert _found(PLAN) == {"TimePasses"}
