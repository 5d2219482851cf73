"""Why our simulators do otherwise than libindi's, where they do.

Each has the simulator, the step, the property and the difference, all as patterns: first ours, then libindi's. A
reason for nothing fails the test.
"""

from __future__ import annotations

from tests.instrument.side_by_side.comparison import Reason

__all__ = ["REASONS"]


def _defined(simulator: str, name: str, ours: str, theirs: str, why: str) -> Reason:
    return Reason(simulator, "definition", name, f"defined: {ours}, {theirs}", why)


GENERAL = [
    Reason(
        "*", "connect", "CONNECTION", "states: Busy Ok, Ok", "Connecting may take its time, and clients see that."
    ),
    Reason("*", "disconnect", "CONNECTION", "states: Busy Idle, Idle", "So may disconnecting."),
    Reason(
        "*", "*", "*", "done: only libindi has a text", "Success shows as a state; texts are for what went wrong."
    ),
]

DEFINITIONS = [
    _defined("[!f]*", "SIMULATION", "always", "never", "Every instrument of ours can be told to simulate."),
    _defined("f[!l]*", "SIMULATION", "always", "never", "Every instrument of ours can be told to simulate."),
    *(
        _defined(simulator, "POLLING_PERIOD", "always", "never", "Every instrument of ours may poll.")
        for simulator in ("gps", "filter_wheel", "weather", "rotator")
    ),
    *(
        _defined(simulator, "DEBUG", "always", "never", "Every instrument of ours logs to clients who want that.")
        for simulator in ("gps", "filter_wheel")
    ),
    *(
        _defined(simulator, name, "never", "always", "A simulated instrument of ours has no wire to choose.")
        for simulator in ("focuser", "flat_panel", "rotator", "mount")
        for name in ("CONNECTION_MODE", "DEVICE_AUTO_SEARCH", "DEVICE_BAUD_RATE", "DEVICE_PORT", "DEVICE_PORT_SCAN")
    ),
    *(
        _defined(simulator, name, "never", "connected", "Joysticks are not supported, and no client needs that.")
        for simulator in ("focuser", "filter_wheel", "mount")
        for name in ("USEJOYSTICK", "SNOOP_JOYSTICK")
    ),
    *(
        _defined(
            simulator, name, "never", "connected", "Presets are the business of clients, which have their own."
        )
        for simulator in ("focuser", "rotator")
        for name in ("Presets", "Goto")
    ),
]

FOCUSER = [
    *(
        _defined("focuser", name, "connected", "never", "libindi's simulator cannot do that.")
        for name in ("FOCUS_ABORT_MOTION", "FOCUS_REVERSE_MOTION", "FOCUS_SYNC")
    ),
    Reason("focuser", "definition", "FOCUS_TEMPERATURE", "perm: ro, rw", "A thermometer cannot be set."),
    Reason("focuser", "*go*", "ABS_FOCUS_POSITION", "states: Busy Ok, Ok", "libindi's blocks while it moves."),
    Reason("focuser", "begin to go", "ABS_FOCUS_POSITION", "states: Busy, Ok", "libindi's blocks while it moves."),
    Reason(
        "focuser", "go by steps*", "REL_FOCUS_POSITION", "states: Busy Ok, Ok", "libindi's blocks while it moves."
    ),
]

ROTATOR = [
    _defined("rotator", "ROTATOR_HOME", "connected", "never", "libindi's simulator cannot do that."),
    _defined("rotator", "ROTATOR_LIMITS", "connected", "never", "It is new in libindi 2."),
    Reason(
        "rotator", "turn to where it is", "*", "states: Busy Ok, Ok", "Only the driver knows whether it is there."
    ),
    Reason("rotator", "turn out of range", "*", "states: Alert, Busy Ok", "The property says 0 to 360 degrees."),
    Reason("rotator", "turn out of range", "*", "ANGLE: 15.0, 40.0", "The property says 0 to 360 degrees."),
    Reason(
        "rotator", "sync", "ABS_ROTATOR_ANGLE", "ANGLE: *", "libindi's simulator shows the new angle only later."
    ),
    Reason("rotator", "turn beyond the limit", "*", "states: Alert, Busy Ok", "libindi 1.9 has no limits."),
    Reason("rotator", "turn beyond the limit", "*", "ANGLE: *", "libindi 1.9 has no limits."),
]

