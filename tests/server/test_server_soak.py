"""Memory that stays what it is while clients come and go, updates and images pass, and another server listens.

What is judged is what the system counts for the process, not what Python knows of: libraries and the fragments
between objects count too. Such figures have noise, so medians of long times are compared, after a while in which
everything has happened often enough to have found its place.

The C library is told to take every block of more than a megabyte from the system and to give it back. By itself it
soon puts images into the heap, where they cost no page faults, and keeps what the largest crowd of them needed: a
figure that rises for as long as a larger crowd may still come, and says nothing of leaks (docs/decisions/0017).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from statistics import median

import anyio.to_thread
import pytest

from tests.server.churn import Sample

pytestmark = pytest.mark.anyio


LARGE_BLOCKS_GO_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


async def churned(backend: str, seconds: int) -> list[Sample]:
    """Let clients come and go in a process of its own, and return its lines."""
    command = [sys.executable, "-m", "tests.server.churn", backend, str(seconds)]

    def run() -> str:
        ended = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            check=True,
            timeout=2 * seconds + 60,
            env={**os.environ, **LARGE_BLOCKS_GO_BACK},
        )
        return ended.stdout.decode()

    text = await anyio.to_thread.run_sync(run)
    return [Sample(**json.loads(line)) for line in text.splitlines()]


def growth_bytes(samples: list[Sample]) -> float:
    """Return what the last third of the time needs more than the third before it."""
    third = len(samples) // 3
    earlier, later = samples[third : 2 * third], samples[2 * third :]
    return median(one.resident_bytes for one in later) - median(one.resident_bytes for one in earlier)


@pytest.mark.soak
@pytest.mark.timeout(5000)
async def test_half_an_hour_needs_no_more_memory(anyio_backend_name: str) -> None:
    samples = await churned(anyio_backend_name, 1800)
    assert samples[-1].visits > 5_000
    # A megabyte in 90 seconds would be 6.7 MB from third to third.
    assert growth_bytes(samples) < 1_500_000


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_minute_needs_little_more_memory(anyio_backend_name: str) -> None:
    samples = await churned(anyio_backend_name, 60)
    assert samples[-1].visits > 100
    # This catches what keeps an image or a client in ten; a slower leak is for the half hour.
    assert growth_bytes(samples) < 3_000_000
