"""The results, for people in Markdown and for programs in JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.suite import Outcome
from benchmarks.verdicts import Verdict, verdicts

__all__ = ["as_json", "as_markdown"]

_REMARKS = Path(__file__).parent / "remarks"
_WORDS = {True: "yes", False: "**no**", None: "?"}

_HEAD = """\
# Benchmarks

Made by `python -m benchmarks`; each benchmark runs its contenders in turns and in processes of their own. A value is the
median of the rounds, with the lowest and the highest behind it. What counts is how many times better ours is than a
peer of the same round; the median of these ratios is compared with the target, for each of our back ends. Figures of
different runs are not to be compared: machines differ, and a machine differs from day to day.
"""


def as_json(outcomes: Iterable[Outcome], facts: Mapping[str, str]) -> dict[str, object]:
    """Return everything that was measured, and what follows from it."""
    return {"machine": dict(facts), "benchmarks": [_one_as_json(outcome) for outcome in outcomes]}


def as_markdown(outcomes: Sequence[Outcome], facts: Mapping[str, str], plots: Mapping[str, str]) -> str:
    """Return the report.

    :param outcomes: what came out.
    :param facts: where and with what.
    :param plots: where the plot of a benchmark is, by its name, seen from the report.
    """
    machine = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    parts = [_HEAD, f"| | |\n|---|---|\n{machine}\n"]
    return "\n".join([*parts, *(_section(outcome, plots) for outcome in outcomes)])


def _section(outcome: Outcome, plots: Mapping[str, str]) -> str:
    benchmark = outcome.benchmark
    better = "higher" if benchmark.higher_is_better else "lower"
    rounds = f"{outcome.rounds} {'quick ' * outcome.quick}round{'s' * (outcome.rounds != 1)}"
    warning = ": this shows that it works, and not how fast" if outcome.quick else ""
    parts = [
        f"## {benchmark.name}: {benchmark.title}\n",
        f"{benchmark.explanation}\n",
        f"In {benchmark.unit}, {better} is better; {rounds}{warning}.\n",
        _values(outcome),
        _targets(verdicts(outcome)),
        *(f"- {name} is missing: {reason}\n" for name, reason in outcome.missing.items()),
        *(f"- {name}, {line}\n" for name, lines in outcome.failures.items() for line in lines),
    ]
    if benchmark.name in plots:
        parts.append(f"![{benchmark.title}]({plots[benchmark.name]})\n")
    remarks = _REMARKS / f"{benchmark.name}.md"
    if remarks.exists():
        parts.append(remarks.read_text(encoding="utf-8"))
    return "\n".join(parts)


def _values(outcome: Outcome) -> str:
    cases = outcome.cases()
    lines = [f"| | {' | '.join(cases)} |", f"|---|{'---:|' * len(cases)}"]
    for contender in outcome.measured:
        cells = [_cell(outcome.values(contender, case)) for case in cases]
        lines.append(f"| {contender} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{_number(statistics.median(values))} ({_number(min(values))}..{_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.3g}"


def _targets(judged: Sequence[Verdict]) -> str:
    lines = ["| case | ours | to reach | reached | enough |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.case} | {one.ours} | {one.wanted} | {one.reached} | {_WORDS[one.is_reached]} |" for one in judged
    ]
    return "\n".join(lines) + "\n"


def _one_as_json(outcome: Outcome) -> dict[str, object]:
    benchmark = outcome.benchmark
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "unit": benchmark.unit,
        "higher_is_better": benchmark.higher_is_better,
        "rounds": outcome.rounds,
        "quick": outcome.quick,
        "measured": {name: [dict(values) for values in rounds] for name, rounds in outcome.measured.items()},
        "missing": dict(outcome.missing),
        "failures": {name: list(lines) for name, lines in outcome.failures.items()},
        "targets": [
            {
                "case": one.case,
                "ours": one.ours,
                "wanted": one.wanted,
                "reached": one.reached,
                "enough": one.is_reached,
            }
            for one in verdicts(outcome)
        ],
    }
