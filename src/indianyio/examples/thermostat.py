"""A thermostat: it reports the temperature of a room, takes a target, and heats when it is switched on.

Under indiserver::

    python -m indianyio.run --make-executable thermostat indianyio.examples.thermostat:Thermostat
    indiserver "$PWD/thermostat"

or by itself, talking INDI on standard input and output::

    python -m indianyio.run indianyio.examples.thermostat:Thermostat
"""

from __future__ import annotations

import anyio

from indianyio import (
    Device,
    IPyDriver,
    NewEvent,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    newSwitchVector,
)

__all__ = ["Room", "Thermostat"]

UPDATE_SECONDS = 2.0
TARGET_MIN, TARGET_MAX = -50, 99  # degrees Celsius


class Room:
    """A simulated room with a heater, which stands here for your hardware.

    :ivar temperature: in degrees Celsius, as everything here.
    :ivar target: the temperature up to which the heater heats.
    :ivar enabled: whether it heats at all.
    """

    STEP_SECONDS = 1.0
    OUTSIDE = 10.0
    LEAKAGE = 0.002  # of the difference to the outside, each second
    HEATING = 0.05  # degrees each second

    def __init__(self) -> None:
        self.temperature = 20.0
        self.target = 15.0
        self.enabled = False

    def step(self, seconds: float) -> None:
        """Let time pass."""
        self.temperature += (self.OUTSIDE - self.temperature) * self.LEAKAGE * seconds
        if self.enabled and self.temperature < self.target:
            self.temperature += self.HEATING * seconds

    async def run(self) -> None:
        """Simulate until cancelled."""
        while True:
            await anyio.sleep(self.STEP_SECONDS)
            self.step(self.STEP_SECONDS)


class Thermostat(IPyDriver):
    """Device ``Thermostat`` with ``temperaturevector``, ``targetvector`` and ``power``.

    :ivar room: the simulated room.
    """

    def __init__(self) -> None:
        self.room = Room()
        self.temperature = NumberVector(
            "temperaturevector", "Temperature", "Main Control", "ro", "Ok",
            [NumberMember("temperature", "Celsius", format="%3.1f", membervalue=self.room.temperature)],
        )  # fmt: skip
        self.target = NumberVector(
            "targetvector", "Target", "Main Control", "rw", "Ok",
            [NumberMember("target", "Celsius", "%3.1f", TARGET_MIN, TARGET_MAX, membervalue=self.room.target)],
        )  # fmt: skip
        self.power = SwitchVector(
            "power", "Heating", "Main Control", "rw", "OneOfMany", "Ok",
            [SwitchMember("On"), SwitchMember("Off", membervalue="On")],
        )  # fmt: skip
        super().__init__(Device("Thermostat", [self.temperature, self.target, self.power]))
        self.add_background(self.room.run)

    async def rxevent(self, event: NewEvent) -> None:
        """Obey a client. The library has checked that the values are in range and follow the switch rule."""
        match event:
            case newNumberVector(vectorname="targetvector"):
                self.room.target = event.getfloatvalue("target")
                self.target["target"] = self.room.target
                await self.target.send_setVector(state="Ok")
            case newSwitchVector(vectorname="power"):
                self.room.enabled = event.get("On") == "On"
                self.power.update(On="On" if self.room.enabled else "Off", Off="Off" if self.room.enabled else "On")
                await self.power.send_setVector(state="Ok")

    async def hardware(self) -> None:
        """Report the temperature whenever its first decimal has changed."""
        while True:
            await anyio.sleep(UPDATE_SECONDS)
            self.temperature["temperature"] = round(self.room.temperature, 1)
            await self.temperature.send_setVector(allvalues=False)
