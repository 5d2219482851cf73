from caproto import ChannelType
from caproto.server import PVGroup, pvproperty
from hardware import Motor

STATES = ["Idle", "Ok", "Busy"]


class Focuser(PVGroup):
    connection = pvproperty(name="CONNECTION", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    target = pvproperty(name="TARGET", value=0.0, units="steps", lower_ctrl_limit=0, upper_ctrl_limit=25_000)
    relative = pvproperty(name="RELATIVE", value=0.0, units="steps", lower_ctrl_limit=0, upper_ctrl_limit=25_000)
    direction = pvproperty(name="DIRECTION", value="In", dtype=ChannelType.ENUM, enum_strings=["In", "Out"])
    most = pvproperty(name="MAX", value=25_000.0, units="steps", lower_ctrl_limit=1000, upper_ctrl_limit=25_000)
    abort = pvproperty(name="ABORT", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    position = pvproperty(name="POSITION", value=0.0, units="steps", read_only=True)
    state = pvproperty(name="STATE", value="Idle", dtype=ChannelType.ENUM, enum_strings=STATES, read_only=True)
    motor = None

    @connection.putter
    async def connection(self, instance, value):
        if self.motor is not None:
            await self.stop()
        self.motor = Motor(speed=5000, position=0) if value == "On" else None

    @target.putter
    async def target(self, instance, value):
        await self.go(value)

    @relative.putter
    async def relative(self, instance, value):
        sign = 1 if self.direction.value == "Out" else -1
        await self.go(await self.connected().where() + sign * value)

    @abort.putter
    async def abort(self, instance, value):
        if self.motor is not None:
            await self.stop()
        return "Off"

    @position.scan(period=0.25)
    async def position(self, instance, async_lib):
        if self.motor is None:
            return
        await instance.write(await self.motor.where())
        if self.state.value == "Busy" and not await self.motor.is_moving():
            await self.state.write("Ok")

    def connected(self):
        if self.motor is None:
            raise RuntimeError("the focuser is not connected")
        return self.motor

    async def go(self, steps):
        if not 0 <= steps <= self.most.value:
            raise ValueError(f"{steps} is not from 0 to {self.most.value}")
        await self.connected().go(steps)
        await self.state.write("Busy")

    async def stop(self):
        await self.motor.halt()
        await self.position.write(await self.motor.where())
        if self.state.value == "Busy":
            await self.state.write("Idle")
