"""The instrument that these tests run: a stage that moves when it is told to, and fails where it is told to."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from indianyio import NumberMember, NumberVector, WriteRefusedError
from indianyio.instrument import Aborted, Instrument, Property, every
from indianyio.properties import Values, number, switch, text

__all__ = ["Note", "Speed", "Stage", "Steps"]

NAME = "Stage"


class Steps(Values, name="STEPS", perm="rw", state="Ok", timeout=60):
    """Where the stage is."""

    steps: float = number("N", min=0, max=1000)


class Turn(Values, name="TURN", perm="rw", state="Ok"):
    """How far it has turned, by the same motor."""

    degrees: float = number("D", min=0, max=360)


class Halt(Values, name="HALT", rule="AtMostOne"):
    """Stops it."""

    abort: bool = switch("ABORT")


class Lamp(Values, name="LAMP", rule="OneOfMany"):
    """Its lamp, which takes time to warm up."""

    on: bool = switch("ON")
    off: bool = switch("OFF", default=True)


class Note(Values, name="NOTE", perm="rw"):
    """What people note down."""

    words: str = text("TEXT")
    author: str = text("AUTHOR", default="nobody")


class Speed(Values, name="SPEED", perm="rw"):
    """How fast it is."""

    speed: float = number("V", min=1, max=9, default=1)


class Stage(Instrument):
    """A stage; ``gate`` lets its operations go on, ``log`` is what was done."""

    log: list[str]  # type: ignore[assignment]

    steps = Property(Steps)
    turn = Property(Turn)
    halt = Property(Halt)
    lamp = Property(Lamp)
    note = Property(Note, when="always", persist=True)
    speed = Property(Speed, persist=True)

    def __init__(self, *, fails: str = "", breaks: Callable[[], None] | None = None) -> None:
        self.log: list[str] = []
        self.fails = fails
        self.breaks = breaks
        self.gate = anyio.Event()
        self.hand_made = NumberVector("EXTRA", "Extra", "Main", "rw", "Ok", [NumberMember("X")])
        super().__init__(NAME, properties=[self.hand_made])

    def _do(self, what: str) -> None:
        self.log.append(what)
        if what == self.fails:
            raise RuntimeError(f"{what} does not work")

    async def connect(self) -> None:
        """Connect, at the gate if that is what is tried."""
        self._do("connect")
        if self.fails == "connect slowly":
            await self.gate.wait()

    async def disconnect(self) -> None:
        """Disconnect."""
        self._do("disconnect")

    @steps.operation(abort=halt, group="motor", when_busy="replace", replaces_group=True)
    async def _move(self, wanted: Steps) -> None:
        try:
            self._do(f"move to {wanted.steps:g}")
            await self.gate.wait()
        except Aborted:
            await anyio.sleep(0.001)
            self._do(f"stopped before {wanted.steps:g}")
            raise

    @turn.operation(abort=halt, group="motor")
    async def _turn(self, wanted: Turn) -> Turn:
        if wanted.degrees == 13:
            raise WriteRefusedError("not to 13 degrees")
        self._do(f"turn to {wanted.degrees:g}")
        await self.turn.report(degrees=wanted.degrees / 2)
        await self.gate.wait()
        return Turn(degrees=wanted.degrees - 1)

    @halt.write
    async def _halt(self, wanted: Halt) -> None:
        self._do("halt")

    @lamp.operation(when_busy="queue")
    async def _light(self, wanted: Lamp) -> None:
        self._do("lamp on" if wanted.on else "lamp off")
        await self.gate.wait()

    @note.write
    async def _take_note(self, wanted: Note) -> None:
        self._do(f"{wanted.author} notes {wanted.words}")

    @every(seconds=0.01)
    async def _poll(self) -> None:
        if self.breaks is not None:
            self.breaks()
        self.log.append("poll")

    def done(self) -> list[str]:
        """Return what was done, but for polling."""
        return [what for what in self.log if what != "poll"]
