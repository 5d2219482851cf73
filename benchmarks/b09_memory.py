"""B9: the most memory that a server needs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial

from benchmarks.peers.bursts import MEGABYTE, blob, burst_driver, content_of, numbers, payload, texts
from benchmarks.peers.client import Plan
from benchmarks.peers.measuring import run_client
from benchmarks.peers.servers import OUR_SERVER, SERVERS, ServerKind, serving_driver
from benchmarks.suite import Benchmark, Contender, Limit, Target

__all__ = ["BENCHMARK"]

_BYTES, _QUICK_BYTES = 50 * MEGABYTE, 2 * MEGABYTE
_IDLE_CLIENTS = 100
_TEXT_BYTES = 50_000
_TEXTS, _QUICK_TEXTS = 2_000, 100
_TEXTS_AT_ONCE = 20
_SECONDS = 120.0
# The bound of a client's outbox, 64 MiB, and again as much for the program itself and what is in the sockets.
_STALLED_MEGABYTES = 2 * 64 * 1.048576


def _one_blob(kind: ServerKind, quick: bool) -> float:
    message, small = blob(payload(_QUICK_BYTES if quick else _BYTES)), numbers(1)
    with tempfile.NamedTemporaryFile() as expected:
        expected.write(content_of(message))
        expected.flush()
        with burst_driver([small, message]) as driver, serving_driver(kind, driver) as server:
            plan = Plan(
                ("127.0.0.1", server.port),
                "</setBLOBVector>",
                "<oneBLOB",
                expected.name,
                (0, 1),
                5,
                seconds=_SECONDS,
            )
            run_client(plan)
            return server.peak_megabytes()


def _idle(kind: ServerKind, clients: int) -> float:
    with burst_driver([numbers(1), numbers(1)]) as driver, serving_driver(kind, driver) as server:
        address = ("127.0.0.1", server.port)
        run_client(Plan(address, "</setNumberVector>", "numbers", bursts=(1,), readers=clients, seconds=_SECONDS))
        return server.peak_megabytes()


def _stalled(kind: ServerKind, quick: bool) -> float:
    text, count = b"x" * _TEXT_BYTES, _QUICK_TEXTS if quick else _TEXTS
    with tempfile.NamedTemporaryFile() as expected:
        expected.write(text)
        expected.flush()
        # In small bursts, each when the client that reads has the one before: it must never have to be let go, too.
        bursts = (1, *(_TEXTS_AT_ONCE,) * (count // _TEXTS_AT_ONCE))
        messages = [texts(1, text), texts(_TEXTS_AT_ONCE, text)]
        with burst_driver(messages) as driver, serving_driver(kind, driver) as server:
            plan = Plan(
                address=("127.0.0.1", server.port),
                tag="</setTextVector>",
                content="<oneText",
                expected=expected.name,
                bursts=bursts,
                stalled=1,
                seconds=_SECONDS,
            )
            run_client(plan)
            return server.peak_megabytes()


def _measure(kind: ServerKind, quick: bool) -> Mapping[str, float]:
    memory = {"one BLOB to 5 clients": _one_blob(kind, quick)}
    if kind.most_clients >= _IDLE_CLIENTS:
        memory[f"{_IDLE_CLIENTS} idle clients"] = _idle(kind, _IDLE_CLIENTS)
    memory["a stalled client"] = _stalled(kind, quick)
    return memory


BENCHMARK = Benchmark(
    name="B9",
    title="Peak memory",
    explanation=f"""\
The most resident memory that the server's process has had: while it relays one BLOB of {_BYTES // MEGABYTE} MB (a third more in
base64) to 5 clients; with {_IDLE_CLIENTS} clients that have got the definitions and one update; and while {_TEXTS} texts of
{_TEXT_BYTES} bytes, {_TEXTS_AT_ONCE} at a time, pass to one client and another does not read. indipyserver takes no 100 clients. Python itself, with the libraries, is in the figures.""",
    unit="MB",
    higher_is_better=False,
    contenders=tuple(Contender(kind.name, partial(_measure, kind)) for kind in SERVERS),
    targets=(
        Target("one BLOB to 5 clients", OUR_SERVER, "indiserver", 1),
        Target(f"{_IDLE_CLIENTS} idle clients", OUR_SERVER, "indiserver", 1),
        Limit("a stalled client", OUR_SERVER, _STALLED_MEGABYTES),
    ),
)
