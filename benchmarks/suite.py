"""What a benchmark is, and how its contenders are run against each other.

A machine is never the same twice: it heats up, other programs come and go. So the contenders take turns within each
round, each round starts with another one, and what counts is the median of the ratios of each round, not the ratio of
two medians that were taken at different times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Benchmark", "Contender", "Limit", "MissingPeerError", "Outcome", "Target", "run"]


class MissingPeerError(Exception):
    """A peer is not installed; the text says what is missing and how to install it."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those that are compared.

    :param name: what it is called in the results, such as ``"indianyio trio"`` or ``"indiserver"``.
    :param measure: runs one round, a quick one if its argument is true, and returns the value of each case;
        raises :exc:`MissingPeerError` if it is not installed, and any other exception if the round has failed,
        for instance because a message was lost.
    """

    name: str
    measure: Callable[[bool], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Target:
    """How much better than a peer ours must be.

    :param case: the case.
    :param ours: the beginning of our contenders' names; all are judged, and the worst one counts.
    :param peer: the name of another contender, or ``"case@contender"`` for another case; a contender that is the
        beginning of the judged one's name is the judged one itself.
    :param ratio: how many times better than the peer ours must be; 2.0 is twice the rate, or half the time.
    """

    case: str
    ours: str
    peer: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Limit:
    """What our value must not exceed.

    :param case: the case.
    :param ours: the beginning of our contenders' names; all are judged, and the worst one counts.
    :param at_most: the limit, in the benchmark's unit.
    """

    case: str
    ours: str
    at_most: float


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A question and those that are to answer it.

    :param name: its short name, such as ``"B2"``.
    :param title: its title.
    :param explanation: what is done and how it is measured, a paragraph of Markdown.
    :param unit: the unit of all its values.
    :param higher_is_better: whether a higher value is the better one.
    :param contenders: who takes part.
    :param targets: what ours is to reach.
    """

    name: str
    title: str
    explanation: str
    unit: str
    higher_is_better: bool
    contenders: tuple[Contender, ...]
    targets: tuple[Target | Limit, ...]


Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of a benchmark.

    :param benchmark: the benchmark.
    :param rounds: how many rounds were run.
    :param quick: whether they were quick ones.
    :param measured: for each contender that took part, the values of each round; those of a failed round are empty.
    :param missing: why a contender could not take part.
    :param failures: what went wrong with a contender, a line for each failed round.
    """

    benchmark: Benchmark
    rounds: int
    quick: bool
    measured: Mapping[str, list[Values]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, list[str]] = field(default_factory=dict)

    def cases(self) -> list[str]:
        """Return the names of the cases, in the order in which they came."""
        rounds = (values for taken in self.measured.values() for values in taken)
        return list(dict.fromkeys(case for values in rounds for case in values))

    def values(self, contender: str, case: str) -> list[float]:
        """Return what a contender reached in a case, for the rounds in which it did."""
        return [values[case] for values in self.measured.get(contender, []) if case in values]


def run(benchmark: Benchmark, rounds: int, quick: bool, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Let the contenders of a benchmark take turns.

    A contender that is missing or fails is recorded, and the others go on.

    :param benchmark: the benchmark.
    :param rounds: how many rounds.
    :param quick: whether to run quick ones, which show that it works and not how fast.
    :param say: is told about the progress.
    """
    measured: dict[str, list[Values]] = {contender.name: [] for contender in benchmark.contenders}
    missing: dict[str, str] = {}
    failures: dict[str, list[str]] = {}
    for number in range(rounds):
        for contender in _in_turn(benchmark.contenders, number):
            if contender.name in missing:
                continue
            values: Values = {}
            try:
                values = contender.measure(quick)
            except MissingPeerError as exc:
                missing[contender.name] = str(exc)
                del measured[contender.name]
                continue
            except Exception as exc:  # noqa: BLE001 - one contender's failure is a result; the others go on
                failure = f"round {number + 1}: {type(exc).__name__}: {exc}"
                failures.setdefault(contender.name, []).append(failure)
                say("\n".join([f"{benchmark.name} {contender.name}: {failure}", *getattr(exc, "__notes__", ())]))
            measured[contender.name].append(values)
            shown = ", ".join(f"{case} {value:.4g} {benchmark.unit}" for case, value in values.items())
            say(f"{benchmark.name} round {number + 1} {contender.name}: {shown}")
    return Outcome(benchmark, rounds, quick, measured, missing, failures)


def _in_turn(contenders: tuple[Contender, ...], number: int) -> tuple[Contender, ...]:
    first = number % len(contenders)
    return contenders[first:] + contenders[:first]
