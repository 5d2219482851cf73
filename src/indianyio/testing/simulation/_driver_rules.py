"""Rules for any driver: what must hold whatever it drives."""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import trio

from indianyio.testing.simulation._driver_scene import Rule
from indianyio.testing.simulation._findings import Finding
from indianyio.testing.simulation._logged import logged_at
from indianyio.testing.simulation._places import place_of_error
from indianyio.testing.simulation._reader import Heard, Mirror
from indianyio.testing.simulation._reality import modules_of
from indianyio.testing.simulation._write_rules import (
    AbortIsAnswered,
    HandlesInOrder,
    LastWritesAreHandled,
    RefusesBadWrites,
    name_of,
)

__all__ = [
    "RULES",
    "AbortIsAnswered",
    "ClientsKnowTheTruth",
    "EndsInTime",
    "HandlesInOrder",
    "LastWritesAreHandled",
    "LeavesNoTask",
    "LeavesOnce",
    "NothingUnexpectedIsLogged",
    "QueuesAreBounded",
    "RefusesBadWrites",
]


class LeavesOnce(Rule):
    """``leave()`` is called once in each run, whatever ended it."""

    def over(self) -> None:
        """Count the calls."""
        if self.scene.left != 1:
            self.broken(f"leave() was called {self.scene.left} times in one run")


class EndsInTime(Rule):
    """The run goes on until it is told to end; then it ends within three times its grace, and raises nothing.

    Each step of the end may take the driver's ``grace``: the end of the work, ``leave()``, and the last bytes.
    """

    def over(self) -> None:
        """Look at how the run has ended."""
        scene = self.scene
        if scene.failure is not None:
            self.broken(f"asyncrun() raised {scene.failure!r}{_leaves(scene.failure)}")
        if scene.asked_to_end_at is None:
            self.broken("the run ended although nobody had told it to")
        elif scene.ended_at is None:
            self.broken(f"the run had not ended {scene.now - scene.asked_to_end_at:.1f} s after it was told to")
        elif scene.ended_at - scene.asked_to_end_at > 3 * scene.driver.grace + 1:
            self.broken(
                f"the end took {scene.ended_at - scene.asked_to_end_at:.1f} s, but grace is {scene.driver.grace} s"
            )


class LeavesNoTask(Rule):
    """When a run has ended, none of its tasks is left."""

    def over(self) -> None:
        """Count the tasks."""
        if self.scene.tasks_left:
            self.broken(f"{self.scene.tasks_left} tasks were left when the run had ended")


