"""A simulated GPS receiver."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from indianyio.instrument.gps import GPS, Fix

__all__ = ["SimulatedGPS"]

_SECONDS_TO_FIX = 1.0


class SimulatedGPS(GPS):
    """A receiver in Kuwait, where libindi's simulator stands too; it takes a second to find that out."""

    def __init__(self, devicename: str = "GPS Simulator") -> None:
        super().__init__(devicename)

    async def fix(self) -> Fix:
        """Return the machine's time, and the place."""
        await anyio.sleep(_SECONDS_TO_FIX)
        return Fix(29.1, 48.5, 12.0, datetime.now(UTC))
