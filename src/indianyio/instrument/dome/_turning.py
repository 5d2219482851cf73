"""Turning a dome: to an azimuth, by degrees, by hand, and to follow the mount."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager

import anyio

from indianyio._vocabulary import State
from indianyio.driver import AnyVector
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._common._parking import Parking
from indianyio.instrument._framework._declared import Binding, Property, every, needs, optional, overrides
from indianyio.instrument.dome._geometry import away, turned
from indianyio.instrument.dome._mount_inside import DomeMount
from indianyio.standard.dome import (
    AbsDomePosition,
    DomeAbortMotion,
    DomeMotion,
    DomePark,
    DomeSync,
    Goto,
    Presets,
    RelDomePosition,
)

__all__ = ["TurningDome"]

logger = logging.getLogger(__name__)

# Smaller differences, in degrees, count as the same azimuth.
_SAME = 0.01


def _motion(dome: TurningDome) -> Binding | None:
    if overrides(dome, "move", "stop_moving"):
        return {}
    return {"perm": "ro"} if dome._can_turn() else None


def _preset_buttons(dome: TurningDome) -> Binding | None:
    # With OneOfMany one switch must be On, even before anybody has pressed a button.
    return {"value": Goto(preset_1=True)} if overrides(dome, "turn_to") else None


class TurningDome(Parking, DomeMount):
    """The part of a dome that turns, unless it is parked."""

    position = Property(AbsDomePosition, adapt=needs("turn_to"))
    relative_position = Property(RelDomePosition, adapt=lambda dome: {} if dome._can_turn() else None)
    motion = Property(DomeMotion, adapt=_motion)
    abort_motion = Property(DomeAbortMotion, adapt=needs("abort"))
    sync_position = Property(DomeSync, adapt=needs("sync"))
    # The whole dome, not this part of it, declares what parking does.
    parking = Property(DomePark, adapt=lambda dome: {"value": DomePark(unpark=True)} if dome._can_park() else None)
    presets = Property(Presets, persist=True, adapt=needs("turn_to"))
    preset_buttons = Property(Goto, adapt=_preset_buttons)

    _what = "dome"
    _is_moved_by_hand = False
    _halts = 0

    def __init__(
        self, devicename: str | None = None, *, properties: Iterable[AnyVector] = (), **driverdata: object
    ) -> None:
        super().__init__(devicename, properties=properties, **driverdata)
        if not self._can_turn() and overrides(self, "move", "stop_moving"):
            # A dome that moves but cannot turn is a roof; libindi labels the buttons of roofs like this.
            self.motion.vector.member("DOME_CW").label = "Open"
            self.motion.vector.member("DOME_CCW").label = "Close"

    @optional
    async def turn_to(self, azimuth: float) -> None:
        """Turn to an azimuth, and return when it is reached; without :meth:`where`, report it on the way.

        :param azimuth: in degrees, from 0 to less than 360.
        """

    @optional
    async def turn_by(self, degrees: float) -> None:
        """Turn by this many degrees, clockwise if positive; for a dome that does not know its azimuth."""

    @optional
    async def where(self) -> float:
        """Return the azimuth, in degrees; asked every POLLING_PERIOD."""
        return 0.0

    @optional
    async def move(self, *, clockwise: bool) -> None:
        """Begin to turn; a roof opens clockwise."""

    @optional
    async def stop_moving(self) -> None:
        """Stop turning; needed with :meth:`move`."""

    @optional
    async def abort(self) -> None:
        """Stop every motion, that of the shutter too."""

    @optional
    async def sync(self, azimuth: float) -> None:
        """Take this as the present azimuth, without turning."""

    @optional
    async def park(self) -> None:
        """Go to the park position."""

    async def motion_ended(self, *, parked: bool | None = None) -> None:
        """Report that a motion begun by :meth:`move` has ended by itself, as a roof's does at its limit switch.

        :param parked: whether it is parked now; if absent, that has not changed.
        """
        self._is_moved_by_hand = False
        await self.motion.report(cw=False, ccw=False, state=State.OK)
        if parked is not None and self._can_park():
            await self.parking.report(DomePark(park=True) if parked else DomePark(unpark=True), state=State.OK)
            await self._keep_what_is()

    def _rests_parked(self) -> bool:
        # A parked roof may be moved by hand, and is then no longer where it parks.
        return self.is_parked and not self._is_moved_by_hand

    async def _stop_motion(self, cut: Collection[str]) -> None:
        try:
            await self._stop_hand()
        finally:
            await super()._stop_motion(cut)  # noqa: ASYNC102 - it is bounded by whoever disconnects

    async def _stop_hand(self) -> None:
        """Stop a motion by hand: it does not stop by itself, and nobody can stop it while it is disconnected."""
        if self._is_moved_by_hand:
            self._is_moved_by_hand = False
            self.motion.take(cw=False, ccw=False)
            self.motion.vector.state = State.IDLE
            await self.stop_moving()

    def _can_park(self) -> bool:
        return overrides(self, "park") or overrides(self, "turn_to")

    # -- turning -----------------------------------------------------------------------------------------------

    def _can_turn(self) -> bool:
        return overrides(self, "turn_to") or overrides(self, "turn_by")

    def _is_moving(self) -> bool:
        """Whether it is turning, parking or unparking, or about to."""
        return self._is_moved_by_hand or any(
            self._operations[name].is_running
            for name in ("position", "relative_position", "parking")
            if name in self._operations
        )

    def _require_free(self) -> None:
        """Refuse a write that must not be carried out while the dome is parked, parking or moved by hand."""
        self._require_unparked()
        if self._can_park() and self.parking.state is State.BUSY:
            raise WriteRefusedError("the dome is on its way to or from its park position; abort that first")
        if self._is_moved_by_hand:
            raise WriteRefusedError("the dome is being moved by hand; stop that first")

    @position.check
    async def _check_position(self, wanted: AbsDomePosition) -> None:
        self._require_free()

    @position.operation(abort=abort_motion, when_busy="replace", group="rotation")
    async def _turn_to(self, wanted: AbsDomePosition) -> AbsDomePosition:
        azimuth = turned(wanted.degrees)
        # A guess: the shorter way is usual, but only the author knows which way the dome really takes.
        async with self._showing_motion(clockwise=turned(azimuth - self.position.value.degrees) <= 180):
            await self.turn_to(azimuth)
            azimuth = await self._azimuth_reached(azimuth)
        return AbsDomePosition(degrees=azimuth)

    @relative_position.check
    async def _check_relative(self, wanted: RelDomePosition) -> None:
        self._require_free()

    @relative_position.operation(abort=abort_motion, when_busy="replace", group="rotation")
    async def _turn_by(self, wanted: RelDomePosition) -> None:
        async with self._showing_motion(clockwise=wanted.degrees > 0):
            if not overrides(self, "turn_to"):
                await self.turn_by(wanted.degrees)
                return
            azimuth = turned(self.position.value.degrees + wanted.degrees)
            async with self._showing_turn(State.OK):
                await self.turn_to(azimuth)
                self.position.take(degrees=await self._azimuth_reached(azimuth))

    async def _azimuth_reached(self, wanted: float) -> float:
        """Return the azimuth at which it has arrived; the wanted one if that cannot be asked."""
        if not overrides(self, "where"):
            return wanted
        try:
            return turned(await self.where())
        except Exception as error:  # noqa: BLE001 - it has arrived all the same, and the poll asks again
            self.log.warning("it could not be asked where it has arrived: %s: %s", type(error).__name__, error)
            return wanted

    @asynccontextmanager
    async def _showing_motion(self, *, clockwise: bool) -> AsyncGenerator[None]:
        """Show the dome as turning in DOME_MOTION until the block ends."""
        state = State.IDLE
        try:
            await self.motion.report(cw=clockwise, ccw=not clockwise, state=State.BUSY)
            yield
            state = State.OK
        finally:
            # An operation's way out is shielded.
            await self.motion.report(cw=False, ccw=False, state=state)  # noqa: ASYNC102

    @asynccontextmanager
    async def _showing_turn(self, done: State) -> AsyncGenerator[None]:
        """Show the absolute position as Busy until the block ends."""
        state = State.IDLE
        try:
            # An abort may come while this is being told.
            await self.position.report(state=State.BUSY)
            yield
            state = done
        finally:
            await self.position.report(state=state)  # noqa: ASYNC102 - likewise

    @motion.write
    async def _move(self, wanted: DomeMotion) -> None:
        if not (wanted.cw or wanted.ccw):
            await self._stop_turning()
            return
        if self._is_moved_by_hand and wanted == self.motion.value:
            await self.motion.report(state=State.BUSY)
            return
        if self._is_moved_by_hand:
            await self._stop_turning()
        self._require_may_move(wanted)
        # Set before it moves, so that nothing else can begin meanwhile.
        self._is_moved_by_hand = True
        halts = self._halts
        try:
            await self._keep_what_is()
            await self.move(clockwise=wanted.cw)
            if halts != self._halts:
                raise WriteRefusedError("the dome was stopped before it moved")
        except BaseException:
            # The motor may have started although the method failed, or after it had been stopped.
            self._is_moved_by_hand = False
            with anyio.move_on_after(self.grace, shield=True):
                await self.stop_moving()
            raise
        await self.motion.report(wanted, state=State.BUSY)

    def _require_may_move(self, wanted: DomeMotion) -> None:
        if self._can_turn():
            self._require_free()
        elif wanted.ccw:
            # Counter-clockwise, a roof closes, perhaps onto the telescope.
            self._require_no_lock()
        if self._is_moving():
            raise WriteRefusedError("the dome is moving already; abort that first")

    async def _stop_turning(self) -> None:
        """Stop turning, by hand or to an azimuth."""
        if self._can_park() and self.parking.state is State.BUSY:
            raise WriteRefusedError("DOME_MOTION does not stop parking; DOME_ABORT_MOTION does")
        turns = [self._operations[name] for name in ("position", "relative_position") if name in self._operations]
        for one in turns:
            one.cancel("stopped")
        await self._halt(self.stop_moving)
        for one in turns:
            await one.abort()
        await self.motion.report(cw=False, ccw=False, state=State.IDLE)

    @abort_motion.write
    async def _abort(self, wanted: DomeAbortMotion) -> None:
        was_moved_by_hand = self._is_moved_by_hand
        parks = self._can_park() and self.parking.state is State.BUSY
        failure: Exception | None = None
        try:
            await self._halt(self.abort)
        except Exception as error:  # noqa: BLE001 - raised again below
            failure = error
        if failure is not None:
            if parks:
                # The hardware may or may not go on to its park position, so clients are shown neither state.
                await self._operations["parking"].abort()
                await self.parking.report(park=False, unpark=False, state=State.IDLE)
            raise failure
        if was_moved_by_hand:
            await self.motion.report(cw=False, ccw=False, state=State.IDLE)

    async def _halt(self, halt: Callable[[], Awaitable[None]]) -> None:
        """Stop the dome, and stop following the mount, which would move it again."""
        self._halts += 1
        follows = overrides(self, "turn_to") and self.autosync.value.enable
        if follows:
            self.autosync.take(disable=True)
        try:
            await halt()
            self._is_moved_by_hand = False
        finally:
            if follows:
                message = "the dome was stopped, so it no longer follows the mount"
                await self.autosync.report(state=State.OK, message=message)  # noqa: ASYNC102 - the run ends then

    # -- following the mount -----------------------------------------------------------------------------------

    @every()
    async def _look(self) -> None:
        await self._keep_what_is()
        if overrides(self, "where"):
            azimuth = turned(await self.where())
            if away(azimuth, self.position.value.degrees) > _SAME:
                await self.position.report(degrees=azimuth)
        # The sky turns even while the mount reports nothing new.
        await self.follow_mount()

    async def follow_mount(self) -> None:
        """Turn to where the mount looks, if DOME_AUTOSYNC is on and the dome is free to turn."""
        if not (overrides(self, "turn_to") and self.position.vector.is_enabled and self.autosync.value.enable):
            return
        if self.is_parked or self._is_moving() or not self.mount_is_seen:
            return
        azimuth = self.slit_azimuth()
        if azimuth is None:
            await self._tell_that_it_cannot_follow()
            return
        if self.autosync.state is State.ALERT:
            await self.autosync.report(state=State.OK)
        if away(azimuth, self.position.value.degrees) > self.params.value.autosync_threshold:
            await self.begin(AbsDomePosition(degrees=azimuth))

    async def _tell_that_it_cannot_follow(self) -> None:
        if self.autosync.state is not State.ALERT:
            message = "according to DOME_MEASUREMENTS the telescope is outside the dome and does not look at it"
            await self.autosync.report(state=State.ALERT, message=message)

    # -- what else clients ask for -----------------------------------------------------------------------------

    @preset_buttons.write
    async def _go_to_preset(self, wanted: Goto) -> None:
        self._require_free()
        for name in ("preset_1", "preset_2", "preset_3"):
            if getattr(wanted, name):
                await self.begin(AbsDomePosition(degrees=getattr(self.presets.value, name)))

    @sync_position.write
    async def _sync(self, wanted: DomeSync) -> None:
        if self._is_moving():
            raise WriteRefusedError("the dome cannot be synchronised while it moves; abort first")
        await self.sync(turned(wanted.degrees))
        if overrides(self, "turn_to"):
            await self.position.report(degrees=turned(wanted.degrees))
