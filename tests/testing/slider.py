"""The driver that these tests run: a carriage on a rail, which moves, can be stopped and can be told to break."""

from __future__ import annotations

import anyio
import anyio.lowlevel

from indianyio import (
    Device,
    IPyDriver,
    NewEvent,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    getProperties,
    newNumberVector,
)
from indianyio.client import Client

DEVICE = "Slider"


class BrokenRailError(Exception):
    """What the driver fails with."""


class Slider(IPyDriver):
    """Moves one step a second; ``breaks_at`` is a position at which it fails."""

    def __init__(self, *, seconds: float = 1.0, breaks_at: int | None = None, lags: bool = False) -> None:
        self.position = NumberVector(
            "ABS_FOCUS_POSITION", "Position", "Main", "rw", "Ok",
            [NumberMember("FOCUS_ABSOLUTE_POSITION", "Steps", "%.0f", 0, 100, 1, 0)],
        )  # fmt: skip
        self.abort = SwitchVector(
            "FOCUS_ABORT_MOTION", "Abort", "Main", "rw", "AtMostOne", "Idle", [SwitchMember("ABORT")]
        )
        self.left = 0
        self.moving: anyio.CancelScope | None = None
        self._seconds = seconds
        self._breaks_at = breaks_at
        self._lags = lags
        self._broken = anyio.Event()
        super().__init__(Device(DEVICE, [self.position, self.abort]))

    async def rxevent(self, event: NewEvent) -> None:
        assert not isinstance(event, getProperties)
        if isinstance(event, newNumberVector):
            await self._move(int(float(event["FOCUS_ABSOLUTE_POSITION"])))
        else:
            if self.moving is not None and not self._lags:
                self.moving.cancel()
            await self.abort.send_setVector(state="Ok", allvalues=False)

    async def hardware(self) -> None:
        await self._broken.wait()
        raise BrokenRailError("the rail is broken")

    async def leave(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.left += 1

    async def _move(self, target: int) -> None:
        await self.position.send_setVector(state="Busy", allvalues=False)
        with anyio.CancelScope() as self.moving:
            while (position := int(float(self.position["FOCUS_ABSOLUTE_POSITION"]))) != target:
                await anyio.sleep(self._seconds)
                position += 1 if target > position else -1
                self.position["FOCUS_ABSOLUTE_POSITION"] = position
                await self.position.send_setVector(state="Busy")
                if position == self._breaks_at:
                    self._broken.set()
        await self.position.send_setVector(state="Idle" if self.moving.cancelled_caught else "Ok")


async def move(driver: Slider, client: Client) -> None:
    """Move the slider by two steps."""
    device = await client.device(DEVICE, timeout=5)
    await (await device.vector("ABS_FOCUS_POSITION", timeout=5)).set(FOCUS_ABSOLUTE_POSITION=2, timeout=20)
