"""GPS receivers: time and place."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

import anyio

from indianyio._vocabulary import State
from indianyio.instrument._framework._declared import Property, every
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._interface import Interface
from indianyio.standard.gps import GeographicCoord, GpsRefresh, GpsRefreshPeriod, TimeUtc

__all__ = ["GPS", "Fix"]


class Fix(NamedTuple):
    """Where and when a receiver is.

    :ivar latitude: in degrees, positive to the north.
    :ivar longitude: in degrees from 0 to 360, to the east; a western longitude may also be negative.
    :ivar elevation: above the sea, in metres.
    :ivar time: an aware time; clients are told the offset of its zone.
    """

    latitude: float
    longitude: float
    elevation: float
    time: datetime


class GPS(Instrument):
    """A GPS receiver; to be subclassed with :meth:`fix`.

    It is asked once when connected, then whenever a client wants it, and every GPS_REFRESH_PERIOD seconds.
    """

    interface = Interface.GPS

    place = Property(GeographicCoord)
    time = Property(TimeUtc)
    refresh = Property(GpsRefresh)
    refresh_period = Property(GpsRefreshPeriod, persist=True)

    async def fix(self) -> Fix:
        """Return where and when the receiver is, as soon as it knows.

        :raises TimeoutError: it could not find out in time.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method fix()")

    @every(lambda receiver: receiver.refresh_period.value.seconds or inf)
    async def _update(self) -> None:
        for bound in (self.place, self.time):
            await bound.report(state=State.BUSY)
        try:
            fix = await self.fix()
        except Exception:
            with anyio.move_on_after(self.grace, shield=True):
                await self.place.report(state=State.ALERT)
                await self.time.report(state=State.ALERT)
            raise
        await self.place.report(lat=fix.latitude, long=fix.longitude % 360, elev=fix.elevation, state=State.OK)
        offset = fix.time.utcoffset()
        hours = 0.0 if offset is None else offset.total_seconds() / 3600
        utc = fix.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        await self.time.report(utc=utc, offset=f"{hours:.2f}", state=State.OK)

    @refresh.operation()
    async def _refresh(self, wanted: GpsRefresh) -> GpsRefresh:
        await self._update()
        return GpsRefresh(refresh=False)

    @refresh_period.write
    async def _change_period(self, wanted: GpsRefreshPeriod) -> None:
        self.refresh_period.take(wanted)
        await self.poll_anew()
