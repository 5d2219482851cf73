"""The rules that a run has broken, and how people are told."""

from __future__ import annotations

from dataclasses import dataclass, field

from indianyio.testing.simulation._plan import Plan

__all__ = ["Finding", "Outcome", "SimulationError"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken.

    :ivar rule: the name of its class.
    :ivar text: what was wrong, in a sentence.
    :ivar at: when it was noticed, in seconds since the run began.
    """

    rule: str
    text: str
    at: float = 0.0

    def __str__(self) -> str:
        return f"{self.at:9.3f} s  {self.rule}: {self.text}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a run.

    :ivar plan: the plan that was played.
    :ivar findings: the rules that were broken, the first one first.
    :ivar digest: of all that was received, by whom and when: two runs with the same digest were the same.
    :ivar figures: counts by name, of writes for instance, which show people whether the run did anything.
    """

    plan: Plan
    findings: list[Finding]
    digest: str
    figures: dict[str, float] = field(default_factory=dict)


class SimulationError(AssertionError):
    """A run broke a rule.

    :ivar outcome: the run.
    """

    def __init__(self, outcome: Outcome, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome
