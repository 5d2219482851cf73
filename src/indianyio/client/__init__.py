"""The client: the devices of a server, what they report, and how to command them.

Start with :func:`open_client`::

    import anyio
    from indianyio.client import open_client

    async def main():
        async with open_client("localhost") as indi:
            camera = await indi.device("CCD Simulator", timeout=5)
            async with camera.connected(), camera.next("CCD1") as image:
                await camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5)
                await image.save("first.fits")

    anyio.run(main)
"""

from indianyio.client._changes import Change, ChangeKind, Watch
from indianyio.client._client import Client
from indianyio.client._coming import Coming
from indianyio.client._devices import Device
from indianyio.client._members import Blob, Member, NumberMember, OnProgress, Progress, Upload
from indianyio.client._open import open_client
from indianyio.client._vectors import (
    AnyVector,
    BLOBVector,
    LightVector,
    NumberVector,
    SwitchVector,
    TextVector,
    Vector,
)
from indianyio.exceptions import (
    ConnectionLostError,
    OperationAbortedError,
    RefusedError,
    UnknownDeviceError,
    UnknownMemberError,
    UnknownVectorError,
)

__all__ = [
    "AnyVector",
    "BLOBVector",
    "Blob",
    "Change",
    "ChangeKind",
    "Client",
    "Coming",
    "ConnectionLostError",
    "Device",
    "LightVector",
    "Member",
    "NumberMember",
    "NumberVector",
    "OnProgress",
    "OperationAbortedError",
    "Progress",
    "RefusedError",
    "SwitchVector",
    "TextVector",
    "UnknownDeviceError",
    "UnknownMemberError",
    "UnknownVectorError",
    "Upload",
    "Vector",
    "Watch",
    "open_client",
]
