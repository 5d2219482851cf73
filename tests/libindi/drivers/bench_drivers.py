"""Drivers that the tests run under a real indiserver."""

from __future__ import annotations

import hashlib
import os
import random

import anyio

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

BLOB_BYTES = 50_000_000
BLOB_COUNT = 10
LEFT_FILE = "INDIANYIO_LEFT_FILE"


def image(number: int, size: int = BLOB_BYTES) -> bytes:
    return random.Random(number).randbytes(size)


class Images(IPyDriver):
    """Sends BLOB_COUNT large BLOBs when told to, while a counter ticks all the time."""

    def __init__(self) -> None:
        start = SwitchVector(
            "start", "Start", "Main", "rw", "AtMostOne", "Idle", [SwitchMember("go", membervalue="Off")]
        )
        ticks = NumberVector("ticks", "Ticks", "Main", "ro", "Ok", [NumberMember("count", format="%.0f")])
        images = BLOBVector("images", "Images", "Main", "ro", "Idle", [BLOBMember("image", blobformat=".raw")])
        super().__init__(Device("Images", [start, ticks, images]))
        self.images = images
        self.ticks = ticks
        self.add_background(self.tick)

    async def tick(self) -> None:
        count = 0
        while True:
            count += 1
            self.ticks["count"] = count
            await self.ticks.send_setVector(state="Ok")
            await anyio.sleep(0.01)

    async def rxevent(self, event: object) -> None:
        for number in range(BLOB_COUNT):
            self.images["image"] = image(number)
            await self.images.send_setVectorMembers(state="Ok", members=["image"])


class Kinds(IPyDriver):
    """Has a vector of every kind and accepts what is written to it."""

    def __init__(self) -> None:
        texts = TextVector("texts", "Some texts", "Main", "rw", "Ok", [TextMember("note", "A note", "a < b & c")])
        serial = TextVector("serial", "Serial", "Info", "ro", "Idle", [TextMember("number", "Number", "42")])
        numbers = NumberVector("numbers", "Some numbers", "Main", "rw", "Busy", [
            NumberMember("angle", "An angle", "%9.6m", "-90", "90", "0", "12.51"),
            NumberMember("plain", "A number", "%.2f", "0", "1000", "1", "0.1"),
        ])  # fmt: skip
        switches = SwitchVector("switches", "Switches", "Main", "rw", "OneOfMany", "Ok", [
            SwitchMember("day", "Day", "On"),
            SwitchMember("night", "Night", "Off"),
        ])  # fmt: skip
        lights = LightVector("lights", "Lights", "Info", "Alert", [
            LightMember("wind", "Wind", "Busy"),
            LightMember("rain", "Rain", "Ok"),
        ])  # fmt: skip
        picture = BLOBVector(
            "picture", "Picture", "Main", "ro", "Ok", [BLOBMember("png", "PNG", blobformat=".png")]
        )
        numbers.timeout = "7"
        super().__init__(Device("Kinds", [texts, serial, numbers, switches, lights, picture]))
        self.picture = picture
        self.writable = {vector.name: vector for vector in (texts, numbers, switches)}

    async def hardware(self) -> None:
        while True:
            await anyio.sleep(0.5)
            self.picture["png"] = b"not really a picture"
            await self.picture.send_setVectorMembers(state="Ok", members=["png"])

    async def rxevent(self, event: object) -> None:
        if isinstance(event, newTextVector | newNumberVector | newSwitchVector):
            vector = self.writable[event.vectorname]
            if isinstance(event, newSwitchVector):
                # A client may send only the switch that goes On (protocol.md 3.2).
                vector.update(dict.fromkeys(vector, "Off"))
            for member, value in event.items():
                vector[member] = value
            await vector.send_setVector(state="Ok")


class Slow(IPyDriver):
    """Takes ten seconds for a slew and no time for an abort; leaves a file when it leaves."""

    def __init__(self) -> None:
        slew = SwitchVector("slew", "Slew", "Main", "rw", "AtMostOne", "Idle", [SwitchMember("go")])
        abort = SwitchVector("abort", "Abort", "Main", "rw", "AtMostOne", "Idle", [SwitchMember("abort")])
        super().__init__(Device("Slow", [slew, abort]))
        self.slew, self.abort = slew, abort

    async def rxevent(self, event: object) -> None:
        if isinstance(event, newSwitchVector) and event.vectorname == "slew":
            await self.slew.send_setVectorMembers(state="Busy", members=[])
            await anyio.sleep(10)
            await self.slew.send_setVectorMembers(state="Ok", members=[])
        elif isinstance(event, newSwitchVector):
            await self.abort.send_setVectorMembers(state="Ok", members=[])

    async def leave(self) -> None:
        print("leaving, with a print that nobody may be able to read")  # noqa: T201
        await anyio.sleep(0.1)
        if LEFT_FILE in os.environ:
            await anyio.Path(os.environ[LEFT_FILE]).write_text(f"{os.getpid()}\n", encoding="ascii")


class Upload(IPyDriver):
    """Tells what BLOB a client has sent."""

    def __init__(self) -> None:
        upload = BLOBVector("upload", "Upload", "Main", "wo", "Idle", [BLOBMember("file", blobformat=".bin")])
        digest = TextVector("digest", "Digest", "Main", "ro", "Idle", [
            TextMember("sha256"), TextMember("size"), TextMember("format"),
        ])  # fmt: skip
        super().__init__(Device("Upload", [upload, digest]))
        self.digest = digest

    async def rxevent(self, event: object) -> None:
        if isinstance(event, newBLOBVector):
            content = event["file"]
            size, suffix = event.sizeformat["file"]
            self.digest["sha256"] = hashlib.sha256(content).hexdigest()
            self.digest["size"] = str(size)
            self.digest["format"] = suffix
            await self.digest.send_setVector(state="Ok")


class Watcher(IPyDriver):
    """Snoops the telescope simulator's CONNECTION and repeats what it hears."""

    def __init__(self) -> None:
        heard = TextVector("heard", "Heard", "Main", "ro", "Idle", [TextMember("kind"), TextMember("connect")])
        super().__init__(Device("Watcher", [heard]))
        self.heard = heard
        self.snoop("Telescope Simulator", "CONNECTION", 30)

    async def snoopevent(self, event: object) -> None:
        values = dict(event.items()) if hasattr(event, "items") else {}
        self.heard["kind"] = type(event).__name__
        self.heard["connect"] = str(values.get("CONNECT", "-"))
        await self.heard.send_setVector(state="Ok")
