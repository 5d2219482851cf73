"""B14: what an image costs a client that saves it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.peers.clients import run_with_server
from benchmarks.peers.servers import BACKENDS
from benchmarks.suite import Benchmark, Contender, Limit

__all__ = ["BENCHMARK"]

MEMORY, STALL = "memory, MB", "stall, ms"

_BYTES, _QUICK_BYTES = 100_000_000, 5_000_000
_LIMIT_SECONDS = 60.0
_MOST_MEGABYTES = 40.0
_MOST_MILLISECONDS = 20.0


def _measure(backend: str, quick: bool) -> Mapping[str, float]:
    size = str(_QUICK_BYTES if quick else _BYTES)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "image")
        client = ["saving_client.py", backend]
        memory_bytes, stall_seconds = run_with_server(["image", size], client, path, size, seconds=_LIMIT_SECONDS)
    return {MEMORY: memory_bytes / 1e6, STALL: stall_seconds * 1e3}


BENCHMARK = Benchmark(
    name="B14",
    title="An image of 100 MB to disk",
    explanation="""\
A server sends an image of 100 MB in base64, as fast as it can, to our client, which saves it. "Memory" is the peak of
the client's resident memory above what it had before, "stall" the longest time by which a task of the same event
loop that sleeps for a millisecond was late.""",
    unit="MB or ms",
    higher_is_better=False,
    contenders=tuple(Contender(f"indianyio {backend}", partial(_measure, backend)) for backend in BACKENDS),
    targets=(
        Limit(MEMORY, "indianyio", _MOST_MEGABYTES),
        Limit(STALL, "indianyio", _MOST_MILLISECONDS),
    ),
)
