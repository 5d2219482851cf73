"""Moving a mount by hand: for as long as a button is pressed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import anyio

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._declared import Binding, Property, needs, optional, overrides
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._property import BoundProperty
from indianyio.instrument.guider import Direction
from indianyio.standard.mount import TelescopeMotionNs, TelescopeMotionWe, TelescopeReverseMotion, TelescopeSlewRate

__all__ = ["MountByHand"]


_OPPOSITE = {
    Direction.NORTH: Direction.SOUTH,
    Direction.SOUTH: Direction.NORTH,
    Direction.WEST: Direction.EAST,
    Direction.EAST: Direction.WEST,
}


def _member(direction: Direction) -> str:
    """Return the member of TELESCOPE_MOTION_NS or _WE that stands for a direction."""
    return f"MOTION_{direction.name}"


class MountByHand(Instrument):
    """The part of a mount that moves in four directions, for as long as a client wants.

    These writes are not operations, so whatever stops or takes over the mount has to deal with them itself.
    """

    slew_rates: ClassVar[Sequence[str]] = ("Guide", "Centering", "Find", "Max")
    """The names of the speeds of :meth:`move`, from the slowest to the fastest; four or more."""

    motion_ns = Property(TelescopeMotionNs, adapt=needs("move", "stop_moving"))
    motion_we = Property(TelescopeMotionWe, adapt=needs("move", "stop_moving"))
    slew_rate = Property(TelescopeSlewRate, persist=True, adapt=lambda mount: mount._rates())

    # For people whose image is upside down or mirrored; the buttons keep their names.
    reverse_motion = Property(TelescopeReverseMotion, persist=True, adapt=needs("move", "stop_moving"))

    _aborts = 0

    @optional
    async def move(self, direction: Direction, rate: int) -> None:
        """Begin to move in a direction.

        :param rate: the number of the slew rate, counted from 0.
        """

    @optional
    async def stop_moving(self, direction: Direction) -> None:
        """Stop moving in a direction; needed with :meth:`move`."""

    def _require_unparked(self) -> None:
        """Refuse a write that must not be carried out while the mount is parked."""

    def _is_on_its_way(self) -> bool:
        """Whether it is slewing, parking or going home, or about to; being moved by hand does not count."""
        return False

    @motion_ns.write
    async def _move_ns(self, wanted: TelescopeMotionNs) -> None:
        await self._move(self.motion_ns, {Direction.NORTH: wanted.north, Direction.SOUTH: wanted.south})
        await self.motion_ns.report(wanted, state=State.BUSY if wanted.north or wanted.south else State.IDLE)

    @motion_we.write
    async def _move_we(self, wanted: TelescopeMotionWe) -> None:
        await self._move(self.motion_we, {Direction.WEST: wanted.west, Direction.EAST: wanted.east})
        await self.motion_we.report(wanted, state=State.BUSY if wanted.west or wanted.east else State.IDLE)

    @reverse_motion.write
    async def _reverse_motion(self, wanted: TelescopeReverseMotion) -> None:
        if self._moves_by_hand():
            raise WriteRefusedError("the mount is being moved by hand; stop that first")

    def _way(self, direction: Direction) -> Direction:
        """Return the direction in which the mount moves when the button of this direction is pressed."""
        reverse = self.reverse_motion.value
        is_reversed = reverse.ns if direction in (Direction.NORTH, Direction.SOUTH) else reverse.we
        return _OPPOSITE[direction] if is_reversed else direction

    async def _move(self, bound: BoundProperty[Any], wanted: Mapping[Direction, bool]) -> None:
        """Stop the motion of an axis that is no longer wanted, and only then begin the one that is."""
        aborts = self._aborts
        moving = {direction for direction in wanted if bound.vector[_member(direction)] == "On"}
        begun = [direction for direction, shall_move in wanted.items() if shall_move and direction not in moving]
        if begun:
            self._require_unparked()
            if self._is_on_its_way():
                raise WriteRefusedError("the mount is on its way somewhere; abort that first")
        for direction in moving:
            if not wanted[direction]:
                await self.stop_moving(self._way(direction))
                bound.vector[_member(direction)] = "Off"
        rates = list(self.slew_rate.value.rates.values())
        for direction in begun:
            await self._begin_moving(self._way(direction), rates.index(True) if True in rates else 0, aborts)

    async def _begin_moving(self, direction: Direction, rate: int, aborts: int) -> None:
        """Begin to move; if that fails or is aborted meanwhile, stop again, because the motor may have begun.

        :param aborts: how many aborts there had been when the motion was asked for.
        """
        if aborts != self._aborts:
            raise WriteRefusedError("the motion was aborted before it began")
        try:
            await self.move(direction, rate)
            if aborts != self._aborts or self._is_on_its_way():
                raise WriteRefusedError("the motion was aborted")
        except BaseException:
            with anyio.move_on_after(self.grace, shield=True):
                await self.stop_moving(direction)
            raise

    async def _end_pulses(self) -> None:
        """End guide pulses before the mount goes somewhere: their end would stop its motor on the way.

        :raises TimeoutError: a pulse does not end.
        """
        for name in ("guide_ns", "guide_we"):
            pulse = self._operations.get(name)
            if pulse is not None and not await pulse.abort("the mount is about to go somewhere"):
                raise TimeoutError(f"{pulse.name} does not end, so the mount cannot go anywhere")

    async def _stop_moving_by_hand(self) -> None:
        if not overrides(self, "move", "stop_moving"):
            return
        vectors = self.motion_ns.vector, self.motion_we.vector
        moving = [one for one in Direction if any(vector.get(_member(one)) == "On" for vector in vectors)]
        # If one axis cannot be stopped, the other one still must be.
        failures: list[Exception] = []
        for direction in moving:
            try:
                await self.stop_moving(self._way(direction))
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)
        if failures:
            raise failures[0]
        await self._show_no_motion()

    async def _show_no_motion(self) -> None:
        for bound in (self.motion_ns, self.motion_we) if overrides(self, "move", "stop_moving") else ():
            if self._moves(bound):
                for name in bound.vector:
                    bound.vector[name] = "Off"
                await bound.report(state=State.IDLE)

    async def _stop_motion(self, cut: Collection[str]) -> None:
        await super()._stop_motion(cut)
        await self._stop_moving_by_hand()

    def _moves_by_hand(self) -> bool:
        if not overrides(self, "move", "stop_moving"):
            return False
        return self._moves(self.motion_ns) or self._moves(self.motion_we)

    @staticmethod
    def _moves(bound: BoundProperty[Any]) -> bool:
        return bound.state is State.BUSY or "On" in bound.vector.values()

    def _rates(self) -> Binding | None:
        if not overrides(self, "move", "stop_moving"):
            return None
        names = [f"{number}x" for number in range(1, len(self.slew_rates) + 1)]
        value = TelescopeSlewRate(rates={names[-1]: True})
        return {"made": dict(zip(names, self.slew_rates, strict=True)), "value": value}
