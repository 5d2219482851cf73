"""B3: bursts of different length."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.b02_relay_burst import relay_rate
from benchmarks.peers.servers import OUR_SERVER, SERVERS, ServerKind
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

_LENGTHS = (1_000, 10_000, 100_000)
_QUICK_LENGTHS = (1_000, 10_000)


def _measure(kind: ServerKind, quick: bool) -> Mapping[str, float]:
    lengths = _QUICK_LENGTHS if quick else _LENGTHS
    return {_case(length): relay_rate(kind, length, 1) for length in lengths}


def _case(length: int) -> str:
    return f"{length} messages"


BENCHMARK = Benchmark(
    name="B3",
    title="Bursts of different length",
    explanation="""\
As B2 with one client, for bursts of different length: whether a server's cost for each message grows with what it
has to relay.""",
    unit="messages/s",
    higher_is_better=True,
    contenders=tuple(Contender(kind.name, partial(_measure, kind)) for kind in SERVERS),
    targets=(Target(_case(100_000), OUR_SERVER, f"{_case(10_000)}@{OUR_SERVER}", 0.9),),
)
