"""Where a mount stands and what time it is there, as clients or a GPS say; and the dome above it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import ClassVar

from indianyio._vocabulary import State
from indianyio.driver import AnyVector
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._common._located import Located
from indianyio.instrument._framework._declared import Property, needs, optional, overrides
from indianyio.instrument._framework._following import Followed, require_another
from indianyio.properties import Values
from indianyio.standard.dome import DomePark
from indianyio.standard.mount import ActiveDevices, DomePolicy, GeographicCoord, TimeUtc

__all__ = ["MountSite"]


class MountSite(Located):
    """The part of a mount that knows its place: time, location, and whether the dome is in the way."""

    active_devices = Property(ActiveDevices, when="always", persist=True, adapt=needs("goto"))
    dome_policy = Property(DomePolicy, when="always", persist=True, adapt=needs("goto"))
    utc = Property(TimeUtc, adapt=needs("set_time"))
    location = Property(GeographicCoord, persist=True, adapt=needs("set_location"))

    _heard_of_gps: ClassVar[tuple[type[Values], ...]] = (GeographicCoord, TimeUtc)
    _gps_time: str | None = None
    _dome: Followed[DomePark] | None = None
    _dome_name = ""

    def __init__(
        self, devicename: str | None = None, *, properties: Iterable[AnyVector] = (), **driverdata: object
    ) -> None:
        super().__init__(devicename, properties=properties, **driverdata)
        if overrides(self, "goto"):
            self._hear_devices()

    @optional
    async def goto(self, ra: float, dec: float) -> None:
        """Go to a place."""

    @optional
    async def set_time(self, time: datetime) -> None:
        """Set the mount's clock.

        :param time: an aware time, with the offset of the local zone that clients have given.
        """

    def _is_on_its_way(self) -> bool:
        """Whether it is slewing, parking or going home, or about to; being moved by hand does not count."""
        return False

    def _may_be_moved(self) -> bool:
        # A new place or time while it is on its way would lead it somewhere else.
        return not self._is_on_its_way()

    def _hear_devices(self) -> None:
        self.unfollow(self._dome_name, DomePark)
        self._dome_name = self.active_devices.value.dome.strip()
        self._dome = self.follow(self._dome_name, DomePark)
        self._gps_time = None
        self._hear_gps(self.active_devices.value.gps)
        if overrides(self, "set_time"):
            self.follow(self._gps_name, TimeUtc, self._hear_time)

    async def _hear_time(self, time: TimeUtc, state: State) -> None:
        before, self._gps_time = self._gps_time, time.utc
        # What a GPS sends first, or when it is asked again, is the time of its last fix, which may be long ago.
        # Only a time that differs from the one before is the present time.
        if before is not None and time.utc != before and state is State.OK and self._may_be_moved():
            await self._gate.carry_out_if_open(partial(self._take_time, time))

    async def _take_time(self, time: TimeUtc) -> None:
        await self._set_time(time)
        await self.utc.report(utc=time.utc, offset=time.offset, state=State.OK)

    def _require_open_dome(self) -> None:
        dome = None if self._dome is None else self._dome.value
        if overrides(self, "goto") and self.dome_policy.value.locks and dome is not None and dome.park:
            raise WriteRefusedError(f"{self._dome_name} is parked, and DOME_POLICY says that this locks the mount")

    @active_devices.write
    async def _change_active_devices(self, wanted: ActiveDevices) -> None:
        for name in (wanted.gps, wanted.dome):
            require_another(name, self.device.devicename)
        self.active_devices.take(wanted)
        self._hear_devices()

    @utc.write
    async def _set_time(self, wanted: TimeUtc) -> None:
        try:
            hours = float(wanted.offset or 0)
            zone = timezone(timedelta(hours=hours))
            time = datetime.strptime(wanted.utc.strip(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        except ValueError as error:
            raise WriteRefusedError(
                f"TIME_UTC needs a time in UTC such as 2026-01-31T23:59:59, and an offset in hours: {error}"
            ) from None
        await self.set_time(time.astimezone(zone))

    @location.write
    async def _set_location(self, wanted: GeographicCoord) -> None:
        await self._take_location(wanted)
