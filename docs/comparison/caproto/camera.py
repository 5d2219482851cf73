from caproto import ChannelType
from caproto.server import PVGroup, pvproperty
from hardware import Sensor

STATES = ["Idle", "Ok", "Busy"]
KINDS = ["Light", "Bias", "Dark", "Flat"]


class Camera(PVGroup):
    connection = pvproperty(name="CONNECTION", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    exposure = pvproperty(name="EXPOSURE", value=1.0, units="s", lower_ctrl_limit=0.01, upper_ctrl_limit=3600)
    abort = pvproperty(name="ABORT", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"])
    frame = pvproperty(name="FRAME", value=[0, 0, 160, 120], max_length=4)
    binning = pvproperty(name="BINNING", value=[1, 1], max_length=2, lower_ctrl_limit=1, upper_ctrl_limit=2)
    kind = pvproperty(name="TYPE", value="Light", dtype=ChannelType.ENUM, enum_strings=KINDS)
    sensor_size = pvproperty(name="SENSOR", value=[160, 120], read_only=True)
    pixel_size = pvproperty(name="PIXEL_SIZE", value=3.75, units="um", read_only=True)
    left = pvproperty(name="LEFT", value=0.0, units="s", read_only=True)
    state = pvproperty(name="STATE", value="Idle", dtype=ChannelType.ENUM, enum_strings=STATES, read_only=True)
    image = pvproperty(name="IMAGE", value=[0], max_length=160 * 120, read_only=True)
    image_size = pvproperty(name="IMAGE_SIZE", value=[0, 0], read_only=True)
    sensor = None

    @connection.putter
    async def connection(self, instance, value):
        if self.sensor is not None:
            await self.stop()
        self.sensor = Sensor() if value == "On" else None

    @exposure.putter
    async def exposure(self, instance, value):
        if self.sensor is None:
            raise RuntimeError("the camera is not connected")
        self.area = *self.frame.value, *self.binning.value
        await self.sensor.start(value)
        await self.left.write(value)
        await self.state.write("Busy")

    @abort.putter
    async def abort(self, instance, value):
        if self.sensor is not None:
            await self.stop()
        return "Off"

    @frame.putter
    async def frame(self, instance, value):
        x, y, width, height = value
        if min(x, y) < 0 or min(width, height) < 2 or x + width > 160 or y + height > 120:
            raise ValueError("that is not on the sensor of 160 x 120")

    @binning.putter
    async def binning(self, instance, value):
        if len(value) != 2 or not all(1 <= pixels <= 2 for pixels in value):
            raise ValueError("that cannot be binned")

    @left.scan(period=0.25)
    async def left(self, instance, async_lib):
        if self.sensor is None or self.state.value != "Busy":
            return
        left = await self.sensor.left()
        await instance.write(left)
        if not left:
            _, _, width, height, x_bin, y_bin = self.area
            await self.image_size.write([width // x_bin, height // y_bin])
            await self.image.write(list(await self.sensor.read_out(*self.area)))
            await self.state.write("Ok")

    async def stop(self):
        await self.sensor.stop()
        await self.left.write(0)
        if self.state.value == "Busy":
            await self.state.write("Idle")
