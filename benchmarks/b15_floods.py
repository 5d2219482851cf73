"""B15: what a flood by one peer costs the others."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from benchmarks.peers.drivers import FOLDER
from benchmarks.peers.processes import running
from benchmarks.peers.servers import BACKENDS, serving
from benchmarks.peers.wire import Wire, connected
from benchmarks.suite import Benchmark, Contender, Limit

__all__ = ["BENCHMARK"]

FLOODS = (
    "nothing",
    "requests",
    "requests to another program",
    "requests for all",
    "pings",
    "BLOB policies",
    "writes",
    "writes to nobody",
    "writes to a driver that hangs",
    "small, not plain",
    "9000 members, not plain",
    "9000 members",
    "snooped updates",
    "Latin-1 updates",
    "an attached image",
    "an image in base64",
    "an image in wrapped base64",
)

STALL = "{}: stall"
ABORT = "{}: Abort"

_BLOB_VECTORS = 1000
_PAUSE_SECONDS = 0.03
_VALUE = re.compile(rb'<oneNumber name="value">\s*([0-9.e+-]+)\s*</oneNumber>')


def measure(backend: str, quick: bool) -> Mapping[str, float]:
    """Return the worst stall and the slowest Abort under each flood, in ms."""
    values: dict[str, float] = {}
    for flood in FLOODS:
        stall, abort = _measure_one(backend, flood, 1.0 if quick else 4.0)
        values[STALL.format(flood)], values[ABORT.format(flood)] = stall, abort
    return values


def _measure_one(backend: str, flood: str, seconds: float) -> tuple[float, float]:
    with ExitStack() as stack:
        remote = [str(stack.enter_context(_other_server()))] if flood == "BLOB policies" else []
        server = stack.enter_context(serving(partial(_command, backend, remote)))
        wire = stack.enter_context(connected(server.port))
        wire.send(b'<getProperties version="1.7" device="Dome"/>')
        wire.receive_until(b"</defNumberVector>", 2)
        time.sleep(1.0)  # until the external driver is there
        for number in range(10):
            _ask(wire, "abort", number)
        _ask(wire, "stall", 0)
        if flood != "nothing":
            program = [sys.executable, "-IS", str(FOLDER / "flooder.py")]
            stack.enter_context(running([*program, flood, str(server.port), server.unix_name, str(seconds)]))
        slowest = max(_abort_until(wire, time.monotonic() + seconds))
        return _ask(wire, "stall", 0), slowest * 1000


def _abort_until(wire: Wire, end: float) -> Iterator[float]:
    number = 100
    while time.monotonic() < end:
        number += 1
        begin = time.perf_counter()
        if _ask(wire, "abort", number) != number:
            raise ValueError(f"the answer to Abort {number} is another one")
        yield time.perf_counter() - begin
        time.sleep(_PAUSE_SECONDS)


def _ask(wire: Wire, vector: str, value: int) -> float:
    member = f'<oneNumber name="value">{value}</oneNumber>'
    wire.send(f'<newNumberVector device="Dome" name="{vector}">{member}</newNumberVector>'.encode())
    mark = f'<setNumberVector device="Dome" name="{vector}"'.encode()
    wire.receive_until(mark)
    found = _VALUE.search(wire.receive_until(b"</setNumberVector>"))
    if found is None:
        raise ValueError("an answer without a value")
    return float(found[1])


def _command(backend: str, remote: list[str], port: int, unix_name: str) -> list[str]:
    program = str(FOLDER / "flooded_program.py")
    return [sys.executable, program, backend, str(port), unix_name, str(FOLDER / "flooding_driver.py"), *remote]


@contextmanager
def _other_server() -> Iterator[int]:
    """Have another server at hand, which has many BLOB vectors and reads everything; yield its port."""
    members = '<defBLOB name="b"/>'
    definitions = "".join(
        f'<defBLOBVector device="Far" name="b{number}" state="Ok" perm="ro">{members}</defBLOBVector>'
        for number in range(_BLOB_VECTORS)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, definitions.encode()), daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def _serve(listener: socket.socket, definitions: bytes) -> None:
    with suppress(OSError):
        sock, _ = listener.accept()
        with sock:
            sock.sendall(definitions)
            while sock.recv(1 << 20):
                pass


def _contender(backend: str) -> Contender:
    taken: Callable[[bool], Mapping[str, float]] = partial(measure, backend)
    return Contender(f"indianyio {backend}", taken)


BENCHMARK = Benchmark(
    name="B15",
    title="What a flood costs the others",
    explanation="""\
Our server with a driver in its process, an external one, and for one of the floods another server with 1000 BLOB
vectors. A client of its own process sends for 4 seconds as fast as it can, or makes the external driver send: requests
for a vector with a long name; requests to the external driver; requests for all devices, where a driver snoops 30
vectors that nobody has; pings; BLOB policies that change each time; writes to a vector, to a device that nobody has, or
to an external driver that hangs; small messages with a comment in them; writes of 9000 members with and without a
comment; 100 000 updates that the driver inside snoops; 50 000 updates in Latin-1; one attached image of 100 MB which
another client gets over TCP; the same image as one line of base64, and in lines of 72 characters
with ``enclen``. "Stall" is the longest time by which a task that sleeps for a millisecond was late, "Abort" the
longest time from another client's write to its answer.""",
    unit="ms",
    higher_is_better=False,
    contenders=tuple(map(_contender, BACKENDS)),
    targets=(
        *(Limit(STALL.format(flood), "indianyio", 50.0) for flood in FLOODS),
        *(Limit(ABORT.format(flood), "indianyio", 200.0) for flood in FLOODS),
    ),
)
