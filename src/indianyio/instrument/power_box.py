"""Power boxes: outputs, dew heaters, USB ports, and what they draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from indianyio._vocabulary import State
from indianyio.instrument._common._outputs import carry_out_changes, channels
from indianyio.instrument._framework._declared import Binding, Property, every, needs, optional, overrides
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._interface import Interface
from indianyio.standard.power import (
    DewChannels,
    DewDutyCycles,
    PowerChannels,
    PowerCycle,
    PowerSensors,
    UsbPorts,
    VariableChannels,
    VariableVoltages,
)

__all__ = ["PowerBox"]


class PowerBox(Instrument):
    r"""A power box; to be subclassed, with the methods for what the hardware can do.

    ::

        class MyBox(PowerBox):
            outputs = ("Mount", "Camera", "Focuser", "Lamp")
            dew_heaters = ("Telescope", "Guider")

            async def switch_output(self, number: int, on: bool) -> None:
                await self.wire.query(b"P%d:%d\n" % (number, on), until=b"\n", timeout=2)

            async def heat(self, number: int, percent: float) -> None:
                await self.wire.query(b"D%d:%03.0f\n" % (number, percent), until=b"\n", timeout=2)

    Outputs are counted from 1. Outputs that are on stay on at the end of the driver: a mount that loses its power
    cannot park.
    """

    interface = Interface.POWER | Interface.AUX

    outputs: ClassVar[Sequence[str]] = ()
    """What is connected to each output, for people."""

    dew_heaters: ClassVar[Sequence[str]] = ()
    """What each dew heater keeps dry."""

    usb_ports: ClassVar[Sequence[str]] = ()
    """What is connected to each USB port that can be switched."""

    adjustable_outputs: ClassVar[Sequence[str]] = ()
    """What is connected to each output whose voltage can be set."""

    power = Property(PowerChannels, adapt=lambda box: _made("POWER_CHANNEL", box.outputs))
    dew = Property(DewChannels, adapt=lambda box: _made("DEW_CHANNEL", box.dew_heaters))
    dew_power = Property(DewDutyCycles, adapt=lambda box: _made("DEW_CHANNEL", box.dew_heaters))
    usb = Property(UsbPorts, adapt=lambda box: _made("USB_PORT", box.usb_ports))
    adjustable = Property(VariableChannels, adapt=lambda box: _made("VARIABLE_CHANNEL", box.adjustable_outputs))
    voltages = Property(VariableVoltages, adapt=lambda box: _made("VARIABLE_CHANNEL", box.adjustable_outputs))
    sensors = Property(PowerSensors, adapt=needs("measure"))
    cycle_button = Property(PowerCycle, adapt=needs("cycle"))

    @optional
    async def switch_output(self, number: int, on: bool) -> None:
        """Switch an output."""

    @optional
    async def heat(self, number: int, percent: float) -> None:
        """Heat with this power from now on; 0 is off."""

    @optional
    async def switch_usb(self, number: int, on: bool) -> None:
        """Switch a USB port."""

    @optional
    async def set_voltage(self, number: int, volts: float) -> None:
        """Set the voltage of an adjustable output; 0 is off."""

    @optional
    async def measure(self) -> PowerSensors:
        """Return what the box draws now."""
        return PowerSensors()

    @optional
    async def cycle(self) -> None:
        """Switch all outputs off and on again."""

    @every()
    async def _measure(self) -> None:
        if overrides(self, "measure"):
            await self.sensors.report(await self.measure(), state=State.OK)

    # -- what clients ask for ----------------------------------------------------------------------------------

    @power.write
    async def _switch_outputs(self, wanted: PowerChannels) -> None:
        await carry_out_changes(self.power, "channels", wanted.channels, self.switch_output)

    @usb.write
    async def _switch_usb_ports(self, wanted: UsbPorts) -> None:
        await carry_out_changes(self.usb, "ports", wanted.ports, self.switch_usb)

    @dew.write
    async def _switch_heaters(self, wanted: DewChannels) -> None:
        async def switch(number: int, on: bool) -> None:
            percent = list(self.dew_power.value.channels.values())[number - 1]
            await self.heat(number, percent if on else 0.0)

        await carry_out_changes(self.dew, "channels", wanted.channels, switch)

    @dew_power.write
    async def _set_heating(self, wanted: DewDutyCycles) -> None:
        async def heat(number: int, percent: float) -> None:
            if list(self.dew.value.channels.values())[number - 1]:
                await self.heat(number, percent)

        await carry_out_changes(self.dew_power, "channels", wanted.channels, heat)

    @adjustable.write
    async def _switch_adjustable(self, wanted: VariableChannels) -> None:
        async def switch(number: int, on: bool) -> None:
            volts = list(self.voltages.value.channels.values())[number - 1]
            await self.set_voltage(number, volts if on else 0.0)

        await carry_out_changes(self.adjustable, "channels", wanted.channels, switch)

    @voltages.write
    async def _set_voltages(self, wanted: VariableVoltages) -> None:
        async def adjust(number: int, volts: float) -> None:
            if list(self.adjustable.value.channels.values())[number - 1]:
                await self.set_voltage(number, volts)

        await carry_out_changes(self.voltages, "channels", wanted.channels, adjust)

    @cycle_button.operation()
    async def _cycle(self, wanted: PowerCycle) -> PowerCycle:
        await self.cycle()
        return PowerCycle(toggle=False)


def _made(prefix: str, labels: Sequence[str]) -> Binding | None:
    return {"made": channels(prefix, dict(enumerate(labels, 1)))} if labels else None
