"""The driver of ``driver.cpp``, written for indianyio."""

from __future__ import annotations

from indianyio import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    NewEvent,
    NumberMember,
    NumberVector,
    newNumberVector,
)

__all__ = ["Bench"]

LARGEST = 1e9
PATTERN = bytes((i * 31 + (i >> 8)) & 0xFF for i in range(1 << 16))


def _number(name: str, member: str, perm: str) -> NumberVector:
    return NumberVector(name, name, "Main", perm, "Idle", [NumberMember(member, member, "%.0f", 0, LARGEST)])


class Bench(IPyDriver):
    """Device ``Bench`` with the commands ``ECHO``, ``BURST`` and ``SNAP``."""

    def __init__(self) -> None:
        self.echo = _number("ECHO", "VALUE", "rw")
        self.burst = _number("BURST", "COUNT", "rw")
        self.reading = _number("READING", "VALUE", "ro")
        self.snap = _number("SNAP", "BYTES", "rw")
        self.image = BLOBVector("IMAGE", "Image", "Main", "ro", "Idle", [BLOBMember("DATA", "Data", 0, ".bin")])
        self.content = b""
        super().__init__(Device("Bench", [self.echo, self.burst, self.reading, self.snap, self.image]))

    async def rxevent(self, event: NewEvent) -> None:
        """Obey a client."""
        match event:
            case newNumberVector(vectorname="ECHO"):
                self.echo["VALUE"] = event["VALUE"]
                await self.echo.send_setVector(state="Ok")
            case newNumberVector(vectorname="BURST"):
                await self._send_readings(int(event.getfloatvalue("COUNT")))
            case newNumberVector(vectorname="SNAP"):
                await self._send_image(int(event.getfloatvalue("BYTES")))

    async def _send_readings(self, count: int) -> None:
        for value in range(1, count + 1):
            self.reading["VALUE"] = value
            await self.reading.send_setVector(state="Ok")

    async def _send_image(self, size: int) -> None:
        if len(self.content) != size:
            self.content = (PATTERN * (size // len(PATTERN) + 1))[:size]
        self.image["DATA"] = self.content
        await self.image.send_setVectorMembers(state="Ok", members=["DATA"])
