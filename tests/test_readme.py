"""What README and docs show is run here, as it stands there."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from indianyio import simulators

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/start.md",
    "docs/tutorial.md",
    "docs/plain-driver.md",
    "docs/howto.md",
    "docs/embedding.md",
    "docs/client.md",
)
GET = '<getProperties version="1.7"/>'
CONNECT = """
<newSwitchVector device="MyFocuser" name="CONNECTION"><oneSwitch name="CONNECT">On</oneSwitch></newSwitchVector>
"""
# Whoever waits in vain on a virtual clock waits for ever.
ON_A_VIRTUAL_CLOCK = ("-p", "no:indianyio", "-p", "indianyio.testing.pytest_plugin", "--timeout", "30")
# All plugins that happen to be installed take a second to load.
FEW_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "anyio.pytest_plugin,pytest_timeout"}
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


def run_python(*arguments: str, folder: Path, text: str = "", **environment_variables: str) -> str:
    # The settings of an instrument of the same name, saved on this machine, must not change anything.
    environment = {**os.environ, "PYTHONPATH": str(folder), "HOME": str(folder), **environment_variables}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=folder, env=environment, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_python_block_is_run_by_a_test_here() -> None:
    names = {page: sorted(python_blocks(page)) for page in PAGES}
    assert names == {
        "README.md": ["exposures.py", "focuser.py"],
        "docs/start.md": ["first_image.py", "panel.py"],  # in tests/pages/test_walks.py
        "docs/tutorial.md": ["focuser.py", "moonlite.py", "test_focuser.py", "test_moonlite.py"],
        "docs/plain-driver.md": ["open_roof.py", "roof.py"],
        "docs/howto.md": ["definitions.py", "focuser.py", "images.py", "snooping.py", "wire.py"],
        "docs/embedding.md": ["observatory.py", "serving.py"],
        # In tests/client/test_client_scripts.py, and tests/pages/test_walks.py.
        "docs/client.md": ["encrypted.py", "pointing.py", "waiting.py", "watching.py"],
    }


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_driver_of_the_readme_runs(tmp_path: Path, backend: str) -> None:
    write_all("README.md", tmp_path)
    command = [sys.executable, "-m", "indianyio.run", "--backend", backend, "focuser:MyFocuser"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=tmp_path, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(GET + CONNECT)
        process.stdin.flush()
        assert any(
            '<defNumberVector device="MyFocuser" name="ABS_FOCUS_POSITION"' in line for line in process.stdout
        )
        process.stdin.close()
        output = process.stdout.read()
    assert process.returncode == 0
    # The end of the input has disconnected it.
    assert 'state="Idle"' in output.rpartition('<setSwitchVector device="MyFocuser" name="CONNECTION"')[2]
    assert '<delProperty device="MyFocuser" name="ABS_FOCUS_POSITION"' in output


def test_a_driver_runs_inside_a_program(tmp_path: Path) -> None:
    write_all("docs/tutorial.md", tmp_path)
    write_all("docs/embedding.md", tmp_path)
    assert 'message="warming up"' in run_python("observatory.py", folder=tmp_path, text=GET)


def test_a_server_works_inside_a_program(tmp_path: Path) -> None:
    write_all("docs/tutorial.md", tmp_path)
    write_all("docs/embedding.md", tmp_path)
    output = run_python("serving.py", folder=tmp_path)
    assert re.match(r"clients can connect to 127\.0\.0\.1:\d+ ", output)
    assert "PeerStatistics" in output


def test_the_first_command_of_the_readme_serves_a_simulated_observatory() -> None:
    [command] = [line for block in blocks("README.md", "sh") for line in block.splitlines() if "simulators" in line]
    program, *arguments = command.rpartition(" && ")[2].split()
    assert program == ".venv/bin/python"
    assert arguments[:4] == ["-m", "indianyio.run", "--port", "7624"]
    names = arguments[4].removeprefix("indianyio.simulators:").split(",")
    assert set(names) <= set(simulators.__all__)
    devices = {getattr(simulators, name)().device.devicename.encode() for name in names}
    serve = [sys.executable, *arguments[:3], "0", *arguments[4:]]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "listening on" in line)
        port = re.search(r"127\.0\.0\.1:(\d+)", said)
        assert port is not None
        with socket.create_connection(("127.0.0.1", int(port[1])), timeout=20) as client:
            client.sendall(GET.encode())
            received = b""
            while devices - set(re.findall(rb'device="([^"]*)" name="CONNECTION"', received)):
                received += client.recv(65536)
        process.terminate()
        process.stderr.read()
    assert process.returncode == 0
    assert len(devices) >= 4


def test_there_is_exactly_one_test_command_for_ci_to_run() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [pattern] = re.findall(r"grep -E '([^']*)' README.md", script)
    assert len([line for line in lines if re.search(pattern, line)]) == 1


def test_the_readme_is_a_front_page() -> None:
    """What is longer belongs to a page of its own, where it is found by who looks for it."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


