"""A plot of each benchmark, with matplotlib."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.suite import MissingPeerError, Outcome

__all__ = ["plot"]


def plot(outcomes: Sequence[Outcome], folder: Path) -> Mapping[str, Path]:
    """Draw the medians as bars, one group for each case, on a logarithmic axis.

    :param outcomes: what came out.
    :param folder: where the drawings go, as SVG; made if it is not there.
    :return: the file of each benchmark, by its name.
    :raises MissingPeerError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPeerError("plots need matplotlib: pip install '.[bench]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for outcome in outcomes:
        cases, contenders = outcome.cases(), list(outcome.measured)
        figure = Figure(figsize=(8, 3.5), layout="constrained")
        axes = figure.subplots()
        width = 0.8 / max(1, len(contenders))
        for number, contender in enumerate(contenders):
            bars = [(place, outcome.values(contender, case)) for place, case in enumerate(cases)]
            places = [place + number * width for place, values in bars if values]
            heights = [statistics.median(values) for _, values in bars if values]
            axes.bar(places, heights, width, label=contender)
        axes.set_yscale("log")
        axes.set_ylabel(outcome.benchmark.unit)
        axes.set_xticks([place + 0.4 - width / 2 for place in range(len(cases))], cases)
        axes.set_title(f"{outcome.benchmark.name}: {outcome.benchmark.title}")
        axes.legend(fontsize="small")
        made[outcome.benchmark.name] = folder / f"{outcome.benchmark.name}.svg"
        # Without a date the file changes only when the figures do.
        figure.savefig(made[outcome.benchmark.name], metadata={"Date": None})
    return made
