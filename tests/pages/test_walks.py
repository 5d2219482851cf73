"""Walks through pages: what a reader would type, line by line, with the programs that the page has."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from indianyio.examples.thermostat import Thermostat
from indianyio.server import IPyServer
from tests.server.certificates import Identity, needs_openssl
from tests.test_readme import blocks, python_blocks, write_all

# What a walk leaves out, because it says why in tests/pages/test_blocks.py, or because it goes on without an end.
_LEFT_OUT = (". .venv", "python3 -m venv", ".venv/bin/pip", "mkdir", "cd ", "indiserver", "python -m pytest")
_ENDLESS = "indianyio watch"

# What the page says will be refused.
REFUSED = {
    "indianyio set Panel.FLAT_LIGHT_INTENSITY.FLAT_LIGHT_INTENSITY_VALUE=400",
    "indianyio set MyFocuser.ABS_FOCUS_POSITION.FOCUS_ABSOLUTE_POSITION=30000",
}
PAGES = ("docs/start.md", "docs/tutorial.md")


def lines_of(page: str) -> list[str]:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line]
    return [line for line in lines if not line.startswith(_LEFT_OUT)]


WALKED = {(page, line) for page in PAGES for line in lines_of(page)}


class Walk:
    """A reader with two terminals: in one of them a server runs, in the other one commands are typed."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.environment = {**os.environ, "PYTHONPATH": str(folder), "HOME": str(folder)}
        self.port = 0
        self.said: list[str] = []
        write_all(page, folder)

    def run(self, line: str) -> str:
        """Run a command, and return what it prints."""
        command = self._command(line)
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self.environment, timeout=60
        )
        assert done.returncode == (1 if line in REFUSED else 0), (line, done.stdout + done.stderr)
        self.said.append(done.stdout)
        return done.stdout + done.stderr

    @contextmanager
    def serving(self, line: str) -> Iterator[None]:
        """Have the server of a line run at a port that is free."""
        with self.started(line.replace("7624", "0")) as process:
            assert process.stderr is not None
            said = next(line for line in process.stderr if "listening on" in line)
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert found is not None
            self.port = int(found[1])
            yield
            process.terminate()
            self.said.append(process.communicate()[1])
        assert process.returncode == 0

    @contextmanager
    def started(self, line: str) -> Iterator[subprocess.Popen[str]]:
        command, pipe = self._command(line), subprocess.PIPE
        with subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, cwd=self.folder, env=self.environment
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _command(self, line: str) -> list[str]:
        program, *words = shlex.split(line)
        if program == "indianyio":
            return [sys.executable, "-m", "indianyio", words[0], "-p", str(self.port), *words[1:]]
        assert program == "python"
        return [sys.executable, *words]


def is_server(line: str) -> bool:
    return line.startswith("python -m indianyio.run") and "--port" in line


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


@pytest.mark.long
def test_the_start(tmp_path: Path) -> None:
    walk = Walk("docs/start.md", tmp_path)
    observatory, *first, examples = [*lines_of(walk.page)]
    at = next(number for number, line in enumerate(first) if is_server(line))
    with walk.serving(observatory):
        listed = walk.run(first[0])
        assert len(listed.splitlines()) == 5
        for line in first[1:at]:
            walk.run(line)
        assert "EQUATORIAL_EOD_COORD.RA=" in walk.said[-1]
        change(tmp_path / "first_image.py", "7624", str(walk.port))
        assert walk.run("python first_image.py") == "saved first.fits\n"
    assert (tmp_path / "first.fits").read_bytes().startswith(b"SIMPLE  =")
    with walk.serving(first[at]):
        refusal = [walk.run(line) for line in first[at + 1 :]][-1]
        assert "100" in refusal
    printed = [line for line in walk.said[-1].splitlines() if line.startswith("the ")]
    assert printed == ["the light is on", "the brightness is 40", "the light is off"]
    with walk.serving(examples):
        assert len(walk.run("indianyio get *.CONNECTION.CONNECT").splitlines()) >= 1


@pytest.mark.long
def test_the_tutorial(tmp_path: Path) -> None:
    walk = Walk("docs/tutorial.md", tmp_path)
    change(tmp_path / "focuser.py", "anyio.sleep(0.1)", "anyio.sleep(0.01)")
    server, *typed, made = lines_of(walk.page)
    assert is_server(server)
    with walk.serving(server):
        watching = next(line for line in typed if line.startswith(_ENDLESS))
        for line in typed[: typed.index(watching)]:
            walk.run(line)
        assert "ABS_FOCUS_POSITION" in walk.said[-1]
        with walk.started(watching) as watch:
            assert watch.stdout is not None
            watch.stdout.readline()
            refusal = [walk.run(line) for line in typed[typed.index(watching) + 1 :]][-1]
            assert "25000" in refusal
            assert any("=20000" in line for line in watch.stdout)
    walk.run(made)
    assert os.access(tmp_path / "indi_my_focuser", os.X_OK)


def test_the_script_that_opens_the_roof(tmp_path: Path) -> None:
    walk = Walk("docs/plain-driver.md", tmp_path)
    change(tmp_path / "roof.py", "MOVE_SECONDS = 20", "MOVE_SECONDS = 0.1")
    with walk.serving("python -m indianyio.run roof:Roof --port 7624"):
        change(tmp_path / "open_roof.py", "7624", str(walk.port))
        assert walk.run("python open_roof.py") == "it is open\n"


@pytest.mark.anyio
@needs_openssl
async def test_the_script_over_tls(tmp_path: Path, anyio_backend: str) -> None:
    server, client = Identity.make(tmp_path, "server"), Identity.make(tmp_path, "client")
    script = python_blocks("docs/client.md")["encrypted.py"]
    async with IPyServer(Thermostat(), port=0, tls=server.server_context(client)) as serving:
        port = re.search(r":(\d+)", str(serving.addresses[0]))
        assert port is not None
        for before, after in (("observatory.example", "localhost"), ("7624", port[1])):
            assert before in script
            script = script.replace(before, after)
        with anyio.fail_after(30):
            done = await anyio.run_process([sys.executable, "-c", script], cwd=tmp_path)
    assert b"Thermostat" in done.stdout
