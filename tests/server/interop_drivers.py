"""Drivers that other programs' clients and servers are tried with; each takes no arguments."""

from __future__ import annotations

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
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
)
from indianyio.driver import AnyVector, NewEvent

__all__ = ["OTHER", "SORTS", "THIRD", "Flood", "Other", "Sorts", "Third"]

SORTS, OTHER, THIRD = "Sorts", "Other", "Third"


class Sorts(IPyDriver):
    """Has a vector of every kind, with nothing given that has a default, and takes on whatever is written.

    A light shows which of the vectors was written last. The switch ``delete`` lets the text vector go, ``define``
    brings it back.
    """

    def __init__(self, device: str = SORTS) -> None:
        self.text = TextVector("text", "", "", "rw", "Idle", [TextMember("note"), TextMember("other", "", "<&>")])
        self.number = NumberVector("number", "", "", "rw", "Ok", [NumberMember("plain"), NumberMember("rest")])
        self.switch = SwitchVector("switch", "", "", "rw", "AtMostOne", "Idle", [
            SwitchMember("delete"), SwitchMember("define"),
        ])  # fmt: skip
        self.blob = BLOBVector("blob", "", "", "rw", "Idle", [BLOBMember("file")])
        self.light = LightVector("light", "", "", "Ok", [LightMember(name) for name in ("text", "number", "blob")])
        vectors: list[AnyVector] = [self.text, self.number, self.switch, self.blob, self.light]
        super().__init__(Device(device, vectors))

    async def rxevent(self, event: NewEvent) -> None:
        match event:
            case newTextVector():
                self.text.update(event)
                await self.text.send_setVector(state="Ok")
            case newNumberVector():
                self.number.update(event)
                await self.number.send_setVector(state="Ok")
            case newBLOBVector():
                self.blob["file"] = event["file"]
                await self.blob.send_setVectorMembers(state="Ok", members=["file"])
            case newSwitchVector():
                await self._switch([name for name, value in event.items() if value == "On"])
        if event.vectorname in self.light:
            for name in self.light:
                self.light[name] = "Ok" if name == event.vectorname else "Idle"
            await self.light.send_setVector(state="Ok", allvalues=True)

    async def _switch(self, on: list[str]) -> None:
        for name in self.switch:
            self.switch[name] = "On" if name in on else "Off"
        if "delete" in on:
            await self.text.send_delProperty("it was told to go")
        elif "define" in on:
            self.text.enable = True
            await self.text.send_defVector()
        await self.switch.send_setVector(state="Ok", allvalues=True)


class Other(Sorts):
    """The same once more, under another name."""

    def __init__(self) -> None:
        super().__init__(OTHER)


class Third(Sorts):
    """And once more."""

    def __init__(self) -> None:
        super().__init__(THIRD)


class Flood(IPyDriver):
    """Sends as many updates of 1 kB as its number vector is set to, or so many frames of 1 MiB as a video."""

    def __init__(self) -> None:
        self.number = NumberVector("number", "", "", "rw", "Ok", [NumberMember("updates"), NumberMember("frames")])
        self.video = BLOBVector("video", "", "", "ro", "Ok", [BLOBMember("frame", blobformat=".stream_mjpg")])
        super().__init__(Device("Flood", [self.number, self.video]))

    async def rxevent(self, event: NewEvent) -> None:
        if not isinstance(event, newNumberVector):
            return
        if "updates" in event:
            for count in range(int(event.getfloatvalue("updates"))):
                self.number["updates"] = count + 1
                await self.number.send_setVectorMembers(state="Busy", message="x" * 1000, members=["updates"])
        if "frames" in event:
            for count in range(int(event.getfloatvalue("frames"))):
                self.video["frame"] = bytes([count % 256]) * (1 << 20)
                await self.video.send_setVectorMembers(state="Busy", members=["frame"])
        await self.number.send_setVectorMembers(state="Ok", message="all sent", members=[])
