"""``python -m tests.simulation --seeds N --from S``: observatories from many seeds; a plan replayed or shrunk."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from indianyio.testing.simulation import Outcome, Plan, PlanError
from indianyio.testing.simulation._command import add_seeds, replay, run_seeds
from tests.simulation.observatory_plans import plan_for_observatory
from tests.simulation.observatory_rules import RULES
from tests.simulation.observatory_run import play_observatory

COMMAND = "python -m tests.simulation"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return 1 if a rule was broken, and 2 if a plan cannot be read."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    add_seeds(parser)
    parser.add_argument("--log", action="store_true", help="show the log of a run")
    commands = parser.add_subparsers(dest="command")
    for name, text in (("replay", "play a plan"), ("shrink", "make a plan that breaks a rule smaller")):
        commands.add_parser(name, help=text).add_argument("plan", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.log:
        logging.basicConfig(level=logging.INFO)
    else:
        logging.getLogger("indianyio").addHandler(logging.NullHandler())
        logging.lastResort = None
    if chosen.command:
        try:
            return replay(chosen.plan, _player, shrinking=chosen.command == "shrink")
        except (PlanError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return 2
    return run_seeds(range(chosen.first, chosen.first + chosen.seeds), plan_for_observatory, _player)


def _player(plan: Plan) -> Callable[[Plan], Outcome]:
    return lambda plan: play_observatory(plan, RULES)


if __name__ == "__main__":
    sys.exit(main())
