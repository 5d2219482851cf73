"""Memory that stays what it is while clients come and go, updates and images pass, and another server listens.

What is judged is what the system counts for the process, not what Python knows of: libraries and the fragments
between objects count too. Such figures have noise, so medians of long times are compared, after a while in which
everything has happened often enough to have found its place.
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

import anyio.to_thread
import pytest

from tests.server.churn import Sample

pytestmark = pytest.mark.anyio


async def churned(backend: str, seconds: int) -> list[Sample]:
    """Let clients come and go in a process of its own, and return its lines."""
    command = [sys.executable, "-m", "tests.server.churn", backend, str(seconds)]

    def run() -> str:
        return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=2 * seconds + 60).stdout.decode()

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
    assert growth_bytes(samples) < 3_000_000


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_minute_needs_little_more_memory(anyio_backend_name: str) -> None:
    samples = await churned(anyio_backend_name, 60)
    assert samples[-1].visits > 100
    # Within a minute the noise is larger than a slow leak; this catches what keeps an image or a client in ten.
    assert growth_bytes(samples) < 12_000_000
