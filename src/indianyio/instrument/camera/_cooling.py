"""The cooler of a camera, which brings the sensor to the wanted temperature, no faster than allowed."""

from __future__ import annotations

from collections.abc import Iterator

import anyio

from indianyio._vocabulary import State
from indianyio.instrument._framework._declared import Binding, Property, every, needs, optional, overrides
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument.camera._fits import Card
from indianyio.standard.camera import CcdCooler, CcdCoolerPower, CcdTemperature, CcdTempRamp

__all__ = ["Cooling"]

# Clients draw a curve of the temperature; smaller changes are noise.
_WORTH_TELLING_CELSIUS = 0.05


class Cooling(Instrument):
    """The part of a camera that measures and controls its temperature.

    With :meth:`read_temperature` it has a thermometer; if it also has :meth:`set_temperature`, it has a cooler that
    can be told a temperature. Clients are answered when that temperature is reached.
    """

    temperature_limits: tuple[float, float] = (-50, 50)
    """The lowest and the highest temperature that may be asked for, in degrees Celsius."""

    temperature = Property(CcdTemperature, adapt=lambda camera: camera._temperature_binding())
    ramp = Property(CcdTempRamp, persist=True, adapt=needs("read_temperature", "set_temperature"))
    cooler = Property(CcdCooler, adapt=needs("switch_cooler"))
    cooler_power = Property(CcdCoolerPower, adapt=needs("read_cooler_power"))

    @optional
    async def read_temperature(self) -> float:
        """Return the temperature of the sensor, in degrees Celsius; also called during an exposure."""
        return 0.0

    @optional
    async def set_temperature(self, celsius: float) -> None:
        """Tell the cooler which temperature to keep from now on, and return at once.

        If the rate is limited, this is called repeatedly, with one temperature on the way after another.
        """

    @optional
    async def switch_cooler(self, on: bool) -> None:
        """Switch the cooler on or off.

        When the instrument is connected, the cooler is assumed to be off. If the hardware says that it is on, call
        ``self.cooler.take(on=True)`` in ``connect()``.
        """

    @optional
    async def read_cooler_power(self) -> float:
        """Return the power of the cooler, in percent."""
        return 0.0

    def _about_to_connect(self) -> None:
        """Assume that the cooler is off, as most are after a disconnection; ``connect()`` may correct this."""
        super()._about_to_connect()
        if overrides(self, "switch_cooler"):
            self.cooler.take(off=True)

    def _temperature_binding(self) -> Binding | None:
        if not overrides(self, "read_temperature"):
            return None
        can_cool = overrides(self, "set_temperature")
        return {"limits": {"celsius": self.temperature_limits}, "perm": "rw" if can_cool else "ro"}

    def _temperature_cards(self) -> Iterator[Card]:
        if overrides(self, "read_temperature"):
            yield Card("CCD-TEMP", round(self.temperature.value.celsius, 3), "of the sensor, degrees Celsius")

    @temperature.operation(when_busy="replace")
    async def _cool(self, wanted: CcdTemperature) -> CcdTemperature:
        if overrides(self, "switch_cooler") and not self.cooler.value.on:
            await self.switch_cooler(True)
            await self.cooler.report(on=True, state=State.OK)
        here = now = await self.read_temperature()
        since, told = anyio.current_time(), None
        while True:
            # Step by step, because clients may change the slope on the way.
            before, since = since, anyio.current_time()
            now = self._on_the_way(now, wanted.celsius, since - before)
            if now != told:
                await self.set_temperature(now)
                told = now
            if now == wanted.celsius and abs(here - wanted.celsius) <= self.ramp.value.threshold:
                return _celsius(here)
            await anyio.sleep(self.polling_period.value.milliseconds / 1000)
            here = await self.read_temperature()
            await self.temperature.report(celsius=here)

    def _on_the_way(self, begin: float, end: float, seconds: float) -> float:
        """Return the temperature that the slope allows this many seconds after ``begin``, on the way to ``end``."""
        slope = self.ramp.value.slope
        change = slope * seconds / 60
        if not slope or change >= abs(end - begin):
            return end
        return begin + change if end > begin else begin - change

    @cooler.write
    async def _switch_cooler(self, wanted: CcdCooler) -> None:
        if wanted.off and overrides(self, "read_temperature", "set_temperature"):
            # Without the cooler, the wanted temperature would never be reached.
            await self._operations["temperature"].abort("the cooler is switched off")
        await self.switch_cooler(wanted.on)

    @every()
    async def _poll_temperature(self) -> None:
        if overrides(self, "read_temperature") and self.temperature.state is not State.BUSY:
            here = await self.read_temperature()
            if abs(here - self.temperature.value.celsius) >= _WORTH_TELLING_CELSIUS:
                await self.temperature.report(celsius=here)
        if overrides(self, "read_cooler_power"):
            power = await self.read_cooler_power()
            if power != self.cooler_power.value.percent:
                await self.cooler_power.report(percent=power, state=State.OK)


def _celsius(celsius: float) -> CcdTemperature:
    return CcdTemperature.from_wire({"CCD_TEMPERATURE_VALUE": celsius})
