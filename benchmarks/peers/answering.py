"""Servers with the driver that answers, and how long a client waits for its answer."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

from benchmarks.peers.drivers import (
    FOLDER,
    OUR_DRIVER,
    cpp_driver,
    executable,
    indipydriver_driver,
    our_driver,
    require_package,
)
from benchmarks.peers.servers import Server, indiserver_command, serving
from benchmarks.peers.wire import GET_PROPERTIES, Wire, check_echo, command, connected

__all__ = [
    "MEDIAN",
    "TAIL",
    "cpp_under_indiserver",
    "indipydriver_in_indipyserver",
    "indipydriver_under_indiserver",
    "measure_answers",
    "ours_in_our_server",
    "ours_under_indiserver",
    "time_answers",
]

MEDIAN = "median"
TAIL = "95th percentile"

_WARMING_WRITES = 50
_PERCENTILES = 20  # statistics.quantiles: the 95th percentile is the last of 19 cuts

ServerRun = AbstractContextManager[Server]


def ours_in_our_server(backend: str) -> ServerRun:
    """Run our server with our driver in the same process."""
    return serving(partial(_our_server_command, backend))


def ours_under_indiserver(backend: str) -> ServerRun:
    """Run indiserver with our driver."""
    return _under_indiserver(f"our_driver_{backend}", our_driver(backend))


def cpp_under_indiserver() -> ServerRun:
    """Run indiserver with libindi's driver."""
    return _under_indiserver("cpp", cpp_driver())


def indipydriver_under_indiserver() -> ServerRun:
    """Run indiserver with indipydriver's driver."""
    return _under_indiserver("indipydriver", indipydriver_driver())


def indipydriver_in_indipyserver() -> ServerRun:
    """Run indipyserver with indipydriver's driver in the same process."""
    require_package("indipyserver")
    return serving(lambda port, _unix_name: [*indipydriver_driver(), str(port)])


def measure_answers(run: Callable[[], ServerRun], quick: bool) -> Mapping[str, float]:
    """Return how long the answer to a write takes, in µs; each answer is checked."""
    with run() as server, connected(server.port) as wire:
        return time_answers(wire, quick)


def time_answers(wire: Wire, quick: bool) -> Mapping[str, float]:
    """Return how long the answer to a write takes on this connection, in µs; each answer is checked."""
    wire.send(GET_PROPERTIES)
    wire.receive_until(b"</defBLOBVector>")
    times = [_write(wire, value) for value in range(_WARMING_WRITES + (200 if quick else 2_000))]
    microseconds = [seconds * 1e6 for seconds in times[_WARMING_WRITES:]]
    return {MEDIAN: statistics.median(microseconds), TAIL: statistics.quantiles(microseconds, n=_PERCENTILES)[-1]}


def _write(wire: Wire, value: int) -> float:
    message = command("ECHO", "VALUE", value)
    begin = time.perf_counter()
    wire.send(message)
    answer = wire.receive_until(b"</setNumberVector>")
    seconds = time.perf_counter() - begin
    check_echo(answer, value)
    return seconds


def _our_server_command(backend: str, port: int, _unix_name: str) -> list[str]:
    run = [sys.executable, "-m", "indianyio.run", "--backend", backend, "--log-level", "warning"]
    return [*run, "--host", "127.0.0.1", "--port", str(port), "--folder", str(FOLDER), OUR_DRIVER]


def _under_indiserver(name: str, driver: Sequence[str]) -> ServerRun:
    program = executable(name, driver)
    return serving(lambda port, unix_name: indiserver_command(port, unix_name, program))
