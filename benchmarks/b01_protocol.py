"""B1: the protocol alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

from benchmarks.peers.drivers import FOLDER, require_package
from benchmarks.peers.protocol_program import DEFINITION, SET
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

_PULL_PARSER = "XMLPullParser"
_LIMIT_SECONDS = 120.0


def measure(contender: str, quick: bool) -> Mapping[str, float]:
    """Measure a contender in a process of its own."""
    command = [sys.executable, str(FOLDER / "protocol_program.py"), contender, "0.1" if quick else "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


def _measure_indipyclient(quick: bool) -> Mapping[str, float]:
    require_package("indipyclient")
    return measure("indipyclient", quick)


BENCHMARK = Benchmark(
    name="B1",
    title="The protocol alone",
    explanation=f"""\
Bytes in pieces of 64 KiB become frames, as a server needs them, or messages, as a driver or a client does;
messages become bytes. The samples are an update of two numbers, {len(SET)} bytes, so that 100 000 messages/s are
{len(SET) / 10:.0f} MB/s, and a definition with 20 members, {len(DEFINITION)} bytes, so that 10 000 messages/s are
{len(DEFINITION) / 100:.0f} MB/s. XMLPullParser of the standard library and the reading loop of indipyclient, which
uses it, stop at elements: no name, state or number is looked at. Frames that may be relayed were checked to be
sound XML, too.""",
    unit="messages/s",
    higher_is_better=True,
    contenders=(
        Contender("indianyio", partial(measure, "indianyio")),
        Contender(_PULL_PARSER, partial(measure, _PULL_PARSER)),
        Contender("indipyclient", _measure_indipyclient),
    ),
    targets=tuple(
        Target(f"{sample}: bytes to {result}", "indianyio", f"{sample}: bytes to elements@{_PULL_PARSER}", ratio)
        for sample in ("set", "definition")
        for result, ratio in (("frames", 1.5), ("messages", 1.2))
    )
    + tuple(
        Target(f"{sample}: messages to bytes", "indianyio", f"{sample}: bytes to elements@{_PULL_PARSER}", 3.0)
        for sample in ("set", "definition")
    ),
)
