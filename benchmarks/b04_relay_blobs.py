"""B4: images, in base64 over TCP and as descriptors over unix sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.peers.bursts import (
    MEGABYTE,
    attached_blob,
    blob,
    burst_driver,
    content_of,
    payload,
    wrapped_blob,
)
from benchmarks.peers.client import Plan
from benchmarks.peers.measuring import run_client
from benchmarks.peers.servers import OUR_SERVER, SERVERS, Server, ServerKind, serving_driver
from benchmarks.suite import Benchmark, Contender, Target

__all__ = ["BENCHMARK"]

_BYTES, _QUICK_BYTES = 16 * MEGABYTE, MEGABYTE
_BLOBS = 10
_FEWER_BLOBS = {"indipyserver": 2}  # which takes more than a second for each
_SECONDS = 120.0
_END = "</setBLOBVector>"
_CLIENTS = (1, 5)
_ONE_LINE, _ATTACHED = "one line", "attached"


@dataclass(frozen=True, slots=True)
class _Source:
    """A way to send a BLOB: what the driver writes, what clients on TCP get, and what is in the descriptor."""

    message: bytes
    content: bytes
    attachment: bytes | None = None


def _sources(data: bytes) -> dict[str, _Source]:
    plain, wrapped = blob(data), wrapped_blob(data)
    return {
        _ONE_LINE: _Source(plain, content_of(plain)),
        "wrapped": _Source(wrapped, content_of(wrapped)),
        _ATTACHED: _Source(attached_blob(len(data)), content_of(plain), data),
    }


def _over_tcp(kind: ServerKind, source: _Source, clients: int) -> float:
    """Return how many BLOBs per second a server relays to clients on TCP."""
    with tempfile.NamedTemporaryFile() as expected, _serving(kind, source) as server:
        expected.write(source.content)
        expected.flush()
        address = ("127.0.0.1", server.port)
        return _rate(Plan(address, _END, "<oneBLOB", expected.name, _bursts(kind), clients, seconds=_SECONDS))


def _as_descriptors(kind: ServerKind, source: _Source, clients: int) -> float:
    """Return how many BLOBs per second a server passes on to clients on unix sockets."""
    with tempfile.NamedTemporaryFile() as expected, _serving(kind, source) as server:
        expected.write(source.attachment or b"")
        expected.flush()
        address = f"\0{server.unix_name}"
        return _rate(Plan(address, _END, "descriptors", expected.name, _bursts(kind), clients, seconds=_SECONDS))


@contextmanager
def _serving(kind: ServerKind, source: _Source) -> Iterator[Server]:
    with burst_driver([source.message] * 2, source.attachment) as driver, serving_driver(kind, driver) as server:
        yield server


def _bursts(kind: ServerKind) -> tuple[int, ...]:
    """Return one more BLOB than is measured, as the first one warms up."""
    return (1,) * (1 + _FEWER_BLOBS.get(kind.name, _BLOBS))


def _rate(plan: Plan) -> float:
    seconds = run_client(plan)
    return len(seconds) / sum(seconds)


def _measure(kind: ServerKind, quick: bool) -> Mapping[str, float]:
    size = _QUICK_BYTES if quick else _BYTES
    sources = _sources(payload(size))
    if not kind.has_unix:
        sources = {_ONE_LINE: sources[_ONE_LINE]}
    rates = {
        f"{title}, {_clients(count)}": _over_tcp(kind, source, count)
        for title, source in sources.items()
        for count in _CLIENTS
    }
    if kind.has_unix:
        rates |= {
            f"descriptors, {_clients(count)}": _as_descriptors(kind, sources[_ATTACHED], count)
            for count in _CLIENTS
        }
    return {case: rate * size / MEGABYTE for case, rate in rates.items()}


def _clients(count: int) -> str:
    return f"{count} client{'s' if count > 1 else ''}"


BENCHMARK = Benchmark(
    name="B4",
    title="Relay of BLOBs",
    explanation=f"""\
One external driver sends {_BLOBS} BLOBs of {_BYTES // MEGABYTE} MB, each when all clients have the one before, as a driver does
that waits for them; with indipyserver only {_FEWER_BLOBS["indipyserver"]}, on one line, as it knows no descriptors. To clients on TCP, who get
base64, it sends a BLOB in each of the forms that servers meet, which cost them very different times: base64 on one line, as
other servers and our drivers write it; base64 wrapped in lines, with `enclen`, as libindi's drivers write it to a pipe;
and attached, a descriptor of shared memory, as libindi's drivers write it under a server on the same machine.
In the last cases the clients are on unix sockets and get a descriptor, too. The content is compared as it comes, or,
behind a descriptor, when the clock has stopped: such a client has yet to read the memory. The rate is that of the
BLOBs' own bytes, counted once however many clients get them; a first BLOB warms up.""",
    unit="MB/s",
    higher_is_better=True,
    contenders=tuple(Contender(kind.name, partial(_measure, kind)) for kind in SERVERS),
    targets=(
        *(
            Target(f"{source}, {_clients(count)}", OUR_SERVER, "indiserver", ratio)
            for source, ratios in ((_ONE_LINE, (1.2, 1.5)), ("wrapped", (1.2, 1.3)), (_ATTACHED, (1.2, 1.5)))
            for count, ratio in zip(_CLIENTS, ratios, strict=True)
        ),
        *(
            Target(f"descriptors, {_clients(count)}", OUR_SERVER, f"{_ONE_LINE}, {_clients(count)}@{OUR_SERVER}", 3)
            for count in _CLIENTS
        ),
    ),
)
