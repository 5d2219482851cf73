"""B7: how fast a driver alone can send."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.peers.drivers import alone, cpp_driver, indipydriver_driver, our_driver
from benchmarks.peers.wire import GET_PROPERTIES, Wire, check_image, check_readings, command
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

BURST = "burst of set messages"
BLOB = "BLOB of 16 MB"
BLOB_BYTES = 16_000_000


def measure(make_command: Callable[[], list[str]], one_socketpair: bool, quick: bool) -> Mapping[str, float]:
    """Measure the burst and the BLOB, with the same driver."""
    with alone(make_command(), one_socketpair=one_socketpair) as (wire, _):
        wire.send(GET_PROPERTIES)
        wire.receive_until(b"</defBLOBVector>")
        burst = _measure_burst(wire, 2_000 if quick else 50_000)
        return {BURST: burst, BLOB: _measure_blobs(wire, 1 if quick else 5)}


def _measure_burst(wire: Wire, count: int) -> float:
    begin = time.perf_counter()
    wire.send(command("BURST", "COUNT", count))
    data = wire.receive_until(b"</setNumberVector>", count)
    rate = count / (time.perf_counter() - begin)
    check_readings(data, count)
    return rate


def _measure_blobs(wire: Wire, count: int) -> float:
    wire.takes_descriptors = True
    _snap(wire, 1)  # the driver makes the content, once
    return 1 / statistics.median(_snap(wire, number) for number in range(2, count + 2))


def _snap(wire: Wire, number: int) -> float:
    """Return the seconds from the command to the last byte of the BLOB, and answer the driver's ping."""
    begin = time.perf_counter()
    wire.send(command("SNAP", "BYTES", BLOB_BYTES))
    data = wire.receive_until(b"</setBLOBVector>")
    seconds = time.perf_counter() - begin
    check_image(data, wire.descriptors, BLOB_BYTES)
    wire.close_descriptors()
    wire.send(f'<pingReply uid="SetBLOB/{number}"/>\n'.encode())
    return seconds


BENCHMARK = Benchmark(
    name="B7",
    title="A driver alone on a socketpair",
    explanation="""\
The driver has one end of a socketpair as its standard input and output, as under indiserver; the other end counts
closing tags. A burst is 50 000 `setNumberVector` messages of one number, from the command to the last byte; all
values are checked. A BLOB is sent by command, from bytes that the driver has in its memory; the value is the
inverse of the median time of five, each checked, the first left out. libindi and indianyio pass it as a descriptor
on shared memory, indipydriver writes base64. indipydriver gets two socketpairs, because on one it loses what it
cannot write at once.""",
    unit="per s",
    higher_is_better=True,
    contenders=(
        Contender("indianyio asyncio", partial(measure, partial(our_driver, "asyncio"), True)),
        Contender("indianyio trio", partial(measure, partial(our_driver, "trio"), True)),
        Contender("C++ driver", partial(measure, cpp_driver, True)),
        Contender("indipydriver", partial(measure, indipydriver_driver, False)),
    ),
    targets=(
        Target(BURST, "indianyio", "indipydriver", 6.0),
        Target(BURST, "indianyio", "C++ driver", 0.4),
        Target(BLOB, "indianyio", "C++ driver", 1.0),
    ),
)
