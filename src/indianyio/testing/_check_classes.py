"""The rules about classes of devices: what telescopes, cameras and the others must define to be recognised.

The tables say which class has which properties (docs/protocol.md 3.4 and 3.9), and of what kind these are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from indianyio.protocol import DefVector
from indianyio.testing._check_rules import Found, Rule
from indianyio.testing._examination import Evidence, Key

__all__ = ["CLASSES", "CLASS_RULES", "PROPERTIES"]

CLASSES: dict[int, tuple[str, tuple[tuple[str, ...], ...]]] = {
    1: ("telescope", (("EQUATORIAL_EOD_COORD", "EQUATORIAL_COORD"), ("ON_COORD_SET",))),
    2: ("camera", (("CCD_EXPOSURE",), ("CCD1", "CCD2"))),
    4: ("guider", (("TELESCOPE_TIMED_GUIDE_NS",), ("TELESCOPE_TIMED_GUIDE_WE",))),
    8: ("focuser", (("ABS_FOCUS_POSITION", "REL_FOCUS_POSITION", "FOCUS_TIMER"), ("FOCUS_MOTION",))),
    16: ("filter wheel", (("FILTER_SLOT",), ("FILTER_NAME",))),
    32: ("dome", (("DOME_SHUTTER", "DOME_PARK", "ABS_DOME_POSITION", "REL_DOME_POSITION", "DOME_MOTION"),)),
    64: ("GPS", (("TIME_UTC",), ("GEOGRAPHIC_COORD",))),
    128: ("weather station", (("WEATHER_STATUS",),)),
    512: ("dust cap", (("CAP_PARK",),)),
    1024: ("light box", (("FLAT_LIGHT_CONTROL",),)),
    4096: ("rotator", (("ABS_ROTATOR_ANGLE",),)),
}
"""By bit of DRIVER_INTERFACE: the name of the class, and its properties; one of several alternatives is enough."""

PROPERTIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "CONNECTION": ("Switch", ("CONNECT", "DISCONNECT")),
    "DRIVER_INFO": ("Text", ("DRIVER_NAME", "DRIVER_EXEC", "DRIVER_VERSION", "DRIVER_INTERFACE")),
    "EQUATORIAL_EOD_COORD": ("Number", ("RA", "DEC")),
    "EQUATORIAL_COORD": ("Number", ("RA", "DEC")),
    "ON_COORD_SET": ("Switch", ()),
    "TELESCOPE_PARK": ("Switch", ("PARK", "UNPARK")),
    "TELESCOPE_ABORT_MOTION": ("Switch", ()),
    "TELESCOPE_TIMED_GUIDE_NS": ("Number", ("TIMED_GUIDE_N", "TIMED_GUIDE_S")),
    "TELESCOPE_TIMED_GUIDE_WE": ("Number", ("TIMED_GUIDE_W", "TIMED_GUIDE_E")),
    "GEOGRAPHIC_COORD": ("Number", ("LAT", "LONG", "ELEV")),
    "TIME_UTC": ("Text", ("UTC", "OFFSET")),
    "CCD_EXPOSURE": ("Number", ("CCD_EXPOSURE_VALUE",)),
    "CCD_ABORT_EXPOSURE": ("Switch", ()),
    "CCD_FRAME": ("Number", ("X", "Y", "WIDTH", "HEIGHT")),
    "CCD_BINNING": ("Number", ("HOR_BIN", "VER_BIN")),
    "CCD1": ("BLOB", ()),
    "CCD2": ("BLOB", ()),
    "ABS_FOCUS_POSITION": ("Number", ("FOCUS_ABSOLUTE_POSITION",)),
    "REL_FOCUS_POSITION": ("Number", ("FOCUS_RELATIVE_POSITION",)),
    "FOCUS_MOTION": ("Switch", ("FOCUS_INWARD", "FOCUS_OUTWARD")),
    "FILTER_SLOT": ("Number", ("FILTER_SLOT_VALUE",)),
    "FILTER_NAME": ("Text", ()),
    "DOME_SHUTTER": ("Switch", ("SHUTTER_OPEN", "SHUTTER_CLOSE")),
    "DOME_PARK": ("Switch", ("PARK", "UNPARK")),
    "ABS_ROTATOR_ANGLE": ("Number", ("ANGLE",)),
    "WEATHER_STATUS": ("Light", ()),
    "CAP_PARK": ("Switch", ("PARK", "UNPARK")),
    "FLAT_LIGHT_CONTROL": ("Switch", ("FLAT_LIGHT_ON", "FLAT_LIGHT_OFF")),
    "FLAT_LIGHT_INTENSITY": ("Number", ("FLAT_LIGHT_INTENSITY_VALUE",)),
}
"""For properties that clients know by name: the kind, and the members that clients need."""


def _bytes_of(evidence: Evidence, key: Key) -> bytes:
    """Return the latest definition of a vector."""
    found = [
        one.data
        for one in evidence.said
        if isinstance(one.message, DefVector) and (one.message.device, one.message.name) == key
    ]
    return found[-1] if found else b""


def _interfaces(evidence: Evidence) -> Iterator[tuple[str, str | None]]:
    """Yield each device that has DRIVER_INFO, and its DRIVER_INTERFACE."""
    for (device, name), vector in evidence.definitions().items():
        if name == "DRIVER_INFO":
            values = {member.name: getattr(member, "value", "") for member in vector.members}
            yield device, values.get("DRIVER_INTERFACE")


def _number(text: str | None) -> int | None:
    """Return a DRIVER_INTERFACE as a number; ``None`` if it is not one."""
    return int(text) if text is not None and re.fullmatch(r"\s*[0-9]{1,9}\s*", text) else None


def _interface(evidence: Evidence) -> Found:
    for device, text in _interfaces(evidence):
        if _number(text) is None:
            yield f"DRIVER_INTERFACE of {device} is {text!r}", _bytes_of(evidence, (device, "DRIVER_INFO"))


def _connection(evidence: Evidence) -> Found:
    definitions = evidence.definitions()
    for device, text in _interfaces(evidence):
        if _number(text) and (device, "CONNECTION") not in definitions:
            yield f"{device} has no CONNECTION", _bytes_of(evidence, (device, "DRIVER_INFO"))


def _needed(evidence: Evidence) -> Found:
    definitions = evidence.definitions()
    if not any(probe.what == "again" for probe in evidence.probes):
        return  # the devices were not connected, so they need not define these
    for device, text in _interfaces(evidence):
        for bit, (what, properties) in CLASSES.items():
            for names in properties if (_number(text) or 0) & bit else ():
                if not any((device, name) in definitions for name in names):
                    shown = _bytes_of(evidence, (device, "DRIVER_INFO"))
                    yield f"{device} is a {what} but has no {' or '.join(names)}", shown


def _as_standard(evidence: Evidence) -> Found:
    for (device, name), vector in evidence.definitions().items():
        kind, needed = PROPERTIES.get(name, (None, ()))
        if kind is None:
            continue
        if vector.tag != f"def{kind}Vector":
            yield (
                f"{device}.{name} is a {vector.tag}, not a def{kind}Vector",
                _bytes_of(evidence, (device, name)),
            )
            continue
        missing = [one for one in needed if one not in {member.name for member in vector.members}]
        if missing:
            yield f"{device}.{name} has no {', '.join(missing)}", _bytes_of(evidence, (device, name))


CLASS_RULES: tuple[Rule, ...] = (
    Rule("interface", "DRIVER_INTERFACE is a decimal number.", "3.4", "error", _interface),
    Rule("connection", "A device of a class has CONNECTION.", "3.3", "error", _connection),
    Rule("class", "A device has the properties of its classes when connected.", "3.9", "error", _needed),
    Rule("standard", "Standard properties have the standard kind and members.", "3.9", "error", _as_standard),
)
