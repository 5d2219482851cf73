"""What a dome hears of the mount in it: where the mount looks, and whether it is parked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from indianyio._vocabulary import State
from indianyio.driver import AnyVector
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._declared import Property, needs, optional
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument.dome._geometry import TubeSide, hour_angle, side_by_hour_angle, slit_azimuth
from indianyio.properties import Values
from indianyio.standard.dome import (
    ActiveDevices,
    DmOtaSide,
    DomeAutosync,
    DomeMeasurements,
    DomeParams,
    MountPolicy,
)
from indianyio.standard.mount import (
    EquatorialEodCoord,
    GeographicCoord,
    TargetEodCoord,
    TelescopePark,
    TelescopePierSide,
)

__all__ = ["DomeMount"]

_HEARD: tuple[type[Values], ...] = (
    EquatorialEodCoord,
    TargetEodCoord,
    GeographicCoord,
    TelescopePark,
    TelescopePierSide,
)


class DomeMount(Instrument):
    """The part of a dome that follows the mount: which one it is, where it looks, and whether it is in the way."""

    active_devices = Property(
        # The inputs and outputs that a roof is wired to are its author's business.
        ActiveDevices,
        when="always",
        persist=True,
        adapt=lambda _: {"without": ("input", "output")},
    )
    mount_policy = Property(MountPolicy, when="always", persist=True)
    measurements = Property(DomeMeasurements, persist=True, adapt=needs("turn_to"))
    tube_side = Property(DmOtaSide, persist=True, adapt=needs("turn_to"))
    # Not persistent, unlike in libindi: loading settings must not turn a dome.
    autosync = Property(DomeAutosync, adapt=needs("turn_to"))
    params = Property(DomeParams, persist=True, adapt=needs("turn_to"))

    def __init__(
        self, devicename: str | None = None, *, properties: Iterable[AnyVector] = (), **driverdata: object
    ) -> None:
        super().__init__(devicename, properties=properties, **driverdata)
        self._mount_name = ""
        self._hear_mount()

    # -- to be overridden --------------------------------------------------------------------------------------

    @optional
    async def turn_to(self, azimuth: float) -> None:
        """Turn to an azimuth."""

    def utc_now(self) -> datetime:
        """Return the present time, aware, from which the dome computes where the sky is; this computer's."""
        return datetime.now(UTC)

    async def follow_mount(self) -> None:
        """Turn to where the mount looks, if that is wanted and possible; called when that may have changed."""

    # -- what the mount reports --------------------------------------------------------------------------------

    def _hear_mount(self) -> None:
        for values in _HEARD:
            self.unfollow(self._mount_name, values)
        name = self._mount_name = self.active_devices.value.telescope
        self._looks_at = self.follow(name, EquatorialEodCoord, self._hear_coordinates)
        self._target = self.follow(name, TargetEodCoord, self._hear_target)
        self._site = self.follow(name, GeographicCoord)
        self._mount_parking = self.follow(name, TelescopePark)
        self._pier_side = self.follow(name, TelescopePierSide)
        self._last_target: TargetEodCoord | None = None
        # Where the mount is going, until it is there.
        self._goal: TargetEodCoord | None = None

    async def _hear_coordinates(self, place: EquatorialEodCoord, state: State) -> None:
        if state is not State.BUSY:
            self._goal = None
        await self.follow_mount()

    async def _hear_target(self, target: TargetEodCoord, state: State) -> None:
        before, self._last_target = self._last_target, target
        # The first target heard may be from an earlier day, and one that is only repeated is no new slew.
        if before is not None and target != before:
            self._goal = target
            await self.follow_mount()

    @property
    def mount_is_parked(self) -> bool:
        """Whether the mount says that it is parked, and not only on its way."""
        parking = self._mount_parking
        return parking.value is not None and parking.value.park and parking.state is State.OK

    @property
    def is_locked(self) -> bool:
        """Whether the dome must not park: the policy says so, and the mount is not known to be parked."""
        return self.mount_policy.value.locks and bool(self._mount_name) and not self.mount_is_parked

    def _require_no_lock(self) -> None:
        if self.is_locked:
            raise WriteRefusedError(
                f"{self._mount_name} is not known to be parked, and MOUNT_POLICY says that this locks the dome; "
                "park the mount first"
            )

    # -- where the slit has to be ------------------------------------------------------------------------------

    def _mount_looks(self) -> EquatorialEodCoord | TargetEodCoord | None:
        """Return where the mount looks, or soon will; ``None`` if that is not known or does not matter."""
        if self.mount_is_parked:
            return None
        if self._goal is not None:
            return self._goal
        place = self._looks_at.value
        if place is None or self._looks_at.state not in (State.OK, State.IDLE):
            return None
        # A mount that is just starting reports 0 and 0.
        return place if place.ra or place.dec else None

    @property
    def mount_is_seen(self) -> bool:
        """Whether enough is known of the mount to follow it."""
        return self._site.value is not None and self._mount_looks() is not None

    def slit_azimuth(self) -> float | None:
        """Return the azimuth of the slit for the mount; ``None`` if it is not known, or no azimuth would do."""
        site, place = self._site.value, self._mount_looks()
        if site is None or place is None:
            return None
        hours = hour_angle(self.utc_now(), site.long, place.ra)
        return slit_azimuth(self.measurements.value, self._side(hours), hours, place.dec, site.lat)

    def _side(self, hours: float) -> TubeSide | None:
        chosen = self.tube_side.value
        if chosen.east or chosen.west:
            return "east" if chosen.east else "west"
        # Before a slew has ended, the mount does not say on which side the tube will be.
        if chosen.hour_angle or (chosen.mount and self._goal is not None and self._pier_side.value is not None):
            return side_by_hour_angle(hours)
        side = self._pier_side.value
        if not chosen.mount or side is None or side.west == side.east:
            return None
        return "west" if side.west else "east"

    # -- what clients ask for ----------------------------------------------------------------------------------

    @active_devices.write
    async def _change_active_devices(self, wanted: ActiveDevices) -> None:
        if wanted.telescope == self.device.devicename:
            raise WriteRefusedError(f"{wanted.telescope} is the dome itself; name the mount inside it")
        self.active_devices.take(wanted)
        self._hear_mount()

    @measurements.write
    async def _measure(self, wanted: DomeMeasurements) -> None:
        await self.measurements.report(wanted, state=State.OK)
        await self.follow_mount()

    @tube_side.write
    async def _choose_side(self, wanted: DmOtaSide) -> None:
        await self.tube_side.report(wanted, state=State.OK)
        await self.follow_mount()

    @autosync.write
    async def _switch_autosync(self, wanted: DomeAutosync) -> None:
        waits = wanted.enable and not self.mount_is_seen
        message = f"{self._mount_name} has not said yet where it stands and where it looks" if waits else ""
        await self.autosync.report(wanted, state=State.OK, message=message)
        await self.follow_mount()
