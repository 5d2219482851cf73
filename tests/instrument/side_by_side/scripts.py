"""What both drivers of a pair are told, step by step."""

from __future__ import annotations

from tests.instrument.side_by_side.bench import Pair, Step

__all__ = ["PAIRS", "SCRIPTS"]

PAIRS = {
    pair.simulator: pair
    for pair in (
        Pair("focuser", "indi_simulator_focus", ("focuser",)),
        Pair("filter_wheel", "indi_simulator_wheel", ("filter_wheel",)),
        Pair("rotator", "indi_simulator_rotator", ("rotator",)),
        Pair("mount", "indi_simulator_telescope", ("mount", "guider")),
        Pair("weather", "indi_simulator_weather", ("weather",)),
        Pair("gps", "indi_simulator_gps", ("gps",)),
        Pair("flat_panel", "indi_flipflat", ("dust_cap", "light_box"), first=("SIMULATION", "ENABLE")),
    )
}

CONNECT = Step("connect", "CONNECTION", {"CONNECT": True})
DISCONNECT = Step("disconnect", "CONNECTION", {"DISCONNECT": True})

ABS, REL = "ABS_FOCUS_POSITION", "REL_FOCUS_POSITION"
WHERE = "EQUATORIAL_EOD_COORD"

SCRIPTS = {
    "focuser": [
        Step("sync", "FOCUS_SYNC", {"FOCUS_SYNC_VALUE": 50_000}, busy=(ABS,)),
        Step("go to", ABS, {"FOCUS_ABSOLUTE_POSITION": 52_000}),
        Step("go to where it is", ABS, {"FOCUS_ABSOLUTE_POSITION": 52_000}),
        Step("go out of range", ABS, {"FOCUS_ABSOLUTE_POSITION": 2_000_000}, is_refused=True),
        Step("outward", "FOCUS_MOTION", {"FOCUS_OUTWARD": True}),
        Step("go by steps", REL, {"FOCUS_RELATIVE_POSITION": 500}, busy=(ABS,)),
        Step("go by steps, out of range", REL, {"FOCUS_RELATIVE_POSITION": 60_000}, busy=(ABS,), is_refused=True),
        Step("inward", "FOCUS_MOTION", {"FOCUS_INWARD": True}),
        Step("go by steps inward", REL, {"FOCUS_RELATIVE_POSITION": 100}, busy=(ABS,)),
        Step("begin to go", ABS, {"FOCUS_ABSOLUTE_POSITION": 60_000}, is_left=True),
        Step("abort", "FOCUS_ABORT_MOTION", {"ABORT": True}),
        Step("go after the abort", ABS, {"FOCUS_ABSOLUTE_POSITION": 52_400}),
        Step("reverse", "FOCUS_REVERSE_MOTION", {"INDI_ENABLED": True}),
        Step("backlash on", "FOCUS_BACKLASH_TOGGLE", {"INDI_ENABLED": True}),
        Step("backlash", "FOCUS_BACKLASH_STEPS", {"FOCUS_BACKLASH_VALUE": 30}),
        Step("speed", "FOCUS_SPEED", {"FOCUS_SPEED_VALUE": 3}),
        Step("limit", "FOCUS_MAX", {"FOCUS_MAX_VALUE": 60_000}),
        Step("go beyond the limit", ABS, {"FOCUS_ABSOLUTE_POSITION": 70_000}, is_refused=True),
    ],
    "filter_wheel": [
        Step("turn", "FILTER_SLOT", {"FILTER_SLOT_VALUE": 3}),
        Step("turn to where it is", "FILTER_SLOT", {"FILTER_SLOT_VALUE": 3}),
        Step("turn out of range", "FILTER_SLOT", {"FILTER_SLOT_VALUE": 9}, is_refused=True),
        Step("rename", "FILTER_NAME", {"FILTER_SLOT_NAME_2": "Dark"}),
    ],
    "rotator": [
        Step("turn", "ABS_ROTATOR_ANGLE", {"ANGLE": 15}),
        Step("turn to where it is", "ABS_ROTATOR_ANGLE", {"ANGLE": 15}),
        Step("turn out of range", "ABS_ROTATOR_ANGLE", {"ANGLE": 400}, is_refused=True),
        Step("begin to turn", "ABS_ROTATOR_ANGLE", {"ANGLE": 120}, is_left=True),
        Step("abort", "ROTATOR_ABORT_MOTION", {"ABORT": True}),
        Step("sync", "SYNC_ROTATOR_ANGLE", {"ANGLE": 10}, busy=("ABS_ROTATOR_ANGLE",)),
        Step("reverse", "ROTATOR_REVERSE", {"INDI_ENABLED": True}),
        Step("limit", "ROTATOR_LIMITS", {"ROTATOR_LIMITS_VALUE": 30}),
        Step("turn beyond the limit", "ABS_ROTATOR_ANGLE", {"ANGLE": 50}, is_refused=True),
    ],
    "mount": [
        Step("unpark", "TELESCOPE_PARK", {"UNPARK": True}),
        Step("place", "GEOGRAPHIC_COORD", {"LAT": 45.0, "LONG": 10.0, "ELEV": 100.0}),
        Step("track", "TELESCOPE_TRACK_STATE", {"TRACK_ON": True}),
        Step("to sync", "ON_COORD_SET", {"SYNC": True}),
        Step("sync", WHERE, {"RA": 0.1, "DEC": -5.0}, is_offset=True),
        Step("to track", "ON_COORD_SET", {"TRACK": True}),
        Step("go to", WHERE, {"RA": 0.2, "DEC": -5.0}, is_offset=True),
        Step("go out of range", WHERE, {"RA": 0.0, "DEC": 120.0}, is_offset=True, is_refused=True),
        Step("begin to go", WHERE, {"RA": 0.0, "DEC": -40.0}, is_offset=True, is_left=True),
        Step("abort", "TELESCOPE_ABORT_MOTION", {"ABORT": True}, quiet_seconds=1.2),
        Step("guide north", "TELESCOPE_TIMED_GUIDE_NS", {"TIMED_GUIDE_N": 300, "TIMED_GUIDE_S": 0}),
        Step("guide west", "TELESCOPE_TIMED_GUIDE_WE", {"TIMED_GUIDE_W": 300, "TIMED_GUIDE_E": 0}),
        Step(
            "guide too long",
            "TELESCOPE_TIMED_GUIDE_NS",
            {"TIMED_GUIDE_N": 99_000, "TIMED_GUIDE_S": 0},
            is_refused=True,
        ),
        Step("begin to move", "TELESCOPE_MOTION_NS", {"MOTION_NORTH": True}, is_left=True),
        Step("stop moving", "TELESCOPE_MOTION_NS", {"MOTION_NORTH": False}),
        Step("stop tracking", "TELESCOPE_TRACK_STATE", {"TRACK_OFF": True}),
        Step("to slew", "ON_COORD_SET", {"SLEW": True}),
        Step("slew", WHERE, {"RA": 0.0, "DEC": -2.0}, is_offset=True),
        Step("begin to park", "TELESCOPE_PARK", {"PARK": True}, is_left=True),
        Step(
            "abort parking", "TELESCOPE_ABORT_MOTION", {"ABORT": True}, busy=("TELESCOPE_PARK",), quiet_seconds=1.2
        ),
        Step("park", "TELESCOPE_PARK", {"PARK": True}, quiet_seconds=1.2),
        Step("park again", "TELESCOPE_PARK", {"PARK": True}),
        Step("go while parked", WHERE, {"RA": 0.0, "DEC": -3.0}, is_offset=True, is_refused=True),
        Step("move while parked", "TELESCOPE_MOTION_NS", {"MOTION_NORTH": True}, is_refused=True),
        Step("track while parked", "TELESCOPE_TRACK_STATE", {"TRACK_ON": True}, is_refused=True),
    ],
    "weather": [
        Step("ask", "WEATHER_REFRESH", {"REFRESH": True}),
        Step("let it blow", "WEATHER_CONTROL", {"Wind": 19.0}),
        Step("ask in the wind", "WEATHER_REFRESH", {"REFRESH": True}),
        Step("let it storm", "WEATHER_CONTROL", {"Wind": 80.0}),
        Step("ask in the storm", "WEATHER_REFRESH", {"REFRESH": True}),
        Step("override", "WEATHER_OVERRIDE", {"OVERRIDE": True}, is_left=True),
        Step("override no more", "WEATHER_OVERRIDE", {"OVERRIDE": False}),
        Step("limits", "WEATHER_WIND_SPEED", {"MIN_OK": 0.0, "MAX_OK": 100.0, "PERC_WARN": 10.0}),
        Step("ask within the limits", "WEATHER_REFRESH", {"REFRESH": True}),
        Step("period", "WEATHER_UPDATE", {"PERIOD": 30.0}),
        Step("period out of range", "WEATHER_UPDATE", {"PERIOD": 99_999.0}, is_refused=True),
    ],
    "gps": [
        Step("ask", "GPS_REFRESH", {"REFRESH": True}),
        Step("period", "GPS_REFRESH_PERIOD", {"PERIOD": 60.0}),
        Step("period out of range", "GPS_REFRESH_PERIOD", {"PERIOD": 9999.0}, is_refused=True),
    ],
    "flat_panel": [
        Step("light on", "FLAT_LIGHT_CONTROL", {"FLAT_LIGHT_ON": True}),
        Step("dim", "FLAT_LIGHT_INTENSITY", {"FLAT_LIGHT_INTENSITY_VALUE": 100}),
        Step("dim out of range", "FLAT_LIGHT_INTENSITY", {"FLAT_LIGHT_INTENSITY_VALUE": 300}, is_refused=True),
        Step("light off", "FLAT_LIGHT_CONTROL", {"FLAT_LIGHT_OFF": True}),
        Step("open", "CAP_PARK", {"UNPARK": True}),
        Step("close", "CAP_PARK", {"PARK": True}),
        Step("begin to open", "CAP_PARK", {"UNPARK": True}, is_left=True),
        Step("abort", "CAP_ABORT", {"ABORT": True}),
        Step("close after that", "CAP_PARK", {"PARK": True}),
    ],
}
"""Each is surrounded by connecting and disconnecting."""

for script in SCRIPTS.values():
    script[:] = [CONNECT, *script, DISCONNECT]
