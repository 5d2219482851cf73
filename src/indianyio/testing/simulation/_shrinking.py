"""Makes a plan that breaks a rule smaller, as long as it still breaks the same rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from indianyio.testing.simulation._findings import Outcome
from indianyio.testing.simulation._plan import Plan

__all__ = ["Play", "shrink"]

Play = Callable[[Plan], Outcome]
"""Plays a plan and returns the outcome."""

T = TypeVar("T")

# The settings that are halved, because they count something; all others measure something, such as seconds.
_COUNTS = frozenset({"writes", "burst", "clients"})


def shrink(outcome: Outcome, play: Play, *, most_runs: int = 300) -> Outcome:
    """Return a run of a smaller plan that breaks the rule which was broken first.

    Faults are dropped, then parts, then knobs; then numbers are halved. Whatever the broken rule does not need is
    left out. The trials have a fixed order, so the same plan always shrinks to the same one.

    :param outcome: a run that has broken a rule.
    :param play: plays a plan.
    :param most_runs: how many trials there may be.
    :raises ValueError: the run has broken no rule.
    """
    if not outcome.findings:
        raise ValueError(f"the plan of seed {outcome.plan.seed} breaks no rule, so there is nothing to shrink")
    rule = outcome.findings[0].rule
    best, runs, smaller = outcome, 0, True
    while smaller:
        smaller = False
        for candidate in _smaller(best.plan):
            if runs >= most_runs:
                return best
            runs += 1
            tried = play(candidate)
            if any(finding.rule == rule for finding in tried.findings):
                best, smaller = tried, True
                break
    return best


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Yield plans with less in them; those with much less come first."""
    for faults in _with_less(plan.faults):
        yield msgspec.structs.replace(plan, faults=faults)
    for parts in _with_less(plan.parts):
        yield msgspec.structs.replace(plan, parts=parts)
    for names in _with_less(sorted(plan.knobs)):
        yield msgspec.structs.replace(plan, knobs={name: plan.knobs[name] for name in names})
    if plan.seconds > 1:
        yield msgspec.structs.replace(plan, seconds=plan.seconds // 2)
    for number, part in enumerate(plan.parts):
        for name, value in part.settings.items():
            if name in _COUNTS and isinstance(value, (int, float)) and value > 1:
                settings = {**part.settings, name: int(value) // 2}
                less = msgspec.structs.replace(part, settings=settings)
                yield msgspec.structs.replace(plan, parts=[*plan.parts[:number], less, *plan.parts[number + 1 :]])


def _with_less(items: Sequence[T]) -> Iterator[list[T]]:
    """Yield a list without its halves, its quarters and so on, to single items."""
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            yield [*items[:start], *items[start + size :]]
        size //= 2
