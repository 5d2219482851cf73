from caproto import ChannelType
from caproto.server import PVGroup, pvproperty
from hardware import Room


class Thermostat(PVGroup):
    connection = pvproperty(name="CONNECTION", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    temperature = pvproperty(name="TEMPERATURE", value=10.0, units="C", precision=1, read_only=True)
    target = pvproperty(name="TARGET", value=15.0, units="C", lower_ctrl_limit=-50, upper_ctrl_limit=99)
    heating = pvproperty(name="HEATING", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    room = None

    @connection.putter
    async def connection(self, instance, value):
        self.room = Room() if value == "On" else None

    @target.putter
    async def target(self, instance, value):
        await self.connected().set_target(value)

    @heating.putter
    async def heating(self, instance, value):
        await self.connected().heat(value == "On")

    @temperature.scan(period=2)
    async def temperature(self, instance, async_lib):
        if self.room is not None:
            await instance.write(await self.room.temperature())

    def connected(self):
        if self.room is None:
            raise RuntimeError("the thermostat is not connected")
        return self.room
