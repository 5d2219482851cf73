"""What two drivers said differently, and why that is as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from indianyio.protocol import DefSwitchVector, DefVector
from tests.instrument.side_by_side.bench import Did, Step

__all__ = ["Fact", "Reason", "compare_definitions", "compare_steps", "unexplained", "without_cause"]

TOLERANCE = 0.01
"""By how much numbers may differ."""


class Fact(NamedTuple):
    """A difference: at which step, in which property, and what it is; first ours, then libindi's."""

    step: str
    name: str
    what: str


class Reason(NamedTuple):
    """Why there is a difference; all but the last are patterns of what it explains."""

    simulator: str
    step: str
    name: str
    what: str
    why: str

    def explains(self, simulator: str, fact: Fact) -> bool:
        """Return whether it is the reason for a difference."""
        return all(map(fnmatchcase, (simulator, *fact), self[:4]))


def unexplained(simulator: str, facts: Iterable[Fact], reasons: Iterable[Reason]) -> list[Fact]:
    """Return the differences without a reason."""
    known = list(reasons)
    return [fact for fact in facts if not any(reason.explains(simulator, fact) for reason in known)]


def without_cause(simulator: str, facts: Iterable[Fact], reasons: Iterable[Reason]) -> list[Reason]:
    """Return the reasons for differences of this simulator that there are not."""
    there = list(facts)
    return [
        reason
        for reason in reasons
        if fnmatchcase(simulator, reason.simulator) and not any(reason.explains(simulator, fact) for fact in there)
    ]


# -- definitions ---------------------------------------------------------------------------------------------------


def compare_definitions(
    ours: Mapping[str, DefVector], theirs: Mapping[str, DefVector], at_first: tuple[set[str], set[str]]
) -> Iterator[Fact]:
    """Yield how properties are defined differently.

    :param at_first: those that were defined before the device was connected.
    """
    for name in sorted({*ours, *theirs}):
        when = [
            "never" if name not in side else "always" if name in first else "connected"
            for side, first in zip((ours, theirs), at_first, strict=True)
        ]
        if when[0] != when[1]:
            yield Fact("definition", name, f"defined: {when[0]}, {when[1]}")
        if name in ours and name in theirs:
            traits = zip(_traits(ours[name]), _traits(theirs[name]), strict=True)
            for (what, our), (_, their) in traits:
                if our != their:
                    yield Fact("definition", name, f"{what}: {our}, {their}")


def _traits(defined: DefVector) -> list[tuple[str, object]]:
    return [
        ("kind", defined.tag),
        ("label", defined.label),
        ("perm", getattr(defined, "perm", None)),
        ("rule", defined.rule if isinstance(defined, DefSwitchVector) else None),
        ("members", " ".join(str(member.name) for member in defined.members)),
        ("labels", " | ".join(str(member.label) for member in defined.members)),
    ]


# -- steps ---------------------------------------------------------------------------------------------------------


def compare_steps(step: Step, ours: Did | None, theirs: Did | None, standard: Iterable[str]) -> Iterator[Fact]:
    """Yield what the drivers did differently upon a step; ``None`` if one lacks the property.

    :param standard: the names of the properties that both have.
    """
    if ours is None or theirs is None:
        return
    for name in standard:
        states = ours.states.get(name, ""), theirs.states.get(name, "")
        if states[0] != states[1]:
            yield Fact(step.what, name, f"states: {states[0] or 'none'}, {states[1] or 'none'}")
    if not step.is_left:
        for name in (step.vector, *step.busy):
            yield from _compare_values(step, name, ours.values.get(name, {}), theirs.values.get(name, {}))
    if ours.has_said != theirs.has_said:
        done = "refused" if step.is_refused else "done"
        yield Fact(step.what, step.vector, f"{done}: only {'ours' if ours.has_said else 'libindi'} has a text")


def _compare_values(
    step: Step, name: str, ours: Mapping[str, object], theirs: Mapping[str, object]
) -> Iterator[Fact]:
    """Compare the members written to; of another vector all."""
    for member in step.values if name == step.vector else sorted({*ours, *theirs}):
        our, their = ours.get(member), theirs.get(member)
        if isinstance(our, float) and isinstance(their, float):
            differ = abs(our - their) > TOLERANCE
        else:
            differ = our != their
        if differ:
            yield Fact(step.what, name, f"{member}: {our}, {their}")
