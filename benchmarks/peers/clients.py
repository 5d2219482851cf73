"""A client in a process of its own, with a server that is made for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.peers.drivers import FOLDER
from benchmarks.peers.processes import program_environment, running

__all__ = ["run_with_server"]


def run_with_server(server: Sequence[str], client: Sequence[str], *after: str, seconds: float) -> list[float]:
    """Run a client against a ``steady_server.py``, and return the figures that it prints.

    :param server: the arguments of the server.
    :param client: the program in the folder of the peers, and what comes before the port.
    :param after: what comes behind the port.
    :param seconds: how long the client may take.
    :raises RuntimeError: the client has failed; the text tells how.
    """
    listening = [sys.executable, "-IS", str(FOLDER / "steady_server.py"), *server]
    program, *before = client
    with running(listening, stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        with process.stdout as output:
            port = output.readline().decode().strip()
            done = subprocess.run(
                [sys.executable, str(FOLDER / program), *before, port, *after],
                env=program_environment(),
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
    if done.returncode:
        raise RuntimeError(f"the client: {(done.stderr.strip().splitlines() or [f'status {done.returncode}'])[-1]}")
    figures: list[float] = json.loads(done.stdout)
    return figures
