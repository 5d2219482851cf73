"""What the standard properties say when they are done, stopped or refused, as data.

INDI has no numbers for requests, so a client tells from the states of a property what became of its write. Most
properties follow one rule: Busy while the device works, Ok when it is done, Idle when it was stopped, Alert when it
failed. The rows here are those that differ, or that have a property which stops them. A property without a row
follows the rule.

Source: libindi's base classes and simulators (docs/protocol.md, part 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["RULE", "SETTLE_ROWS", "OnCancel", "SettleRow", "Tolerance", "row_for"]

OnCancel: TypeAlias = Literal["abort", "leave"]
"""What becomes of an operation whose ``set`` is cancelled: it is aborted, or left to go on."""

Meaning: TypeAlias = Literal["done", "aborted", "reached"]
"""What the end of an operation means: success, no success, or success if the values are those that were written."""


class Tolerance(NamedTuple):
    """How near a number must be to count as reached.

    :ivar within: the largest difference, in the member's own unit.
    :ivar turn: a full turn of an angle, after which values repeat; 0 for what is no angle.
    """

    within: float
    turn: float = 0.0


class SettleRow(NamedTuple):
    """How one standard property tells what became of a write.

    :ivar names: the property's names; ``*`` stands for any text.
    :ivar when: another property of the device and the member of it that must be On for the row to hold.
    :ivar ok: what Ok means after Busy.
    :ivar idle: what Idle means after Busy.
    :ivar busy_is_done: whether Busy with the written values is the success, because the property stays Busy for as
        long as the device does what was asked (motion by hand, tracking, streaming).
    :ivar any_ok: whether any Ok answers the write, as that of a button does which is Off again at once.
    :ivar abort: the property and the switch that stop it.
    :ivar on_cancel: what a cancelled ``set`` does. What moves towards safety is left alone: a time-out must not
        stop a parking.
    :ivar left_alone: switches for which ``on_cancel`` is "leave", whatever it is otherwise.
    :ivar tolerances: how near the members must come to what was written.
    """

    names: tuple[str, ...]
    when: tuple[str, str] | None = None
    ok: Meaning = "done"
    idle: Meaning = "aborted"
    busy_is_done: bool = False
    any_ok: bool = False
    abort: tuple[str, str] | None = None
    on_cancel: OnCancel = "abort"
    left_alone: tuple[str, ...] = ()
    tolerances: Mapping[str, Tolerance] = {}


# A minute of arc: more than any mount's own pointing jitter, less than any slew that is worth the name.
_ARC_MINUTE = 1 / 60
# What is tracked moves along the horizon, faster the higher it stands.
_HORIZON_DEGREES = 0.25
_COORDINATES = {"RA": Tolerance(_ARC_MINUTE / 15, 24.0), "DEC": Tolerance(_ARC_MINUTE)}
_MOUNT_ABORT = ("TELESCOPE_ABORT_MOTION", "ABORT")
_DOME_ABORT = ("DOME_ABORT_MOTION", "ABORT")
_FOCUS_ABORT = ("FOCUS_ABORT_MOTION", "ABORT")

RULE = SettleRow(names=("*",))
"""What holds for every property without a row."""

SETTLE_ROWS: tuple[SettleRow, ...] = (
    # A slew without tracking ends Idle, and so does one that is aborted; only the place tells them apart. The C++
    # simulator says Ok after the Idle of an abort.
    SettleRow(
        names=("EQUATORIAL_EOD_COORD", "EQUATORIAL_COORD"),
        when=("ON_COORD_SET", "SLEW"),
        ok="reached",
        idle="reached",
        abort=_MOUNT_ABORT,
        tolerances=_COORDINATES,
    ),
    SettleRow(names=("EQUATORIAL_EOD_COORD", "EQUATORIAL_COORD"), abort=_MOUNT_ABORT, tolerances=_COORDINATES),
    SettleRow(
        names=("HORIZONTAL_COORD",),
        ok="reached",
        idle="reached",
        abort=_MOUNT_ABORT,
        tolerances={"AZ": Tolerance(_HORIZON_DEGREES, 360.0), "ALT": Tolerance(_HORIZON_DEGREES)},
    ),
    # An aborted parking is Alert with both switches Off.
    SettleRow(names=("TELESCOPE_PARK",), idle="reached", abort=_MOUNT_ABORT, on_cancel="leave"),
    SettleRow(names=("TELESCOPE_HOME",), any_ok=True, abort=_MOUNT_ABORT),
    SettleRow(
        names=("TELESCOPE_MOTION_NS", "TELESCOPE_MOTION_WE"), busy_is_done=True, idle="reached", abort=_MOUNT_ABORT
    ),
    SettleRow(names=("TELESCOPE_TRACK_STATE",), busy_is_done=True, idle="reached"),
    SettleRow(names=("TELESCOPE_TIMED_GUIDE_*",), idle="done"),
    SettleRow(names=("CCD_EXPOSURE",), abort=("CCD_ABORT_EXPOSURE", "ABORT")),
    SettleRow(names=("GUIDER_EXPOSURE",), abort=("GUIDER_ABORT_EXPOSURE", "ABORT")),
    SettleRow(names=("SENSOR_INTEGRATION",), abort=("SENSOR_ABORT_INTEGRATION", "ABORT")),
    # A camera goes on cooling whatever becomes of the script that asked for it.
    SettleRow(names=("CCD_TEMPERATURE",), on_cancel="leave", tolerances={"CCD_TEMPERATURE_VALUE": Tolerance(0.5)}),
    SettleRow(names=("CCD_COOLER", "CCD_VIDEO_STREAM", "RECORD_STREAM"), busy_is_done=True, idle="reached"),
    SettleRow(names=("ABS_FOCUS_POSITION", "REL_FOCUS_POSITION", "FOCUS_TIMER"), abort=_FOCUS_ABORT),
    SettleRow(names=("FILTER_SLOT",)),
    SettleRow(names=("DOME_PARK",), abort=_DOME_ABORT, on_cancel="leave"),
    SettleRow(names=("DOME_SHUTTER",), abort=_DOME_ABORT, left_alone=("SHUTTER_CLOSE",)),
    SettleRow(
        names=("ABS_DOME_POSITION",),
        abort=_DOME_ABORT,
        tolerances={"DOME_ABSOLUTE_POSITION": Tolerance(1.0, 360.0)},
    ),
    SettleRow(names=("REL_DOME_POSITION",), abort=_DOME_ABORT),
    SettleRow(names=("DOME_MOTION",), busy_is_done=True, idle="reached", abort=_DOME_ABORT),
    SettleRow(names=("CAP_PARK",), abort=("CAP_ABORT", "ABORT"), on_cancel="leave"),
    # A rotator that was stopped says Ok, like one that has arrived.
    SettleRow(
        names=("ABS_ROTATOR_ANGLE",),
        ok="reached",
        abort=("ROTATOR_ABORT_MOTION", "ABORT"),
        tolerances={"ANGLE": Tolerance(0.5, 360.0)},
    ),
    # Disconnecting ends Idle, and that is its success.
    SettleRow(names=("CONNECTION",), idle="reached", on_cancel="leave"),
    # Buttons: the switch is Off again in the answer.
    SettleRow(names=("*_ABORT_*", "CAP_ABORT", "CONFIG_PROCESS", "*_REFRESH"), any_ok=True, on_cancel="leave"),
)
"""The properties that differ from the rule, the first row that fits counts."""


def row_for(name: str, is_on: Callable[[str, str], bool]) -> SettleRow:
    """Return the row that holds for a property.

    :param name: the property's name.
    :param is_on: whether a switch of the same device is On, by its property and its name.
    """
    for row in SETTLE_ROWS:
        if any(fnmatchcase(name, pattern) for pattern in row.names) and (row.when is None or is_on(*row.when)):
            return row
    return RULE
