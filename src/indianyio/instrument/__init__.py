"""Instruments: drivers declared as classes, with what clients expect of every device.

A driver subclasses :class:`Instrument` and declares its properties. :class:`Wired` is imported when it is first
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indianyio.instrument._binding import Limits, bind
from indianyio.instrument._declared import Property, every
from indianyio.instrument._ending import Aborted
from indianyio.instrument._instrument import Instrument
from indianyio.instrument._interface import Interface
from indianyio.instrument._property import BoundProperty

if TYPE_CHECKING:
    from indianyio.instrument.wired import Wired

__all__ = [
    "Aborted",
    "BoundProperty",
    "Instrument",
    "Interface",
    "Limits",
    "Property",
    "Wired",
    "bind",
    "every",
]

_DEVICE_CLASSES = {
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
