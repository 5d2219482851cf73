"""What a whole run loads, from the first import to the last word: a driver no server, and asyncio no trio."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = """
import sys
from indianyio import Device, IPyDriver, NumberMember, NumberVector

class Echo(IPyDriver):
    def __init__(self):
        self.number = NumberVector("ECHO", "Echo", "Main", "rw", "Idle", [NumberMember("VALUE", max=100)])
        super().__init__(Device("Bench", [self.number]))

    async def rxevent(self, event):
        self.number["VALUE"] = event["VALUE"]
        await self.number.send_setVector(state="Ok")

    async def leave(self):
        await self.number.send_setVector(state="Idle")
        with open("loaded", "w") as file:
            file.write(" ".join(sys.modules))
"""

NETWORK = """
import sys
import anyio
from indianyio import IPyServer, open_client
from echo import Echo

async def main():
    server = IPyServer(Echo(), port=0)
    async with server, open_client("localhost", int(server.addresses[0].rpartition(":")[2])) as client:
        bench = await client.device("Bench", timeout=10)
        number = await bench.vector("ECHO", timeout=10)
        await number.set(VALUE=7, timeout=10)
        assert number["VALUE"] == 7

anyio.run(main)
print(*sys.modules)
"""

WRITE = '<newNumberVector device="Bench" name="ECHO"><oneNumber name="VALUE">7</oneNumber></newNumberVector>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "echo.py").write_text(DRIVER, encoding="ascii")
    return tmp_path


def loaded(text: str) -> set[str]:
    return {name for name in text.split() if name.split(".")[0] in ("indianyio", "trio", "asyncio")}


def test_a_driver_on_standard_input_and_output_loads_no_server_and_no_trio(folder: Path) -> None:
    command = [sys.executable, "-m", "indianyio.run", "echo:Echo", "--backend", "asyncio"]
    done = subprocess.run(command, input=WRITE, capture_output=True, cwd=folder, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert 'state="Ok"' in done.stdout
    modules = loaded((folder / "loaded").read_text(encoding="ascii"))
    assert {"asyncio", "indianyio.driver._run"} <= modules
    others = ("trio", "indianyio.server", "indianyio.client", "indianyio._routing")
    assert not [name for name in modules if name.startswith(others)]


def test_a_driver_on_standard_input_and_output_starts_without_what_it_does_not_need(folder: Path) -> None:
    command = [sys.executable, "-m", "indianyio.run", "--backend", "asyncio", "--folder", ".", "echo:Echo"]
    subprocess.run(command, input=WRITE, capture_output=True, cwd=folder, text=True, timeout=60, check=True)
    modules = (folder / "loaded").read_text(encoding="ascii").split()
    assert {"argparse", "asyncio"} <= set(modules)
    assert not {"anyio.from_thread", "indianyio._binding", "pathlib", "shutil", "urllib.parse"} & set(modules)


def test_a_server_its_driver_and_a_client_load_no_trio_on_asyncio(folder: Path) -> None:
    command = [sys.executable, "-c", NETWORK]
    done = subprocess.run(command, capture_output=True, cwd=folder, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    modules = loaded(done.stdout)
    assert {"asyncio", "indianyio.server._run", "indianyio.client._open"} <= modules
    assert not [name for name in modules if name.split(".")[0] == "trio"]
