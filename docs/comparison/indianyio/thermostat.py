from hardware import Room

from indianyio.instrument import Instrument, Property, every
from indianyio.properties import Values, number, switch


class Temperature(Values, name="TEMPERATURE", label="Temperature"):
    celsius: float = number("CELSIUS", label="Celsius", format="%.1f")


class Target(Values, name="TARGET", label="Target", perm="rw"):
    celsius: float = number("CELSIUS", label="Celsius", format="%.1f", min=-50, max=99, default=15)


class Heating(Values, name="HEATING", label="Heating", rule="OneOfMany"):
    on: bool = switch("ON", label="On")
    off: bool = switch("OFF", label="Off", default=True)


class Thermostat(Instrument):
    temperature = Property(Temperature)
    target = Property(Target)
    heating = Property(Heating)

    async def connect(self):
        self.room = Room()

    @target.write
    async def _set_target(self, wanted):
        await self.room.set_target(wanted.celsius)

    @heating.write
    async def _heat(self, wanted):
        await self.room.heat(wanted.on)

    @every(seconds=2)
    async def _measure(self):
        await self.temperature.report(celsius=await self.room.temperature(), state="Ok")
