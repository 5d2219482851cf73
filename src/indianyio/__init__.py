"""INDI drivers on structured concurrency, for asyncio and trio.

Subclass :class:`IPyDriver`, give it a :class:`Device` with vectors, and run it with
``python -m indianyio.run mymodule:MyDriver`` or inside your own program with ``await driver.asyncrun()``.
"""

from typing import TYPE_CHECKING

from indianyio._vocabulary import BLOBHandling, Light, Limits, Permission, Rule, State, Switch
from indianyio.driver import (
    AnyVector,
    BLOBVector,
    Device,
    IPyDriver,
    LightVector,
    NewEvent,
    NumberVector,
    SwitchVector,
    TextVector,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
)
from indianyio.exceptions import (
    ConnectionLostError,
    DriverLoadError,
    INDIError,
    LocalProtocolError,
    NumberFormatError,
    ProtocolError,
    RemoteProtocolError,
    ServerFailedError,
    UnknownDeviceError,
    UnknownMemberError,
    UnknownVectorError,
    WriteRefusedError,
)
from indianyio.model import (
    BLOBMember,
    LightMember,
    Message,
    NumberMember,
    SnoopEvent,
    SwitchMember,
    TextMember,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    delProperty,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)
from indianyio.protocol._numbers import getfloat

if TYPE_CHECKING:
    from indianyio.server import IPyServer

__version__ = version = "0.1.0"

__all__ = [
    "AnyVector",
    "BLOBHandling",
    "BLOBMember",
    "BLOBVector",
    "ConnectionLostError",
    "Device",
    "DriverLoadError",
    "INDIError",
    "IPyDriver",
    "IPyServer",
    "Light",
    "LightMember",
    "LightVector",
    "Limits",
    "LocalProtocolError",
    "Message",
    "NewEvent",
    "NumberFormatError",
    "NumberMember",
    "NumberVector",
    "Permission",
    "ProtocolError",
    "RemoteProtocolError",
    "Rule",
    "ServerFailedError",
    "SnoopEvent",
    "State",
    "Switch",
    "SwitchMember",
    "SwitchVector",
    "TextMember",
    "TextVector",
    "UnknownDeviceError",
    "UnknownMemberError",
    "UnknownVectorError",
    "WriteRefusedError",
    "__version__",
    "defBLOBVector",
    "defLightVector",
    "defNumberVector",
    "defSwitchVector",
    "defTextVector",
    "delProperty",
    "getProperties",
    "getfloat",
    "newBLOBVector",
    "newNumberVector",
    "newSwitchVector",
    "newTextVector",
    "setBLOBVector",
    "setLightVector",
    "setNumberVector",
    "setSwitchVector",
    "setTextVector",
    "version",
]


def __getattr__(name: str) -> object:
    # A driver on standard input and output needs no server, and does not pay for loading one.
    if name == "IPyServer":
        from indianyio.server import IPyServer

        return IPyServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