PREAMBLE = """
import anyio
import pytest
from trio.testing import MockClock
from indianyio.protocol import *
from indianyio.testing import running

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return ("trio", {"clock": MockClock(autojump_threshold=0)})
"""


def check(page: str, tests: str, folder: Path) -> None:
    """Run tests of the modules that a page shows."""
    write_all(page, folder)
    (folder / "test_page.py").write_text(PREAMBLE + tests, encoding="utf-8")
    options = ("-p", "no:cacheprovider", "--timeout", "30")
    output = run_python("-m", "pytest", *options, "test_page.py", folder=folder, **FEW_PLUGINS)
    assert f"{tests.count('async def test_')} passed" in output


@pytest.mark.long
def test_the_tests_of_the_tutorial_pass(tmp_path: Path) -> None:
    write_all("docs/tutorial.md", tmp_path)
    options = (*ON_A_VIRTUAL_CLOCK, "-p", "no:cacheprovider")
    output = run_python("-m", "pytest", *options, ".", folder=tmp_path, **FEW_PLUGINS)
    assert "5 passed" in output


def test_the_focuser_of_the_readme_is_that_of_the_tutorial_in_fifteen_lines() -> None:
    focuser = python_blocks("README.md")["focuser.py"]
    assert focuser == python_blocks("docs/tutorial.md")["focuser.py"]
    assert len([line for line in focuser.splitlines() if line.strip() and not line.startswith("#")]) <= 15


def test_the_roof_stops_half_way(tmp_path: Path) -> None:
    check("docs/plain-driver.md", ROOF_TESTS, tmp_path)


ROOF_TESTS = """
from roof import Roof

async def test_roof_stops_half_way_and_closes():
    async with running(Roof()) as peer:
        await peer.get_properties()
        await peer.expect(DefSwitchVector, name="DOME_ABORT_MOTION")
        await peer.write("Roof", "DOME_SHUTTER", SHUTTER_OPEN="On")
        await peer.expect(SetSwitchVector, name="DOME_SHUTTER", state="Busy")
        await peer.write("Roof", "DOME_ABORT_MOTION", ABORT="On")
        stopped = await peer.expect(SetSwitchVector, name="DOME_SHUTTER", state="Alert")
        assert stopped.message == "stopped half-way"
        await peer.write("Roof", "DOME_SHUTTER", SHUTTER_CLOSE="On")
        await peer.expect(SetSwitchVector, name="DOME_SHUTTER", state="Ok", SHUTTER_CLOSE="On", SHUTTER_OPEN="Off")

async def test_nothing_that_waits_begins_after_stop():
    async with running(Roof()) as peer:
        await peer.get_properties()
        await peer.expect(DefSwitchVector, name="DOME_ABORT_MOTION")
        await peer.write("Roof", "DOME_SHUTTER", SHUTTER_OPEN="On")
        await peer.expect(SetSwitchVector, name="DOME_SHUTTER", state="Busy")
        await peer.write("Roof", "DOME_SHUTTER", SHUTTER_CLOSE="On")
        await peer.write("Roof", "DOME_ABORT_MOTION", ABORT="On")
        await peer.expect(SetSwitchVector, name="DOME_ABORT_MOTION", state="Ok")
        with anyio.move_on_after(100):
            await peer.expect(SetSwitchVector, state="forever")
    told = [one for one in peer.received if isinstance(one, SetSwitchVector) and one.name == "DOME_SHUTTER"]
    assert [one.state for one in told] == ["Busy", "Alert", "Alert"]
    assert {one.message for one in told[1:]} == {"stopped half-way", "refused, because Stop was pressed"}

async def test_switching_open_off_moves_nothing():
    async with running(Roof()) as peer:
        await peer.get_properties()
        await peer.expect(DefSwitchVector, name="DOME_ABORT_MOTION")
        await peer.write("Roof", "DOME_SHUTTER", SHUTTER_OPEN="Off")
        answer = await peer.expect(SetSwitchVector, name="DOME_SHUTTER")
        assert answer.state == "Alert"
"""