MOUNT = [
    _defined("mount", "TELESCOPE_HOME", "connected", "never", "It is new in libindi 2."),
    _defined("mount", "TELESCOPE_INFO", "never", "always", "libindi 2 has it no more."),
    Reason("mount", "unpark", "TELESCOPE_PARK", "states: Busy Ok, Idle", "Clients take Ok and Idle for unparked."),
    Reason("mount", "go to", "TELESCOPE_TRACK_STATE", "states: none, Idle Busy", "Tracking is not off for a slew."),
    Reason(
        "mount", "begin to go", "TELESCOPE_TRACK_STATE", "states: none, Idle", "Tracking is not off for a slew."
    ),
    Reason("mount", "abort", "TELESCOPE_TRACK_STATE", "states: none, Busy", "Tracking was not off for the slew."),
    Reason("mount", "go out of range", "*", "states: Alert, none", "What is refused is answered."),
    Reason("mount", "go out of range", "*", "refused: only ours has a text", "What is refused is answered."),
    Reason(
        "mount", "slew", "*", "states: Busy Idle, Busy Ok", "After SLEW it does not track; 1.9's simulator does."
    ),
    Reason(
        "mount", "slew", "TELESCOPE_TRACK_STATE", "states: none, Busy", "1.9's simulator tracks after any slew."
    ),
    Reason("mount", "begin to park", "TELESCOPE_TRACK_STATE", "states: none, Idle", "Ours did not track before."),
    Reason("mount", "abort parking", "TELESCOPE_TRACK_STATE", "states: none, Busy", "Ours did not track before."),
    Reason("mount", "abort parking", "*", "states: Idle, Idle Ok", "Ours did not track before."),
    Reason("mount", "park", "TELESCOPE_TRACK_STATE", "states: none, Idle", "Ours did not track before."),
    Reason("mount", "park again", "TELESCOPE_PARK", "states: Ok, Idle", "It is parked, and stays Ok."),
    Reason(
        "mount", "* while parked", "*", "states: Alert, Idle", "What is refused is Alert, so that clients see it."
    ),
]

WEATHER = [
    _defined("weather", "SAFETY_STATUS", "connected", "never", "It is new in libindi 2."),
    _defined("weather", "ACTIVE_DEVICES", "always", "connected", "libindi 2 has it always."),
    Reason("weather", "definition", "WEATHER_*", "members: * ALERT_TYPE, *", "ALERT_TYPE is new in libindi 2."),
    Reason("weather", "definition", "WEATHER_*", "labels: * in-bounds, *", "ALERT_TYPE is new in libindi 2."),
    Reason("weather", "period out*", "WEATHER_UPDATE", "states: Alert, Alert Ok", "What is refused stays Alert."),
]

GPS = [
    Reason("gps", "ask", "GPS_REFRESH", "states: Busy Ok, Ok", "Our receiver takes a second to know where it is."),
    Reason("gps", "ask", "GEOGRAPHIC_COORD", "states: Ok, none", "It was Busy until then."),
    Reason("gps", "ask", "TIME_UTC", "states: Ok, none", "It was Busy until then."),
    Reason("gps", "period", "GEOGRAPHIC_COORD", "states: Busy, none", "A new period begins with a fix."),
    Reason("gps", "period", "TIME_UTC", "states: Busy, none", "A new period begins with a fix."),
    Reason("gps", "period out*", "GPS_REFRESH_PERIOD", "states: Alert, Alert Ok", "What is refused stays Alert."),
]

FLAT_PANEL = [
    _defined("flat_panel", "CAP_ABORT", "connected", "never", "It is new in libindi 2."),
    Reason("flat_panel", "light *", "FLAT_LIGHT_CONTROL", "states: Ok, Alert", "flipflat simulates the cap alone."),
    Reason("flat_panel", "light on", "*", "FLAT_LIGHT_ON: True, False", "flipflat simulates the cap alone."),
    Reason("flat_panel", "dim out*", "*", "states: Alert, Alert Ok", "What is refused stays Alert."),
]

REASONS = [*GENERAL, *DEFINITIONS, *FOCUSER, *ROTATOR, *MOUNT, *WEATHER, *GPS, *FLAT_PANEL]
