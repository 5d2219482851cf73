"""Drivers: subclass :class:`IPyDriver`, give it devices with vectors, and run it."""

from indianyio.driver._device import Device
from indianyio.driver._driver import IPyDriver
from indianyio.driver._flag import Flag
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
    "NumberVector",
    "SwitchVector",
    "TextVector",
    "Vector",
]
