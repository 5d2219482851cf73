from caproto import ChannelType
from caproto.server import PVGroup, pvproperty
from hardware import Telescope

MODES = ["Track", "Slew", "Sync"]
STATES = ["Idle", "Ok", "Busy", "Alert"]


class Mount(PVGroup):
    connection = pvproperty(name="CONNECTION", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    target = pvproperty(name="TARGET", value=[0.0, 90.0], max_length=2)
    mode = pvproperty(name="ON_SET", value="Track", dtype=ChannelType.ENUM, enum_strings=MODES)
    abort = pvproperty(name="ABORT", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    park = pvproperty(name="PARK", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    track = pvproperty(name="TRACK", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    coordinates = pvproperty(name="COORDINATES", value=[0.0, 90.0], max_length=2, read_only=True)
    state = pvproperty(name="STATE", value="Idle", dtype=ChannelType.ENUM, enum_strings=STATES, read_only=True)
    parking = pvproperty(name="PARKING", value="Idle", dtype=ChannelType.ENUM, enum_strings=STATES, read_only=True)
    telescope = None

    @connection.putter
    async def connection(self, instance, value):
        if self.telescope is not None:
            await self.stop()
        self.telescope = Telescope() if value == "On" else None

    @target.putter
    async def target(self, instance, value):
        ra, dec = value
        self.require_free()
        if not (0 <= ra <= 24 and -90 <= dec <= 90):
            raise ValueError("there is no such place")
        if self.mode.value == "Sync":
            await self.telescope.sync(ra, dec)
            await self.coordinates.write([ra, dec])
        else:
            await self.telescope.goto(ra, dec)
            await self.state.write("Busy")

    @abort.putter
    async def abort(self, instance, value):
        if self.telescope is not None:
            await self.stop()
        return "Off"

    @park.putter
    async def park(self, instance, value):
        self.require_connected()
        if value == "On":
            await self.telescope.goto(0, 90)
            await self.parking.write("Busy")
            await self.state.write("Busy")
        else:
            await self.stop()
            await self.parking.write("Idle")

    @track.putter
    async def track(self, instance, value):
        if value == "On":
            self.require_free()
        self.require_connected()
        await self.telescope.track(value == "On")
        if self.state.value != "Busy":
            await self.state.write("Ok" if value == "On" else "Idle")

    @coordinates.scan(period=0.5)
    async def coordinates(self, instance, async_lib):
        if self.telescope is None:
            return
        await instance.write(list(await self.telescope.where()))
        if self.state.value == "Busy" and not await self.telescope.is_slewing():
            if self.parking.value == "Busy":
                await self.parking.write("Ok")
                await self.show_tracking(False)
            else:
                await self.show_tracking(self.mode.value == "Track" or self.track.value == "On")

    def require_connected(self):
        if self.telescope is None:
            raise RuntimeError("the mount is not connected")

    def require_free(self):
        self.require_connected()
        if self.parking.value in ("Busy", "Ok"):
            raise RuntimeError("the mount is parked or parking")

    async def show_tracking(self, on):
        await self.telescope.track(on)
        await self.track.write("On" if on else "Off", verify_value=False)
        await self.state.write("Ok" if on else "Idle")

    async def stop(self):
        await self.telescope.halt()
        await self.coordinates.write(list(await self.telescope.where()))
        if self.parking.value == "Busy":
            await self.parking.write("Alert")
        if self.state.value == "Busy":
            await self.state.write("Ok" if self.track.value == "On" else "Idle")
