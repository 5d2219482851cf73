"""The scripts of docs/client-howto.md, as they stand there, with libindi's simulators."""

from __future__ import annotations

import ast
import asyncio
import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.libindi.libindi_harness import IndiServer, indiserver, wait_until
from tests.test_readme import python_blocks

SIMULATORS = [f"indi_simulator_{name}" for name in ("ccd", "dome", "focus", "telescope", "wheel")]
PAGE = "docs/client-howto.md"

pytestmark = [
    pytest.mark.libindi,
    pytest.mark.long,
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in SIMULATORS),
        reason="no simulators (Debian: apt-get install indi-bin)",
    ),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[IndiServer]:
    home = tmp_path / "home"
    home.mkdir()
    with indiserver(home, *SIMULATORS) as running:
        yield running


def start(name: str, folder: Path, *ports: int) -> subprocess.Popen[str]:
    (folder / name).write_text(python_blocks(PAGE)[name], encoding="utf-8")
    command = [sys.executable, "-W", "error", name, *map(str, ports)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


def run(name: str, folder: Path, *ports: int) -> list[str]:
    with start(name, folder, *ports) as script:
        out, err = script.communicate(timeout=90)
    assert (script.returncode, err) == (0, "")
    return out.splitlines()


def is_image(path: Path) -> bool:
    content = path.read_bytes()
    return content.startswith(b"SIMPLE  =") and len(content) % 2880 == 0


def test_the_scripts_are_those_that_are_run_here() -> None:
    assert sorted(python_blocks(PAGE)) == ["cell.py", "focus_run.py", "sequence.py", "servers.py", "slit.py"]


def test_the_sequence_saves_what_was_planned(server: IndiServer, tmp_path: Path) -> None:
    names = ["filter1_001.fits", "filter1_002.fits", "filter2_001.fits"]
    assert run("sequence.py", tmp_path, server.port) == [f"saved {name}" for name in names]
    assert sorted(path.name for path in tmp_path.glob("*.fits")) == names
    assert all(is_image(tmp_path / name) for name in names)


def test_the_focus_run_goes_through_the_positions_and_to_the_best(server: IndiServer, tmp_path: Path) -> None:
    *measured, last = run("focus_run.py", tmp_path, server.port)
    found = {int(position): int(value) for position, value in (line.split() for line in measured)}
    assert list(found) == [49_000, 49_500, 50_000, 50_500, 51_000]
    best = int(last.removeprefix("best at "))
    assert found[best] == max(found.values())


def test_the_exposure_stops_when_the_slit_closes(server: IndiServer, tmp_path: Path) -> None:
    with start("slit.py", tmp_path, server.port) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "exposing\n"
        assert wait_until(lambda: server.value("CCD Simulator.CCD_EXPOSURE._STATE") == "Busy", 10)
        assert server.setprop("Dome Simulator.DOME_SHUTTER.SHUTTER_CLOSE=On").returncode == 0
        out, err = script.communicate(timeout=60)
    assert (script.returncode, err) == (0, "")
    assert out.startswith("the slit is no longer open: the exposure is stopped; it is ")
    assert "Busy" not in out
    assert list(tmp_path.glob("*.fits")) == []


def test_the_cell_runs_as_jupyter_runs_it(server: IndiServer, capsys: pytest.CaptureFixture[str]) -> None:
    code = compile(python_blocks(PAGE)["cell.py"], "cell.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, object] = {"port": server.port}

    async def cell() -> None:
        coroutine = eval(code, names)
        assert inspect.iscoroutine(coroutine)
        await coroutine

    asyncio.run(cell())
    kind, size = capsys.readouterr().out.split()
    assert kind == ".fits"
    assert int(size) % 2880 == 0


def test_a_script_with_two_servers(server: IndiServer, tmp_path: Path) -> None:
    home = tmp_path / "other"
    home.mkdir()
    with indiserver(home, "indi_simulator_ccd") as other:
        said = run("servers.py", tmp_path, server.port, other.port)
    assert sorted(said) == ["saved image.fits", "unparked"]
    assert is_image(tmp_path / "image.fits")
