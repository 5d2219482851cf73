"""B16: what a typed property costs above the vector underneath."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

from benchmarks.peers.drivers import FOLDER
from benchmarks.peers.servers import BACKENDS
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

_CASES = {"position": "one number", "coordinates": "two numbers", "motion": "a switch"}
_WAYS = {"vector": "vector", "members": "report(member=...)", "values": "report(values)"}
_AT_MOST = 1.3
_LIMIT_SECONDS = 100.0


def measure(backend: str, quick: bool) -> Mapping[str, float]:
    """Measure updates of all sorts in a process of their own."""
    command = [sys.executable, str(FOLDER / "reporting_program.py"), backend, "2000" if quick else "40000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    figures: dict[str, dict[str, float]] = json.loads(done.stdout)
    return {_name(case, way): microseconds for case, ways in figures.items() for way, microseconds in ways.items()}


def _name(case: str, way: str) -> str:
    return f"{_CASES[case]}: {_WAYS[way]}"


BENCHMARK = Benchmark(
    name="B16",
    title="An update through a typed property",
    explanation="""\
A driver whose peer takes everything at once and says nothing reports one number, two numbers, or which of two switches
is On. It assigns to its vector and calls ``send_setVector``; or it calls ``report`` of the typed property that has this
vector, with members as keywords; or it makes an instance of the property's class each time and reports that, which is
checked against the limits, too. The ways take turns within a process. Given is the processor's time for one update,
with all that its sending costs.""",
    unit="µs",
    higher_is_better=False,
    contenders=tuple(Contender(f"indianyio {backend}", partial(measure, backend)) for backend in BACKENDS),
    targets=tuple(
        Target(_name(case, way), "indianyio", f"{_name(case, 'vector')}@indianyio", 1 / _AT_MOST)
        for case in _CASES
        for way in ("members", "values")
    ),
)
