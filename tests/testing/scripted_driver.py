"""A driver made of texts, without a fault; a test spoils one of its answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream

ANSWERS: dict[str, str] = {
    "connection": (
        '<defSwitchVector device="D" name="CONNECTION" label="Connection" group="Main" state="Idle" perm="rw"'
        ' rule="OneOfMany" timeout="60" timestamp="2026-01-31T23:59:59">'
        '<defSwitch name="CONNECT" label="C">Off</defSwitch>'
        '<defSwitch name="DISCONNECT" label="D">On</defSwitch></defSwitchVector>'
    ),
    "info": (
        '<defTextVector device="D" name="DRIVER_INFO" label="Info" group="Main" state="Idle" perm="ro" timeout="0">'
        '<defText name="DRIVER_NAME" label="N">D</defText><defText name="DRIVER_EXEC" label="E">d</defText>'
        '<defText name="DRIVER_VERSION" label="V">1</defText>'
        '<defText name="DRIVER_INTERFACE" label="I">2</defText></defTextVector>'
    ),
    "exposure": (
        '<defNumberVector device="D" name="CCD_EXPOSURE" label="Expose" group="Main" state="Idle" perm="rw"'
        ' timeout="60"><defNumber name="CCD_EXPOSURE_VALUE" label="S" format="%5.2f" min="0" max="10" step="0">'
        "0</defNumber></defNumberVector>"
    ),
    "ccd": (
        '<defBLOBVector device="D" name="CCD1" label="Image" group="Main" state="Idle" perm="ro" timeout="0">'
        '<defBLOB name="CCD1" label="Image"/></defBLOBVector>'
    ),
    "connected": (
        '<setSwitchVector device="D" name="CONNECTION" state="Ok"><oneSwitch name="CONNECT">On</oneSwitch>'
        '<oneSwitch name="DISCONNECT">Off</oneSwitch></setSwitchVector>'
    ),
    "disconnected": (
        '<setSwitchVector device="D" name="CONNECTION" state="Idle"><oneSwitch name="CONNECT">Off</oneSwitch>'
        '<oneSwitch name="DISCONNECT">On</oneSwitch></setSwitchVector>'
        '<delProperty device="D" name="CCD_EXPOSURE"/><delProperty device="D" name="CCD1"/>'
    ),
    "refused": '<setNumberVector device="D" name="CCD_EXPOSURE" state="Alert" message="no"/>',
    "readonly": '<message device="D" message="read-only" timestamp="2026-01-31T23:59:59"/>',
    "image": (
        '<setNumberVector device="D" name="CCD_EXPOSURE" state="Busy"><oneNumber name="CCD_EXPOSURE_VALUE">'
        '0.1</oneNumber></setNumberVector><setBLOBVector device="D" name="CCD1" state="Ok">'
        '<oneBLOB name="CCD1" size="3" format=".fits" enclen="4">\nYWJj\n</oneBLOB></setBLOBVector>'
        '<setNumberVector device="D" name="CCD_EXPOSURE" state="Ok"><oneNumber name="CCD_EXPOSURE_VALUE">'
        "0</oneNumber></setNumberVector>"
    ),
}

Spoil = Callable[[str, str, str], str]
"""Makes the answer that is sent from the answer's name, its text, and what was asked."""


class Scripted:
    """The driver's side of a stream."""

    def __init__(self, stream: ByteStream, spoil: Spoil) -> None:
        self._stream = stream
        self._spoil = spoil
        self._connected = False

    async def run(self) -> None:
        """Answer until the other end goes."""
        with suppress(ConnectionLostError):
            rest = ""
            while data := (await self._stream.receive()).data:
                rest += data.decode(errors="replace")
                *asked, rest = rest.split("\n")
                for text in asked:
                    for answer in self._answers(text):
                        if answer:
                            await self._stream.send(answer.encode())
        await self._stream.aclose()

    def _answers(self, asked: str) -> list[str]:
        found = [self._spoil(name, ANSWERS[name], asked) for name in self._named(asked)]
        if "END" in found:
            raise ConnectionLostError("the test ends the driver here")
        return found

    def _named(self, asked: str) -> list[str]:
        """Return the names of the answers to this, in order."""
        if "<getProperties" in asked and "<newNumber" not in asked:
            name = re.search(r' name="(\w+)"', asked)
            if name is not None:
                return ["connection" if name[1] == "CONNECTION" else "info"]
            return ["connection", "info", *(["exposure", "ccd"] if self._connected else [])]
        if 'oneSwitch name="CONNECT"' in asked:
            self._connected = True
            return ["connected", "exposure", "ccd"]
        if "DISCONNECT" in asked:
            return ["disconnected"]
        if "CCD_EXPOSURE" in asked and "newNumber" in asked:
            return ["image" if ">0.1<" in asked else "refused"]
        return ["readonly"] if "newTextVector" in asked else []
