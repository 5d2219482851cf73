"""B11: how long a start takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.peers.drivers import alone, cpp_driver, indipydriver_driver, our_driver
from benchmarks.peers.processes import program_environment
from benchmarks.peers.wire import GET_PROPERTIES
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

DEFINITION = "first definition"
IMPORT = "import"
BARE = "import anyio, trio"
OURS = "import indianyio"

_IMPORT_SECONDS = 60.0


def measure_definition(make_command: Callable[[], list[str]], quick: bool) -> Mapping[str, float]:
    """Measure from the start of a driver until its first definition is there."""
    return {DEFINITION: _median(partial(_until_definition, make_command()), quick)}


def measure_import(statement: str, quick: bool) -> Mapping[str, float]:
    """Measure from the start of an interpreter until it has imported something."""
    return {IMPORT: _median(partial(_until_imported, statement), quick)}


def _median(start: Callable[[], float], quick: bool) -> float:
    """Return the median of some starts, in ms; the first one, which fills the system's caches, is left out."""
    start()
    return 1e3 * statistics.median(start() for _ in range(1 if quick else 7))


def _until_definition(command: list[str]) -> float:
    begin = time.perf_counter()
    with alone(command) as (wire, _):
        wire.send(GET_PROPERTIES)
        wire.receive_until(b"<def")
        return time.perf_counter() - begin


def _until_imported(statement: str) -> float:
    program = f"{statement}\nimport os\nos.write(1, b'x')"
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=program_environment()
    ) as process:
        if process.stdout is None or process.stdout.read(1) != b"x":
            raise RuntimeError(f"{statement!r} failed")
        seconds = time.perf_counter() - begin
        process.wait(_IMPORT_SECONDS)
    return seconds


BENCHMARK = Benchmark(
    name="B11",
    title="Start",
    explanation="""\
From the start of a process until the first definition has come in answer to a `getProperties` that was waiting for
the driver, with `python -m indianyio.run` for ours; and from the start of an interpreter until it has imported a
package, which is then told with a byte. Each is the median of seven starts; byte code is compiled and files are in
the system's cache.""",
    unit="ms",
    higher_is_better=False,
    contenders=(
        Contender("indianyio asyncio", partial(measure_definition, partial(our_driver, "asyncio"))),
        Contender("indianyio trio", partial(measure_definition, partial(our_driver, "trio"))),
        Contender(OURS, partial(measure_import, OURS)),
        Contender(BARE, partial(measure_import, BARE)),
        Contender("C++ driver", partial(measure_definition, cpp_driver)),
        Contender("indipydriver", partial(measure_definition, indipydriver_driver)),
    ),
    targets=(
        Target(DEFINITION, "indianyio", f"{IMPORT}@{BARE}", 1 / 1.5),
        Target(IMPORT, OURS, BARE, 1 / 1.5),
    ),
)
