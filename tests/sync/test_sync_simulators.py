"""The client without an event loop, with libindi's simulators behind the real indiserver."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from indianyio.sync import ConnectionLostError, OperationAbortedError, open_client
from tests.client.scripted import ends_with
from tests.libindi.libindi_harness import IndiServer, indiserver

pytestmark = [
    pytest.mark.libindi,
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("indi_simulator_ccd") is None, reason="no simulators (Debian: apt-get install indi-bin)"
    ),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[IndiServer]:
    home = tmp_path / "home"
    home.mkdir()
    with indiserver(home, "indi_simulator_ccd") as running:
        yield running


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_exposure_an_abort_and_a_server_that_is_killed(
    server: IndiServer, backend: Literal["asyncio", "trio"], tmp_path: Path
) -> None:
    with ends_with(ConnectionLostError, "was lost"):
        with open_client("127.0.0.1", server.port, backend=backend) as indi:
            camera = indi.device("CCD Simulator", timeout=60)
            with camera.connected(timeout=60), camera.next("CCD1") as image:
                camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5)
                image.save(tmp_path / "a.fits", timeout=60)
                abort = threading.Timer(1, lambda: camera.set("CCD_ABORT_EXPOSURE", ABORT=True))
                abort.start()
                with ends_with(OperationAbortedError):
                    camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=30)
                abort.join()
                kill = threading.Timer(1, lambda: os.kill(server.process.pid, signal.SIGKILL))
                kill.start()
                started = time.monotonic()
                camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=30)
    assert time.monotonic() - started < 10  # it does not wait for what cannot come
    content = (tmp_path / "a.fits").read_bytes()
    assert content.startswith(b"SIMPLE  =")
    assert len(content) % 2880 == 0
