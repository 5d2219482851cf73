"""Instruments that have to know where they stand, and can hear it from a GPS."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from indianyio._vocabulary import State
from indianyio.instrument._framework._declared import optional, overrides
from indianyio.instrument._framework._instrument import Instrument
from indianyio.properties import Values
from indianyio.standard.mount import GeographicCoord

__all__ = ["Located"]

# Smaller differences count as the same place: the fix of a GPS wanders a little.
_SAME_DEGREES = 1e-4
_SAME_METRES = 50.0


class Located(Instrument):
    """The part of an instrument that has a property ``location``, and follows a GPS."""

    _gps_name = ""
    _heard_of_gps: ClassVar[tuple[type[Values], ...]] = (GeographicCoord,)

    @optional
    async def set_location(self, latitude: float, longitude: float, elevation: float) -> None:
        """Use this place from now on.

        :param latitude: in degrees, positive to the north.
        :param longitude: in degrees from 0 to 360, to the east.
        :param elevation: above the sea, in metres.
        """

    def _hear_gps(self, name: str) -> None:
        for values in self._heard_of_gps:
            self.unfollow(self._gps_name, values)
        self._gps_name = name.strip()
        if overrides(self, "set_location"):
            self.follow(self._gps_name, GeographicCoord, self._hear_location)

    def _may_be_moved(self) -> bool:
        """Whether a new place or time does no harm now."""
        return True

    async def _hear_location(self, place: GeographicCoord, state: State) -> None:
        # A GPS that does not know yet where it is reports 0 and 0.
        if state is not State.OK or not (place.lat or place.long) or not self._may_be_moved():
            return
        here: GeographicCoord = self._bound["location"].value
        around = (place.long - here.long + 180) % 360 - 180
        is_near = abs(place.lat - here.lat) < _SAME_DEGREES and abs(around) < _SAME_DEGREES
        if not is_near or abs(place.elev - here.elev) > _SAME_METRES:
            await self._gate.carry_out_if_open(partial(self._take_location, place))

    async def _take_location(self, place: GeographicCoord) -> None:
        await self.set_location(place.lat, place.long, place.elev)
        await self._bound["location"].report(lat=place.lat, long=place.long, elev=place.elev, state=State.OK)
