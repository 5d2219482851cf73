"""The class of domes: their drive, parking, and what stops everything."""

from __future__ import annotations

from typing import ClassVar

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._common._backlash import BacklashOwner
from indianyio.instrument._framework._declared import Binding, Property, needs, optional, overrides
from indianyio.instrument._framework._interface import Interface
from indianyio.instrument.dome._geometry import turned
from indianyio.instrument.dome._shutter import ShutteredDome
from indianyio.instrument.dome._turning import TurningDome
from indianyio.standard.dome import (
    DomeBacklashSteps,
    DomeBacklashToggle,
    DomePark,
    DomeParkOption,
    DomeParkPosition,
    DomeSpeed,
)

__all__ = ["Dome", "DomeDrive"]


class DomeDrive(BacklashOwner):
    """The part of a dome that configures its motor."""

    speed = Property(DomeSpeed, adapt=needs("set_speed"))
    backlash_switch = Property(
        DomeBacklashToggle, persist=True, adapt=needs("set_backlash"), method="_switch_backlash"
    )
    backlash = Property(DomeBacklashSteps, persist=True, adapt=needs("set_backlash"), method="_set_backlash")

    @optional
    async def set_speed(self, rpm: float) -> None:
        """Turn at this speed from now on, in revolutions per minute."""

    @speed.write
    async def _set_speed(self, wanted: DomeSpeed) -> None:
        await self.set_speed(wanted.rpm)


def _park_position(dome: Dome) -> Binding | None:
    if overrides(dome, "park") or not overrides(dome, "turn_to"):
        return None
    return {"value": DomeParkPosition(az=dome.default_park_azimuth)}


def _park_options(dome: Dome) -> Binding | None:
    if _park_position(dome) is None:
        return None
    return {"without": ("write_data",) if dome.park_file is None else ()}


class Dome(TurningDome, ShutteredDome, DomeDrive):
    """A dome or a roll-off roof; to be subclassed with the methods for what the hardware can do.

    ::

        class MyDome(Dome):
            async def turn_to(self, azimuth: float) -> None:
                await self.wire.query(go_to(azimuth), until=b"#", timeout=2)
                while await self.is_turning():
                    await anyio.sleep(0.5)

            async def where(self) -> float:
                return parse(await self.wire.query(b":GA#", until=b"#", timeout=2))

            async def abort(self) -> None:
                await self.wire.send(b":ST#")

    A roof has :meth:`park`, which closes it, and :meth:`unpark`, which opens it, and no :meth:`turn_to`. Hardware
    that knows whether it is parked, or its shutter open, should say so in ``connect()``:
    ``self.parking.take(park=True)``.

    While it is parked nothing turns it. The dome and its shutter have different motors: both may move at once.
    Parking replaces turning; closing the shutter replaces opening it, but not the other way round.
    DOME_ABORT_MOTION stops everything. It also ends following the mount, which would turn the dome again. A dome
    does not listen to the weather, nor do libindi's since 2020: whoever watches the weather has to park it.
    """

    interface = Interface.DOME

    default_park_azimuth: ClassVar[float] = 90.0
    """Where a dome without a :meth:`park` of its own parks at first, in degrees."""

    park_on_leave: ClassVar[bool] = False
    """Whether to park at the end of the driver, if the mount allows it. Parking must fit into ``grace``."""

    parking = Property(DomePark)
    # Not persistent: the park file keeps it, together with whether the dome is parked.
    park_position = Property(DomeParkPosition, adapt=_park_position)
    park_option = Property(DomeParkOption, adapt=_park_options)

    # -- to be overridden --------------------------------------------------------------------------------------

    @optional
    async def park(self) -> None:
        """Go to the park position, or close the roof, and return when that is done."""

    @optional
    async def unpark(self) -> None:
        """Get ready to turn, or open the roof, and return when that is done."""

    async def make_safe(self) -> None:
        """Stop every motion, and park if ``park_on_leave`` says so."""
        await super().make_safe()
        if overrides(self, "abort"):
            await self.abort()
        elif self._is_moved_by_hand:
            await self.stop_moving()
        if (
            self.park_on_leave
            and self._can_park()
            and not (self.is_parked or self._is_in_doubt() or self.is_locked)
        ):
            # Done directly, because no operation can be begun while the run ends.
            if self.has_shutter and self.shutter_policy.value.close_on_park:
                await self.close_shutter()
                await self.shutter.report(close=True, state=State.OK)
            async with self._keeping(parks=True):
                await self._go_and_park()
            await self.parking.report(park=True, state=State.OK)

    # -- parking -----------------------------------------------------------------------------------------------

    @parking.check
    async def _check_parking(self, wanted: DomePark) -> DomePark | None:
        if self.parking.state is State.BUSY:
            return None
        if wanted.park == self.is_parked:
            self.parking.vector.state = State.OK
            return wanted
        if wanted.park:
            self._require_no_lock()
        return None

    @parking.operation(
        abort=TurningDome.abort_motion,
        group="rotation",
        replaces_group=True,
        finishes=True,
        aborted=State.ALERT,
    )
    async def _park(self, wanted: DomePark) -> None:
        if self._is_moved_by_hand:
            await self.stop_moving()
            await self.motion_ended()
        async with self._keeping(parks=wanted.park):
            await (self._park_and_close() if wanted.park else self._unpark_and_open())

    async def _unpark_and_open(self) -> None:
        if overrides(self, "unpark"):
            await self.unpark()
        await self._open_as_policy_says()

    async def _park_and_close(self) -> None:
        # The shutter comes first: closed, it keeps the rain out even if the dome does not turn.
        is_shut = await self._close_as_policy_says()
        if overrides(self, "turn_to"):
            async with self._showing_turn(State.IDLE):
                await self._go_and_park()
        else:
            await self._go_and_park()
        if not is_shut:
            raise WriteRefusedError("the dome is at its park position, but its shutter did not close")

    async def _go_and_park(self) -> None:
        if overrides(self, "park"):
            await self.park()
            if not overrides(self, "turn_to"):
                return
            azimuth = self.position.value.degrees
        else:
            azimuth = turned(self.park_position.value.az)
            await self.turn_to(azimuth)
        self.position.take(degrees=await self._azimuth_reached(azimuth))

    @park_option.write
    async def _choose_park_position(self, wanted: DomeParkOption) -> DomeParkOption:
        if wanted.current:
            await self.park_position.report(az=self.position.value.degrees, state=State.OK)
        else:
            await self._use_park_option(wanted, DomeParkPosition(az=self.default_park_azimuth))
        return DomeParkOption.from_wire(dict.fromkeys(self.park_option.vector, "Off"))
