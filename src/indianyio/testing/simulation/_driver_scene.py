"""One driver alone, on a line in memory, with clients that write to it: a run, as its rules see it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import trio

from indianyio.driver import IPyDriver, NewEvent
from indianyio.driver._events import getProperties
from indianyio.driver._vectors import AnyVector
from indianyio.exceptions import ConnectionLostError
from indianyio.testing.simulation._chance import chance
from indianyio.testing.simulation._driver_plans import LINE
from indianyio.testing.simulation._findings import Finding
from indianyio.testing.simulation._links import Line, LineConditions, LineEnd
from indianyio.testing.simulation._plan import Fault, Plan, PlanError
from indianyio.testing.simulation._reader import Heard, Mirror, Reader
from indianyio.testing.simulation._wishes import Wish, wish_of_stamp

__all__ = ["DriverScene", "Rule", "Written"]


_Handler: TypeAlias = Callable[[NewEvent], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Written:
    """A write that was sent.

    :ivar wish: what was asked for.
    :ivar at: when.
    :ivar is_certain: whether it arrives as it is sent, because the line garbles nothing at that time.
    """

    wish: Wish
    at: float
    is_certain: bool


class Rule:
    """Something that must hold in every run of a driver; subclasses look at what they need.

    A rule knows the scene: the driver, what was written to it and what was heard from it. It calls :meth:`broken`
    when that is not as it must be.

    :ivar scene: the run to look at.
    """

    def __init__(self, scene: DriverScene) -> None:
        self.scene = scene

    def broken(self, text: str) -> None:
        """Note that the rule was broken, with a sentence that tells how."""
        self.scene.findings.append(Finding(type(self).__name__, text, self.scene.now))

    def wrote(self, written: Written) -> None:
        """See a write, just before it is sent."""

    def heard(self, message: Heard) -> None:
        """See a message from the driver, before the mirror takes note of it."""

    def begins(self, vector: AnyVector, number: int) -> None:
        """See that a write is handled from now on; its number is that of its wish, or 0 if it has none."""

    def ends(self, vector: AnyVector, number: int) -> None:
        """See that the handler of a write has ended."""

    def second(self) -> None:
        """Look at how things are; called once in each second of virtual time."""

    def agree(self) -> None:
        """Look at what clients know while all is quiet; called a few times before the end."""

    def over(self) -> None:
        """Look at what is left, when the run has ended."""


@dataclass
class DriverScene:
    """A run of one driver: who takes part, and what has happened so far.

    :ivar plan: what is to happen.
    :ivar driver: what is simulated.
    :ivar aborts: names of vectors that stop something, besides those that have ABORT in their name.
    :ivar leave_alone: names of vectors that clients do not write to.
    :ivar mirror: what clients know.
    :ivar written: the writes that were sent, by their numbers.
    :ivar last: the writes with which the run ends, when all has been well, by their numbers; each is set when its
        handler begins.
    :ivar asking: whether the driver has been asked, so that the definitions that come now are the answer.
    :ivar left: how often ``leave()`` was called.
    :ivar failure: what left ``asyncrun``.
    :ivar ended_at: when the run had ended; ``None`` before.
    :ivar asked_to_end_at: when it was told to.
    :ivar logged: what was logged with a traceback, by the driver or by the library.
    :ivar tasks_left: how many more tasks there were after the run than before it.
    """

    plan: Plan
    driver: IPyDriver
    aborts: Sequence[str] = ()
    leave_alone: Sequence[str] = ()
    rules: list[Rule] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    mirror: Mirror = field(default_factory=Mirror)
    written: dict[int, Written] = field(default_factory=dict)
    last: dict[int, trio.Event] = field(default_factory=dict)
    asking: bool = False
    left: int = 0
    failure: BaseException | None = None
    ended_at: float | None = None
    asked_to_end_at: float | None = None
    logged: list[logging.LogRecord] = field(default_factory=list)
    tasks_left: int = 0
    handled: int = 0
    messages: int = 0

    def __post_init__(self) -> None:
        knob = self.plan.knob
        conditions = LineConditions(
            delay=knob("delay", 0.0),
            split=int(knob("split", 0)) or None,
            partial=bool(knob("partial", 0)),
            capacity_bytes=int(knob("capacity_bytes", 64 << 10)),
        )
        self._digest = hashlib.sha256()
        self.line = Line(
            LINE, chance(self.plan.seed, LINE), conditions, tap=self._tap, names=("clients", "the driver")
        )
        self.peer = _Peer(self.line.a, self)
        self._number = 0
        self._observe()

    @property
    def now(self) -> float:
        """The time, in seconds since the run began."""
        return trio.current_time()

    @property
    def digest(self) -> str:
        """A hash of what was received and when; two runs that were not the same have different ones."""
        return self._digest.hexdigest()

    def troubled_until(self, at: float, seconds: float) -> float:
        """Return when an answer to what is sent now must have come at the latest, allowing for faults of the line.

        :param at: when it was sent.
        :param seconds: how long the answer may take on a good line.
        """
        due = at + seconds + 2 * self.line.conditions.delay
        for fault in self.plan.faults:
            if fault.at <= due and fault.until >= at:
                due = max(due, fault.until + seconds + 2 * self.line.conditions.delay)
        return due

    def is_clear(self) -> bool:
        """Return whether what is sent now arrives as it was sent."""
        garbling = [fault for fault in self.plan.faults if fault.what == "garble"]
        # A garbled message may spoil its neighbour too, which may still be under way when the noise begins.
        slack = 1.0 + self.line.conditions.delay
        return all(not fault.at - slack <= self.now <= fault.until + slack for fault in garbling)

    # -- what happens ------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        """Return the number of the next write."""
        self._number += 1
        return self._number

    async def write(self, wish: Wish) -> None:
        """Send a write.

        :raises ConnectionLostError: the driver has ended.
        """
        written = Written(wish, self.now, self.is_clear())
        self.written[wish.number] = written
        for rule in self.rules:
            rule.wrote(written)
        await self.peer.send(wish.encode())

    def hear(self, message: Heard) -> None:
        """Take note of a message from the driver."""
        self.messages += 1
        for rule in self.rules:
            rule.heard(message)
        self.mirror.apply(message)

    async def misbehave(self, fault: Fault) -> None:
        """Let something go wrong when its time has come, and right again when that is over."""
        await trio.sleep_until(fault.at)
        if fault.what == "stall":
            self.line.stall()
            await trio.sleep(fault.seconds)
            self.line.go_on()
        elif fault.what == "garble":
            self.line.garble(fault.amount, to="b")
            await trio.sleep(fault.seconds)
            self.line.garble(0.0, to="b")
        else:
            raise PlanError(f"a plan for a driver cannot have a fault {fault.what!r}, only stall and garble")

    # -- the driver, observed ----------------------------------------------------------------------------------

    def _observe(self) -> None:
        """Have the rules see when the author's code is called."""
        driver = self.driver
        leave = driver.leave

        async def left() -> None:
            self.left += 1
            await leave()

        driver.leave = left  # type: ignore[method-assign]
        driver.rxevent = self._observed(driver.rxevent)  # type: ignore[method-assign,assignment]
        for device in driver.devices():
            for vector in device.properties():
                if vector._on_write is not None:
                    vector._on_write = self._observed(cast("_Handler", vector._on_write))

    def _observed(self, handler: _Handler) -> _Handler:
        async def observed(event: NewEvent) -> None:
            number = 0 if isinstance(event, getProperties) else wish_of_stamp(event.timestamp)
            self.handled += 1
            if number in self.last:
                self.last[number].set()
            for rule in self.rules:
                rule.begins(event.vector, number)
            try:
                await handler(event)
            finally:
                for rule in self.rules:
                    rule.ends(event.vector, number)

        return observed

    def _tap(self, name: str, data: bytes) -> None:
        self._digest.update(f"{trio.current_time()!r} {name} {len(data)} ".encode() + data)


class _Peer:
    """What is at the other end of the driver's line: one reader for all clients, and one sender."""

    def __init__(self, stream: LineEnd, scene: DriverScene) -> None:
        self._stream = stream
        self._scene = scene
        self._reader = Reader()
        self._turn = trio.Lock()
        self._pongs: dict[str, trio.Event] = {}

    async def send(self, data: bytes) -> None:
        """Send a message, when those before it were sent."""
        async with self._turn:
            await self._stream.send(data)

    async def read(self) -> None:
        """Hear the driver until it has ended, and answer its pings."""
        async with trio.open_nursery() as nursery:
            try:
                while (received := await self._stream.receive()).data:
                    for message in self._reader.feed(received.data):
                        self._scene.hear(message)
                        if message.tag == "pingRequest":
                            nursery.start_soon(self._answer, message.attributes.get("uid", ""))
                        elif message.tag == "pingReply":
                            self._pongs.setdefault(message.attributes.get("uid", ""), trio.Event()).set()
            except ConnectionLostError:
                pass  # the plan has cut it, or the driver has ended
            except ValueError as error:
                self._scene.findings.append(Finding("SendsXML", str(error), self._scene.now))

    async def ask(self, uid: str) -> None:
        """Ask for all definitions, and wait until they are there.

        :raises ConnectionLostError: the driver has ended.
        """
        answered = self._pongs.setdefault(uid, trio.Event())
        await self.send(f"<getProperties version='1.7'/><pingRequest uid='{uid}'/>\n".encode())
        await answered.wait()

    async def close(self) -> None:
        """Close the line, as a server does that ends."""
        await self._stream.aclose()

    async def _answer(self, uid: str) -> None:
        with suppress(ConnectionLostError):  # it asked, and has ended
            await self.send(f"<pingReply uid='{uid}'/>\n".encode())
