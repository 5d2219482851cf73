"""The simulated instruments in simulated nights: what they do must be what clients are told."""

from __future__ import annotations

import pytest

from indianyio import simulators
from indianyio.testing.simulation import RULES, plan_for_driver, play_driver, simulate
from tests.simulation.instrument_rules import AbortsEndEverything
from tests.simulation.small_drivers import StaysBusy

INSTRUMENT_RULES = (*RULES, AbortsEndEverything)

test_the_focuser = pytest.mark.long(simulate(simulators.focuser, seeds=20, rules=INSTRUMENT_RULES))
test_the_dome = pytest.mark.long(simulate(simulators.dome, seeds=20, rules=INSTRUMENT_RULES))


@pytest.mark.long
def test_an_abort_that_ends_nothing_is_found() -> None:
    outcomes = [play_driver(plan_for_driver(seed), StaysBusy, [AbortsEndEverything]) for seed in range(10)]
    found = {finding.text for outcome in outcomes for finding in outcome.findings}
    assert found == {"Good: LEVEL is Busy, 5 s after it was aborted"}
