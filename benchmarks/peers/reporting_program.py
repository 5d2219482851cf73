"""What an update costs a driver, by a vector or by a typed property; nobody is at the other end.

Run as ``python reporting_program.py BACKEND COUNT``; prints microseconds of processor time for an update as JSON, by
case and way. The ways take turns, so that whatever else slows the machine down slows down all of them. What was sent
is counted.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import anyio

from indianyio import Device, IPyDriver
from indianyio.instrument import BoundProperty
from indianyio.properties import Values, number, switch
from indianyio.protocol import Attachment
from indianyio.streams import Received

WARMING_COUNT = 300
WAITING_SECONDS = 5
TURNS = 20
WAYS = ("vector", "members", "values")


class Position(Values, name="ABS_FOCUS_POSITION", label="Absolute Position", timeout=60):
    """One number."""

    steps: float = number("FOCUS_ABSOLUTE_POSITION", label="Steps", format="%.f", max=1e9, step=1000)


class Coordinates(Values, name="EQUATORIAL_EOD_COORD", label="Eq. Coordinates", timeout=60):
    """Two numbers."""

    ra: float = number("RA", label="RA (hh:mm:ss)", format="%010.6m", max=24)
    dec: float = number("DEC", label="DEC (dd:mm:ss)", format="%010.6m", min=-90, max=90)


class Motion(Values, name="FOCUS_MOTION", label="Direction", rule="OneOfMany", timeout=60):
    """Two switches."""

    inward: bool = switch("FOCUS_INWARD", label="Focus In", default=True)
    outward: bool = switch("FOCUS_OUTWARD", label="Focus Out")


class Sink:
    """A peer that takes everything and says nothing."""

    name = "nobody"
    carries_attachments = False

    def __init__(self) -> None:
        self.expect(0)

    def expect(self, updates: int) -> None:
        """Begin to count."""
        self.updates, self._expected = 0, updates
        self.has_all = anyio.Event()

    def _count(self, data: bytes) -> None:
        self.updates += data.count(b"</set")
        if self.updates >= self._expected:
            self.has_all.set()

    async def receive(self) -> Received:
        """Wait."""
        await anyio.sleep_forever()
        raise AssertionError("for ever has passed")

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Count the updates."""
        self._count(bytes(data))

    def send_now(self, data: bytes) -> int:
        """Count the updates."""
        self._count(data)
        return len(data)

    async def aclose(self) -> None:
        """Have nothing to close."""


class Bench(IPyDriver):
    """Reports as fast as it can, and counts what became of that."""

    def __init__(self, sink: Sink, count: int) -> None:
        self.position, self.coordinates, self.motion = (
            BoundProperty(Position),
            BoundProperty(Coordinates),
            BoundProperty(Motion),
        )
        self.figures: dict[str, dict[str, float]] = {}
        self._sink, self._count = sink, count
        super().__init__(Device("Bench", [self.position.vector, self.coordinates.vector, self.motion.vector]))

    async def hardware(self) -> None:
        """Measure all ways of all cases, and end."""
        for case in ("position", "coordinates", "motion"):
            ways = {way: getattr(self, f"{case}_by_{way}") for way in WAYS}
            for update in ways.values():
                await self._updates(update, WARMING_COUNT)
            seconds = dict.fromkeys(WAYS, 0.0)
            for _ in range(TURNS):
                for way, update in ways.items():
                    seconds[way] += await self._updates(update, self._count // TURNS)
            self.figures[case] = {way: spent / self._count * 1e6 for way, spent in seconds.items()}
        self.shutdown("done")

    async def _updates(self, update: Callable[[float], Awaitable[None]], count: int) -> float:
        self._sink.expect(count)
        begin = time.process_time()
        for step in range(count):
            await update(step % 9 + 0.5)
        spent = time.process_time() - begin
        with anyio.move_on_after(WAITING_SECONDS):
            await self._sink.has_all.wait()  # the rest is in the outbox
        if self._sink.updates != count:
            raise RuntimeError(f"{self._sink.updates} of {count} updates were sent")
        return spent

    # -- one number

    async def position_by_vector(self, value: float) -> None:
        """Assign, and send."""
        vector = self.position.vector
        vector["FOCUS_ABSOLUTE_POSITION"] = value
        await vector.send_setVector(state="Ok")

    async def position_by_members(self, value: float) -> None:
        """Report by keyword."""
        await self.position.report(steps=value, state="Ok")

    async def position_by_values(self, value: float) -> None:
        """Make values, and report them."""
        await self.position.report(Position(steps=value), state="Ok")

    # -- two numbers

    async def coordinates_by_vector(self, value: float) -> None:
        """Assign, and send."""
        vector = self.coordinates.vector
        vector["RA"] = value
        vector["DEC"] = -value
        await vector.send_setVector(state="Ok")

    async def coordinates_by_members(self, value: float) -> None:
        """Report by keyword."""
        await self.coordinates.report(ra=value, dec=-value, state="Ok")

    async def coordinates_by_values(self, value: float) -> None:
        """Make values, and report them."""
        await self.coordinates.report(Coordinates(ra=value, dec=-value), state="Ok")

    # -- a switch

    async def motion_by_vector(self, value: float) -> None:
        """Assign, and send."""
        vector = self.motion.vector
        vector["FOCUS_INWARD" if value > 5 else "FOCUS_OUTWARD"] = "On"
        await vector.send_setVector(state="Ok")

    async def motion_by_members(self, value: float) -> None:
        """Report by keyword."""
        if value > 5:
            await self.motion.report(inward=True, state="Ok")
        else:
            await self.motion.report(outward=True, state="Ok")

    async def motion_by_values(self, value: float) -> None:
        """Make values, and report them."""
        await self.motion.report(Motion(inward=True) if value > 5 else Motion(outward=True), state="Ok")


async def main(count: int) -> None:
    """Run the driver, and print what it has found."""
    sink = Sink()
    driver = Bench(sink, count)
    await driver.asyncrun(sink)
    print(json.dumps(driver.figures))  # noqa: T201 - what this program is asked for


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[2]), backend=sys.argv[1])
