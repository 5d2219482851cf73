"""What a client of ours needs to save an image: memory beyond what it has idle, and the event loop's time.

Arguments: the back end, the server's port, the file, and how long it is to become (see ``steady_server.py``). Prints
the peak of resident memory above idle, in bytes, and the longest time by which a task that sleeps for a millisecond
was late, in seconds, as JSON. Starts with a path, so it runs without the package of benchmarks.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import anyio

from indianyio.client import open_client

TICK_SECONDS = 0.001


class Ticks:
    """How late a task is that sleeps and sleeps."""

    def __init__(self) -> None:
        self.worst_seconds = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            begin = time.perf_counter()
            await anyio.sleep(TICK_SECONDS)
            self.worst_seconds = max(self.worst_seconds, time.perf_counter() - begin - TICK_SECONDS)


async def main(port: int, path: str, size: int) -> None:
    """Save the image."""
    ticks = Ticks()
    async with open_client("127.0.0.1", port) as indi, anyio.create_task_group() as tasks:
        device = await indi.device("D", timeout=10)
        async with device.next("B") as image:
            tasks.start_soon(ticks.run)
            idle = _status_bytes("VmRSS")
            saved = await image.save(path)
        tasks.cancel_scope.cancel()
    if saved.stat().st_size != size:
        raise ValueError(f"{saved.stat().st_size} of {size} bytes were saved")
    print(json.dumps([_status_bytes("VmHWM") - idle, ticks.worst_seconds]))  # noqa: T201 - what this program is asked for


def _status_bytes(field: str) -> int:
    # Not getrusage(): its peak is also that of the process which has started this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), backend=sys.argv[1])
