"""Drivers: subclass :class:`IPyDriver`, give it devices with vectors, and run it."""

from indianyio.driver._device import Device
from indianyio.driver._driver import IPyDriver
from indianyio.driver._events import (
    NewEvent,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
)
from indianyio.driver._state import Flag
from indianyio.driver._vectors import (
    AnyVector,
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
    "Device",
    "Flag",
    "IPyDriver",
    "LightVector",
    "NewEvent",
    "NumberVector",
    "SwitchVector",
    "TextVector",
    "Vector",
    "getProperties",
    "newBLOBVector",
    "newNumberVector",
    "newSwitchVector",
    "newTextVector",
]