class ClientsKnowTheTruth(Rule):
    """What clients know is what the driver says when it is asked: nothing was changed silently, or lost.

    They are compared when all is quiet. What changes all the time, such as a temperature between two reports, may
    differ for a while, so only what differs in all three comparisons is wrong. BLOBs are not compared, because
    definitions do not have their content. Neither is the state of a vector that a refusal has shown as Alert: it
    stays Alert for clients until the next update (see the decision about refused writes).
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._told = Mirror()
        self._defined: Mirror | None = None
        self._differed: dict[tuple[str, str], str] | None = None

    def heard(self, message: Heard) -> None:
        """Keep what clients were told apart from the answers to a question."""
        if not self.scene.asking:
            self._defined = None
            self._told.apply(message)
            return
        if self._defined is None:
            self._defined = Mirror()
        if message.tag.startswith("def") and message.key in self._told and message.key not in self._defined:
            self._defined.apply(message)
        else:
            # The driver goes on while it answers, so this part of the answer is out of date.
            self._told.apply(message)
            self._defined.pop(message.key, None)

    def agree(self) -> None:
        """Compare, and keep what has differed every time so far."""
        defined, self._defined = self._defined or Mirror(), None
        now = {key: text for key in defined if (text := self._difference(key, defined))}
        before = self._differed
        self._differed = now if before is None else {key: text for key, text in now.items() if key in before}

    def over(self) -> None:
        """Report what has differed every time."""
        for key, text in (self._differed or {}).items():
            self.broken(f"{name_of(key)}: {text}")

    def _difference(self, key: tuple[str, str], defined: Mirror) -> str:
        true, told = defined[key], self._told[key]
        if true.state != told.state and told.state != "Alert":
            return f"it is {true.state}, but clients were told {told.state}"
        wrong = [name for name, value in true.values.items() if not _same(true.kind, told.values.get(name), value)]
        if wrong:
            return f"{wrong[0]} is {true.values[wrong[0]]!r}, but clients were told {told.values.get(wrong[0])!r}"
        return ""


class QueuesAreBounded(Rule):
    """Neither tasks nor bytes pile up in the driver, however much is written to it, however slowly it is read."""

    _TASKS = 60
    _LARGEST_MESSAGE_BYTES = 1 << 20

    def second(self) -> None:
        """Count the tasks, and the bytes that wait."""
        scene = self.scene
        most = self._TASKS + 3 * sum(len(device) for device in scene.driver.devices())
        tasks = trio.lowlevel.current_statistics().tasks_living
        if tasks > most:
            self.broken(f"there are {tasks} tasks; more than {most} are too many")
        run = scene.driver._run_state.present
        outbox = getattr(getattr(run, "_link", None), "_outbox", None)
        if outbox is not None and outbox.queued_bytes > outbox.limit_bytes + self._LARGEST_MESSAGE_BYTES:
            self.broken(f"{outbox.queued_bytes} bytes wait for the peer; its outbox is for {outbox.limit_bytes}")


class NothingUnexpectedIsLogged(Rule):
    """Nothing is logged with a traceback: no handler raises anything but what refuses a write, and no report fails.

    An error that leaves a handler is logged by the library, with what it was called for, and answered with Alert;
    so clients are told, and only the log shows that it is a flaw of the driver. A handler that must refuse a write
    raises :exc:`WriteRefusedError`, which is no such error. A group of exceptions is judged by those in it. Who
    expects others names them in a subclass, which takes the place of this rule::

        class OnlyTimeOutsAreLogged(NothingUnexpectedIsLogged):
            expected = (WireTimeoutError,)

        test = simulate(Focuser, rules=[*RULES, OnlyTimeOutsAreLogged])

    :cvar expected: the classes of the exceptions that may be logged.
    """

    expected: ClassVar[tuple[type[BaseException], ...]] = ()

    def over(self) -> None:
        """Report what was logged, each type of exception and each place once, at the time of the first.

        Its place is in the driver if it came from there: all that a wire raises is raised in one line of the wire.
        """
        first = dict[tuple[type[BaseException], str], tuple[float, str]]()
        times = Counter[tuple[type[BaseException], str]]()
        authors = modules_of(type(self.scene.driver))
        for record in self.scene.logged:
            error = record.exc_info[1] if record.exc_info else None
            wrong = None if error is None else self._unexpected(error)
            if error is not None and wrong is not None:
                place = place_of_error(wrong, authors) or place_of_error(error, authors)
                text = f"{record.name} logged {record.getMessage()!r} with {wrong!r}{place and f' ({place})'}"
                first.setdefault((type(wrong), place), (logged_at(record), text))
                times[type(wrong), place] += 1
        for kind, (at, text) in first.items():
            repeated = "" if times[kind] == 1 else f", and {times[kind]} times in all {kind[0].__name__} from there"
            finding = Finding(type(self).__name__, text + repeated, at)
            insort(self.scene.findings, finding, key=lambda one: one.at)

    def _unexpected(self, error: BaseException) -> BaseException | None:
        """Return the first exception that is not expected: the error itself, or one in it if it is a group."""
        if isinstance(error, BaseExceptionGroup):
            return next((wrong for one in error.exceptions if (wrong := self._unexpected(one)) is not None), None)
        return None if isinstance(error, self.expected) else error


RULES: tuple[type[Rule], ...] = (
    LeavesOnce,
    EndsInTime,
    LeavesNoTask,
    HandlesInOrder,
    RefusesBadWrites,
    AbortIsAnswered,
    LastWritesAreHandled,
    ClientsKnowTheTruth,
    QueuesAreBounded,
    NothingUnexpectedIsLogged,
)
"""The rules for any driver."""


def in_place_of_bases(rules: Sequence[type[Rule]]) -> list[type[Rule]]:
    """Return the rules without those of :data:`RULES` of which a subclass is among them."""
    return [
        rule
        for rule in rules
        if rule not in RULES or not any(one is not rule and issubclass(one, rule) for one in rules)
    ]


def _same(kind: str, told: str | None, true: str) -> bool:
    """Return whether two texts stand for one value; of numbers, 5 and 5.0 do."""
    if told == true or told is None or kind != "Number":
        return told == true
    try:
        return math.isclose(float(told), float(true), rel_tol=1e-9)
    except ValueError:
        return False


def _leaves(failure: BaseException) -> str:
    if not isinstance(failure, BaseExceptionGroup):
        return ""
    return ": " + "; ".join(repr(one) + _leaves(one) for one in failure.exceptions)
