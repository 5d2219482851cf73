"""A block that is never left, as of a notebook that goes from cell to cell: the end of the interpreter ends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.scripted import set_switches, switches
from tests.sync.server import Scripted

PROGRAM = """
import sys
from indianyio.sync import open_client

blocks = [open_client("127.0.0.1", int(sys.argv[1]), backend=sys.argv[2])]
device = blocks[0].__enter__().device("Scripted", timeout=60)
blocks.append(device.connected(timeout=60))
blocks[1].__enter__()
print("connected")
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_ends_with_the_interpreter_and_disconnects(backend: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    with Scripted() as server:
        server.definitions = (switches("CONNECTION", "Idle", CONNECT=False, DISCONNECT=True),)
        command = [sys.executable, str(program), str(server.port), backend]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            try:
                assert server.written("CONNECTION") == {"CONNECT": "On"}
                server.say(set_switches("CONNECTION", "Ok", CONNECT=True, DISCONNECT=False))
                assert server.written("CONNECTION") == {"DISCONNECT": "On"}
                server.say(set_switches("CONNECTION", "Idle", CONNECT=False, DISCONNECT=True))
                out, errors = running.communicate(timeout=60)
            finally:
                running.kill()
    assert (running.returncode, out, errors) == (0, "connected\n", "")
