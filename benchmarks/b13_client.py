"""B13: how late updates come to whoever waits for them in a client."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.peers.clients import run_with_server
from benchmarks.peers.drivers import require_package
from benchmarks.peers.servers import BACKENDS
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

MEDIAN, TAIL = "median", "99th percentile"

_VECTORS, _MEMBERS = 300, 20
_HERTZ = 1000
_SECONDS = 10
_LIMIT_SECONDS = 60.0


def _measure(kind: str, quick: bool) -> Mapping[str, float]:
    if kind == "indipyclient":
        require_package(kind)
    count = str(_HERTZ * (1 if quick else _SECONDS))
    server = ["steady", str(_VECTORS), str(_MEMBERS), str(1 / _HERTZ), count]
    figures = run_with_server(server, ["mirroring_client.py", kind], count, seconds=_LIMIT_SECONDS)
    return {case: seconds * 1e3 for case, seconds in zip((MEDIAN, TAIL), figures, strict=True)}


BENCHMARK = Benchmark(
    name="B13",
    title="A client that keeps up",
    explanation=f"""\
A server, a hundred lines of the standard library, defines {_VECTORS} vectors of {_MEMBERS} numbers, and updates one
after the other, {_HERTZ} updates a second for {_SECONDS} seconds. An update is late by the time from the server's call
to send until the client's task has it. Our client mirrors all vectors and has two watchers. One must get every update,
or the round has failed. The other sleeps for a second after each: what it gets must be the newest, and with what it
is told was left out these must be all updates. indipyclient mirrors them, and calls its ``rxevent``. pyindi-client
was not measured.""",
    unit="ms",
    higher_is_better=False,
    contenders=(
        *(Contender(f"indianyio {backend}", partial(_measure, backend)) for backend in BACKENDS),
        Contender("indipyclient", partial(_measure, "indipyclient")),
    ),
    targets=(Target(MEDIAN, "indianyio", "indipyclient", 1.0),),
)
