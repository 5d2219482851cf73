"""The driver of ``driver.cpp``, written for indipydriver.

As a program it talks on standard input and output; with a port as argument it runs inside an indipyserver there.
"""

from __future__ import annotations

import asyncio
import sys

from indipydriver import BLOBMember, BLOBVector, Device, IPyDriver, NumberMember, NumberVector, newNumberVector

__all__ = ["Bench", "make_driver"]

LARGEST = "1000000000"
PATTERN = bytes((i * 31 + (i >> 8)) & 0xFF for i in range(1 << 16))


def _number(name: str, member: str, perm: str) -> NumberVector:
    return NumberVector(name, name, "Main", perm, "Idle", [NumberMember(member, member, "%.0f", "0", LARGEST)])


class Bench(IPyDriver):  # type: ignore[misc, unused-ignore] # its package has no types
    """Device ``Bench`` with the commands ``ECHO``, ``BURST`` and ``SNAP``."""

    content = b""

    async def rxevent(self, event: object) -> None:
        """Obey a client."""
        device = self["Bench"]
        match event:
            case newNumberVector(vectorname="ECHO"):
                device["ECHO"]["VALUE"] = event["VALUE"]
                await device["ECHO"].send_setVector(state="Ok")
            case newNumberVector(vectorname="BURST"):
                await self._send_readings(device["READING"], int(event.getfloatvalue("COUNT")))
            case newNumberVector(vectorname="SNAP"):
                await self._send_image(device["IMAGE"], int(event.getfloatvalue("BYTES")))

    async def _send_readings(self, reading: NumberVector, count: int) -> None:
        for value in range(1, count + 1):
            reading["VALUE"] = value
            await reading.send_setVector(state="Ok")

    async def _send_image(self, image: BLOBVector, size: int) -> None:
        if len(self.content) != size:
            self.content = (PATTERN * (size // len(PATTERN) + 1))[:size]
        image["DATA"] = self.content
        await image.send_setVectorMembers(state="Ok", members=["DATA"])


def make_driver() -> Bench:
    """Return a driver that has not run yet."""
    numbers = [
        _number("ECHO", "VALUE", "rw"),
        _number("BURST", "COUNT", "rw"),
        _number("READING", "VALUE", "ro"),
        _number("SNAP", "BYTES", "rw"),
    ]
    image = BLOBVector("IMAGE", "Image", "Main", "ro", "Idle", [BLOBMember("DATA", "Data", 0, ".bin")])
    return Bench(Device("Bench", [*numbers, image]))


async def serve(port: int) -> None:
    """Run the driver inside a server."""
    from indipyserver import IPyServer  # here, because a driver alone does not pay for it

    await IPyServer(make_driver(), host="127.0.0.1", port=port).asyncrun()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])) if len(sys.argv) > 1 else make_driver().asyncrun())
