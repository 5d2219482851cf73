"""Parking a mount: to its park position, and away from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._common._parking import Parking
from indianyio.instrument._framework._declared import Binding, Property, optional, overrides
from indianyio.instrument.mount._by_hand import MountByHand
from indianyio.instrument.mount._site import MountSite
from indianyio.properties import Values
from indianyio.standard.mount import (
    TelescopePark,
    TelescopeParkOption,
    TelescopeParkPositionHaDec,
)

__all__ = ["MountParking"]

_NEITHER = TelescopePark.from_wire({"PARK": "Off", "UNPARK": "Off"})


def _parking(mount: MountParking) -> Binding | None:
    # Nobody knows what the mount was doing before, but it is taken to be free to move.
    return {"value": TelescopePark(unpark=True)} if overrides(mount, "park") else None


def _position(mount: MountParking) -> Binding | None:
    default = mount.default_park_position
    if default is None or not overrides(mount, "park"):
        return None
    if not isinstance(default, type(mount).park_position.values):
        name = type(default).__name__
        raise TypeError(
            f"{type(mount).__name__}.default_park_position is a {name}: declare park_position = Property({name})"
        )
    return {"value": default}


def _options(mount: MountParking) -> Binding | None:
    if _position(mount) is None:
        return None
    without = [] if overrides(mount, "present_park_position") else ["current"]
    return {"without": [*without, "write_data", "purge_data"] if mount.park_file is None else without}


class MountParking(Parking, MountByHand, MountSite):
    """The part of a mount that parks."""

    parking = Property(TelescopePark, adapt=_parking)
    # An author whose mount does not park by hour angle and declination declares another one.
    park_position: Property[Any] = Property(TelescopeParkPositionHaDec, adapt=_position)
    park_option = Property(TelescopeParkOption, adapt=_options)

    default_park_position: ClassVar[Values | None] = None
    """Where it parks at first, such as ``TelescopeParkPositionHaDec(ha=-6, dec=90)``. With this, clients see and
    change the park position, and :meth:`park` has to go to ``self.park_position.value``. If the position is not
    given by hour angle and declination, the class also needs ``park_position =
    Property(TelescopeParkPositionAzAlt)`` or a similar one."""

    _what = "mount"

    @optional
    async def park(self) -> None:
        """Go to the park position, stop tracking, and return when it is parked."""

    @optional
    async def unpark(self) -> None:
        """Get ready to move."""

    @optional
    async def present_park_position(self) -> Values:
        """Return where it stands, as an instance of the class of ``default_park_position``, to park there."""
        raise NotImplementedError

    async def _go_busily(self, go: Callable[[], Awaitable[object]]) -> None:
        """Go somewhere, and show the coordinates as Busy until that has ended."""
        await go()

    async def _show_tracking(self, *, on: bool) -> None:
        """Show whether it tracks."""

    @parking.check
    async def _check_parking(self, wanted: TelescopePark) -> TelescopePark | None:
        # Parking replaces whatever is going on, because it leads to safety; unparking does not.
        if wanted.unpark and (self._is_on_its_way() or self._moves_by_hand()):
            raise WriteRefusedError("the mount moves, so it is not parked; abort that first")
        # While it is parked nothing moves it, not even parking again, except after unparking has failed.
        return wanted if wanted.park and self.is_parked and self.parking.state is State.OK else None

    @parking.operation(
        # The name of a property that the whole mount declares, not this part of it.
        abort="abort_motion",
        group="mount",
        replaces_group=True,
        finishes=True,
        aborted=State.ALERT,
        aborted_values=_NEITHER,
    )
    async def _park(self, wanted: TelescopePark) -> None:
        if wanted.unpark:
            self._require_open_dome()
        async with self._keeping(parks=wanted.park):
            if wanted.park:
                await self._end_pulses()
                await self._stop_moving_by_hand()
                await self._go_busily(self._park_and_stand)
            elif overrides(self, "unpark"):
                await self.unpark()

    async def _park_and_stand(self) -> None:
        await self.park()
        await self._show_tracking(on=False)

    async def _park_at_the_end(self) -> None:
        """Park when the driver ends; no operation can be begun at that point."""
        state = State.ALERT
        try:
            await self.parking.report(park=True, state=State.BUSY)
            async with self._keeping(parks=True):
                await self._go_busily(self._park_and_stand)
            state = State.OK
        finally:
            await self.parking.report(state=state)  # noqa: ASYNC102 - leave() bounds it

    @park_option.write
    async def _choose_park_option(self, wanted: TelescopeParkOption) -> TelescopeParkOption:
        self._require_unparked()
        if self._is_on_its_way() or self._moves_by_hand():
            raise WriteRefusedError("the mount is moving; the park position can be changed when it stands still")
        if wanted.current:
            await self.park_position.report(await self.present_park_position(), state=State.OK)
        else:
            await self._use_park_option(wanted, self.default_park_position)
        return TelescopeParkOption.from_wire(dict.fromkeys(self.park_option.vector, "Off"))
