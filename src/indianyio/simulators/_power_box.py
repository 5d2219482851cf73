"""A simulated power box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from indianyio.instrument.power_box import PowerBox
from indianyio.standard.power import PowerSensors

__all__ = ["SimulatedPowerBox"]

_VOLTS = 12.6
_IDLE_AMPERES = 0.15
_AMPERES = 0.8


class SimulatedPowerBox(PowerBox):
    """Four outputs, two dew heaters, two USB ports and an adjustable output; outputs and heaters draw current."""

    outputs: ClassVar[Sequence[str]] = ("Mount", "Camera", "Focuser", "Lamp")
    dew_heaters: ClassVar[Sequence[str]] = ("Telescope", "Guider")
    usb_ports: ClassVar[Sequence[str]] = ("Camera", "Guider")
    adjustable_outputs: ClassVar[Sequence[str]] = ("Fan",)

    def __init__(self, devicename: str = "Power Box Simulator") -> None:
        super().__init__(devicename)
        self.on: set[int] = set()
        self.usb_on: set[int] = set()
        self.heat_percent: dict[int, float] = {}
        self.volts: dict[int, float] = {}

    async def switch_output(self, number: int, on: bool) -> None:
        """Switch an output."""
        (self.on.add if on else self.on.discard)(number)

    async def switch_usb(self, number: int, on: bool) -> None:
        """Switch a USB port."""
        (self.usb_on.add if on else self.usb_on.discard)(number)

    async def heat(self, number: int, percent: float) -> None:
        """Heat."""
        self.heat_percent[number] = percent

    async def set_voltage(self, number: int, volts: float) -> None:
        """Set a voltage."""
        self.volts[number] = volts

    async def measure(self) -> PowerSensors:
        """Add up what is on."""
        amperes = _IDLE_AMPERES + _AMPERES * (len(self.on) + sum(self.heat_percent.values()) / 100)
        return PowerSensors(voltage=_VOLTS, current=amperes, power=_VOLTS * amperes)

    async def cycle(self) -> None:
        """Do nothing: afterwards all outputs would be as before."""
