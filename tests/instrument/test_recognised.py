"""What KStars, PHD2 and CCDciel look for before they use a device, in each simulated instrument."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

import anyio
import pytest

from indianyio import State, simulators
from indianyio.client import AnyVector, Device, NumberMember, NumberVector, SwitchVector
from indianyio.instrument import Instrument, Property
from indianyio.properties import Values, switch
from indianyio.testing import driver_client

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

Check: TypeAlias = Callable[[Device], bool]


class Row(NamedTuple):
    """What a client looks for in a device; ``None`` for the simulator means any."""

    simulator: str | None
    client: str
    what_for: str
    is_met: Check

    def __str__(self) -> str:
        return f"{self.client}: {self.what_for}"


# -- what is looked for --------------------------------------------------------------------------------------------


def bit(number: int) -> Check:
    """Look for an interface in DRIVER_INFO."""
    return lambda device: bool(int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) & 1 << number)


def defines(*names: str) -> Check:
    """Look for all of these vectors."""
    return lambda device: set(names) <= set(device)


def one_of(*names: str) -> Check:
    """Look for one of these vectors."""
    return lambda device: bool(set(names) & set(device))


def can_set(*names: str) -> Check:
    """Look for vectors that clients may write to."""
    return lambda device: all(name in device and device[name].perm != "ro" for name in names)


def members(name: str, *wanted: str) -> Check:
    """Look for members, by their names."""
    return lambda device: name in device and set(wanted) <= set(device[name])


def about(name: str, holds: Callable[[AnyVector], bool]) -> Check:
    """Look at a vector, if it is there."""
    return lambda device: name in device and holds(device[name])


def both(one: Check, other: Check) -> Check:
    """Look for two things."""
    return lambda device: one(device) and other(device)


def either(one: Check, other: Check) -> Check:
    """Look for one of two things."""
    return lambda device: one(device) or other(device)


def _is_connected(device: Device) -> bool:
    connection = device["CONNECTION"]
    return bool(connection["CONNECT"]) and connection.state is State.OK


def _comes_before(first: str, second: str) -> Check:
    return lambda device: list(device).index(first) < list(device).index(second)


def _travel_is_known(vector: AnyVector) -> bool:
    return isinstance(vector, NumberVector) and next(iter(vector.values())) > 0


def _slots_have_names(device: Device) -> bool:
    if not {"FILTER_SLOT", "FILTER_NAME"} <= set(device):
        return False
    slot, names = device["FILTER_SLOT"].members["FILTER_SLOT_VALUE"], device["FILTER_NAME"]
    assert isinstance(slot, NumberMember)
    return slot.max == len(names) and all(names.values())


def _rates_from_slow_to_fast(vector: AnyVector) -> bool:
    return isinstance(vector, SwitchVector) and len(vector) >= 4 and vector.on is not None


def _is_switch(vector: AnyVector) -> bool:
    return isinstance(vector, SwitchVector)


GUIDES = defines("TELESCOPE_TIMED_GUIDE_NS", "TELESCOPE_TIMED_GUIDE_WE")
MOVES = defines("TELESCOPE_SLEW_RATE", "TELESCOPE_MOTION_NS", "TELESCOPE_MOTION_WE")

TABLE = [
    Row(None, "KStars", "CONNECTION comes before DRIVER_INFO", _comes_before("CONNECTION", "DRIVER_INFO")),
    Row(None, "KStars", "connected is CONNECT and Ok", _is_connected),
    Row(None, "PHD2", "CONNECT can be sent on DRIVER_INFO", can_set("CONNECTION")),
    Row(None, "CCDciel", "settings can be loaded", members("CONFIG_PROCESS", "CONFIG_LOAD", "CONFIG_SAVE")),
    Row("focuser", "KStars", "it is a focuser", bit(3)),
    Row("focuser", "KStars", "it can go to a position", members("ABS_FOCUS_POSITION", "FOCUS_ABSOLUTE_POSITION")),
    Row("focuser", "KStars", "it can go by steps", members("REL_FOCUS_POSITION", "FOCUS_RELATIVE_POSITION")),
    Row("focuser", "KStars", "it has a direction", members("FOCUS_MOTION", "FOCUS_INWARD", "FOCUS_OUTWARD")),
    Row("focuser", "KStars", "FOCUS_MAX begins with its travel", about("FOCUS_MAX", _travel_is_known)),
    Row("focuser", "KStars", "it can be stopped", can_set("FOCUS_ABORT_MOTION")),
    Row("focuser", "KStars", "it has a temperature", about("FOCUS_TEMPERATURE", lambda it: len(it) == 1)),
    Row("focuser", "CCDciel", "it moves", can_set("FOCUS_MOTION", "ABS_FOCUS_POSITION")),
    Row("filter_wheel", "KStars", "it is a filter wheel", bit(4)),
    Row("filter_wheel", "KStars", "it turns", can_set("FILTER_SLOT")),
    Row("filter_wheel", "KStars", "each slot has a name", _slots_have_names),
    Row("filter_wheel", "KStars", "filters can be renamed", can_set("FILTER_NAME")),
    Row("filter_wheel", "CCDciel", "it is ready", defines("FILTER_SLOT", "FILTER_NAME")),
    Row("camera", "KStars", "it is a camera", bit(1)),
    Row("camera", "KStars", "it exposes", can_set("CCD_EXPOSURE")),
    Row("camera", "KStars", "its images come as CCD1", members("CCD1", "CCD1")),
    Row("camera", "KStars", "parts of the sensor", can_set("CCD_FRAME", "CCD_BINNING", "CCD_ABORT_EXPOSURE")),
    Row("camera", "KStars", "the size of pixels", members("CCD_INFO", "CCD_PIXEL_SIZE_X", "CCD_PIXEL_SIZE_Y")),
    Row("camera", "KStars", "it can be cooled", can_set("CCD_TEMPERATURE")),
    Row("camera", "PHD2", "it has images", both(bit(1), defines("CCD1"))),
    Row("camera", "PHD2", "it exposes or streams", one_of("CCD_EXPOSURE", "CCD_VIDEO_STREAM")),
    Row("camera", "PHD2", "CCD_INFO is whole", about("CCD_INFO", lambda it: len(it) == 6)),
    Row("camera", "PHD2", "its port takes guide pulses", both(bit(2), GUIDES)),
    Row("camera", "CCDciel", "it is ready", defines("CCD1", "CCD_EXPOSURE", "CCD_FRAME")),
    Row("dome", "KStars", "it is a dome", bit(5)),
    Row("dome", "KStars", "it turns", can_set("ABS_DOME_POSITION", "REL_DOME_POSITION")),
    Row("dome", "KStars", "it can be stopped", can_set("DOME_ABORT_MOTION")),
    Row("dome", "KStars", "it parks", members("DOME_PARK", "PARK", "UNPARK")),
    Row("dome", "KStars", "it follows the mount", can_set("DOME_AUTOSYNC", "DOME_MEASUREMENTS")),
    Row("dome", "KStars", "it moves by hand", members("DOME_MOTION", "DOME_CW", "DOME_CCW")),
    Row("dome", "KStars", "it has a shutter", members("DOME_SHUTTER", "SHUTTER_OPEN", "SHUTTER_CLOSE")),
    Row("dome", "CCDciel", "it is ready", one_of("DOME_SHUTTER", "DOME_PARK")),
    Row("rotator", "KStars", "it is a rotator", bit(12)),
    Row("rotator", "KStars", "it turns", can_set("ABS_ROTATOR_ANGLE")),
    Row("rotator", "KStars", "it can be reversed", members("ROTATOR_REVERSE", "INDI_ENABLED", "INDI_DISABLED")),
    Row("rotator", "PHD2", "it has an angle", both(bit(12), members("ABS_ROTATOR_ANGLE", "ANGLE"))),
    Row("rotator", "CCDciel", "it is ready", defines("ABS_ROTATOR_ANGLE")),
    Row("rotator", "CCDciel", "it can be stopped", can_set("ROTATOR_ABORT_MOTION")),
    Row("mount", "KStars", "it is a mount", bit(0)),
    Row("mount", "KStars", "it has coordinates", members("EQUATORIAL_EOD_COORD", "RA", "DEC")),
    Row("mount", "KStars", "it can slew, track and sync", members("ON_COORD_SET", "TRACK", "SLEW", "SYNC")),
    Row("mount", "KStars", "it takes guide pulses", both(bit(2), GUIDES)),
    Row("mount", "KStars", "it parks", members("TELESCOPE_PARK", "PARK", "UNPARK")),
    Row("mount", "KStars", "it can be stopped", can_set("TELESCOPE_ABORT_MOTION")),
    Row("mount", "KStars", "rates go from slow to fast", about("TELESCOPE_SLEW_RATE", _rates_from_slow_to_fast)),
    Row("mount", "KStars", "time and place can be set", can_set("TIME_UTC", "GEOGRAPHIC_COORD")),
    Row("mount", "KStars", "the park position can be chosen", can_set("TELESCOPE_PARK_OPTION")),
    Row("mount", "KStars", "it tracks, at a rate", can_set("TELESCOPE_TRACK_STATE", "TELESCOPE_TRACK_MODE")),
    Row("mount", "KStars", "it tracks at a rate of its own", members("TELESCOPE_TRACK_RATE", "TRACK_RATE_RA")),
    Row("mount", "KStars", "its buttons can be reversed", members("TELESCOPE_REVERSE_MOTION", "REVERSE_NS")),
    Row("mount", "PHD2", "it says how fast it guides", members("GUIDE_RATE", "GUIDE_RATE_WE", "GUIDE_RATE_NS")),
    Row("mount", "PHD2", "it guides, or moves by hand", both(bit(0), either(GUIDES, MOVES))),
    Row("mount", "PHD2", "as auxiliary mount it points", can_set("EQUATORIAL_EOD_COORD")),
    Row("mount", "PHD2", "it has a side of the pier", members("TELESCOPE_PIER_SIDE", "PIER_WEST", "PIER_EAST")),
    Row("mount", "CCDciel", "it is ready", one_of("EQUATORIAL_EOD_COORD", "EQUATORIAL_COORD")),
    Row("mount", "CCDciel", "it takes guide pulses", GUIDES),
    Row("mount", "CCDciel", "it guides at a rate", can_set("GUIDE_RATE")),
    Row("mount", "CCDciel", "it moves by hand", MOVES),
    Row("weather", "KStars", "it is a weather station", bit(7)),
    Row("weather", "KStars", "the verdict is a state", about("WEATHER_STATUS", lambda it: it.state is State.OK)),
    Row("weather", "KStars", "all that is measured is shown", about("WEATHER_PARAMETERS", lambda it: len(it) >= 1)),
    Row("weather", "KStars", "it is asked anew", can_set("WEATHER_UPDATE", "WEATHER_REFRESH")),
    Row("weather", "CCDciel", "it is ready", defines("WEATHER_STATUS")),
    Row("weather", "CCDciel", "names of measures", members("WEATHER_PARAMETERS", "WEATHER_TEMPERATURE")),
    Row("gps", "KStars", "it is a GPS", bit(6)),
    Row("gps", "KStars", "it tells the time", members("TIME_UTC", "UTC", "OFFSET")),
    Row("gps", "KStars", "it tells the place", members("GEOGRAPHIC_COORD", "LAT", "LONG", "ELEV")),
    Row("gps", "KStars", "it is asked anew", can_set("GPS_REFRESH")),
    Row("flat_panel", "KStars", "it is a cap and a light box", both(bit(9), bit(10))),
    Row("flat_panel", "KStars", "the cap parks", members("CAP_PARK", "PARK", "UNPARK")),
    Row("flat_panel", "KStars", "the light has a switch", members("FLAT_LIGHT_CONTROL", "FLAT_LIGHT_ON")),
    Row("flat_panel", "KStars", "the light can be dimmed", can_set("FLAT_LIGHT_INTENSITY")),
    Row("flat_panel", "CCDciel", "it has a cover", defines("CAP_PARK")),
    Row("flat_panel", "CCDciel", "it has a calibrator", defines("FLAT_LIGHT_CONTROL")),
    Row("switch_box", "KStars", "it is an auxiliary", bit(15)),
    Row(
        "switch_box",
        "CCDciel",
        "it has a switch that can be set",
        both(can_set("OUTPUTS"), about("OUTPUTS", _is_switch)),
    ),
    Row("power_box", "KStars", "it has power and switches", both(bit(18), bit(15))),
    Row("power_box", "CCDciel", "it has a switch that can be set", about("POWER_CHANNELS", _is_switch)),
]


# -- the devices ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def connected(driver: Instrument) -> AsyncGenerator[Device]:
    """Have a device that was connected, and had the time to tell what it is."""
    async with driver_client(driver) as (_, client):
        device = await client.device(driver.device.devicename, timeout=5)
        await (await device.vector("CONNECTION", timeout=5)).set(CONNECT=True, timeout=5)
        await anyio.sleep(2)
        yield device


def rows_of(simulator: str) -> list[Row]:
    return [row for row in TABLE if row.simulator in (None, simulator)]


@pytest.mark.parametrize("simulator", simulators.__all__)
async def test_a_simulator_has_all_that_clients_look_for(simulator: str) -> None:
    assert len(rows_of(simulator)) > len(rows_of("no such simulator")), f"the table lacks rows for {simulator}"
    async with connected(getattr(simulators, simulator)()) as device:
        assert [str(row) for row in rows_of(simulator) if not row.is_met(device)] == []


class Unknown(Values, name="UNKNOWN", perm="rw", rule="AnyOfMany"):
    """A switch that no client looks for."""

    on: bool = switch("ON")


class NoKind(Instrument):
    """An instrument of no kind."""

    unknown = Property(Unknown)

    def __init__(self) -> None:
        super().__init__("No Kind")


async def test_an_instrument_of_no_kind_has_nothing_that_makes_one() -> None:
    async with connected(NoKind()) as device:
        assert [str(row) for row in TABLE if row.simulator and row.is_met(device)] == []
