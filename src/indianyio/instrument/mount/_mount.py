"""The class of mounts: where the telescope looks, going there, tracking, and what stops everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Literal, TypeAlias

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._declared import Binding, Property, every, needs, optional, overrides
from indianyio.instrument._framework._interface import Interface
from indianyio.instrument._framework._property import BoundProperty
from indianyio.instrument.mount._parking import MountParking
from indianyio.instrument.mount._rates import MountRates
from indianyio.standard.mount import (
    EquatorialEodCoord,
    OnCoordSet,
    TargetEodCoord,
    TelescopeAbortMotion,
    TelescopeHome,
    TelescopePierSide,
    TelescopeTrackState,
)

__all__ = ["Mount", "PierSide"]

PierSide: TypeAlias = Literal["west", "east"]
"""On which side of the pier the tube is; on the west side it points east."""

# Smaller differences count as the same place: a tenth of an arc second.
_SAME_DEGREES = 1 / 36_000


def _modes(mount: Mount) -> Binding | None:
    missing = {"track": "goto", "slew": "goto", "sync": "sync", "flip": "flip"}
    without = [mode for mode, method in missing.items() if not overrides(mount, method)]
    if len(without) == len(missing):
        return None
    return {"without": without, "value": None if overrides(mount, "goto") else OnCoordSet(sync=True)}


def _home_buttons(mount: Mount) -> Binding | None:
    missing = {"find": "find_home", "set": "set_home", "go": "go_home"}
    without = [button for button, method in missing.items() if not overrides(mount, method)]
    return None if len(without) == len(missing) else {"without": without}


class Mount(MountParking, MountRates):
    """A mount; to be subclassed with :meth:`where` and the methods for what the hardware can do.

    ::

        class MyMount(Mount):
            async def where(self) -> tuple[float, float]:
                return parse(await self.wire.query(b":GR#:GD#", until=b"#", timeout=2))

            async def goto(self, ra: float, dec: float) -> None:
                await self.wire.query(slew_to(ra, dec), until=b"#", timeout=2)
                while await self.is_slewing():
                    await anyio.sleep(0.5)

            async def abort(self) -> None:
                await self.wire.send(b":Q#")

    :meth:`where` is called every POLLING_PERIOD. The state of the coordinates is Busy while the mount moves, Ok
    while it tracks, and Idle otherwise. Nothing moves it while it is parked. Slewing, parking and going home
    exclude each other, except that a new slew replaces the slew before it, and parking replaces whatever is going
    on.
    """

    interface = Interface.TELESCOPE

    park_on_leave: ClassVar[bool] = False
    """Whether to park at the end of the driver. Parking must fit into ``grace``."""

    coordinates = Property(EquatorialEodCoord)
    on_set = Property(OnCoordSet, adapt=_modes)
    target = Property(TargetEodCoord, adapt=needs("goto"))
    abort_motion = Property(TelescopeAbortMotion, adapt=needs("abort"))
    tracking = Property(TelescopeTrackState, adapt=needs("set_tracking"))
    pier_side = Property(TelescopePierSide, adapt=needs("side_of_pier"))
    home = Property(TelescopeHome, adapt=_home_buttons)

    _how = OnCoordSet()

    # -- to be overridden --------------------------------------------------------------------------------------

    async def where(self) -> tuple[float, float]:
        """Return where the mount points: right ascension in hours and declination in degrees, of the date."""
        raise NotImplementedError(f"{type(self).__name__} needs a method where()")

    @optional
    async def goto(self, ra: float, dec: float) -> None:
        """Slew to a place, in hours and degrees of the date, and return when it is reached."""

    @optional
    async def sync(self, ra: float, dec: float) -> None:
        """Take this as the place to which the mount points now."""

    @optional
    async def flip(self, ra: float, dec: float) -> None:
        """Slew to a place with the tube on the other side of the pier, and return when it is reached."""

    @optional
    async def abort(self) -> None:
        """Stop every motion except tracking."""

    @optional
    async def set_tracking(self, on: bool) -> None:
        """Follow the sky from now on, or stand still."""

    @optional
    async def side_of_pier(self) -> PierSide | None:
        """Return on which side of the pier the tube is; ``None`` if that is not known now."""
        return None

    @optional
    async def find_home(self) -> None:
        """Look for the home position, and return when it is found."""

    @optional
    async def set_home(self) -> None:
        """Make the present position the home position."""

    @optional
    async def go_home(self) -> None:
        """Go to the home position, and return when it is reached."""

    @property
    def is_tracking(self) -> bool:
        """Whether it follows the sky."""
        return overrides(self, "set_tracking") and self.tracking.value.on

    async def make_safe(self) -> None:
        """Stop every motion, and park if ``park_on_leave`` says so."""
        await super().make_safe()
        try:
            if overrides(self, "abort"):
                await self.abort()
        finally:  # a mount that has failed to answer once may still be able to park
            if self.park_on_leave and overrides(self, "park") and not (self.is_parked or self._is_in_doubt()):
                await self._park_at_the_end()  # noqa: ASYNC102 - the end of the run gives it its time

    # -- going somewhere ---------------------------------------------------------------------------------------

    @coordinates.check
    async def _check_coordinates(self, wanted: EquatorialEodCoord) -> EquatorialEodCoord | None:
        if not (overrides(self, "goto") or overrides(self, "sync")):
            raise WriteRefusedError("this mount cannot go anywhere by itself")
        self._require_unparked()
        if self._moves_by_hand():
            raise WriteRefusedError("the mount is being moved by hand; stop that first")
        if not (overrides(self, "sync") and self.on_set.value.sync):
            # Stored now, because what is chosen later is for the next slew.
            self._how = self.on_set.value
            return None
        if self._is_on_its_way():
            raise WriteRefusedError("the mount cannot be synchronised while it moves; abort first")
        await self.sync(wanted.ra, wanted.dec)
        await self.coordinates.report(wanted, state=self._resting_state())
        return wanted

    @coordinates.operation(abort=abort_motion, when_busy="replace", group="mount")
    async def _goto(self, wanted: EquatorialEodCoord) -> EquatorialEodCoord:
        how = self._how
        await self._end_pulses()
        # Domes turn towards the target from now on. Its state means nothing, as in libindi.
        await self.target.report(ra=wanted.ra, dec=wanted.dec)
        if overrides(self, "flip") and how.flip:
            await self.flip(wanted.ra, wanted.dec)
        else:
            await self.goto(wanted.ra, wanted.dec)
        if overrides(self, "set_tracking"):
            await self._track(on=not how.slew)
        has_looked = await self._show_arrival()
        self.coordinates.vector.state = self._resting_state()
        # At the end clients read where the mount is, which may differ a little from where it was sent.
        return self.coordinates.value if has_looked else wanted

    @home.operation(abort=abort_motion, group="mount")
    async def _use_home(self, wanted: TelescopeHome) -> TelescopeHome:
        self._require_unparked()
        await self._end_pulses()
        if wanted.set:
            await self.set_home()
        else:
            await self._go_busily(self.find_home if wanted.find else self.go_home)
        pressed = {name: False for name in ("find", "set", "go") if getattr(wanted, name)}
        return TelescopeHome.from_wire({name.upper(): "Off" for name in pressed})

    async def _go_busily(self, go: Callable[[], Awaitable[object]]) -> None:
        """Go somewhere, and show the coordinates as Busy until that has ended."""
        state = State.IDLE
        try:
            # An abort may come while this is being told.
            await self.coordinates.report(state=State.BUSY)
            await go()
            await self._show_arrival()
            state = self._resting_state()
        finally:
            await self.coordinates.report(state=state)  # noqa: ASYNC102 - what an operation does on its way out is shielded

    def _is_on_its_way(self) -> bool:
        """Whether it is slewing, parking or going home, or about to; being moved by hand does not count."""
        ways: list[BoundProperty[Any]] = [self.coordinates]
        if overrides(self, "park"):
            ways.append(self.parking)
        if _home_buttons(self) is not None:
            ways.append(self.home)
        return any(bound.state is State.BUSY for bound in ways)

    @abort_motion.write
    async def _abort(self, wanted: TelescopeAbortMotion) -> None:
        self._aborts += 1
        await self.abort()
        await self._show_no_motion()

    def _require_guidable(self) -> None:
        self._require_unparked()
        if self._is_on_its_way():
            raise WriteRefusedError("the mount cannot be guided while it is on its way somewhere")

    # -- tracking ----------------------------------------------------------------------------------------------

    @tracking.write
    async def _switch_tracking(self, wanted: TelescopeTrackState) -> None:
        if wanted.on:
            self._require_unparked()
            if overrides(self, "park") and self.parking.state is State.BUSY:
                raise WriteRefusedError("the mount is parking; abort that first")
        await self._track(on=wanted.on)
        if self.coordinates.state is not State.BUSY:
            await self.coordinates.report(state=self._resting_state())

    async def _track(self, *, on: bool) -> None:
        await self.set_tracking(on)
        await self._show_tracking(on=on)

    async def _show_tracking(self, *, on: bool) -> None:
        if overrides(self, "set_tracking"):
            await self.tracking.report(
                TelescopeTrackState(on=True) if on else TelescopeTrackState(off=True),
                state=State.BUSY if on else State.IDLE,
            )

    # -- where it is -------------------------------------------------------------------------------------------

    def _resting_state(self) -> State:
        return State.OK if self.is_tracking else State.IDLE

    @every()
    async def _look(self) -> None:
        await self._keep_what_is()
        await self._show_place()
        # After an abort the state is Idle at first, although the mount may be tracking; this look corrects it.
        if self.coordinates.state in (State.OK, State.IDLE) and self.coordinates.state != self._resting_state():
            await self.coordinates.report(state=self._resting_state())

    async def _show_arrival(self) -> bool:
        """Show where it has arrived, without waiting for the next poll; return whether it could be asked."""
        try:
            await self._show_place()
        except Exception as error:  # noqa: BLE001 - it has arrived all the same, and the poll asks again
            self.log.warning("it could not be asked where it has arrived: %s: %s", type(error).__name__, error)
            return False
        return True

    async def _show_place(self) -> None:
        ra, dec = await self.where()
        shown = self.coordinates.value
        around = (ra - shown.ra + 12) % 24 - 12
        if abs(around) * 15 > _SAME_DEGREES or abs(dec - shown.dec) > _SAME_DEGREES:
            await self.coordinates.report(ra=ra, dec=dec)
        if overrides(self, "side_of_pier"):
            side = await self.side_of_pier()
            shown_side = self.pier_side.value
            if (side == "west", side == "east") != (shown_side.west, shown_side.east):
                await self.pier_side.report(west=side == "west", east=side == "east", state=State.OK)
