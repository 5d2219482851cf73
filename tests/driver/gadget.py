"""The driver that these tests run: one vector of each kind, and a record of what happened to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

from indianyio import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
)
from indianyio._model import SnoopEvent
from indianyio.driver import NewEvent

DEVICE = "Gadget"


class Gadget(IPyDriver):
    """A driver that records its events; ``on_write`` and ``work`` stand for a user's code."""

    def __init__(
        self,
        *,
        on_write: Callable[[Gadget, NewEvent], Awaitable[None]] | None = None,
        work: Callable[[Gadget], Awaitable[None]] | None = None,
        device: str = DEVICE,
    ) -> None:
        number = NumberMember("position", "Position", "%5.2f", 0, 100, 1, 10)
        self.text = TextVector("TEXT", "Text", "Main", "rw", "Idle", [TextMember("word", "Word", "hello")])
        self.number = NumberVector("NUMBER", "Number", "Main", "rw", "Ok", [number, NumberMember("free")])
        self.abort = SwitchVector("ABORT", "Abort", "Main", "rw", "AtMostOne", "Idle", [SwitchMember("ABORT")])
        self.light = LightVector("LIGHT", "Light", "Main", "Ok", [LightMember("lamp", "Lamp", "Ok")])
        self.image = BLOBVector("IMAGE", "Image", "Main", "rw", "Idle", [BLOBMember("a"), BLOBMember("b")])
        vectors = [self.text, self.number, self.abort, self.light, self.image]
        super().__init__(Device(device, vectors))
        self.on_write = on_write
        self.work = work
        self.events: list[NewEvent] = []
        self.snooped: list[SnoopEvent] = []
        self.left = 0

    async def hardware(self) -> None:
        if self.work is not None:
            await self.work(self)

    async def rxevent(self, event: NewEvent) -> None:
        self.events.append(event)
        if self.on_write is not None:
            await self.on_write(self, event)

    async def snoopevent(self, event: SnoopEvent) -> None:
        self.snooped.append(event)

    async def leave(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.left += 1
        await self.light.send_setVector(state="Idle", message="left")


def new_number(value: object, member: str = "position", device: str = DEVICE) -> str:
    """Return a client's write to the number vector."""
    return (
        f'<newNumberVector device="{device}" name="NUMBER">'
        f'<oneNumber name="{member}">{value}</oneNumber></newNumberVector>'
    )


def new_abort() -> str:
    """Return a client's Abort."""
    return (
        f'<newSwitchVector device="{DEVICE}" name="ABORT"><oneSwitch name="ABORT">On</oneSwitch></newSwitchVector>'
    )
