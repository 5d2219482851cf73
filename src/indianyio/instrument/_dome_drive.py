"""The drive of a dome: its speed, and the compensation of its backlash."""

from __future__ import annotations

from indianyio.instrument._backlash import BacklashOwner
from indianyio.instrument._declared import Property, needs, optional
from indianyio.standard.dome import DomeBacklashSteps, DomeBacklashToggle, DomeSpeed

__all__ = ["DomeDrive"]


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
