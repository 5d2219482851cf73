"""A real indiserver as the other server."""

from __future__ import annotations

import logging
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from indianyio.protocol import (
    DefNumberVector,
    DefSwitchVector,
    DelProperty,
    EnableBLOB,
    Message,
    NewNumberVector,
    NewSwitchVector,
    OneNumber,
    OneSwitch,
    SetBLOBVector,
    SetSwitchVector,
)
from indianyio.server._remotes import RemoteServer
from tests.libindi.libindi_harness import indiserver
from tests.server.watching import errors, feeding, new_hub, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.libindi,
    pytest.mark.skipif(
        shutil.which("indi_simulator_ccd") is None, reason="no simulators (Debian: apt-get install indi-bin)"
    ),
]

CAMERA = "CCD Simulator"


async def test_a_camera_of_indiserver_and_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with ExitStack() as others:
        server = others.enter_context(indiserver(tmp_path, "indi_simulator_ccd", "indi_simulator_focus"))
        remote = RemoteServer("localhost", server.port)
        async with feeding(new_hub(), remote) as watcher:
            missing = {CAMERA, "Focuser Simulator"}
            while missing:
                missing.discard((await watcher.expect(DefSwitchVector, "CONNECTION")).device)
            connect = (OneSwitch(name="CONNECT", value="On"),)
            watcher.say(NewSwitchVector(device=CAMERA, name="CONNECTION", members=connect))
            await watcher.expect(SetSwitchVector, "CONNECTION", state="Ok")
            await watcher.expect(DefNumberVector, "CCD_EXPOSURE")
            watcher.say(EnableBLOB(device=CAMERA, value="Also"))
            exposure = (OneNumber(name="CCD_EXPOSURE_VALUE", value="0.1"),)
            watcher.say(NewNumberVector(device=CAMERA, name="CCD_EXPOSURE", members=exposure))
            (image,) = (await watcher.expect(SetBLOBVector, "CCD1")).members
            assert image.data is not None
            assert bytes(image.data[:6]) == b"SIMPLE"
            others.close()
            await until(lambda: not remote.connected)
            assert "was lost" in ((await watcher.expect(Message, device=CAMERA)).message or "")
            deletions = [message for message in watcher.received if isinstance(message, DelProperty)]
            ended = {deletion.device for deletion in deletions if deletion.name is None}
    assert ended == {CAMERA, "Focuser Simulator"}
    assert errors(caplog) == []


async def test_one_device_of_indiserver(tmp_path: Path) -> None:
    with indiserver(tmp_path, "indi_simulator_focus", "indi_simulator_wheel") as server:
        async with feeding(new_hub(), RemoteServer("localhost", server.port, "Filter Simulator")) as watcher:
            await watcher.expect(DefSwitchVector, "CONNECTION", device="Filter Simulator")
            await watcher.expect(DefSwitchVector)
            devices = {getattr(message, "device", None) for message in watcher.received}
    assert devices == {"Filter Simulator"}
