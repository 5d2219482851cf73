"""B5: the answer to a write, from a driver inside the server."""

from __future__ import annotations

from functools import partial

from benchmarks.peers.answering import (
    MEDIAN,
    cpp_under_indiserver,
    indipydriver_in_indipyserver,
    measure_answers,
    ours_in_our_server,
)
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

BENCHMARK = Benchmark(
    name="B5",
    title="From a write to its answer, driver inside the server",
    explanation="""\
A client on TCP writes a number, and waits for the `setNumberVector` with which the driver confirms it, before it
writes the next one: 2000 times, after 50 that warm up; each answer is checked. Our driver and indipydriver's run
in the process of their servers, the C++ driver is a child of indiserver, which knows no other way.""",
    unit="µs",
    higher_is_better=False,
    contenders=(
        Contender("indianyio asyncio", partial(measure_answers, partial(ours_in_our_server, "asyncio"))),
        Contender("indianyio trio", partial(measure_answers, partial(ours_in_our_server, "trio"))),
        Contender("indiserver + C++ driver", partial(measure_answers, cpp_under_indiserver)),
        Contender("indipyserver + indipydriver", partial(measure_answers, indipydriver_in_indipyserver)),
    ),
    targets=(
        Target(MEDIAN, "indianyio", "indipyserver + indipydriver", 2.0),
        Target(MEDIAN, "indianyio", "indiserver + C++ driver", 1 / 2.2),
    ),
)
