"""The planted faults fit the library as it is. Whether each is found takes minutes, and is a command of its own."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import find, planted
from tests.simulation.planted_faults import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_has_its_place(mutant: Mutant) -> None:
    compile(planted(mutant), mutant.module, "exec")


def test_a_fault_is_found() -> None:
    found = find(next(mutant for mutant in MUTANTS if mutant.name.endswith("with a driver alone")))
    assert "LeavesOnce: leave() was called 0 times" in found
