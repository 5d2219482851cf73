"""B10: what is spent on doing nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.peers.answering import (
    ServerRun,
    cpp_under_indiserver,
    indipydriver_in_indipyserver,
    ours_in_our_server,
)
from benchmarks.peers.drivers import alone, cpp_driver, indipydriver_driver, our_driver
from benchmarks.peers.wire import GET_PROPERTIES, connected
from benchmarks.suite import Benchmark, Contender, Limit

__all__ = ["BENCHMARK"]

DRIVER = "driver"
SERVER = "server with 5 clients"

_CLIENTS = 5


def measure(
    make_driver: Callable[[], list[str]], one_socketpair: bool, make_server: Callable[[], ServerRun], quick: bool
) -> Mapping[str, float]:
    """Let a driver and a server stand idle, at the same time, and count how often each wakes up."""
    with ExitStack() as stack:
        wire, driver_pid = stack.enter_context(alone(make_driver(), one_socketpair=one_socketpair))
        server = stack.enter_context(make_server())
        wires = [wire, *(stack.enter_context(connected(server.port)) for _ in range(_CLIENTS))]
        for each in wires:
            each.send(GET_PROPERTIES)
            each.receive_until(b"</defBLOBVector>")
        time.sleep(1.0 if quick else 3.0)  # until they have settled
        return _wakeups_per_second({DRIVER: driver_pid, SERVER: server.pid}, 2.0 if quick else 10.0)


def _wakeups_per_second(processes: Mapping[str, int], seconds: float) -> Mapping[str, float]:
    before = {case: _sleeps(pid) for case, pid in processes.items()}
    time.sleep(seconds)
    return {case: (_sleeps(pid) - before[case]) / seconds for case, pid in processes.items()}


def _sleeps(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep; each wake-up is followed by that."""
    files = Path(f"/proc/{pid}/task").glob("*/status")
    lines = (line for file in files for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))


BENCHMARK = Benchmark(
    name="B10",
    title="Idle",
    explanation="""\
A driver alone, which has answered one `getProperties`, and a server with a driver and five clients, which have
done the same, have nothing to do for 10 seconds. Counted is how often the threads of the process have gone to
sleep (`voluntary_ctxt_switches` in `/proc`). Our servers and indipyserver have their driver inside; of indiserver
only the server itself is counted, and its driver is the one counted as "driver".""",
    unit="wake-ups/s",
    higher_is_better=False,
    contenders=(
        *(
            Contender(
                f"indianyio {backend}",
                partial(measure, partial(our_driver, backend), True, partial(ours_in_our_server, backend)),
            )
            for backend in ("asyncio", "trio")
        ),
        Contender("indiserver, C++ driver", partial(measure, cpp_driver, True, cpp_under_indiserver)),
        Contender(
            "indipyserver, indipydriver",
            partial(measure, indipydriver_driver, False, indipydriver_in_indipyserver),
        ),
    ),
    targets=(Limit(DRIVER, "indianyio", 1.0), Limit(SERVER, "indianyio", 1.0)),
)
