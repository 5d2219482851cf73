"""B4: images, in base64 over TCP and as descriptors over unix sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.peers.bursts import MEGABYTE, attached_blob, blob, burst_driver, payload
from benchmarks.peers.client import Plan
from benchmarks.peers.measuring import run_client
from benchmarks.peers.servers import OUR_SERVER, SERVERS, ServerKind, serving_driver
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

_BYTES, _QUICK_BYTES = 16 * MEGABYTE, MEGABYTE
_BLOBS = 10
_SECONDS = 120.0
_END = "</setBLOBVector>"


def _over_tcp(kind: ServerKind, data: bytes, clients: int) -> float:
    message = blob(data)
    with tempfile.NamedTemporaryFile() as expected:
        expected.write(message[message.index(b">", message.index(b"<oneBLOB")) + 1 : message.index(b"</oneBLOB>")])
        expected.flush()
        with burst_driver([message, message]) as driver, serving_driver(kind, driver) as server:
            bursts = (1,) * (1 + _BLOBS)
            address = ("127.0.0.1", server.port)
            return _rate(data, Plan(address, _END, "<oneBLOB", expected.name, bursts, clients, seconds=_SECONDS))


def _as_descriptors(kind: ServerKind, data: bytes, clients: int) -> float:
    message = attached_blob(len(data))
    with tempfile.NamedTemporaryFile() as expected:
        Path(expected.name).write_bytes(data)
        with burst_driver([message, message], data) as driver, serving_driver(kind, driver) as server:
            bursts = (1,) * (1 + _BLOBS)
            address = f"\0{server.unix_name}"
            return _rate(data, Plan(address, _END, "descriptors", expected.name, bursts, clients, seconds=_SECONDS))


def _rate(data: bytes, plan: Plan) -> float:
    return _BLOBS * len(data) / MEGABYTE / sum(run_client(plan))


def _measure(kind: ServerKind, quick: bool) -> Mapping[str, float]:
    data = payload(_QUICK_BYTES if quick else _BYTES)
    counts = {1: "1 client", 5: "5 clients"}
    rates = {f"TCP, {title}": _over_tcp(kind, data, count) for count, title in counts.items()}
    if kind.has_unix:
        rates |= {f"descriptors, {title}": _as_descriptors(kind, data, count) for count, title in counts.items()}
    return rates


BENCHMARK = Benchmark(
    name="B4",
    title="Relay of BLOBs",
    explanation=f"""\
One external driver sends {_BLOBS} BLOBs of {_BYTES // MEGABYTE} MB, each when all clients have the one before, as a driver does
that waits for them. Over TCP the driver writes base64 and each client gets base64; over unix sockets the driver sends
a descriptor of shared memory and each client gets one. The content is compared as it comes, or when the clock has
stopped. The rate is that of the BLOBs' own bytes, counted once however many clients get them; a first BLOB warms up.""",
    unit="MB/s",
    higher_is_better=True,
    contenders=tuple(
        Contender(kind.name, partial(_measure, kind)) for kind in SERVERS if kind.name != "indipyserver"
    ),
    targets=(
        Target("TCP, 1 client", OUR_SERVER, "indiserver", 1.2),
        Target("TCP, 5 clients", OUR_SERVER, "indiserver", 1.5),
        Target("descriptors, 1 client", OUR_SERVER, f"TCP, 1 client@{OUR_SERVER}", 3),
        Target("descriptors, 5 clients", OUR_SERVER, f"TCP, 5 clients@{OUR_SERVER}", 3),
    ),
)
