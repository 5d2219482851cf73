"""The outcome of a write: a verdict from the updates that follow it, without any I/O.

The rule, in the order in which it is applied:

1. Only what arrives after the write counts.
2. Alert is a refusal, or a failure. If the property was Alert before, and is Alert again without a message, this
  says so only if nothing else follows: a focuser that has failed once may repeat it with each position that it
  reports.
3. After Busy, the first state that is not Busy decides; the property's row says what Ok and Idle mean. If the
  property was deleted and defined again in between, the driver may be another one: only the written values count.
4. A property that never becomes Busy has answered when an update carries the values that were written, to the last
   digit: a mount that reports its position every second is always near to a nearby target.
5. If the property was Busy before the write, its next end belongs to the old operation, unless that carries the
   written values or the new operation was seen to begin.
6. A new definition of a property is an update, unless it says what was so before the write: for every client that
   connects, all properties are defined once more.
7. A property that has neither answered nor become Busy after the start time-out, or that is deleted and not defined
  again within that time, gets no more patience. If the device has complained meanwhile, that is a refusal:
  libindi's parked mounts leave their coordinates unchanged, and say why. What is Busy may take as long as the
  caller allows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from indianyio._vocabulary import State
from indianyio.client._members import Written
from indianyio.standard._settle_table import SettleRow, Tolerance

__all__ = ["Outcome", "Seen", "Settling", "Verdict"]

# How libindi's drivers begin a message about something they refuse to do.
_COMPLAINTS = ("[ERROR]", "[WARNING]")

# Some of libindi's drivers give the reason in a separate message, immediately after the Alert.
_REASON_SECONDS = 0.2

_NO_REASON = "the driver says Alert and gives no reason"

# Numbers are written with all their digits, but a driver may keep them as 32-bit floats.
_RELATIVE = 1e-6


class Outcome(Enum):
    """How a write has ended."""

    DONE = auto()
    REFUSED = auto()
    ABORTED = auto()
    SILENT = auto()
    DELETED = auto()


class Verdict(NamedTuple):
    """How a write has ended, and why in words.

    :ivar reason: the driver's own message if it sent one, otherwise what was seen.
    """

    outcome: Outcome
    reason: str


class Seen(NamedTuple):
    """A property after an update or a definition.

    :ivar state: its state; if the update does not give one, the state before.
    :ivar values: all its values.
    :ivar carried: the members that the update names.
    :ivar message: the driver's text, or "".
    :ivar defined: whether this is a definition.
    """

    state: State
    values: Mapping[str, object]
    carried: frozenset[str]
    message: str = ""
    defined: bool = False


class _Phase(Enum):
    OLD = auto()  # an operation was in progress before the write
    WAITING = auto()  # nothing has been seen of ours yet
    RUNNING = auto()  # ours is in progress


class Settling:
    """One write that waits for its verdict.

    :param row: how the property reports.
    :param written: what was written.
    :param state: the property's state when it was written.
    :param values: its values when it was written.
    :param is_button: whether the property is a switch vector that may be all Off, so that an Ok with all Off
        answers a write of On.
    :param now: when it was written, in seconds on any clock that only goes forward.
    :param start_timeout: how long the property may show no sign of the write, in seconds.
    """

    def __init__(
        self,
        row: SettleRow,
        written: Mapping[str, Written],
        state: State,
        values: Mapping[str, object],
        *,
        is_button: bool,
        now: float,
        start_timeout: float,
    ) -> None:
        self._row = row
        self._written = written
        self._is_button = is_button or row.any_ok
        self._state_before = state
        self._values_before = {name: values.get(name) for name in written}
        self._phase = _Phase.OLD if state is State.BUSY else _Phase.WAITING
        self._start_timeout = start_timeout
        self._deleted = False
        self._last: Seen | None = None
        self._said = ""
        self._alerted = False
        self._was_alert = state is State.ALERT
        self._still_alert = False
        self.deadline: float = math.inf if self._phase is _Phase.OLD else now + start_timeout

    def sent(self, now: float) -> None:
        """Note that the whole write has been sent; that may take a while, and only now the driver's time begins."""
        if self._phase is _Phase.WAITING and not (self._alerted or self._deleted):
            self.deadline = now + self._start_timeout

    def update(self, seen: Seen, now: float) -> Verdict | None:
        """Take an update or a definition; return the verdict if it brings one."""
        self._last = seen
        was_deleted = self._deleted
        if was_deleted:
            self._deleted = False
            self.deadline = math.inf if self._phase is not _Phase.WAITING else now + self._start_timeout
        elif seen.defined and self._is_as_before(seen):
            return None
        if self._alerted:
            return None
        if seen.state is State.ALERT:
            return self._alert(seen.message, now)
        self._was_alert = self._still_alert = False
        if seen.state is State.BUSY:
            return self._busy(seen)
        if self._phase is _Phase.RUNNING:
            return self._ended(seen, was_deleted=was_deleted)
        if self._answers(seen):
            return Verdict(Outcome.DONE, seen.message)
        if self._phase is _Phase.OLD:
            # The old operation has ended; now ours has to show itself.
            self._phase = _Phase.WAITING
            self.deadline = now + self._start_timeout
        return None

    def say(self, text: str) -> Verdict | None:
        """Take a message of the device, in which libindi's drivers may give a reason; return the verdict if any."""
        self._said = text
        return Verdict(Outcome.REFUSED, text) if self._alerted else None

    def delete(self, now: float) -> None:
        """Note that the property was deleted; it may be defined again."""
        if self._alerted or self._deleted:
            return
        self._deleted = True
        self.deadline = now + self._start_timeout

    def late(self) -> Verdict:
        """Return the verdict when :attr:`deadline` has passed."""
        if self._alerted:
            return Verdict(Outcome.REFUSED, _NO_REASON)
        if self._deleted:
            return Verdict(Outcome.DELETED, "it was deleted and not defined again")
        if self._said.startswith(_COMPLAINTS):
            return Verdict(Outcome.REFUSED, self._said)
        if self._still_alert:
            return Verdict(Outcome.REFUSED, _NO_REASON)
        said = f'; the device said "{self._said}"' if self._said else ""
        if self._last is None:
            return Verdict(Outcome.SILENT, f"nothing was heard of it{said}")
        shown = ", ".join(f"{name}={self._last.values.get(name)}" for name in self._written)
        return Verdict(Outcome.SILENT, f"it last said {self._last.state} with {shown}{said}")

    def _alert(self, message: str, now: float) -> Verdict | None:
        if self._was_alert and not message:
            self._still_alert = True
            return None
        if message or self._said:
            return Verdict(Outcome.REFUSED, message or self._said)
        self._alerted = True
        self.deadline = now + _REASON_SECONDS
        return None

    def _is_as_before(self, seen: Seen) -> bool:
        if self._phase is _Phase.RUNNING:
            return False
        return seen.state is self._state_before and all(
            seen.values.get(name) == value for name, value in self._values_before.items()
        )

    def _busy(self, seen: Seen) -> Verdict | None:
        carries = self._carries(seen)
        if carries and self._row.busy_is_done:
            return Verdict(Outcome.DONE, seen.message)
        if self._phase is _Phase.WAITING or carries:
            self._phase = _Phase.RUNNING
            self.deadline = math.inf
        return None

    def _ended(self, seen: Seen, *, was_deleted: bool) -> Verdict:
        meaning = self._row.ok if seen.state is State.OK else self._row.idle
        if meaning == "reached" or (was_deleted and meaning == "done"):
            meaning = "done" if self._reached(seen.values) else "aborted"
        if meaning == "done":
            return Verdict(Outcome.DONE, seen.message)
        became = f"was deleted and defined again as {seen.state}" if was_deleted else f"became {seen.state}"
        return Verdict(Outcome.ABORTED, seen.message or f"it {became} before it had done what was asked")

    def _answers(self, seen: Seen) -> bool:
        if seen.state is State.OK and self._is_button and self._phase is _Phase.WAITING:
            return self._row.any_ok or self._carries(seen) or not any(seen.values.values())
        return self._carries(seen)

    def _carries(self, seen: Seen) -> bool:
        """Return whether the update names what was written, with those values.

        At the end of an old operation near is enough, because there a device reports where it has come to rest.
        """
        return self._written.keys() <= seen.carried and self._reached(
            seen.values, exactly=self._phase is _Phase.WAITING or seen.state is State.BUSY
        )

    def _reached(self, values: Mapping[str, object], *, exactly: bool = False) -> bool:
        tolerances = {} if exactly else self._row.tolerances
        return all(
            name in values and _is_near(values[name], wanted, tolerances.get(name))
            for name, wanted in self._written.items()
        )


def _is_near(value: object, wanted: Written, tolerance: Tolerance | None) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return value.strip() == wanted.strip()  # libindi's drivers strip the white space around it
    # To Python a truth value is an int; a switch must not be compared as a number.
    if isinstance(value, bool) or isinstance(wanted, bool) or not isinstance(value, int | float):
        return value == wanted
    if not isinstance(wanted, int | float):
        return False
    difference = abs(value - wanted)
    within = _RELATIVE * max(1.0, abs(wanted))
    if tolerance is not None:
        within = max(within, tolerance.within)
        if tolerance.turn:
            difference %= tolerance.turn
            difference = min(difference, tolerance.turn - difference)
    return difference <= within
