"""Replays and shrinks plans, plays the plans of many seeds, and reports which rules they break."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from indianyio.testing.simulation._driver_plans import plan_for_driver
from indianyio.testing.simulation._findings import Outcome
from indianyio.testing.simulation._plan import Plan, PlanError, load_plan
from indianyio.testing.simulation._shrinking import shrink
from indianyio.testing.simulation._simulating import player_of

__all__ = ["main", "replay", "run_seeds", "tell"]

PlayerOf = Callable[[Plan], Callable[[Plan], Outcome]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return 1 if a rule was broken, and 2 if nothing could be played."""
    parser = argparse.ArgumentParser(prog="python -m indianyio.testing.simulation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("replay", "play a plan"), ("shrink", "make a plan that breaks a rule smaller")):
        commands.add_parser(name, help=text).add_argument("plan", type=Path)
    many = commands.add_parser("run", help="play the plans of many seeds with a driver")
    many.add_argument("driver", help="as module:name")
    add_seeds(many)
    many.add_argument("--seconds", type=float, default=60.0, help="how long clients write, in virtual time")
    chosen = parser.parse_args(arguments)
    if chosen.command != "replay":
        # What drivers log in hundreds of runs would hide what is told here.
        logging.getLogger("indianyio").addHandler(logging.NullHandler())
    try:
        if chosen.command != "run":
            return replay(chosen.plan, player_of, shrinking=chosen.command == "shrink")
        subject = chosen.driver

        def plan_of(seed: int) -> Plan:
            return plan_for_driver(seed, seconds=chosen.seconds, subject=subject)

        return run_seeds(range(chosen.first, chosen.first + chosen.seeds), plan_of, player_of)
    except (PlanError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def add_seeds(parser: argparse.ArgumentParser) -> None:
    """Add the two arguments that say which seeds are played."""
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many seeds (default 100)")
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="S", help="the first one (default 0)")


def replay(path: Path, player: PlayerOf, *, shrinking: bool) -> int:
    """Play the plan in a file; if ``shrinking``, also make it smaller, and save the smaller plan beside it."""
    plan = load_plan(path)
    play = player(plan)
    outcome = play(plan)
    tell(outcome)
    if shrinking and outcome.findings:
        smaller = shrink(outcome, play)
        beside = path.with_name(f"{path.stem}-small.json")
        smaller.plan.save(beside)
        sys.stdout.write(f"{smaller.plan.to_json()}the smaller plan: {beside}\n")
        tell(smaller)
    return 1 if outcome.findings else 0


def run_seeds(seeds: Sequence[int], plan_of: Callable[[int], Plan], player: PlayerOf) -> int:
    """Play the plan of each seed, report those that break a rule, and save their plans in the current folder."""
    broken = 0
    for seed in seeds:
        plan = plan_of(seed)
        outcome = player(plan)(plan)
        if outcome.findings:
            broken += 1
            path = Path(f"simulation-{seed}.json")
            plan.save(path)
            tell(outcome)
            sys.stdout.write(f"its plan: {path}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(seeds)} seeds, {broken} of them break a rule\n")
    return 1 if broken else 0


def tell(outcome: Outcome) -> None:
    """Write the outcome of a run."""
    figures = ", ".join(f"{name} {value:g}" for name, value in outcome.figures.items())
    sys.stdout.write(f"seed {outcome.plan.seed}: {figures}; digest {outcome.digest[:16]}\n")
    for finding in outcome.findings:
        sys.stdout.write(f"{finding}\n")
    if not outcome.findings:
        sys.stdout.write("no rule was broken\n")
