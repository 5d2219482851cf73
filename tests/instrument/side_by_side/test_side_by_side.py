"""Our simulators beside libindi's: the same is asked of both, and both do the same but for reasoned differences."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from indianyio.protocol import DefVector
from tests.instrument.side_by_side.bench import Did, Pair, Side, Step, our_side, their_side
from tests.instrument.side_by_side.comparison import (
    Fact,
    compare_definitions,
    compare_steps,
    unexplained,
    without_cause,
)
from tests.instrument.side_by_side.reasons import REASONS
from tests.instrument.side_by_side.scripts import PAIRS, SCRIPTS
from tests.libindi.libindi_harness import installed
from tests.libindi.test_libindi_standard import version
from tests.standard.catalogue import CATALOGUE, ENTRIES

pytestmark = [pytest.mark.anyio, pytest.mark.libindi, pytest.mark.long]

EVERY_DEVICE = ("general", "connection", "joystick")


@pytest.fixture
def anyio_backend() -> str:
    """Name one back end: what is said does not depend on it, and this takes real time."""
    return "trio"


class Run:
    """What one of the two drivers defined and did."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.at_first: set[str] = set()
        self.done: list[Did | None] = []
        self.side: Side | None = None

    async def perform(self, opened: AbstractAsyncContextManager[Side], script: list[Step]) -> None:
        """Go through a script; a step is left out where the driver lacks the property."""
        async with opened as side:
            self.side = side
            await side.device.vector("CONNECTION", timeout=10)
            await anyio.sleep(0.3)
            if self.pair.first is not None:
                name, member = self.pair.first
                await side.device[name].set({member: True}, wait=False)
                await side.device[name].wait_for(lambda it: bool(it[member]), timeout=10)
            self.at_first = set(side.definitions())
            for step in script:
                self.done.append(await side.perform(step) if step.vector in side.device else None)

    def definitions(self) -> dict[str, DefVector]:
        """Return how its standard properties are defined."""
        assert self.side is not None
        return {name: one for name, one in self.side.definitions().items() if is_standard(self.pair, name)}


def is_standard(pair: Pair, name: str) -> bool:
    """Return whether a property is in the catalogue; the limits of weather are, by the names of what they limit."""
    names = {entry.data.name for kind in (*pair.kinds, *EVERY_DEVICE) for entry in ENTRIES[kind]}
    return name in names or (pair.simulator == "weather" and name.startswith("WEATHER_"))


async def differences(pair: Pair) -> list[Fact]:
    """Run both drivers beside each other, and return what they did differently."""
    script = SCRIPTS[pair.simulator]
    ours, theirs = Run(pair), Run(pair)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ours.perform, our_side(pair), script)
        tasks.start_soon(theirs.perform, their_side(pair), script)
    our, their = ours.definitions(), theirs.definitions()
    found = [*compare_definitions(our, their, (ours.at_first, theirs.at_first))]
    for step, we_did, they_did in zip(script, ours.done, theirs.done, strict=True):
        found += compare_steps(step, we_did, they_did, sorted({*our} & {*their}))
    return found


@pytest.mark.parametrize("simulator", PAIRS)
async def test_both_do_the_same_but_for_reasoned_differences(simulator: str) -> None:
    pair = PAIRS[simulator]
    if not installed(pair.program):
        pytest.skip(f"{pair.program} is not installed (Debian: apt-get install indi-bin)")
    facts = await differences(pair)
    assert unexplained(simulator, facts, REASONS) == []
    if version() == CATALOGUE.compared:
        assert without_cause(simulator, facts, REASONS) == []
