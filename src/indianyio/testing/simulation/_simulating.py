"""Runs a user's driver in many simulations, as a test of pytest's, and tells people what was broken."""

from __future__ import annotations

import hashlib
import importlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from indianyio.driver import IPyDriver
from indianyio.testing.simulation._driver_clients import LEAVE_ALONE
from indianyio.testing.simulation._driver_plans import DRIVER_SCENE, plan_for_driver
from indianyio.testing.simulation._driver_rules import RULES
from indianyio.testing.simulation._driver_run import play_driver
from indianyio.testing.simulation._driver_scene import Rule
from indianyio.testing.simulation._findings import Finding, Outcome, SimulationError
from indianyio.testing.simulation._plan import Plan, PlanError

__all__ = ["fail_if_broken", "player_of", "simulate"]

# One run in this many is made twice, and the two are compared.
_TWICE_EVERY = 100

_MOST_TOLD = 5

_PLAYED_IN_PYTHON = (
    "the plan does not say all that was given to simulate(), such as rules of your own, or what makes the driver "
    "if it has no name; play_driver(load_plan(path), ...) takes that, and shrink() makes the plan smaller"
)


def simulate(
    make: Callable[[], IPyDriver],
    *,
    seeds: int | Sequence[int] = 100,
    rules: Sequence[type[Rule]] = RULES,
    seconds: float = 60.0,
    aborts: Sequence[str] = (),
    leave_alone: Sequence[str] = LEAVE_ALONE,
) -> Callable[[int], None]:
    """Return a test that runs a driver once for each seed, in virtual time, and checks rules.

    In a module of tests::

        test_the_focuser_survives = simulate(Focuser, seeds=100)

    It is alone on a line that is slow, cut into pieces, stalls or garbles; clients write to it what it must
    take and what it must refuse; and it ends in one of several ways. A run that breaks a rule raises
    :exc:`SimulationError`, whose text has the seed, the file of the plan, and how to replay and shrink it. Of a
    hundred seeds one is run twice, and must be the same again.

    :param make: the driver's class, or what makes one. It is made within the run, once for each.
    :param seeds: how many, counted from 0; or which.
    :param rules: classes of rules; those for any driver if absent. A subclass of one of these takes its place.
    :param seconds: how long clients write, in virtual time.
    :param aborts: names of vectors that stop something, besides those with ABORT in their name.
    :param leave_alone: names of vectors that clients do not write to.
    """
    import pytest

    subject = subject_of(make)
    play = _player(make, rules, aborts, leave_alone)
    is_usual = set(rules) <= set(RULES) and not aborts and tuple(leave_alone) == LEAVE_ALONE
    note = "" if subject and is_usual else _PLAYED_IN_PYTHON
    # Tests that play the same plan, with other rules for instance, keep it in files of their own. What has no name
    # is told apart by its identity, so the name of its file changes from one session to the next.
    caller = sys._getframe(1)
    place = caller.f_code.co_filename, caller.f_lineno
    names = [rule.__qualname__ for rule in rules]
    given = repr((*place, subject or id(make), names, list(aborts), list(leave_alone)))
    chosen = range(seeds) if isinstance(seeds, int) else seeds

    @pytest.mark.parametrize("seed", chosen)
    def test(seed: int) -> None:
        outcome = play(plan_for_driver(seed, seconds=seconds, subject=subject))
        if seed % _TWICE_EVERY == 0 and not outcome.findings:
            outcome = compared(outcome, play)
        fail_if_broken(outcome, f"python -m {__package__}" if subject else "", note, given)

    return test


def compared(outcome: Outcome, play: Callable[[Plan], Outcome]) -> Outcome:
    """Play the plan again; return the run, with a finding if the second one was different."""
    again = play(outcome.plan)
    if again.digest == outcome.digest:
        return outcome
    text = (
        "a second run of the same plan was different, because something other than the plan and virtual time "
        "decides: a random generator without a seed, the order of a set of objects, or the real world"
    )
    return Outcome(outcome.plan, [Finding("IsRepeatable", text)], outcome.digest, outcome.figures)


def fail_if_broken(outcome: Outcome, command: str, note: str = "", test: str = "") -> None:
    """Raise :exc:`SimulationError` for a run that has broken a rule, and keep its plan in a file.

    :param outcome: the run.
    :param command: what replays a plan, as one types it; ``replay`` and ``shrink`` with the file are put behind it.
        Empty if no command can.
    :param note: what else there is to know for playing it again.
    :param test: what else tells its test from others that play the same plan; it goes into the file's name.
    """
    if not outcome.findings:
        return
    plan = outcome.plan
    called = plan.subject.replace(":", ".") or plan.scene
    # Two tests of one driver may differ in their plans, and fail with the same seed.
    told_apart = hashlib.sha256(plan.to_json().encode() + test.encode()).hexdigest()[:8]
    path = Path(tempfile.gettempdir(), "indianyio-simulation", f"{called}-{plan.seed}-{told_apart}.json")
    plan.save(path)
    told = [str(finding) for finding in outcome.findings[:_MOST_TOLD]]
    if outcome.findings[_MOST_TOLD:]:
        told.append(f"and {len(outcome.findings) - _MOST_TOLD} more")
    lines = [
        f"seed {plan.seed} of {plan.subject or plan.scene} breaks a rule:",
        *told,
        f"the plan:   {path}",
    ]
    if command:
        lines += [f"play again: {command} replay {path}", f"smaller:    {command} shrink {path}"]
    if note:
        lines.append(f"note:       {note}")
    raise SimulationError(outcome, "\n".join(lines))


def subject_of(make: Callable[[], IPyDriver]) -> str:
    """Return how a driver is found again from another process: ``module:name``; nothing if it cannot be."""
    name = getattr(make, "__qualname__", "<")
    return "" if "<" in name else f"{make.__module__}:{name}"


def player_of(plan: Plan) -> Callable[[Plan], Outcome]:
    """Return a function that plays a plan with the driver that the plan names.

    :raises PlanError: it is not a plan for a driver, or names none.
    """
    if plan.scene != DRIVER_SCENE or ":" not in plan.subject:
        raise PlanError(f"the plan is for {plan.scene} {plan.subject!r}, not for a driver named as module:name")
    return _player(load_subject(plan.subject), RULES, (), LEAVE_ALONE)


def load_subject(subject: str) -> Callable[[], IPyDriver]:
    """Return what ``module:name`` names.

    :raises PlanError: there is no such thing.
    """
    module, _, name = subject.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise PlanError(f"{subject} cannot be found: {error}; is its folder in PYTHONPATH?") from error
    if not callable(found):
        raise PlanError(f"{subject} is neither a class nor a function, so it cannot make a driver")
    maker: Callable[[], IPyDriver] = found
    return maker


def _player(
    make: Callable[[], IPyDriver], rules: Sequence[type[Rule]], aborts: Sequence[str], leave_alone: Sequence[str]
) -> Callable[[Plan], Outcome]:
    def play(plan: Plan) -> Outcome:
        return play_driver(plan, make, rules, aborts=aborts, leave_alone=leave_alone)

    return play
