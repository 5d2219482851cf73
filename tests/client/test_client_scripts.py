"""The scripts of README and docs, as they stand there, through the real indiserver; and a server that is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from indianyio.client import ConnectionLostError, open_client
from indianyio.streams import SharedMemory
from tests.client.scripted import ends_with
from tests.libindi.libindi_harness import IndiServer, indiserver, wait_until
from tests.test_readme import python_blocks

pytestmark = [
    pytest.mark.libindi,
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("indi_simulator_ccd") is None, reason="no simulators (Debian: apt-get install indi-bin)"
    ),
]

EXPOSURES = 10


@pytest.fixture
def server(tmp_path: Path) -> Iterator[IndiServer]:
    home = tmp_path / "home"
    home.mkdir()
    with indiserver(home, "indi_simulator_ccd", "indi_simulator_telescope") as running:
        yield running


def run_script(page: str, name: str, server: IndiServer, folder: Path) -> str:
    script = folder / name
    script.write_text(python_blocks(page)[name], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(server.port)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_script_of_the_readme_saves_what_indi_getprop_saves(server: IndiServer, tmp_path: Path) -> None:
    lines = [line for line in python_blocks("README.md")["exposures.py"].splitlines()[1:] if line.strip()]
    assert len(lines) <= 15
    saved = tmp_path / "saved"
    saved.mkdir()
    command = ["indi_getprop", "-p", str(server.port), "-m", "-t", "0", "CCD Simulator.CCD1.CCD1"]
    with subprocess.Popen(command, cwd=saved, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as getprop:
        try:
            run_script("README.md", "exposures.py", server, tmp_path)
            files = sorted(tmp_path.glob("*.fits"))
            assert [file.name for file in files] == [f"light_{number}.fits" for number in range(EXPOSURES)]
            theirs = saved / "CCD Simulator.CCD1.CCD1.fits"
            last = files[-1].read_bytes()
            # Its file may have a tail of garbage behind the image (docs/protocol.md W31).
            assert wait_until(lambda: theirs.exists() and theirs.read_bytes()[: len(last)] == last, 10)
        finally:
            getprop.terminate()
    contents = {file.read_bytes() for file in files}
    assert len(contents) == EXPOSURES
    assert all(content.startswith(b"SIMPLE  =") and len(content) % 2880 == 0 for content in contents)


def test_the_script_that_points_a_telescope(server: IndiServer, tmp_path: Path) -> None:
    arrived, refused = run_script("docs/client.md", "pointing.py", server, tmp_path).splitlines()
    assert arrived.startswith("arrived at ")
    assert refused.startswith("refused: [WARNING] Please unpark the mount")


def test_the_script_that_watches(server: IndiServer, tmp_path: Path) -> None:
    shown = run_script("docs/client.md", "watching.py", server, tmp_path).splitlines()
    assert all(line.startswith("defined <") for line in shown)


def test_the_script_that_waits(server: IndiServer, tmp_path: Path) -> None:
    assert run_script("docs/client.md", "waiting.py", server, tmp_path) == "saved waiting.fits\nCCD_TEMPERATURE\n"
    assert (tmp_path / "waiting.fits").read_bytes().startswith(b"SIMPLE  =")


@pytest.mark.anyio
async def test_indiserver_is_killed_in_the_middle_of_a_slew(server: IndiServer, anyio_backend: str) -> None:
    began = 0.0
    with anyio.fail_after(60), ends_with(ConnectionLostError):
        async with open_client("127.0.0.1", server.port) as indi:
            mount = await indi.device("Telescope Simulator", timeout=10)
            async with mount.connected(timeout=10):
                await mount.set("TELESCOPE_PARK", UNPARK=True)
                where = mount["EQUATORIAL_EOD_COORD"]

                async def kill() -> None:
                    nonlocal began
                    await where.wait_for(lambda v: v.state == "Busy")
                    os.kill(server.process.pid, signal.SIGKILL)
                    began = anyio.current_time()

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(kill)
                    await where.set(RA=(where["RA"] + 6) % 24, DEC=0)
    assert anyio.current_time() - began < 1


@pytest.mark.anyio
async def test_indiserver_comes_back(server: IndiServer, tmp_path: Path, anyio_backend: str) -> None:
    """After a while; with the mirror, and what is asked for next works."""
    again = tmp_path / "again"
    again.mkdir()
    with anyio.fail_after(60):
        async with open_client("127.0.0.1", server.port, reconnect=True) as indi:
            camera = await indi.device("CCD Simulator", timeout=10)
            async with camera.connected(timeout=10):
                exposure = await camera.vector("CCD_EXPOSURE", timeout=10)
                async with anyio.create_task_group() as tasks:

                    async def kill() -> None:
                        await exposure.wait_for(lambda v: v.state == "Busy")
                        server.process.kill()
                        server.process.wait()

                    tasks.start_soon(kill)
                    with pytest.raises(ConnectionLostError):
                        await exposure.set(CCD_EXPOSURE_VALUE=30)
                assert exposure.stale
                await anyio.sleep(3)
                with indiserver(again, "indi_simulator_ccd", port=server.port):
                    assert await indi.device("CCD Simulator") is camera
                    async with camera.connected(timeout=10):
                        async with camera.next("CCD1") as image:
                            await camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.2, timeout=20)
                            saved = await image.save(tmp_path / "after.fits", timeout=10)
                        assert saved.stat().st_size > 1_000_000


@pytest.mark.anyio
async def test_an_image_over_the_unix_socket_comes_as_a_descriptor(
    server: IndiServer, tmp_path: Path, anyio_backend: str
) -> None:
    with anyio.fail_after(60):
        async with open_client(unix=f"@{server.unix_name}") as indi:
            camera = await indi.device("CCD Simulator", timeout=10)
            async with camera.connected(timeout=10), camera.next("CCD1") as image:
                await camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.2, timeout=20)
                saved = await image.save(tmp_path / "image.fits", timeout=10)
        assert image.blob is not None
        assert isinstance(image.blob._attachment, SharedMemory)
        content = saved.read_bytes()
        assert content.startswith(b"SIMPLE  =")
        assert content == image.blob.content()
        assert len(content) == image.blob.size
