import anyio
from hardware import Telescope

from indianyio import instrument


class Mount(instrument.Mount):
    async def connect(self):
        self.telescope = Telescope()

    async def where(self):
        return await self.telescope.where()

    async def goto(self, ra, dec):
        await self.telescope.goto(ra, dec)
        while await self.telescope.is_slewing():
            await anyio.sleep(0.5)

    async def sync(self, ra, dec):
        await self.telescope.sync(ra, dec)

    async def park(self):
        await self.goto(0, 90)
        await self.telescope.track(False)

    async def unpark(self):
        await self.telescope.track(False)

    async def abort(self):
        await self.telescope.halt()

    async def set_tracking(self, on):
        await self.telescope.track(on)
