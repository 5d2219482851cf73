"""Compare indianyio with its peers: ``python -m benchmarks [name ...]``, in the folder of the README."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue import BENCHMARKS
from benchmarks.machine import facts
from benchmarks.plots import plot
from benchmarks.report import as_json, as_markdown
from benchmarks.suite import Benchmark, MissingPeerError, Outcome, run
from benchmarks.verdicts import verdicts

_ROUNDS = 5


def main(arguments: Sequence[str] | None = None, benchmarks: Sequence[Benchmark] = BENCHMARKS) -> int:
    """Run what was asked for, print the results, and write them where that was asked for.

    :return: 0; 1 if a contender of ours failed or a plot cannot be drawn; 2 for wrong arguments.
    """
    parser = _parser(benchmarks)
    options = parser.parse_args(arguments)
    known = {benchmark.name: benchmark for benchmark in benchmarks}
    if unknown := [name for name in options.name if name.upper() not in known]:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(known)}")
    chosen = [known[name.upper()] for name in options.name] or list(benchmarks)
    rounds = options.rounds or (1 if options.quick else _ROUNDS)
    outcomes = [run(benchmark, rounds, options.quick, _say) for benchmark in chosen]
    for outcome in outcomes:
        _summarise(outcome)
    try:
        _write(outcomes, options)
    except MissingPeerError as error:
        _say(str(error))
        return 1
    ours_failed = any(name.startswith("indianyio") for outcome in outcomes for name in outcome.failures)
    return 1 if ours_failed else 0


def _parser(benchmarks: Sequence[Benchmark]) -> argparse.ArgumentParser:
    names = ", ".join(f"{benchmark.name} {benchmark.title}" for benchmark in benchmarks)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog=f"There are: {names}."
    )
    add = parser.add_argument
    add("name", nargs="*", help="which; all if none is named")
    add("--rounds", type=int, metavar="N", help=f"how often each contender is measured (default: {_ROUNDS})")
    add("--quick", action="store_true", help="small and once: to see that everything works")
    add("--json", type=Path, metavar="FILE", help="write all figures to this file")
    add("--plot", type=Path, metavar="DIR", help="draw the figures into this folder")
    add("--report", type=Path, metavar="FILE", help="write a report in Markdown to this file")
    return parser


def _summarise(outcome: Outcome) -> None:
    for name, reason in outcome.missing.items():
        _say(f"{outcome.benchmark.name} {name} is missing: {reason}")
    for one in verdicts(outcome):
        word = {True: "reached", False: "MISSED", None: "unknown"}[one.is_reached]
        _say(f"{outcome.benchmark.name} {one.case}, {one.ours}: {one.reached}, wanted {one.wanted}: {word}")


def _write(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    found = facts()
    if options.json is not None:
        text = json.dumps(as_json(outcomes, found), indent=1, ensure_ascii=False)
        options.json.write_text(f"{text}\n", encoding="utf-8")
    plots = {} if options.plot is None else plot(outcomes, options.plot)
    if options.report is not None:
        seen = {name: os.path.relpath(path, options.report.parent) for name, path in plots.items()}
        options.report.write_text(as_markdown(outcomes, found, seen), encoding="utf-8")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a command prints


if __name__ == "__main__":
    sys.exit(main())
