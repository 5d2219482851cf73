"""B8: many clients at a steady pace."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial

from benchmarks.peers.drivers import FOLDER, executable
from benchmarks.peers.servers import OUR_SERVER, SERVERS, ServerKind, serving_driver
from benchmarks.peers.steady_client import SteadyPlan
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

_TAIL = "99th percentile"
_VECTORS = 50
_HERTZ = 20
_CLIENTS = 200
_SECONDS = 10
_LIMIT_SECONDS = 45.0
_START_SECONDS = 60.0


def _measure(kind: ServerKind, quick: bool) -> Mapping[str, float]:
    words = [sys.executable, "-IS", str(FOLDER / "steady_driver.py"), str(_VECTORS), str(1 / _HERTZ)]
    with serving_driver(kind, executable("steady_driver", words)) as server:
        plan = SteadyPlan(
            port=server.port,
            clients=20 if quick else _CLIENTS,
            vectors=_VECTORS,
            period=1 / _HERTZ,
            ticks=_HERTZ * (1 if quick else _SECONDS),
            seconds=_LIMIT_SECONDS,
        )
        return {case: seconds * 1e3 for case, seconds in _run_client(plan).items()}


def _run_client(plan: SteadyPlan) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "benchmarks.peers.steady_client"],
        input=plan.to_json(),
        cwd=FOLDER.parent.parent,
        capture_output=True,
        text=True,
        timeout=plan.seconds + _START_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the clients: {done.stderr.strip().splitlines()[-1]}")
    results: dict[str, float] = json.loads(done.stdout)
    return results


BENCHMARK = Benchmark(
    name="B8",
    title=f"{_CLIENTS} clients at a steady pace",
    explanation=f"""\
An external driver updates {_VECTORS} number vectors {_HERTZ} times a second for {_SECONDS} seconds; the server
relays each update to {_CLIENTS} clients. An update is late by the time from the moment at which the driver is
to send it until a client has it. Each client must get every update once and in order, or the round has failed.
After {_LIMIT_SECONDS:.0f} seconds it is enough: updates that are still on their way then count as if they came
at that moment, so that a server which is far too slow gets a value, better than it deserves. All clients are
connections of one process, whose own time is in the values of every server. indipyserver takes no more than ten
clients.""",
    unit="ms",
    higher_is_better=False,
    contenders=tuple(
        Contender(kind.name, partial(_measure, kind)) for kind in SERVERS if kind.most_clients >= _CLIENTS
    ),
    targets=(Target(_TAIL, OUR_SERVER, "indiserver", 1.0),),
)
