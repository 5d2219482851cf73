"""The simulated hardware of all drivers here that are written in Python; it is counted for none of them."""

from array import array

from anyio import current_time


class Motor:
    """Something that moves at a constant speed."""

    def __init__(self, speed, position):
        self._speed, self._from, self._to, self._began = speed, position, position, 0.0

    async def go(self, position):
        self._from, self._to, self._began = await self.where(), position, current_time()

    async def where(self):
        gone = (current_time() - self._began) * self._speed
        if gone >= abs(self._to - self._from):
            return self._to
        return round(self._from + gone if self._to > self._from else self._from - gone, 4)

    async def halt(self):
        self._from = self._to = await self.where()

    async def is_moving(self):
        return await self.where() != self._to


class Room:
    """A room with a heater: it is as warm as it shall be, or as cold as outside."""

    def __init__(self):
        self._target, self._heats = 15.0, False

    async def set_target(self, celsius):
        self._target = celsius

    async def heat(self, on):
        self._heats = on

    async def temperature(self):
        return self._target if self._heats else 10.0


class Telescope:
    """Two motors: hours of right ascension at a tenth per second, degrees of declination at five."""

    def __init__(self):
        self._ra, self._dec = Motor(0.1, 0.0), Motor(5.0, 90.0)

    async def where(self):
        return await self._ra.where(), await self._dec.where()

    async def goto(self, ra, dec):
        await self._ra.go(ra)
        await self._dec.go(dec)

    async def is_slewing(self):
        return await self._ra.is_moving() or await self._dec.is_moving()

    async def sync(self, ra, dec):
        self._ra, self._dec = Motor(0.1, ra), Motor(5.0, dec)

    async def halt(self):
        await self._ra.halt()
        await self._dec.halt()

    async def track(self, on):
        """Nothing is to be seen of it: the simulated sky stands still."""


class Sensor:
    """A sensor of 160 x 120 pixels of 16 bits, up to 2 x 2 of which are read out as one."""

    def __init__(self):
        self._end = 0.0

    async def start(self, seconds):
        self._end = current_time() + seconds

    async def left(self):
        """Return the seconds that are left, to the millisecond."""
        return max(round(self._end - current_time(), 3), 0.0)

    async def stop(self):
        self._end = 0.0

    async def read_out(self, x, y, width, height, x_bin, y_bin):
        """Return rows of pixels, one after the other; each pixel is the number of its column."""
        return array("H", [x + x_bin * column for _ in range(height // y_bin) for column in range(width // x_bin)])
