"""A run of trio that depends on its seed only: the order of its tasks, its clock, and the random numbers in it.

trio shuffles the tasks that are ready with a generator of its own, unless its scheduler is told to be
deterministic. Both are private to trio, so they are looked at before each run. Nothing else of trio's inside is
used.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import trio
from trio._core import _run as scheduler
from trio.testing import MockClock

__all__ = ["run_seeded", "seeded_scheduler"]

ResultT = TypeVar("ResultT")

_GENERATOR, _FLAG = "_r", "_ALLOW_DETERMINISTIC_SCHEDULING"


@contextmanager
def seeded_scheduler(seed: int) -> Generator[None]:
    """Have trio order its tasks by a seed, for runs that begin within this block.

    :raises RuntimeError: this trio has no such generator or flag; the text says what to look at.
    """
    _require_known_scheduler()
    # The whole process shares them; afterwards they must be as if there had been no simulation.
    generator: random.Random = getattr(scheduler, _GENERATOR)
    flag, state, others = getattr(scheduler, _FLAG), generator.getstate(), random.getstate()
    setattr(scheduler, _FLAG, True)
    generator.seed(f"{seed} scheduler")
    random.seed(f"{seed} everybody")
    try:
        yield
    finally:
        setattr(scheduler, _FLAG, flag)
        generator.setstate(state)
        random.setstate(others)


def _require_known_scheduler() -> None:
    known = isinstance(getattr(scheduler, _GENERATOR, None), random.Random)
    if not known or not isinstance(getattr(scheduler, _FLAG, None), bool):
        raise RuntimeError(
            f"trio {trio.__version__} no longer has trio._core._run.{_GENERATOR} and {_FLAG}, by which a run is "
            "repeated exactly. See how its scheduler orders the tasks that are ready (in unrolled_run), and change "
            "indianyio/testing/simulation/_seeded.py accordingly; until then use trio 0.35"
        )


def run_seeded(seed: int, function: Callable[..., Awaitable[ResultT]], *args: object) -> ResultT:
    """Run an async function on trio, in virtual time that begins at 0, and return what it returns.

    Time passes only when every task waits. A task that waits for ever is not noticed: give it a deadline.

    :param seed: decides the order of tasks that are ready at the same time. Python's own :mod:`random` is
        seeded, too; afterwards it goes on as it was.
    :raises RuntimeError: trio's scheduler is not the known one, or there is an event loop here already.
    """
    with seeded_scheduler(seed):
        return trio.run(function, *args, clock=MockClock(autojump_threshold=0))
