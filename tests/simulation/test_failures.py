"""A run that breaks a rule: what people are told, and the commands that play it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from indianyio import IPyDriver
from indianyio.testing.simulation import (
    RULES,
    Rule,
    SimulationError,
    load_plan,
    plan_for_driver,
    simulate,
)
from indianyio.testing.simulation._command import main
from tests.simulation import small_drivers
from tests.simulation.small_drivers import Good


def _failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulationError:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    test = simulate(small_drivers.AnswersNoAbort, seeds=1)
    for seed in range(12):
        try:
            test(seed)
        except SimulationError as error:
            return error
    raise AssertionError("no seed has found it")


@pytest.mark.long
def test_a_failure_tells_its_seed_its_plan_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = _failure(tmp_path, monkeypatch)
    text, seed = str(error), error.outcome.plan.seed
    [path] = (tmp_path / "indianyio-simulation").glob(
        f"tests.simulation.small_drivers.AnswersNoAbort-{seed}-*.json"
    )
    assert f"seed {seed} of tests.simulation.small_drivers:AnswersNoAbort breaks a rule:" in text
    assert "AbortIsAnswered: Good.LEVEL_ABORT was not answered" in text
    assert f"python -m indianyio.testing.simulation replay {path}" in text
    assert load_plan(path) == error.outcome.plan

    assert main(["replay", str(path)]) == 1
    assert error.outcome.digest[:16] in capsys.readouterr().out
    assert main(["shrink", str(path)]) == 1
    small = load_plan(path.with_name(f"{path.stem}-small.json"))
    # The Abort among the writes at the end of each run is enough.
    assert (small.knobs, small.faults, small.parts) == ({}, [], [])
    assert "AbortIsAnswered" in capsys.readouterr().out


def test_many_seeds_of_a_driver_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        main(["run", "tests.simulation.small_drivers:Good", "--seeds", "2", "--from", "3", "--seconds", "5"]) == 0
    )
    assert "2 seeds, 0 of them break a rule" in capsys.readouterr().out
    assert main(["run", "tests.simulation.small_drivers:LeavesTwice", "--seeds", "1"]) == 1
    assert (tmp_path / "simulation-0.json").exists()
    assert main(["run", "tests.simulation.small_drivers:Absent"]) == 2
    assert "Absent cannot be found" in capsys.readouterr().err


def test_a_run_that_is_not_the_same_again_is_told() -> None:
    with pytest.raises(SimulationError, match="IsRepeatable: a second run of the same plan was different"):
        simulate(small_drivers.DrawsLots, seeds=1)(0)


class IsNeverAsked(Rule):
    def over(self) -> None:
        self.broken("as always")


@pytest.mark.parametrize(("make", "has_commands"), [(Good, True), (lambda: Good(), False)])
def test_what_the_plan_does_not_say_is_told(make: Callable[[], IPyDriver], has_commands: bool) -> None:
    with pytest.raises(SimulationError) as caught:
        simulate(make, seeds=1, rules=[*RULES, IsNeverAsked])(0)
    text = str(caught.value)
    assert "play_driver(load_plan(path), ...)" in text
    assert ("play again: python -m" in text) is has_commands


def test_tests_of_one_driver_keep_their_plans_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rules = [IsNeverAsked]
    tests = [
        simulate(Good, seeds=1, seconds=5.0, rules=rules),
        simulate(Good, seeds=1, seconds=6.0, rules=rules),
        simulate(Good, seeds=1, seconds=5.0, rules=[*RULES, IsNeverAsked]),
        simulate(Good, seeds=1, seconds=5.0, rules=rules, aborts=["MODE"]),
        *(simulate(make, seeds=1, seconds=5.0, rules=rules) for make in (lambda: Good(), lambda: Good())),
    ]
    for test in tests:
        with pytest.raises(SimulationError):
            test(1)
    assert len(list((tmp_path / "indianyio-simulation").iterdir())) == len(tests)


def test_a_replay_without_a_finding_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.json"
    plan_for_driver(1, seconds=5, subject="tests.simulation.small_drivers:Good").save(path)
    assert main(["replay", str(path)]) == 0
    assert "no rule was broken" in capsys.readouterr().out
