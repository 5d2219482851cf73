"""B11: how long a start takes."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.peers.drivers import alone, cpp_driver, executable, indipydriver_driver, our_driver
from benchmarks.peers.processes import program_environment, running
from benchmarks.peers.servers import free_port
from benchmarks.peers.wire import GET_PROPERTIES
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

DEFINITION = "first definition"
IMPORT = "import"
LISTENING = "listening"
BARE = "import anyio, trio"
OURS = "from indianyio import *"
BARE_LISTENING = "Python's bind and listen"

_IMPORT_SECONDS = 60.0
_LISTENING_SECONDS = 60.0
_TRY_AGAIN_SECONDS = 2e-4

# The least that a Python program has to do.
_BARE_SERVER = """\
import socket, sys, time
sock = socket.socket(socket.AF_INET)
sock.bind(("127.0.0.1", int(sys.argv[1])))
sock.listen(128)
time.sleep(60)
"""


def measure_definition(make_command: Callable[[], list[str]], quick: bool) -> Mapping[str, float]:
    """Measure from the start of a driver until its first definition is there."""
    return {DEFINITION: _median(partial(_until_definition, make_command()), quick)}


def measure_import(statement: str, quick: bool) -> Mapping[str, float]:
    """Measure from the start of an interpreter until it has imported something."""
    return {IMPORT: _median(partial(_until_imported, statement), quick)}


def measure_listening(make_command: Callable[[int], list[str]], quick: bool) -> Mapping[str, float]:
    """Measure from the start of a server until a client can connect to its TCP port."""
    return {LISTENING: _median(partial(_until_listening, make_command), quick)}


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


def _until_listening(make_command: Callable[[int], list[str]]) -> float:
    port = free_port()
    begin = time.perf_counter()
    with running(make_command(port)):
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return time.perf_counter() - begin
            if time.perf_counter() - begin > _LISTENING_SECONDS:
                raise RuntimeError("nobody listens")
            time.sleep(_TRY_AGAIN_SECONDS)


def _our_server(backend: str, port: int) -> list[str]:
    return [*our_driver(backend), "--port", str(port)]


def _our_indiserver(port: int) -> list[str]:
    options = ["--host", "localhost", "-p", str(port), "-u", f"indianyio-bench-{uuid.uuid4().hex}"]
    return [sys.executable, "-m", "indianyio.indiserver", *options, str(executable("ours", our_driver("asyncio")))]


def _bare_server(port: int) -> list[str]:
    return [sys.executable, "-c", _BARE_SERVER, str(port)]


BENCHMARK = Benchmark(
    name="B11",
    title="Start",
    explanation="""\
From the start of a process until the first definition has come in answer to a `getProperties` that was waiting for
the driver, with `python -m indianyio.run` for ours; and from the start of an interpreter until it has imported a
package, which is then told with a byte. `import indianyio` alone imports next to nothing, so here all names are asked
for. And from the start of a server until a client can connect to it, against a Python program that only binds a
socket and listens: a server of ours listens before it imports its drivers. Each is the median of seven starts; byte code is compiled and files are in
the system's cache.""",
    unit="ms",
    higher_is_better=False,
    contenders=(
        Contender("indianyio asyncio", partial(measure_definition, partial(our_driver, "asyncio"))),
        Contender("indianyio trio", partial(measure_definition, partial(our_driver, "trio"))),
        Contender("indianyio.run asyncio", partial(measure_listening, partial(_our_server, "asyncio"))),
        Contender("indianyio.run trio", partial(measure_listening, partial(_our_server, "trio"))),
        Contender("indianyio.indiserver", partial(measure_listening, _our_indiserver)),
        Contender(BARE_LISTENING, partial(measure_listening, _bare_server)),
        Contender(OURS, partial(measure_import, OURS)),
        Contender(BARE, partial(measure_import, BARE)),
        Contender("C++ driver", partial(measure_definition, cpp_driver)),
        Contender("indipydriver", partial(measure_definition, indipydriver_driver)),
    ),
    targets=(
        Target(DEFINITION, "indianyio asyncio", "indipydriver", 1 / 1.8),
        Target(DEFINITION, "indianyio ", f"{IMPORT}@{BARE}", 1 / 1.5),
        Target(IMPORT, OURS, BARE, 1 / 1.5),
        Target(LISTENING, "indianyio.", BARE_LISTENING, 1 / 3),
    ),
)
