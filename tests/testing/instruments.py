"""A small focuser, right and wrong."""

from __future__ import annotations

import anyio

from indianyio import (
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    newSwitchVector,
)
from indianyio.driver import NewEvent

FOCUSER = "Focuser"


class Focuser(IPyDriver):
    """Moves ten steps a second, and can be aborted."""

    stops = True

    def __init__(self) -> None:
        steps = NumberMember("FOCUS_ABSOLUTE_POSITION", "Steps", "%.0f", 0, 1000, 1, 0)
        self.position = NumberVector("ABS_FOCUS_POSITION", "Position", "Main", "rw", "Ok", [steps])
        self.abort = SwitchVector(
            "FOCUS_ABORT_MOTION", "Abort", "Main", "rw", "AtMostOne", "Idle", [SwitchMember("ABORT")]
        )
        super().__init__(Device(FOCUSER, [self.position, self.abort]))
        self.moving = anyio.Event()
        self.left = 0

    async def rxevent(self, event: NewEvent) -> None:
        match event:
            case newNumberVector():
                await self._move(float(event["FOCUS_ABSOLUTE_POSITION"]))
            case newSwitchVector():
                self.moving.set()
                await self.abort.send_setVector(state="Ok")

    async def _move(self, target: float) -> None:
        self.moving = anyio.Event()
        await self.position.send_setVector(state="Busy", message="moving")
        position = float(self.position["FOCUS_ABSOLUTE_POSITION"])
        with anyio.move_on_after(abs(target - position) / 10):
            await self.moving.wait()
            if self.stops:
                await self.position.send_setVector(state="Idle", message="stopped")
            return
        self.position["FOCUS_ABSOLUTE_POSITION"] = target
        await self.position.send_setVector(state="Ok")

    async def leave(self) -> None:
        self.left += 1


class StuckFocuser(Focuser):
    """Says nothing any more when it was aborted."""

    stops = False
