"""How a standard property shows the outcome of a write.

INDI does not number requests, so a client concludes from the states of a property what has become of its write.
Most properties follow one rule: Busy while the device works, Ok when it is done, Idle when it was stopped, Alert
when it failed. Properties that differ, or that another property can stop, have a row of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["RULE", "Meaning", "OnCancel", "Said", "SettleRow", "Tolerance"]

OnCancel: TypeAlias = Literal["abort", "leave"]
"""What happens to an operation whose ``set`` is cancelled: it is aborted, or left to go on."""

Meaning: TypeAlias = Literal["done", "aborted", "reached"]
"""What the end of an operation means: success, no success, or success if the values are those that were written."""

Said: TypeAlias = Literal["Idle", "Ok", "Alert"]
"""The state by which a driver shows how an operation has ended."""


class Tolerance(NamedTuple):
    """How close a number must be to count as reached.

    :ivar within: the largest difference, in the member's own unit.
    :ivar turn: a full turn of an angle, after which values repeat; 0 for numbers that are not angles.
    """

    within: float
    turn: float = 0.0


class SettleRow(NamedTuple):
    """How one standard property shows the outcome of a write.

    :ivar names: the property's names; ``*`` stands for any text.
    :ivar when: another property of the device, and the member of it that must be On for the row to apply.
    :ivar ok: what Ok means after Busy.
    :ivar idle: what Idle means after Busy.
    :ivar busy_is_done: whether Busy with the written values is the success, because the property stays Busy for as
        long as the device does what was asked (motion by hand, tracking, streaming).
    :ivar any_ok: whether any Ok answers the write, as with a button, which is Off again at once.
    :ivar abort: the property and the switch that stop it.
    :ivar on_cancel: what a cancelled ``set`` does. A motion towards safety is left alone: a time-out must not stop
        parking.
    :ivar left_alone: switches for which ``on_cancel`` is always "leave".
    :ivar tolerances: how close the members must come to the written values.
    :ivar done: the state by which a driver shows that the operation is done.
    :ivar aborted: the state by which a driver shows that the operation was stopped.
    :ivar aborted_off: whether all of its switches are Off after that.
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
    done: Said = "Ok"
    aborted: Said = "Idle"
    aborted_off: bool = False


RULE = SettleRow(names=("*",))
"""The rule for every property without a row."""
