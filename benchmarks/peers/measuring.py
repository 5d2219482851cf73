"""One case: a server, its driver, and a client in a process of its own that measures."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.peers.client import Plan
from benchmarks.peers.drivers import FOLDER

__all__ = ["run_client"]

_START_SECONDS = 60.0


def run_client(plan: Plan) -> list[float]:
    """Run the measuring client.

    :param plan: what it is to do.
    :return: how long each burst took, in seconds.
    :raises RuntimeError: a message was lost, came wrong, or did not come in time; the text tells.
    """
    command = [sys.executable, "-IS", str(FOLDER / "client.py")]
    limit = _START_SECONDS + plan.seconds * max(1, len(plan.bursts))
    done = subprocess.run(command, input=plan.to_json(), capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise RuntimeError(f"the client: {lines[-1]}")
    seconds: list[float] = json.loads(done.stdout)
    return seconds
