"""Simulated instruments: complete drivers that run as they are.

``python -m indianyio.run --port 7624 indianyio.simulators:focuser`` serves one. Each has a module of its own, and
importing one does not import the others.
"""

# Lower-case names, because they are typed on the command line.
# ruff: noqa: N813
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indianyio.simulators._camera import SimulatedCamera as camera
    from indianyio.simulators._dome import SimulatedDome as dome
    from indianyio.simulators._filter_wheel import SimulatedFilterWheel as filter_wheel
    from indianyio.simulators._flat_panel import SimulatedFlatPanel as flat_panel
    from indianyio.simulators._focuser import SimulatedFocuser as focuser
    from indianyio.simulators._gps import SimulatedGPS as gps
    from indianyio.simulators._mount import SimulatedMount as mount
    from indianyio.simulators._power_box import SimulatedPowerBox as power_box
    from indianyio.simulators._rotator import SimulatedRotator as rotator
    from indianyio.simulators._switch_box import SimulatedSwitchBox as switch_box
    from indianyio.simulators._weather import SimulatedWeather as weather

__all__ = [
    "camera",
    "dome",
    "filter_wheel",
    "flat_panel",
    "focuser",
    "gps",
    "mount",
    "power_box",
    "rotator",
    "switch_box",
    "weather",
]

if not TYPE_CHECKING:
    _CLASSES = {
        "dome": "SimulatedDome",
        "camera": "SimulatedCamera",
        "filter_wheel": "SimulatedFilterWheel",
        "flat_panel": "SimulatedFlatPanel",
        "focuser": "SimulatedFocuser",
        "gps": "SimulatedGPS",
        "mount": "SimulatedMount",
        "power_box": "SimulatedPowerBox",
        "rotator": "SimulatedRotator",
        "switch_box": "SimulatedSwitchBox",
        "weather": "SimulatedWeather",
    }

    def __getattr__(name: str) -> object:
        if name in _CLASSES:
            return getattr(import_module(f"{__name__}._{name}"), _CLASSES[name])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_CLASSES)}")

    def __dir__() -> list[str]:
        return [*_CLASSES]
