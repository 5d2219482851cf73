"""Focusers, which move a camera or an eyepiece along the optical axis."""

from __future__ import annotations

from typing import ClassVar

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._common._backlash import BacklashOwner
from indianyio.instrument._framework._binding import Limits
from indianyio.instrument._framework._declared import Binding, Property, needs, optional, overrides
from indianyio.instrument._framework._interface import Interface
from indianyio.standard.focuser import (
    AbsFocusPosition,
    FocusAbortMotion,
    FocusBacklashSteps,
    FocusBacklashToggle,
    FocusMax,
    FocusMotion,
    FocusReverseMotion,
    FocusSpeed,
    FocusSync,
    FocusTemperature,
    FocusTimer,
    RelFocusPosition,
)

__all__ = ["Focuser"]


def _if_it_knows_its_place(focuser: Focuser) -> Binding | None:
    return {"limits": {"steps": (0, focuser.max_steps)}} if overrides(focuser, "move_to") else None


class Focuser(BacklashOwner):
    """A focuser; to be subclassed, with the methods for what the hardware can do.

    ::

        class MyFocuser(Focuser):
            max_steps = 25_000

            async def move_to(self, steps: int) -> None:
                await self.motor.go(steps)
                while (here := await self.motor.where()) != steps:
                    await self.position.report(steps=here)
                    await anyio.sleep(0.25)

            async def abort(self) -> None:
                await self.motor.halt()

    A focuser that knows its position has :meth:`move_to`; clients can then also move it by a number of steps. One
    that does not know it has :meth:`move_by` or :meth:`move_for`. When a move is aborted, it is cancelled first,
    and then
    :meth:`abort` is called. A new move replaces one that is still going on.
    """

    interface = Interface.FOCUSER

    max_steps: ClassVar[int] = 100_000
    """The greatest position that it can go to."""

    speeds: ClassVar[int] = 255
    """How many speeds it has, if it has :meth:`set_speed`."""

    position = Property(AbsFocusPosition, adapt=_if_it_knows_its_place)
    relative_position = Property(
        RelFocusPosition,
        adapt=lambda focuser: (
            {"limits": {"steps": (0, focuser.max_steps)}} if focuser._can_move_by_steps() else None
        ),
    )
    timer = Property(FocusTimer, adapt=needs("move_for"))
    direction = Property(FocusMotion)
    abort_motion = Property(FocusAbortMotion, adapt=needs("abort"))
    sync_position = Property(
        FocusSync,
        adapt=lambda focuser: {"limits": {"steps": (0, focuser.max_steps)}} if overrides(focuser, "sync") else None,
    )
    max_position = Property(FocusMax, persist=True, adapt=lambda focuser: focuser._max_position())
    speed = Property(
        FocusSpeed,
        adapt=lambda focuser: (
            {"limits": {"speed": (1, focuser.speeds)}} if overrides(focuser, "set_speed") else None
        ),
    )
    reverse_motion = Property(FocusReverseMotion, persist=True, adapt=needs("reverse"))
    backlash_switch = Property(
        FocusBacklashToggle, persist=True, adapt=needs("set_backlash"), method="_switch_backlash"
    )
    backlash = Property(FocusBacklashSteps, persist=True, adapt=needs("set_backlash"), method="_set_backlash")
    temperature = Property(FocusTemperature, adapt=lambda focuser: {} if focuser.has_temperature else None)

    has_temperature: ClassVar[bool] = False
    """Whether it has a thermometer; the author then has to report ``temperature``."""

    _outward = True

    # -- to be overridden --------------------------------------------------------------------------------------

    @optional
    async def move_to(self, steps: int) -> None:
        """Move to a position, and return when it is reached; report positions on the way.

        :param steps: from 0 to ``max_steps``.
        """

    @optional
    async def move_by(self, steps: int) -> None:
        """Move by this many steps, outward if positive, and return when that is done."""

    @optional
    async def move_for(self, seconds: float, *, outward: bool) -> None:
        """Move for this long, and return when it is over."""

    @optional
    async def abort(self) -> None:
        """Stop the motor."""

    @optional
    async def sync(self, steps: int) -> None:
        """Take this as the present position, without moving."""

    @optional
    async def set_speed(self, speed: int) -> None:
        """Move at this speed from now on."""

    @optional
    async def reverse(self, enabled: bool) -> None:
        """Swap inward and outward if enabled, or undo that."""

    async def make_safe(self) -> None:
        """Stop the motor."""
        if overrides(self, "abort"):
            await self.abort()

    # -- what clients ask for ----------------------------------------------------------------------------------

    def _can_move_by_steps(self) -> bool:
        return overrides(self, "move_to") or overrides(self, "move_by")

    def _max_position(self) -> Binding | None:
        if not overrides(self, "move_to"):
            return None
        # To INDI equal limits, such as 0 to 0, mean that there are none.
        limits: dict[str, Limits] = {"steps": (1000 if self.max_steps > 1000 else 1, max(self.max_steps, 2))}
        return {"limits": limits, "value": FocusMax.from_wire({"FOCUS_MAX_VALUE": self.max_steps})}

    @position.operation(abort=abort_motion, when_busy="replace", group="motor", replaces_group=True)
    async def _move_to(self, wanted: AbsFocusPosition) -> None:
        await self.move_to(round(wanted.steps))

    @relative_position.check
    async def _check_steps(self, wanted: RelFocusPosition) -> None:
        outward = self.direction.value.outward
        if overrides(self, "move_to"):
            self._target(round(wanted.steps) if outward else -round(wanted.steps))
        # Stored now, because a direction that is chosen later is for the next move.
        self._outward = outward

    @timer.check
    async def _check_timer(self, wanted: FocusTimer) -> None:
        self._outward = self.direction.value.outward

    @relative_position.operation(abort=abort_motion, when_busy="replace", group="motor", replaces_group=True)
    async def _move_by(self, wanted: RelFocusPosition) -> None:
        steps = round(wanted.steps) if self._outward else -round(wanted.steps)
        if not overrides(self, "move_to"):
            await self.move_by(steps)
            return
        # Checked again, because the move that this one replaces may have gone on meanwhile.
        await self._carry(self._target(steps))

    def _target(self, steps: int) -> int:
        target = round(self.position.value.steps) + steps
        most = round(self.max_position.value.steps)
        if not 0 <= target <= most:
            raise WriteRefusedError(f"{steps:+d} steps would lead to {target}, which is not from 0 to {most}")
        return target

    async def _carry(self, target: int) -> None:
        """Move to a position, and show the motion in the absolute position too."""
        state = State.IDLE
        try:
            # An abort may come while this is being told.
            await self.position.report(state=State.BUSY)
            await self.move_to(target)
            self.position.take(steps=target)
            state = State.OK
        finally:
            await self.position.report(state=state)  # noqa: ASYNC102 - what an operation does on its way out is shielded

    @timer.operation(abort=abort_motion, when_busy="replace", group="motor", replaces_group=True)
    async def _move_for(self, wanted: FocusTimer) -> None:
        await self.move_for(wanted.milliseconds / 1000, outward=self._outward)

    @abort_motion.write
    async def _abort(self, wanted: FocusAbortMotion) -> None:
        await self.abort()

    @sync_position.write
    async def _sync(self, wanted: FocusSync) -> None:
        # It would go on to a place that is another one by then, maybe beyond its end.
        moves = ("position", "relative_position", "timer")
        if any(self._operations[name].is_running for name in moves if name in self._operations):
            raise WriteRefusedError("the focuser cannot be synchronised while it moves; abort first")
        await self.sync(round(wanted.steps))
        await self.position.report(steps=wanted.steps)

    @max_position.write
    async def _limit(self, wanted: FocusMax) -> None:
        for bound in (self.position, self.relative_position):
            bound.limit(steps=(0, wanted.steps))
            await bound.report()
        if overrides(self, "sync"):
            self.sync_position.limit(steps=(0, wanted.steps))
            await self.sync_position.report()

    @speed.write
    async def _set_speed(self, wanted: FocusSpeed) -> None:
        await self.set_speed(round(wanted.speed))

    @reverse_motion.write
    async def _reverse(self, wanted: FocusReverseMotion) -> None:
        await self.reverse(wanted.enabled)
