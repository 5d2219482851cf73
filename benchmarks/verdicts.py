"""From what was measured to whether a target is reached."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.suite import Limit, Outcome, Target

__all__ = ["Verdict", "verdicts"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a target for one of our contenders.

    :param case: the case.
    :param ours: our contender.
    :param wanted: what was to be reached, in words.
    :param reached: what was reached, in words.
    :param is_reached: whether that is enough; ``None`` where it was not measured.
    """

    case: str
    ours: str
    wanted: str
    reached: str
    is_reached: bool | None


def verdicts(outcome: Outcome) -> list[Verdict]:
    """Judge each of our contenders by each target; the one that comes off worst decides about the target.

    One that has failed in any round does not reach its targets.
    """
    judged = []
    for target in outcome.benchmark.targets:
        ours = [one.name for one in outcome.benchmark.contenders if one.name.startswith(target.ours)]
        for name in ours:
            has_failed = name in outcome.failures
            if target.case in outcome.cases() and not outcome.values(name, target.case) and not has_failed:
                continue  # it takes no part in this case
            verdict = (
                _limited(outcome, target, name) if isinstance(target, Limit) else _compared(outcome, target, name)
            )
            judged.append(_failed(verdict, outcome.failures[name]) if has_failed else verdict)
    return judged


def _failed(verdict: Verdict, failures: Sequence[str]) -> Verdict:
    # However fast the other rounds were: a target is not reached by whoever loses a message in one of them.
    return replace(verdict, reached=f"{verdict.reached}; failed rounds: {len(failures)}", is_reached=False)


def _limited(outcome: Outcome, limit: Limit, ours: str) -> Verdict:
    unit = outcome.benchmark.unit
    wanted = f"at most {limit.at_most:.4g} {unit}"
    values = outcome.values(ours, limit.case)
    if not values:
        return Verdict(limit.case, ours, wanted, "not measured", None)
    reached = statistics.median(values)
    return Verdict(limit.case, ours, wanted, f"{reached:.4g} {unit}", reached <= limit.at_most)


def _compared(outcome: Outcome, target: Target, ours: str) -> Verdict:
    case, _, name = target.peer.rpartition("@")
    peer = ours if name and ours.startswith(name) else name
    wanted = f"{target.ratio:.3g} × {peer}" + (f", {case}" if case else "")
    ratios = _ratios(outcome, (ours, target.case), (peer, case or target.case))
    if not ratios:
        return Verdict(target.case, ours, wanted, "not measured", None)
    ratio = statistics.median(ratios)
    return Verdict(target.case, ours, wanted, f"{ratio:.3g} ×", ratio >= target.ratio)


def _ratios(outcome: Outcome, ours: tuple[str, str], peer: tuple[str, str]) -> list[float]:
    """Return how many times better ours was than the peer, for each round in which both were measured."""
    rounds = zip(outcome.measured.get(ours[0], []), outcome.measured.get(peer[0], []), strict=False)
    both = [(mine[ours[1]], other[peer[1]]) for mine, other in rounds if ours[1] in mine and peer[1] in other]
    if outcome.benchmark.higher_is_better:
        return [mine / other for mine, other in both]
    return [other / mine for mine, other in both]
