"""A process that is forked while it has a client: the child has no thread that would do anything, and says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.scripted import numbers, set_numbers
from tests.sync.server import Scripted

PROGRAM = """
import os, sys
from indianyio.sync import ConnectionLostError, open_client

def in_child(device):
    vector = device["N"]
    assert vector["X"] == 1.0 and device.snapshot()["N"]["members"]["X"]["value"] == 1.0
    for call in (lambda: vector.set(X=2), lambda: next(watch), device.connected().__enter__, indi.watch):
        try:
            call()
        except ConnectionLostError as error:
            print("child:", error, flush=True)

with open_client("127.0.0.1", int(sys.argv[1]), backend=sys.argv[2]) as indi, indi.watch() as watch:
    device = indi.device("Scripted", timeout=60)
    child = os.fork()
    if not child:
        in_child(device)
    else:
        assert os.waitpid(child, 0)[1] == 0
        device.set("N", X=3, timeout=60)
        print("parent:", device["N"]["X"])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_child_waits_for_nothing_and_the_parent_goes_on(backend: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    with Scripted() as server:
        server.definitions = (numbers("N", "Ok", X=1),)
        # From Python 3.12 on it warns whoever forks beside a thread.
        command = [sys.executable, "-W", "ignore::DeprecationWarning", str(program), str(server.port), backend]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            try:
                assert server.written("N") == {"X": "3.0"}
                server.say(set_numbers("N", "Ok", X=3))
                out, errors = running.communicate(timeout=60)
            finally:
                running.kill()
    assert errors == ""
    *of_child, of_parent = out.splitlines()
    assert of_parent == "parent: 3.0"
    assert len(of_child) == 4
    assert all(line.startswith("child: the client belongs to the process") for line in of_child)
