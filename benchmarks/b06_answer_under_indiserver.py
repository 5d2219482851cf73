"""B6: the answer to a write, from a driver under indiserver."""

from __future__ import annotations

from functools import partial

from benchmarks.peers.answering import (
    MEDIAN,
    cpp_under_indiserver,
    indipydriver_under_indiserver,
    measure_answers,
    ours_under_indiserver,
)
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

BENCHMARK = Benchmark(
    name="B6",
    title="From a write to its answer, driver under indiserver",
    explanation="""\
As B5, but all drivers are children of the same C++ indiserver, one at a time, as the users of KStars run them.""",
    unit="µs",
    higher_is_better=False,
    contenders=(
        Contender("indianyio asyncio", partial(measure_answers, partial(ours_under_indiserver, "asyncio"))),
        Contender("indianyio trio", partial(measure_answers, partial(ours_under_indiserver, "trio"))),
        Contender("C++ driver", partial(measure_answers, cpp_under_indiserver)),
        Contender("indipydriver", partial(measure_answers, indipydriver_under_indiserver)),
    ),
    targets=(Target(MEDIAN, "indianyio", "C++ driver", 1 / 2.2),),
)
