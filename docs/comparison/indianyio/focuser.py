import anyio
from hardware import Motor

from indianyio import instrument


class Focuser(instrument.Focuser):
    max_steps = 25_000

    async def connect(self):
        self.motor = Motor(speed=5000, position=0)

    async def move_to(self, steps):
        await self.motor.go(steps)
        while (here := await self.motor.where()) != steps:
            await self.position.report(steps=here)
            await anyio.sleep(0.25)

    async def abort(self):
        await self.motor.halt()
        self.position.take(steps=await self.motor.where())
