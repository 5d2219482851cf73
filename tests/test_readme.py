"""What README and docs show is run here, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/tutorial.md", "docs/howto.md")
GET = '<getProperties version="1.7"/>'
FILE_NAME = re.compile(r"# (\w+\.py)\n")


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def python_blocks(page: str) -> dict[str, str]:
    """Return the Python of a page by file name: its first line, or a name for it."""
    found = {}
    for number, block in enumerate(blocks(page, "python")):
        name = FILE_NAME.match(block)
        found[name[1] if name else f"block_{number}.py"] = block
    return found


def write_all(page: str, folder: Path) -> None:
    for name, block in python_blocks(page).items():
        (folder / name).write_text(block, encoding="utf-8")


def run_python(*arguments: str, folder: Path, text: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=folder, env=environment, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_python_block_is_run_by_a_test_here() -> None:
    names = {page: sorted(python_blocks(page)) for page in PAGES}
    assert names == {
        "README.md": ["mydriver.py", "observatory.py", "test_mydriver.py"],
        "docs/tutorial.md": ["roof.py"],
        "docs/howto.md": ["block_0.py"],
    }


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_driver_of_the_readme_runs(tmp_path: Path, backend: str) -> None:
    write_all("README.md", tmp_path)
    arguments = ("-m", "indianyio.run", "--backend", backend, "mydriver:Driver")
    output = run_python(*arguments, folder=tmp_path, text=GET)
    assert 'name="power"' in output
    assert 'state="Idle"' in output.rpartition("<setNumberVector")[2]


def test_the_program_of_the_readme_runs(tmp_path: Path) -> None:
    write_all("README.md", tmp_path)
    assert 'message="warming up"' in run_python("observatory.py", folder=tmp_path, text=GET)


def test_the_tests_of_the_readme_pass(tmp_path: Path) -> None:
    write_all("README.md", tmp_path)
    output = run_python("-m", "pytest", "-p", "no:cacheprovider", "test_mydriver.py", folder=tmp_path)
    assert "2 passed" in output


def test_the_example_of_the_readme_answers(tmp_path: Path) -> None:
    [command] = [line for block in blocks("README.md", "sh") for line in block.splitlines() if "printf" in line]
    shown = command.rpartition(" | ")[2]
    assert shown == ".venv/bin/python -m indianyio.run indianyio.examples.thermostat:Thermostat"
    assert f"printf '{GET}'" in command
    output = run_python(*shown.split()[1:], folder=tmp_path, text=GET)
    for vector in ("temperaturevector", "targetvector", "power"):
        assert f'name="{vector}"' in output


def test_there_is_exactly_one_test_command_for_ci_to_run() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [pattern] = re.findall(r"grep -E '([^']*)' README.md", script)
    assert len([line for line in lines if re.search(pattern, line)]) == 1


def test_the_roof_of_the_tutorial_stops_half_way(tmp_path: Path) -> None:
    write_all("docs/tutorial.md", tmp_path)
    (tmp_path / "test_roof.py").write_text(ROOF_TEST, encoding="utf-8")
    assert "1 passed" in run_python("-m", "pytest", "-p", "no:cacheprovider", "test_roof.py", folder=tmp_path)


ROOF_TEST = """
import pytest
from trio.testing import MockClock
from indianyio.protocol import DefSwitchVector, SetSwitchVector
from indianyio.testing import running
from roof import Roof

@pytest.fixture
def anyio_backend():
    return ("trio", {"clock": MockClock(autojump_threshold=0)})

@pytest.mark.anyio
async def test_roof():
    async with running(Roof()) as peer:
        await peer.get_properties()
        await peer.expect(DefSwitchVector, name="DOME_ABORT_MOTION")
        await peer.write("Roof", "DOME_SHUTTER", SHUTTER_OPEN="On")
        await peer.expect(SetSwitchVector, name="DOME_SHUTTER", state="Busy")
        await peer.write("Roof", "DOME_ABORT_MOTION", ABORT="On")
        stopped = await peer.expect(SetSwitchVector, name="DOME_SHUTTER", state="Alert")
        assert stopped.message == "stopped half-way"
        await peer.write("Roof", "DOME_SHUTTER", SHUTTER_CLOSE="On")
        await peer.expect(SetSwitchVector, name="DOME_SHUTTER", state="Ok", SHUTTER_CLOSE="On")
"""


def test_the_how_to_blocks_run(tmp_path: Path) -> None:
    write_all("docs/howto.md", tmp_path)
    run_python("block_0.py", folder=tmp_path)


def test_links_lead_somewhere() -> None:
    for page in (*PAGES, "docs/index.md"):
        path = ROOT / page
        targets = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
        assert [target for target in targets if not (path.parent / target).exists()] == []
