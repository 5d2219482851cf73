"""The client for programs without an event loop: the names of :mod:`indianyio.client`, but the calls block.

::

    from indianyio.sync import open_client

    with open_client("localhost") as indi:
        camera = indi.device("CCD Simulator", timeout=5)
        with camera.connected(), camera.next("CCD1") as image:
            camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5)
            image.save("first.fits")

A thread of the client's own does the work for as long as the block lasts. Any thread may use the client. Ctrl-C
during a call cancels whatever the call waits for, as a cancellation does in :mod:`indianyio.client`: an exposure is
aborted.
"""

from indianyio.client import ChangeKind, Member, NumberMember, OnProgress, Progress, Upload
from indianyio.exceptions import (
    ConnectionLostError,
    OperationAbortedError,
    RefusedError,
    UnknownDeviceError,
    UnknownMemberError,
    UnknownVectorError,
)
from indianyio.sync._client import Change, Client, Watch, open_client
from indianyio.sync._devices import Coming, Device
from indianyio.sync._vectors import (
    AnyVector,
    Blob,
    BLOBVector,
    LightVector,
    NumberVector,
    SwitchVector,
    TextVector,
    Vector,
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
