"""An observatory from a seed: fixed seeds keep the rules, and every rule can fail."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio

from indianyio import SnoopEvent
from indianyio.testing.simulation import (
    Fault,
    Heard,
    Mirror,
    Network,
    Part,
    Plan,
    SimulationError,
    load_plan,
    run_seeded,
)
from indianyio.testing.simulation._simulating import compared, fail_if_broken
from tests.simulation import last_writes, observatory_run, observatory_users, server_rules, user_rules
from tests.simulation import observatory_rules as rules
from tests.simulation.__main__ import COMMAND, main
from tests.simulation.observatory import LastWrite, Observatory, Rule, Session, User
from tests.simulation.observatory_plans import plan_for_observatory
from tests.simulation.observatory_rules import RULES
from tests.simulation.observatory_run import play_observatory
from tests.simulation.stations import STOP, TARGET, Station

FIXED_SEEDS = 100
IN_THE_FAST_SUITE = 5
# A seed says nothing of a plan that was made smaller, or if seeds make other plans by now.
KEPT = sorted(Path(__file__).with_name("plans").glob("*.json"))


def _play(plan: Plan, chosen: tuple[type[Rule], ...] = RULES) -> None:
    outcome = play_observatory(plan, chosen)
    if plan.seed % 100 == 0 and not outcome.findings:
        outcome = compared(outcome, lambda plan: play_observatory(plan, chosen))
    fail_if_broken(outcome, COMMAND)


@pytest.mark.parametrize("seed", range(IN_THE_FAST_SUITE))
def test_an_observatory_keeps_the_rules(seed: int) -> None:
    _play(plan_for_observatory(seed))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(IN_THE_FAST_SUITE, FIXED_SEEDS))
def test_more_observatories_keep_the_rules(seed: int) -> None:
    _play(plan_for_observatory(seed))


@pytest.mark.parametrize("path", KEPT, ids=[path.stem for path in KEPT])
def test_what_once_broke_a_rule_does_not_any_more(path: Path) -> None:
    _play(load_plan(path))


@pytest.mark.long
def test_a_run_is_the_same_in_another_process() -> None:
    code = (
        "from tests.simulation.observatory_run import play_observatory as play; "
        "from tests.simulation.observatory_plans import plan_for_observatory as plan; "
        "print(*(play(plan(seed), ()).digest for seed in (1, 2, 4)))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("1", "77")
    }
    assert len(digests) == 1


# -- that each rule can fail -----------------------------------------------------------------------------------

PLAN = Plan(
    "observatory",
    1,
    20.0,
    parts=[
        Part("server", "A", {"remotes": ["B"]}),
        Part("server", "B", {"remotes": []}),
        Part("driver", "Mount", {"server": "A", "stays": True, "every": 1.0, "images": 2.0}),
        Part(
            "driver",
            "Dome",
            {"server": "B", "stays": True, "every": 1.0, "follows": ["Focuser"], "images": 1.0, "panel": 2.0},
        ),
        Part("driver", "Focuser", {"server": "B", "program": True, "every": 1.0}),
        Part("client", "c1", {"server": "A", "at": 1.0, "writes": 30, "pause": 0.5, "abort": 0.5}),
        Part("client", "c2", {"server": "A", "at": 1.0, "policy": "Only"}),
        Part("user", "u1", {"server": "A", "at": 1.0, "images": "watch"}),
    ],
    faults=[Fault(15.0, "die", "Focuser"), Fault(17.0, "noise", "u1-A", seconds=2.5, amount=0.02)],
)


def _c1(rule: Rule) -> Session:
    return next(session for session in rule.scene.sessions if session.part.name == "c1")


class MissesAnUpdate(rules.UpdatesAreWhole):
    missed = False

    def heard(self, session: Session, message: Heard) -> None:
        if message.tag == "setNumberVector" and self.scene.now > 5 and not self.missed:
            self.missed = True
        else:
            super().heard(session, message)


class HearsAnUpdateTwice(rules.UpdatesAreWhole):
    def heard(self, session: Session, message: Heard) -> None:
        super().heard(session, message)
        if message.tag == "setNumberVector":
            super().heard(session, message)


class HearsARefusalThatSaysMore(rules.UpdatesAreWhole):
    def heard(self, session: Session, message: Heard) -> None:
        if message.tag == "setNumberVector":
            message = replace(message, attributes={**message.attributes, "state": "Alert"})
        super().heard(session, message)


class HearsNoEnd(rules.LivesAreToldApart):
    def heard(self, session: Session, message: Heard) -> None:
        if message.tag != "delProperty":
            super().heard(session, message)


class KnowsWhatHasGone(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror["Ghost", "COUNT"] = _c1(self).mirror["Mount", "COUNT"]
        super().quiet()


class KnowsNothing(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror = Mirror()
        super().quiet()


class KnowsOldValues(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror["Mount", "COUNT"].values["serial"] = "0"
        super().quiet()


class KnowsWhatWasDeleted(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror["Dome", "PANEL"] = _c1(self).mirror["Dome", "COUNT"]
        next(one for one in self.scene.stations if one.name == "Dome").panel.enable = False
        super().quiet()


class DoesNotKnowThePanel(rules.ClientsKnowTheTruth):
    def quiet(self) -> None:
        _c1(self).mirror.pop(("Dome", "PANEL"), None)
        next(one for one in self.scene.stations if one.name == "Dome").panel.enable = True
        super().quiet()


class HandlesTwice(rules.WritesAreHandledInOrder):
    def handled(self, station: Station, vector: str, number: int) -> None:
        for _ in range(2):
            super().handled(station, vector, number)


class HandlesAnothersWrite(rules.WritesAreHandledInOrder):
    def handled(self, station: Station, vector: str, number: int) -> None:
        super().handled(station, "COUNT", number)


class HandlesNothing(rules.WritesArrive):
    def handled(self, station: Station, vector: str, number: int) -> None:
        pass


class HearsNoAnswer(rules.AbortsAreAnswered):
    def heard(self, session: Session, message: Heard) -> None:
        pass


class LeavesTwice(rules.LeavesOnce):
    def over(self) -> None:
        self.scene.stations[0].left += 1
        super().over()


class GetsABLOB(rules.BLOBsAreWanted):
    def heard(self, session: Session, message: Heard) -> None:
        super().heard(session, Heard("setBLOBVector", message.attributes, {}, {}))


class GetsMoreThanBLOBs(rules.BLOBsAreWanted):
    def heard(self, session: Session, message: Heard) -> None:
        super().heard(session, Heard("setNumberVector", {"device": "Mount", "name": "COUNT"}, {}, {}))


class SeesNobodyWhoWantsBLOBs(rules.BLOBsAreWanted):
    def passed(self, receiver: str, data: bytes) -> None:
        for session in self.scene.sessions:
            # The plan's own part is another test's, too.
            session.part = msgspec.structs.replace(
                session.part, settings={**session.part.settings, "policy": "Never"}
            )
        super().passed(receiver, data)


class SnoopsNoEnd(rules.SnoopersAreTold):
    def snooped(self, station: Station, event: SnoopEvent) -> None:
        if self.scene.now < 14:
            super().snooped(station, event)


class SnoopsBackwards(rules.SnoopersAreTold):
    kept: SnoopEvent | None = None

    def snooped(self, station: Station, event: SnoopEvent) -> None:
        super().snooped(station, event)
        self.kept = self.kept or event
        if self.scene.now < 14:
            super().snooped(station, self.kept)


class SeesItsOwn(server_rules.NothingComesBack):
    def passed(self, receiver: str, data: bytes) -> None:
        super().passed(receiver, data.replace(b"Dome", b"Mount"))


class ServerFails(server_rules.ServersEndInOrder):
    def over(self) -> None:
        self.scene.failures["A"] = OSError("made up")
        super().over()


class ServerEndsEarly(server_rules.ServersEndInOrder):
    def over(self) -> None:
        self.scene.ended["A"] = 3.0
        super().over()


class ServerEndsLate(server_rules.ServersEndInOrder):
    def over(self) -> None:
        self.scene.ended["A"] += 100
        super().over()


class LogsAnError(server_rules.NothingUnexpectedIsLogged):
    def quiet(self) -> None:
        try:
            raise KeyError("made up")
        except KeyError:
            logging.getLogger("indianyio.server").exception("serving failed")


class LeavesATask(server_rules.NothingIsLeft):
    def over(self) -> None:
        self.scene.tasks_left += 1
        super().over()


class KeepsMuch(server_rules.QueuesAreBounded):
    most_bytes = -1


class KeepsMuchForClients(server_rules.QueuesAreBounded):
    def _most_for_clients(self) -> int:
        return 100


class GivesUpWhoReads(server_rules.WhoReadsIsKept):
    def quiet(self) -> None:
        self.scene.network.hung_up.append((3.0, next(self.scene.network.lines("c1", "A"))))
        super().quiet()


class ReadsNothing(user_rules.UsersKnowWhatTheyHeard):
    def _read(self, *args: object) -> None:
        pass


class ReadsOtherNumbers(user_rules.UsersKnowWhatTheyHeard):
    """What the user knows stands nowhere any more, from the first noise on."""

    def passed(self, receiver: str, data: bytes) -> None:
        noisy = receiver.startswith("A for u1#") and self.scene.now > 17
        super().passed(receiver, data.translate(bytes.maketrans(b"123", b"777")) if noisy else data)


class KeepsWhatIsStale(user_rules.NothingStaleIsKept):
    def quiet(self) -> None:
        client = self.scene.users[0].client
        assert client is not None
        client["Mount"]["COUNT"].stale = True
        super().quiet()


class SeesNothingMove(user_rules.VerdictsAreTrue):
    def moved(self, station: Station, value: float) -> None:
        pass


class SeesNoTimeOut(user_rules.VerdictsAreTrue):
    """What was set got lost, and the client said that there is no answer."""

    def moved(self, station: Station, value: float) -> None:
        pass

    def settled(self, user: User, device: str, value: float, failure: Exception | None) -> None:
        super().settled(user, device, value, TimeoutError("made up"))


class GetsAnotherImage(user_rules.ImagesAreTrue):
    def got_image(self, user: User, device: str, content: bytes) -> None:
        super().got_image(user, device, content + b"more")


class GetsImagesBackwards(user_rules.ImagesAreTrue):
    def got_image(self, user: User, device: str, content: bytes) -> None:
        super().got_image(user, device, content)
        super().got_image(user, device, next(one for one in self.scene.stations if one.name == device).image_of(1))


class SeesNothingDone(last_writes.LastWritesGetThrough):
    def moved(self, station: Station, value: float) -> None:
        pass


class HearsNothingOfLastWrites(last_writes.LastWritesGetThrough):
    def heard(self, session: Session, message: Heard) -> None:
        pass


class UsersHearNothingOfLastWrites(last_writes.LastWritesGetThrough):
    def settled_last(self, last: LastWrite, failure: Exception | None) -> None:
        pass


class SeesNoLastAbort(last_writes.LastWritesGetThrough):
    def handled(self, station: Station, vector: str, number: int) -> None:
        pass


class HearsOnlyAnothersAborts(last_writes.LastWritesGetThrough):
    def heard(self, session: Session, message: Heard) -> None:
        if message.key[1] != STOP:
            super().heard(session, message)


class HearsOfNoEnd(user_rules.VerdictsAreTrue):
    def settled(self, user: User, device: str, value: float, failure: Exception | None) -> None:
        super().settled(user, device, value, TimeoutError("made up"))


SABOTEURS: tuple[type[Rule], ...] = (
    MissesAnUpdate,
    HearsAnUpdateTwice,
    HearsARefusalThatSaysMore,
    HearsNoEnd,
    KnowsWhatHasGone,
    KnowsNothing,
    KnowsOldValues,
    HandlesTwice,
    HandlesAnothersWrite,
    HandlesNothing,
    HearsNoAnswer,
    LeavesTwice,
    GetsABLOB,
    GetsMoreThanBLOBs,
    SeesNobodyWhoWantsBLOBs,
    SnoopsNoEnd,
    SnoopsBackwards,
    SeesItsOwn,
    ServerFails,
    ServerEndsEarly,
    ServerEndsLate,
    LogsAnError,
    LeavesATask,
    KeepsMuch,
    KeepsMuchForClients,
    GivesUpWhoReads,
    ReadsNothing,
    ReadsOtherNumbers,
    KeepsWhatIsStale,
    KnowsWhatWasDeleted,
    DoesNotKnowThePanel,
    SeesNothingMove,
    HearsOfNoEnd,
    SeesNoTimeOut,
    GetsAnotherImage,
    GetsImagesBackwards,
    SeesNothingDone,
    HearsNothingOfLastWrites,
    UsersHearNothingOfLastWrites,
    SeesNoLastAbort,
    HearsOnlyAnothersAborts,
)


def test_the_plan_of_the_saboteurs_breaks_no_rule() -> None:
    outcome = play_observatory(PLAN, RULES)
    assert outcome.findings == []
    assert outcome.figures["lives"] == 4
    # Thirty in the night, and at its end a target and an Abort for each of three devices.
    assert outcome.figures["written"] == 36


@pytest.mark.parametrize("saboteur", SABOTEURS)
def test_a_rule_that_sees_something_else_is_broken(saboteur: type[Rule]) -> None:
    outcome = play_observatory(PLAN, (saboteur,))
    assert {finding.rule for finding in outcome.findings} == {saboteur.__name__}


def test_every_rule_has_a_saboteur() -> None:
    assert {saboteur.__mro__[1] for saboteur in SABOTEURS} == set(RULES)


def test_without_a_driver_the_rules_hold_too() -> None:
    """Shrinking leaves out what the broken rule does not need."""
    for kinds in ({"server", "client"}, {"server"}, set[str]()):
        parts = [part for part in PLAN.parts if part.kind in kinds]
        plan = msgspec.structs.replace(PLAN, seconds=5.0, parts=parts, faults=[])
        assert play_observatory(plan, RULES).findings == []


CROWD = msgspec.structs.replace(
    PLAN,
    parts=[
        Part("server", "A", {"remotes": []}),
        Part("driver", "Mount", {"server": "A", "stays": True, "slow": 1.0}),
        *(Part("client", name, {"server": "A", "at": 1.0, "writes": 40, "burst": 40}) for name in ("c1", "c2")),
    ],
    faults=[],
)


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


class HandlesAndRefusesNothing(rules.WritesArrive):
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


# -- how people are told ---------------------------------------------------------------------------------------


class NeverAbove10(Rule):
    """Broken by every station that counts beyond ten."""

    def heard(self, session: Session, message: Heard) -> None:
        if message.key == ("Focuser", "COUNT") and float(message.values.get("serial", 0)) > 10:
            self.broken("it counts beyond 10")


def test_a_failure_tells_how_it_is_played_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SimulationError, match=r"python -m tests\.simulation replay") as caught:
        _play(PLAN, (NeverAbove10,))
    [path] = (tmp_path / "indianyio-simulation").glob("observatory-1-*.json")
    assert str(path) in str(caught.value)
    assert load_plan(path) == PLAN


def test_seeds_and_plans_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plan.json"
    PLAN.save(path)
    assert main(["replay", str(path)]) == 0
    assert main(["--seeds", "1", "--from", "1"]) == 0
    told = capsys.readouterr().out
    assert "seed 1: heard" in told
    assert "1 seeds, 0 of them break a rule" in told


def test_the_way_to_a_device_goes_through_its_servers() -> None:
    async def look() -> None:
        async with trio.open_nursery() as nursery:
            scene = Observatory(PLAN)
            scene.network = Network(nursery, 1)
            assert scene.way("A", "B") == ["A-B"]
            assert scene.way("B", "A") is None
            assert scene.is_troubled(["Focuser"], 14, 16)
            assert not scene.is_troubled(["Mount"], 14, 16)
            for caller, called in (("c1", "A"), ("A", "B")):
                scene.network.hung_up.append((3.0, scene.network.new_line(caller, called)))
            assert [one.where for one in scene.given_up] == ["c1-A", "A-B"]
            assert scene.is_troubled(["A-B"], 2, 4)
            assert not scene.is_troubled(["A-B"], 4, 6)

    run_seeded(1, look)
