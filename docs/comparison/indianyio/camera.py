import anyio
from hardware import Sensor

from indianyio import instrument


class Camera(instrument.Camera):
    width, height, pixel_size, max_bin = 160, 120, 3.75, 2

    async def connect(self):
        self.sensor = Sensor()

    async def expose(self, seconds, frame):
        await self.sensor.start(seconds)
        while left := await self.sensor.left():
            await anyio.sleep(left)
        return await self.sensor.read_out(frame.x, frame.y, frame.width, frame.height, frame.x_bin, frame.y_bin)

    async def abort(self):
        await self.sensor.stop()
