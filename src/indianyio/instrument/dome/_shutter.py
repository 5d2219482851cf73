"""The shutter of a dome: opening it, and closing it whatever else is going on."""

from __future__ import annotations

from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._declared import Property, needs, optional, overrides
from indianyio.instrument._framework._instrument import Instrument
from indianyio.standard.dome import DomeAbortMotion, DomeShutter, DomeShutterParkPolicy

__all__ = ["ShutteredDome"]

_NOBODY_KNOWS = DomeShutter(open=False, close=False)


class ShutteredDome(Instrument):
    """The part of a dome that opens and closes its shutter, if it has one.

    Closing keeps the rain out. So closing replaces opening, whereas opening has to wait for closing, and the mount
    never locks the shutter.
    """

    abort_motion = Property(DomeAbortMotion, adapt=needs("abort"))
    shutter = Property(DomeShutter, adapt=needs("open_shutter", "close_shutter"))
    shutter_policy = Property(DomeShutterParkPolicy, persist=True, adapt=needs("open_shutter", "close_shutter"))

    @optional
    async def abort(self) -> None:
        """Stop every motion, that of the shutter too."""

    @optional
    async def open_shutter(self) -> None:
        """Open the shutter, and return when it is open."""

    @optional
    async def close_shutter(self) -> None:
        """Close the shutter, and return when it is closed.

        The shutter may be moving: an :meth:`open_shutter` that is still running is cancelled first, but
        :meth:`abort` is not called.
        """

    @property
    def has_shutter(self) -> bool:
        """Whether it has a shutter."""
        return overrides(self, "open_shutter", "close_shutter")

    @shutter.check
    async def _check_shutter(self, wanted: DomeShutter) -> DomeShutter | None:
        if wanted.open == wanted.close:
            raise WriteRefusedError("DOME_SHUTTER needs SHUTTER_OPEN or SHUTTER_CLOSE to be On")
        if self.shutter.state is not State.BUSY:
            return None
        if wanted == self.shutter.value:
            # It is on its way there already, and stays Busy.
            return wanted
        if wanted.open:
            raise WriteRefusedError("the shutter is closing; wait until it is closed, or abort that first")
        return None

    @shutter.operation(
        abort=abort_motion,
        when_busy="replace",
        group="shutter",
        finishes=True,
        aborted=State.ALERT,
        aborted_values=_NOBODY_KNOWS,
    )
    async def _move_shutter(self, wanted: DomeShutter) -> None:
        await (self.open_shutter() if wanted.open else self.close_shutter())

    async def _open_as_policy_says(self) -> None:
        """Open the shutter after unparking, if the policy says so.

        :raises WriteRefusedError: it did not open.
        """
        if (
            self.has_shutter
            and self.shutter_policy.value.open_on_unpark
            and not self._rests(DomeShutter(open=True))
        ):
            await self.carry_out(DomeShutter(open=True))
            if not self._rests(DomeShutter(open=True)):
                raise WriteRefusedError("the dome is ready, but its shutter did not open")

    async def _close_as_policy_says(self) -> bool:
        """Close the shutter before parking, if the policy says so; return whether it now is as the policy wants."""
        if not self.has_shutter or not self.shutter_policy.value.close_on_park:
            return True
        wanted = DomeShutter(close=True)
        if not self._rests(wanted):
            await self.carry_out(wanted)
        return self._rests(wanted)

    def _rests(self, where: DomeShutter) -> bool:
        """Whether the shutter has reached this position."""
        return self.shutter.state is State.OK and self.shutter.value == where
