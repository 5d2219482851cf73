"""An observatory from a seed: fixed seeds keep the rules, and what is told of one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from indianyio.testing.simulation import (
    Heard,
    Network,
    Plan,
    SimulationError,
    load_plan,
    run_seeded,
)
from indianyio.testing.simulation._simulating import compared, fail_if_broken
from tests.simulation.__main__ import COMMAND, main
from tests.simulation.observatory import Observatory, Rule
from tests.simulation.observatory_plans import plan_for_observatory
from tests.simulation.observatory_rules import RULES
from tests.simulation.observatory_run import play_observatory
from tests.simulation.small_observatories import PLAN
from tests.simulation.writers import Session

FIXED_SEEDS = 100
IN_THE_FAST_SUITE = 3
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