HOWTO_TESTS = {
    "focuser": """
from focuser import Focuser

async def test_abort_stops_what_moves_and_what_waits():
    async with running(Focuser()) as peer:
        await peer.get_properties()
        await peer.expect(DefSwitchVector)
        await peer.write("Focuser", "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=10)
        await peer.expect(SetNumberVector, state="Ok", FOCUS_ABSOLUTE_POSITION=10)
        await peer.write("Focuser", "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=20)
        await peer.expect(SetNumberVector, state="Busy")
        await peer.write("Focuser", "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=30)
        await peer.write("Focuser", "FOCUS_ABORT_MOTION", ABORT="On")
        started = anyio.current_time()
        await peer.expect(SetSwitchVector, state="Ok")
        assert anyio.current_time() == started
        with anyio.move_on_after(100):
            await peer.expect(SetSwitchVector, state="forever")
    told = [one for one in peer.received if isinstance(one, SetNumberVector)][3:]
    assert [one.state for one in told] == ["Alert", "Alert"]
    assert {one.message for one in told} == {None, "refused by Abort"}
    assert {float(one.members[0].value) for one in told} == {10}
""",
    "images": """
from images import Images

async def test_bytes_a_path_and_a_file_are_sent(tmp_path):
    (tmp_path / "flat.fits").write_bytes(b"flat")
    (tmp_path / "dark.fits").write_bytes(b"dark")
    async with running(Images(tmp_path)) as peer:
        busy = await peer.expect(SetBLOBVector, state="Busy")
        images = [await peer.expect(SetBLOBVector, state="Ok") for _ in range(3)]
    assert busy.members == ()
    assert [bytes(image.members[0].data) for image in images] == [b"the content of a FITS file", b"flat", b"dark"]
    assert {image.members[0].format for image in images} == {".fits"}
""",
    "snooping": """
from snooping import Shelter

STATION = {"device": "Weather Station", "name": "WEATHER_STATUS"}

async def test_the_weather_is_asked_for_and_followed():
    async with running(Shelter()) as peer:
        request = await peer.expect(GetProperties, **STATION)
        asked = anyio.current_time()
        await peer.expect(GetProperties, **STATION)
        assert anyio.current_time() == asked + 15
        await peer.send(SetLightVector(**STATION, state="Ok", members=(OneLight(name="RAIN", value="Ok"),)))
        await peer.expect(SetLightVector, safe="Ok")
        await peer.send('<setLightVector device="Weather Station" name="WEATHER_STATUS"/>')
        await peer.expect(SetLightVector, safe="Alert")
        await peer.send(SetLightVector(**STATION, state="Ok", members=(OneLight(name="RAIN", value="Ok"),)))
        await peer.expect(SetLightVector, safe="Ok")
        await peer.send(DelProperty(**STATION))
        await peer.expect(SetLightVector, safe="Alert")
""",
    "definitions": """
from definitions import Wheel

async def test_the_definition_has_what_was_read():
    async with running(Wheel()) as peer:
        await peer.get_properties()
        await peer.expect(DefTextVector, name="FILTER_NAME", state="Ok", FILTER_SLOT_NAME_1="Luminance")
""",
}


@pytest.mark.parametrize("recipe", HOWTO_TESTS)
def test_the_recipes_of_the_how_to_do_what_they_say(tmp_path: Path, recipe: str) -> None:
    check("docs/howto.md", HOWTO_TESTS[recipe], tmp_path)


def test_the_protocol_by_itself_of_the_how_to_runs(tmp_path: Path) -> None:
    write_all("docs/howto.md", tmp_path)
    run_python("wire.py", folder=tmp_path)


def test_commands_use_a_python_that_is_there() -> None:
    """Debian has no ``python``; a page that uses one says first how to activate the environment."""
    for page in (*PAGES, "docs/serving.md"):
        before, activation, _ = (ROOT / page).read_text(encoding="utf-8").partition(". .venv/bin/activate")
        assert activation, page
        assert not re.search(r"(?<![\w/-])(python|pip) ", before.replace("`pip`", "")), page


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 50
    for path in pages:
        targets = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
        assert [target for target in targets if not (path.parent / target).exists()] == [], path
