"""A driver whose every word says which word it is: of which life of the device, and the how manieth of its vector.

So whoever hears it can tell what was lost, repeated or put into another order, without knowing anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from indianyio import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    NewEvent,
    NumberMember,
    NumberVector,
    SnoopEvent,
    SwitchMember,
    SwitchVector,
    getProperties,
)
from indianyio.testing.simulation import Part, chance
from indianyio.testing.simulation._wishes import wish_of_stamp

MOST = 1_000_000
"""The greatest target that is written during a night. Stations take greater ones, for the writes at its end."""

COUNT, TARGET, STOP, IMAGE, PANEL = "COUNT", "TARGET", "STATION_ABORT", "IMAGE", "PANEL"


class SimulatedFailureError(Exception):
    """A driver fails because the plan says so."""


@dataclass
class Ears:
    """Who is told of what a station does.

    :ivar handled: called with a write's vector and number when its handler begins.
    :ivar snooped: called with what the station hears of others.
    :ivar moved: called with a target that is reached, before anybody is told.
    """

    handled: Callable[[Station, str, int], None] = lambda station, vector, number: None
    snooped: Callable[[Station, SnoopEvent], None] = lambda station, event: None
    moved: Callable[[Station, float], None] = lambda station, value: None


class Station(IPyDriver):
    """A device that counts, has a target, sends images, can be stopped, and hears another one.

    In some plans it has a panel, too, a vector that it deletes and defines again.

    :param part: what the plan says of it.
    :param seed: of the run.
    :param life: of the device; a later one has a greater number.
    :param quiet_from: when it stops counting, so that all can be compared.
    :param ears: who is told.
    """

    grace = 2.0

    def __init__(self, part: Part, seed: int, life: int, quiet_from: float, ears: Ears) -> None:
        self.part = part
        self.life = life
        self.left = 0
        self.images = 0
        self._chance = chance(seed, f"{part.name} life {life}")
        self._panel_chance = chance(seed, f"panel of {part.name} life {life}")
        self._quiet_from = quiet_from
        self._ears = ears
        self._dying = anyio.Event()
        numbers = {"serial": 0, "life": life}
        self.count = NumberVector(COUNT, "", "", "ro", "Ok", _members(numbers))
        self.target = NumberVector(TARGET, "", "", "rw", "Ok", _members({"value": 0, **numbers}))
        self.stop_switch = SwitchVector(STOP, "", "", "rw", "AtMostOne", "Ok", [SwitchMember("ABORT")])
        self.image = BLOBVector(IMAGE, "", "", "ro", "Ok", [BLOBMember("image")])
        self.panel = NumberVector(PANEL, "", "", "ro", "Ok", _members(numbers))
        vectors = [self.count, self.target, self.stop_switch, self.image]
        super().__init__(Device(part.name, [*vectors, self.panel] if part.number("panel", 0) else vectors))
        for followed in part.names("follows"):
            self.snoop(followed, COUNT, 15)

    @property
    def name(self) -> str:
        """The device's name."""
        return self.part.name

    @property
    def has_panel(self) -> bool:
        """Whether there is a panel, and it is not deleted just now."""
        return self.panel.device is not None and self.panel.enable

    def die(self) -> None:
        """Let the driver fail."""
        self._dying.set()

    async def hardware(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._count)
            if self.part.number("images", 0):
                tasks.start_soon(self._take_images)
            if self.part.number("panel", 0):
                tasks.start_soon(self._open_and_close)
            if self.part.settings.get("fails_at_end"):
                tasks.start_soon(self._linger)
            try:
                await self._dying.wait()
            finally:
                if self._dying.is_set() or self.part.settings.get("fails_last"):
                    # As a serial port does that is gone when it is to be closed.
                    raise SimulatedFailureError(self.name)

    async def _linger(self) -> None:
        """Take a while to end, as what closes a port in order does."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.5)

    async def _count(self) -> None:
        every, burst = self.part.number("every", 1.0), int(self.part.number("burst", 1))
        while anyio.current_time() < self._quiet_from:
            await anyio.sleep(self._chance.expovariate(1.0) * every)
            for _ in range(burst):
                self.count["serial"] = int(self.count["serial"]) + 1
                await self.count.send_setVector()

    async def _take_images(self) -> None:
        while anyio.current_time() < self._quiet_from:
            await anyio.sleep(self._chance.expovariate(1.0) * self.part.number("images", 1.0))
            self.images += 1
            self.image["image"] = self.image_of(self.images)
            await self.image.send_setVectorMembers(members=["image"])

    def image_of(self, number: int) -> bytes:
        """Return the how manieth image."""
        return f"{self.life} {number} ".encode() + bytes(int(self.part.number("image_bytes", 100)))

    async def _open_and_close(self) -> None:
        generator = self._panel_chance
        while anyio.current_time() < self._quiet_from:
            await anyio.sleep(generator.expovariate(1.0) * self.part.number("panel", 1.0))
            self.panel["serial"] = int(self.panel["serial"]) + 1
            if generator.random() < 0.3:
                await self.panel.send_setVector()
            elif self.panel.enable:
                await self.panel.send_delProperty()
            else:
                self.panel.enable = True
                await self.panel.send_defVector()

    async def rxevent(self, event: NewEvent) -> None:
        if isinstance(event, getProperties):
            return
        self._ears.handled(self, event.vectorname or "", wish_of_stamp(event.timestamp))
        if event.vector is self.target:
            await self._move(event)
        elif event.vector is self.stop_switch:
            # Its timestamp says which Abort this answers, as an Abort has no value of its own.
            await self.stop_switch.send_setVector(state="Ok", timestamp=event.timestamp)

    async def _move(self, event: NewEvent) -> None:
        if self.part.number("slow", 0):
            seconds = self._chance.uniform(0, self.part.number("slow", 0))
            if self.part.settings.get("busy"):
                # As a focuser does: it says Busy when it begins, and with each position that it passes.
                for _ in range(2):
                    await self._tell_target("Busy")
                    await anyio.sleep(seconds / 2)
            else:
                await anyio.sleep(seconds)
        self.target["value"] = event["value"]  # type: ignore[index]
        self._ears.moved(self, float(self.target["value"]))
        await self._tell_target("Ok")

    async def _tell_target(self, state: str) -> None:
        self.target["serial"] = int(self.target["serial"]) + 1
        await self.target.send_setVector(state=state)

    async def snoopevent(self, event: SnoopEvent) -> None:
        self._ears.snooped(self, event)

    async def leave(self) -> None:
        self.left += 1


def _members(numbers: dict[str, int]) -> list[NumberMember]:
    limits = {"value": (0, 2 * MOST)}
    return [
        NumberMember(name, "", "%.0f", *limits.get(name, (0, 0)), 0, membervalue=value)
        for name, value in numbers.items()
    ]
