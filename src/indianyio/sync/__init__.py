"""The client for programs without an event loop: the names of :mod:`indianyio.client`, and every call waits.

::

    from indianyio.sync import open_client

    with open_client("localhost") as indi:
        camera = indi.device("CCD Simulator", timeout=5)
        with camera.connected(), camera.next("CCD1") as image:
            camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5)
            image.save("first.fits")

The client itself runs in a thread of its own, which begins and ends with the block. Any thread may use it. Ctrl-C
ends whatever is waited for as a cancellation does: an exposure or a slew is stopped before KeyboardInterrupt comes
out. Functions that are passed in (``wait_for``, ``progress``) are called in the client's thread, and must not wait.
"""

from indianyio.client import (
    ChangeKind,
    ConnectionLostError,
    Member,
    NumberMember,
    OnProgress,
    OperationAbortedError,
    Progress,
    RefusedError,
    UnknownDeviceError,
    UnknownMemberError,
    UnknownVectorError,
)
from indianyio.sync._client import Client, Watch, open_client
from indianyio.sync._devices import Change, Coming, Device
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
    "Vector",
    "Watch",
    "open_client",
]
