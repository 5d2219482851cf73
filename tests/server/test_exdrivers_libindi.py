"""External drivers that are libindi's own simulators."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import anyio
import pytest

from indianyio.protocol import (
    DefNumberVector,
    DefSwitchVector,
    DelProperty,
    EnableBLOB,
    NewNumberVector,
    NewSwitchVector,
    OneNumber,
    OneSwitch,
    SetBLOBVector,
    SetSwitchVector,
)
from indianyio.server._exdrivers import ExternalDriver
from tests.server.doors import serving
from tests.server.watching import feeding, new_hub, nothing_left

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.libindi,
    pytest.mark.skipif(
        shutil.which("indi_simulator_ccd") is None, reason="no simulators (Debian: apt-get install indi-bin)"
    ),
]

CAMERA = "CCD Simulator"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the drivers keep their settings somewhere else."""
    monkeypatch.setenv("HOME", str(tmp_path))


async def test_an_image_of_a_camera_arrives_as_base64_with_clients_that_want_that(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with nothing_left():
        async with feeding(new_hub(), ExternalDriver("indi_simulator_ccd")) as watcher:
            await watcher.expect(DefSwitchVector, "CONNECTION", device=CAMERA)
            watcher.say(EnableBLOB(device=CAMERA, value="Also"))
            connect = (OneSwitch(name="CONNECT", value="On"),)
            watcher.say(NewSwitchVector(device=CAMERA, name="CONNECTION", members=connect))
            await watcher.expect(SetSwitchVector, "CONNECTION", state="Ok")
            await watcher.expect(DefNumberVector, "CCD_EXPOSURE")
            for _ in range(2):  # the second one needs an answer to the ping behind the first (protocol.md 3.6)
                exposure = (OneNumber(name="CCD_EXPOSURE_VALUE", value="0.1"),)
                watcher.say(NewNumberVector(device=CAMERA, name="CCD_EXPOSURE", members=exposure))
                (image,) = (await watcher.expect(SetBLOBVector, "CCD1")).members
                assert image.data is not None
                assert bytes(image.data[:6]) == b"SIMPLE"
                assert len(image.data) == int(image.size or 0) > 1_000_000
        assert (await watcher.expect(DelProperty, device=CAMERA)).name is None
    assert [record.getMessage() for record in caplog.records if "sending it" in record.getMessage()] == []


async def test_several_simulators_side_by_side() -> None:
    devices = {
        "indi_simulator_telescope": "Telescope Simulator",
        "indi_simulator_focus": "Focuser Simulator",
        "indi_simulator_wheel": "Filter Simulator",
        "indi_simulator_dome": "Dome Simulator",
    }
    drivers = [ExternalDriver(program) for program in devices]
    with nothing_left():
        async with feeding(new_hub(), *drivers) as watcher:
            missing = set(devices.values())
            while missing:
                missing.discard((await watcher.expect(DefSwitchVector, "CONNECTION")).device or "")
            began = anyio.current_time()
        assert anyio.current_time() - began < 4, "none of them had to be told twice"
    assert all(driver.statistics().messages_in for driver in drivers)


async def test_a_flood_of_requests_costs_the_program_nothing_and_delays_no_write() -> None:
    driver = ExternalDriver("indi_simulator_telescope", restarts=1)
    with nothing_left():
        async with serving(feeders=[driver]) as (door, _):
            flooder, other = await door.knock(), await door.knock()
            with anyio.fail_after(20):
                while not [one for one in other.received if isinstance(one, DefSwitchVector)]:
                    await other.get_properties("Telescope Simulator", "DEBUG")
                    with anyio.move_on_after(0.2):
                        await other.expect(DefSwitchVector, device="Telescope Simulator")
            request = '<getProperties version="1.7" device="Telescope Simulator" name="CONNECTION"/>'

            async def flood() -> None:
                while True:
                    await flooder.send(request * 1000)

            async def read() -> None:
                while True:
                    await flooder.receive()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flood)
                tasks.start_soon(read)
                for name, word in (("ENABLE", "On"), ("DISABLE", "Off"), ("ENABLE", "On")):
                    member = f'<oneSwitch name="{name}">On</oneSwitch>'
                    write = f'<newSwitchVector device="Telescope Simulator" name="DEBUG">{member}</newSwitchVector>'
                    with anyio.fail_after(20):
                        await other.send(write)
                        await other.expect(SetSwitchVector, {"ENABLE": word})
                tasks.cancel_scope.cancel()
            assert driver.restarts_done == 0
            assert not [one for one in other.received if isinstance(one, DelProperty) and one.name is None]
