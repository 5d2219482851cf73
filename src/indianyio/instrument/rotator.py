"""Rotators, which turn a camera around the optical axis."""

from __future__ import annotations

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._common._backlash import BacklashOwner
from indianyio.instrument._framework._declared import Property, needs, optional, overrides
from indianyio.instrument._framework._interface import Interface
from indianyio.standard.rotator import (
    AbsRotatorAngle,
    RotatorAbortMotion,
    RotatorBacklashSteps,
    RotatorBacklashToggle,
    RotatorHome,
    RotatorLimits,
    RotatorReverse,
    SyncRotatorAngle,
)

__all__ = ["Rotator"]

_TURN = 360.0


class Rotator(BacklashOwner):
    """A rotator; to be subclassed with :meth:`turn_to` and methods for whatever else the hardware can do.

    Limits keep cables from being wound up: with a safe range of 90 degrees, it stays within 90 degrees on either
    side of the angle at which it was last synchronised, or of 0. An angle that is asked for while it turns
    replaces the one before.
    """

    interface = Interface.ROTATOR

    angle = Property(AbsRotatorAngle)
    abort_motion = Property(RotatorAbortMotion, adapt=needs("abort"))
    sync_angle = Property(SyncRotatorAngle, adapt=needs("sync"))
    home_button = Property(RotatorHome, adapt=needs("home"))
    reverse_switch = Property(RotatorReverse, persist=True, adapt=needs("reverse"))
    backlash_switch = Property(
        RotatorBacklashToggle, persist=True, adapt=needs("set_backlash"), method="_switch_backlash"
    )
    backlash = Property(RotatorBacklashSteps, persist=True, adapt=needs("set_backlash"), method="_set_backlash")
    limits = Property(RotatorLimits, persist=True)

    _middle = 0.0

    async def turn_to(self, angle: float) -> None:
        """Turn to an angle, and return when it is reached; report angles on the way.

        :param angle: in degrees, from 0 to 360.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method turn_to(angle)")

    @optional
    async def abort(self) -> None:
        """Stop the motor."""

    @optional
    async def sync(self, angle: float) -> None:
        """Take this as the present angle, in degrees, without turning."""

    @optional
    async def home(self) -> float:
        """Find the home position, and return its angle in degrees."""
        return 0.0

    @optional
    async def reverse(self, enabled: bool) -> None:
        """Count angles the other way round, or the usual way again."""

    async def make_safe(self) -> None:
        """Stop the motor."""
        await super().make_safe()
        if overrides(self, "abort"):
            await self.abort()

    @angle.check
    async def _check_angle(self, wanted: AbsRotatorAngle) -> None:
        most = self.limits.value.degrees
        away = abs((wanted.angle - self._middle + _TURN / 2) % _TURN - _TURN / 2)
        if most and away > most:
            where = f"{wanted.angle:g} degrees are {away:g} away from {self._middle:g}"
            raise WriteRefusedError(f"{where}, and ROTATOR_LIMITS allows {most:g}")

    # libindi's rotators are Ok after an abort, and clients rely on that.
    @angle.operation(abort=abort_motion, when_busy="replace", group="motor", aborted=State.OK)
    async def _turn_to(self, wanted: AbsRotatorAngle) -> None:
        await self.turn_to(wanted.angle)

    @abort_motion.write
    async def _abort(self, wanted: RotatorAbortMotion) -> None:
        await self.abort()

    @sync_angle.write
    async def _sync(self, wanted: SyncRotatorAngle) -> None:
        if any(self._operations[name].is_running for name in ("angle", "home_button") if name in self._operations):
            raise WriteRefusedError("the rotator cannot be synchronised while it turns; abort first")
        await self.sync(wanted.angle)
        self._middle = wanted.angle
        await self.angle.report(angle=wanted.angle)

    @home_button.operation(abort=abort_motion, group="motor")
    async def _home(self, wanted: RotatorHome) -> RotatorHome:
        await self.angle.report(angle=await self.home())
        return RotatorHome(home=False)

    @reverse_switch.write
    async def _reverse(self, wanted: RotatorReverse) -> None:
        await self.reverse(wanted.enabled)
