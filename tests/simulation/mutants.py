"""Plants faults into the library, one at a time, each of which the simulation must find.

``python -m tests.simulation.mutants`` plants each in a process of its own, as many at a time as there are cores,
plays seeds until a rule is broken, and tells with which seed that was; with names as arguments only those. The
faults are in :mod:`tests.simulation.planted_faults`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from tests.simulation.planted_faults import MUTANTS, Mutant

if TYPE_CHECKING:
    from indianyio.testing.simulation import Outcome

# What is not found by then counts as not found, though a fault may have made a run go on for ever.
_MOST_SECONDS = 600
# Python's own status for an exception is 1, which is no answer.
_NOT_FOUND = 3


class _Planting(MetaPathFinder):
    """Finds one module, and has it compiled from a changed text."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Planted(fullname, spec.origin, self._mutant)
        return spec


class _Planted(SourceFileLoader):
    def __init__(self, fullname: str, path: str, mutant: Mutant) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(planted(self._mutant), self.path, "exec", dont_inherit=True)


def planted(mutant: Mutant) -> str:
    """Return the text of the module with the fault in it.

    :raises ValueError: what is to be changed is not there, or there twice.
    """
    spec = importlib.util.find_spec(mutant.module)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    if text.count(mutant.before) != 1:
        raise ValueError(f"{mutant.name}: its place is {text.count(mutant.before)} times in {mutant.module}")
    return text.replace(mutant.before, mutant.after)


def find(mutant: Mutant) -> str:
    """Plant a fault in a process of its own and return what finds it; nothing if nothing does."""
    command = [sys.executable, "-m", "tests.simulation.mutants", "--plant", mutant.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return ""
    if done.returncode not in {0, _NOT_FOUND}:
        return f"it does not run: {(done.stderr.strip() or str(done.returncode)).splitlines()[-1]}"
    return done.stdout.strip()


def _play(mutant: Mutant) -> str:
    import logging

    logging.getLogger("indianyio").addHandler(logging.NullHandler())
    logging.lastResort = None
    sys.meta_path.insert(0, _Planting(mutant))
    play = _player(mutant.scene)
    for seed in range(mutant.seeds):
        outcome = play(seed)
        if outcome.findings:
            return f"seed {seed}: {outcome.findings[0]}"
    return ""


def _player(scene: str) -> Callable[[int], Outcome]:
    """Return what plays a seed. What it plays is imported here, when the fault has been planted."""
    from indianyio import simulators
    from indianyio.testing.simulation import RULES, plan_for_driver, play_driver
    from tests.simulation import observatory_rules
    from tests.simulation.instrument_rules import AbortsEndEverything
    from tests.simulation.observatory_plans import plan_for_observatory
    from tests.simulation.observatory_run import play_observatory
    from tests.simulation.saving import plan_for_saving, play_saving
    from tests.simulation.small_drivers import Good

    players: dict[str, Callable[[int], Outcome]] = {
        "observatory": lambda seed: play_observatory(plan_for_observatory(seed), observatory_rules.RULES),
        "driver": lambda seed: play_driver(plan_for_driver(seed), Good),
        "instrument": lambda seed: play_driver(
            plan_for_driver(seed), simulators.focuser, [*RULES, AbortsEndEverything]
        ),
        "saving": lambda seed: play_saving(plan_for_saving(seed)),
    }
    return players[scene]


def main(arguments: Sequence[str]) -> int:
    """Plant the faults that are named, all if none is; return 1 if one was not found."""
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    if arguments[:1] == ["--plant"]:
        found = _play(by_name[arguments[1]])
        sys.stdout.write(f"{found}\n")
        return 0 if found else _NOT_FOUND
    unknown = sorted(set(arguments) - set(by_name))
    if unknown:
        known = "".join(f"    {name}\n" for name in by_name)
        sys.stderr.write(f"no planted fault is called {', '.join(unknown)}; there are:\n{known}")
        return 2
    missed = 0
    chosen = [by_name[name] for name in arguments] or MUTANTS
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, found in zip(chosen, pool.map(find, chosen), strict=True):
            missed += not found.startswith("seed")
            text = found or f"not found with {mutant.seeds} seeds or in {_MOST_SECONDS} s"
            sys.stdout.write(f"{mutant.name}\n    {text}\n")
            sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
