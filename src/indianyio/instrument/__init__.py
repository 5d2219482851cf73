"""Instruments: drivers declared as classes, with what clients expect of every device.

A device class such as :class:`Focuser` is subclassed with a few methods. A device that is not one of the standard
kinds subclasses :class:`Instrument` and declares its properties. Each device class is imported when it is first
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indianyio.instrument._framework._binding import Limits, bind
from indianyio.instrument._framework._declared import Property, every
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._interface import Interface
from indianyio.instrument._framework._property import BoundProperty
from indianyio.instrument._running._ending import Aborted

if TYPE_CHECKING:
    from indianyio.instrument.camera import Camera
    from indianyio.instrument.dome import Dome
    from indianyio.instrument.dust_cap import DustCap
    from indianyio.instrument.filter_wheel import FilterWheel
    from indianyio.instrument.focuser import Focuser
    from indianyio.instrument.gps import GPS
    from indianyio.instrument.guider import Guider
    from indianyio.instrument.light_box import LightBox
    from indianyio.instrument.mount import Mount
    from indianyio.instrument.power_box import PowerBox
    from indianyio.instrument.rotator import Rotator
    from indianyio.instrument.switch_box import SwitchBox
    from indianyio.instrument.weather import Weather, WeatherParameter
    from indianyio.instrument.wired import Wired

__all__ = [
    "GPS",
    "Aborted",
    "BoundProperty",
    "Camera",
    "Dome",
    "DustCap",
    "FilterWheel",
    "Focuser",
    "Guider",
    "Instrument",
    "Interface",
    "LightBox",
    "Limits",
    "Mount",
    "PowerBox",
    "Property",
    "Rotator",
    "SwitchBox",
    "Weather",
    "WeatherParameter",
    "Wired",
    "bind",
    "every",
]

_DEVICE_CLASSES = {
    "Dome": "dome",
    "Camera": "camera",
    "DustCap": "dust_cap",
    "FilterWheel": "filter_wheel",
    "Focuser": "focuser",
    "GPS": "gps",
    "Guider": "guider",
    "LightBox": "light_box",
    "Mount": "mount",
    "PowerBox": "power_box",
    "Rotator": "rotator",
    "SwitchBox": "switch_box",
    "Weather": "weather",
    "WeatherParameter": "weather",
    "Wired": "wired",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _DEVICE_CLASSES:
            from importlib import import_module

            return getattr(import_module(f"{__name__}.{_DEVICE_CLASSES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *_DEVICE_CLASSES})
