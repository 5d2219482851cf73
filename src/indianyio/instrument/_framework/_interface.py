"""What kind of device an instrument is, as DRIVER_INFO says, and which properties clients need of each kind."""

from __future__ import annotations

from collections.abc import Container, Iterator
from enum import IntFlag

__all__ = ["Interface", "missing"]


class Interface(IntFlag):
    """The kinds of devices; an instrument can be several at once. Source: libindi's basedevice.h."""

    GENERAL = 0
    TELESCOPE = 1 << 0
    CCD = 1 << 1
    GUIDER = 1 << 2
    FOCUSER = 1 << 3
    FILTER = 1 << 4
    DOME = 1 << 5
    GPS = 1 << 6
    WEATHER = 1 << 7
    AO = 1 << 8
    DUSTCAP = 1 << 9
    LIGHTBOX = 1 << 10
    DETECTOR = 1 << 11
    ROTATOR = 1 << 12
    SPECTROGRAPH = 1 << 13
    CORRELATOR = 1 << 14
    AUX = 1 << 15
    OUTPUT = 1 << 16
    INPUT = 1 << 17
    POWER = 1 << 18
    IMU = 1 << 19
    PAC = 1 << 20


# The properties that KStars, PHD2 and CCDciel look for before they use a device of a kind; one of each group will
# do.
_NEEDED: dict[Interface, tuple[tuple[str, ...], ...]] = {
    Interface.TELESCOPE: (("EQUATORIAL_EOD_COORD", "EQUATORIAL_COORD"), ("ON_COORD_SET",)),
    Interface.CCD: (("CCD_EXPOSURE", "CCD_VIDEO_STREAM"), ("CCD1", "CCD2"), ("CCD_FRAME",), ("CCD_INFO",)),
    Interface.GUIDER: (("TELESCOPE_TIMED_GUIDE_NS",), ("TELESCOPE_TIMED_GUIDE_WE",)),
    Interface.FOCUSER: (("FOCUS_MOTION",), ("ABS_FOCUS_POSITION", "REL_FOCUS_POSITION", "FOCUS_TIMER")),
    Interface.FILTER: (("FILTER_SLOT",), ("FILTER_NAME",)),
    Interface.DOME: (("DOME_SHUTTER", "DOME_PARK", "ABS_DOME_POSITION"),),
    Interface.ROTATOR: (("ABS_ROTATOR_ANGLE",),),
    Interface.WEATHER: (("WEATHER_STATUS",), ("WEATHER_PARAMETERS",)),
    Interface.GPS: (("TIME_UTC",), ("GEOGRAPHIC_COORD",), ("GPS_REFRESH",)),
    Interface.DUSTCAP: (("CAP_PARK",),),
    Interface.LIGHTBOX: (("FLAT_LIGHT_CONTROL",),),
}


def missing(interface: Interface, properties: Container[str]) -> Iterator[str]:
    """Yield what clients need of a device of these kinds but would not find among its properties."""
    for kind, groups in _NEEDED.items():
        for group in groups if kind in interface else ():
            if not any(name in properties for name in group):
                yield f"{kind.name}: {' or '.join(group)}"
