"""B12: the answer to a write from a driver alone, and what an update in a burst costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.peers.answering import MEDIAN, TAIL, time_answers
from benchmarks.peers.drivers import alone, bare_driver, cpp_driver, indipydriver_driver, our_driver
from benchmarks.peers.wire import Wire, check_readings, command
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

BURST = "an update in a burst"


def measure(make_command: Callable[[], list[str]], one_socketpair: bool, quick: bool) -> Mapping[str, float]:
    """Measure answers and a burst, with the same driver."""
    with alone(make_command(), one_socketpair=one_socketpair) as (wire, _):
        answers = time_answers(wire, quick)
        return {**answers, BURST: _measure_burst(wire, 2_000 if quick else 20_000)}


def _measure_burst(wire: Wire, count: int) -> float:
    begin = time.perf_counter()
    wire.send(command("BURST", "COUNT", count))
    data = wire.receive_until(b"</setNumberVector>", count)
    seconds = time.perf_counter() - begin
    check_readings(data, count)
    return seconds / count * 1e6


BENCHMARK = Benchmark(
    name="B12",
    title="From a write to its answer, driver alone",
    explanation=f"""\
As B5, but the driver has one end of a socketpair as its standard input and output, and the client has the other: no
server is in between. Then it is asked for a burst of updates as in B7; given is the time for one of them. "bare"
is no contender but a bound: a driver of a hundred lines on anyio which knows two commands by patterns, validates
little and keeps no order, and so shows what this machine allows in Python. {MEDIAN.capitalize()} and {TAIL} are of
the answers.""",
    unit="µs",
    higher_is_better=False,
    contenders=(
        Contender("indianyio asyncio", partial(measure, partial(our_driver, "asyncio"), True)),
        Contender("indianyio trio", partial(measure, partial(our_driver, "trio"), True)),
        Contender("bare asyncio", partial(measure, partial(bare_driver, "asyncio"), True)),
        Contender("bare trio", partial(measure, partial(bare_driver, "trio"), True)),
        Contender("C++ driver", partial(measure, cpp_driver, True)),
        Contender("indipydriver", partial(measure, indipydriver_driver, False)),
    ),
    targets=(
        Target(MEDIAN, "indianyio asyncio", "bare asyncio", 0.5),
        Target(MEDIAN, "indianyio trio", "bare trio", 0.5),
        Target(BURST, "indianyio", "indipydriver", 6.0),
        Target(BURST, "indianyio", "C++ driver", 0.4),
    ),
)
