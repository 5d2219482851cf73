"""What was set before an operation was asked for counts for it, though nobody waited in between."""

from __future__ import annotations

from array import array
from pathlib import Path

import anyio
import pytest

from indianyio import State
from indianyio.client import Device as ClientDevice
from indianyio.instrument.camera import Camera, Frame
from indianyio.simulators import focuser
from tests.instrument.connecting import connected_to
from tests.instrument.stage import Note, Stage, Steps

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]


class SlowToSet(Camera):
    """A camera that takes a second to be told a gain; ``done`` is what it did."""

    width, height = 8, 4

    def __init__(self) -> None:
        super().__init__("Slow")
        self.done: list[str] = []

    async def set_gain(self, gain: float) -> None:
        await anyio.sleep(1)
        self.done.append(f"gain {gain:g}")

    async def expose(self, seconds: float, frame: Frame) -> array[int]:
        self.done.append(f"exposure of {seconds:g} s")
        await anyio.sleep(seconds)
        return array("H", bytes(2 * frame.rows * frame.columns))

    async def abort(self) -> None:
        self.done.append("abort")


async def ask(device: ClientDevice, *writes: tuple[str, str, float]) -> None:
    """Write one after the other, as clients do that do not wait for answers."""
    for vector, member, value in writes:
        await device[vector].set({member: value}, wait=False)


GAIN, EXPOSURE = ("CCD_GAIN", "GAIN"), ("CCD_EXPOSURE", "CCD_EXPOSURE_VALUE")


async def test_an_exposure_begins_when_the_gain_is_set_that_was_written_before_it() -> None:
    async with connected_to(SlowToSet(), "CCD_FAST_COUNT") as (device, driver):
        await ask(device, (*GAIN, 10), (*GAIN, 20), (*GAIN, 30), (*EXPOSURE, 2))
        await device["CCD_EXPOSURE"].wait_for(lambda it: it.state is State.OK, timeout=60)
        assert driver.done == ["gain 10", "gain 20", "gain 30", "exposure of 2 s"]


async def test_it_does_not_wait_for_what_is_written_afterwards() -> None:
    async with connected_to(SlowToSet(), "CCD_FAST_COUNT") as (device, driver):
        await ask(device, (*GAIN, 10), (*EXPOSURE, 2))
        await anyio.sleep(0.5)
        await ask(device, (*GAIN, 20), (*GAIN, 30))
        await anyio.sleep(4)
        assert driver.done[:2] == ["gain 10", "exposure of 2 s"]


async def test_an_abort_ends_an_exposure_that_waits_for_the_gain_at_once() -> None:
    async with connected_to(SlowToSet(), "CCD_FAST_COUNT") as (device, driver):
        await ask(device, (*GAIN, 10), (*EXPOSURE, 2))
        await anyio.sleep(0.5)
        began = anyio.current_time()
        await device["CCD_ABORT_EXPOSURE"].set(ABORT=True)
        assert anyio.current_time() - began < 0.1
        await anyio.sleep(5)
        assert driver.done == ["abort", "gain 10"]
        assert device["CCD_EXPOSURE"].state is State.ALERT
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1)


async def test_disconnecting_does_not_wait_for_an_exposure_that_waits() -> None:
    async with connected_to(SlowToSet(), "CCD_FAST_COUNT") as (device, driver):
        await ask(device, (*GAIN, 10), (*EXPOSURE, 2))
        await anyio.sleep(0.5)
        await device["CONNECTION"].set(DISCONNECT=True)
        await anyio.sleep(5)
        assert not [what for what in driver.done if what.startswith("exposure")]
        await device["CONNECTION"].set(CONNECT=True)
        await (await device.vector("CCD_EXPOSURE", timeout=5)).set(CCD_EXPOSURE_VALUE=1)


async def test_a_move_by_steps_begins_at_the_position_that_was_set_before_it() -> None:
    class SlowSync(focuser):
        async def sync(self, steps: int) -> None:
            await anyio.sleep(1)
            await super().sync(steps)

    async with connected_to(SlowSync(), "FOCUS_SYNC", "REL_FOCUS_POSITION") as (device, driver):
        await ask(
            device,
            ("FOCUS_SYNC", "FOCUS_SYNC_VALUE", 20_000),
            ("FOCUS_MOTION", "FOCUS_INWARD", True),
            ("REL_FOCUS_POSITION", "FOCUS_RELATIVE_POSITION", 500),
        )
        await anyio.sleep(30)
        assert driver.position.value.steps == 19_500


async def test_a_write_that_carries_out_an_operation_does_not_wait_for_itself() -> None:
    class Scripted(Stage):
        async def _take_note(self, wanted: Note) -> None:
            await self.carry_out(Steps(steps=3))
            await super()._take_note(wanted)

    stage = Scripted()
    async with connected_to(stage, "STEPS", "TURN") as (device, _):
        await device["NOTE"].set(TEXT="moved", wait=False)
        await device["STEPS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await device["TURN"].set(D=90, wait=False)
        await anyio.sleep(1)
        stage.gate.set()
        await device["TURN"].wait_for(lambda it: it.state is State.OK and it["D"] == 89, timeout=5)
        assert stage.done() == ["connect", "move to 3", "nobody notes moved", "turn to 90"]


async def test_an_exposure_right_after_connecting_begins_when_the_settings_are_loaded(home: Path) -> None:
    gain = "<newNumberVector device='Slow' name='CCD_GAIN'><oneNumber name='GAIN'>77</oneNumber></newNumberVector>"
    (home / "Slow_config.xml").write_text(f"<INDIDriver>{gain}</INDIDriver>")
    async with connected_to(SlowToSet(), "CCD_EXPOSURE") as (device, driver):
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1)
        assert driver.done == ["gain 77", "exposure of 1 s"]
