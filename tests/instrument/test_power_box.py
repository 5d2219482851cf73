"""Power boxes and switch boxes: what clients find, and what the simulated ones do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from indianyio import RefusedError, State
from indianyio.simulators import power_box, switch_box
from indianyio.testing import check_driver, driver_client

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Power Box Simulator"


async def test_outputs_are_switched_one_by_one() -> None:
    async with driver_client(power_box()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            power = await device.vector("POWER_CHANNELS", timeout=5)
            assert [member.label for member in power.members.values()] == ["Mount", "Camera", "Focuser", "Lamp"]
            await power.set(POWER_CHANNEL_1=True, POWER_CHANNEL_3=True)
            assert driver.on == {1, 3}
            await power.set(POWER_CHANNEL_1=False)
            assert driver.on == {3}
            sensors = await device.vector("POWER_SENSORS", timeout=5)
            await sensors.wait_for(lambda it: it["SENSOR_CURRENT"] > 0.9, timeout=5)


async def test_dew_heaters_and_adjustable_outputs_have_what_was_set_while_they_are_on() -> None:
    async with driver_client(power_box()) as (driver, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await (await device.vector("DEW_DUTY_CYCLES", timeout=5)).set(DEW_CHANNEL_2=40)
            assert driver.heat_percent == {}
            await device["DEW_CHANNELS"].set(DEW_CHANNEL_2=True)
            await device["DEW_DUTY_CYCLES"].set(DEW_CHANNEL_2=60)
            assert driver.heat_percent == {2: 60}
            await (await device.vector("VARIABLE_VOLTAGES", timeout=5)).set(VARIABLE_CHANNEL_1=9)
            await device["VARIABLE_CHANNELS"].set(VARIABLE_CHANNEL_1=True)
            assert driver.volts == {1: 9}


async def test_an_output_that_fails_leaves_the_others_as_they_are_shown() -> None:
    class Stuck(switch_box):
        async def switch_output(self, number: int, on: bool) -> None:
            if number == 2:
                raise OSError("relay 2 sticks")
            await super().switch_output(number, on)

    async with driver_client(Stuck()) as (driver, client):
        device = await client.device("Switch Box Simulator", timeout=5)
        async with device.connected(timeout=5):
            outputs = await device.vector("OUTPUTS", timeout=5)
            with pytest.raises(RefusedError, match="relay 2 sticks"):
                await outputs.set(OUTPUT_1=True, OUTPUT_2=True, OUTPUT_3=True)
            assert driver.on == {1}
            assert outputs.state is State.ALERT
            assert [name for name, on in outputs.items() if on] == ["OUTPUT_1"]


async def test_a_box_without_heaters_has_no_properties_of_heaters() -> None:
    class Small(power_box):
        dew_heaters: ClassVar[Sequence[str]] = ()
        usb_ports: ClassVar[Sequence[str]] = ()
        adjustable_outputs: ClassVar[Sequence[str]] = ()

    assert not [name for name in Small().device if name.startswith(("DEW", "USB", "VARIABLE"))]


@pytest.mark.parametrize("box", [power_box, switch_box])
async def test_the_check_of_drivers_finds_nothing(box: type[power_box | switch_box]) -> None:
    assert await check_driver(box) == []
