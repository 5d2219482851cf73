"""Dust caps: the motorised lid of a telescope."""

from __future__ import annotations

from indianyio.instrument._framework._declared import Property, needs, optional, overrides
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._interface import Interface
from indianyio.standard.dust_cap import CapAbort, CapPark

__all__ = ["DustCap"]


# Nobody knows where a cap is that was stopped on its way.
_NEITHER = CapPark.from_wire({"PARK": "Off", "UNPARK": "Off"})


class DustCap(Instrument):
    """A dust cap; to be subclassed with :meth:`open` and :meth:`close`.

    INDI calls a closed cap parked. Opening replaces closing that is still going on, and the other way round. A
    dust cap can be a :class:`LightBox` as well: a flat panel that closes the telescope.
    """

    interface = Interface.DUSTCAP

    cap = Property(CapPark)
    abort_cap = Property(CapAbort, adapt=needs("abort_cap_motion"))

    async def open(self) -> None:
        """Open the cap, and return when it is open."""
        raise NotImplementedError(f"{type(self).__name__} needs a method open()")

    async def close(self) -> None:
        """Close the cap, and return when it is closed."""
        raise NotImplementedError(f"{type(self).__name__} needs a method close()")

    @optional
    async def abort_cap_motion(self) -> None:
        """Stop the cap where it is."""

    async def make_safe(self) -> None:
        """Stop the cap."""
        await super().make_safe()
        if overrides(self, "abort_cap_motion"):
            await self.abort_cap_motion()

    @cap.operation(abort=abort_cap, when_busy="replace", aborted_values=_NEITHER, finishes=True)
    async def _move_cap(self, wanted: CapPark) -> None:
        await (self.close() if wanted.park else self.open())

    @abort_cap.write
    async def _abort_cap(self, wanted: CapAbort) -> None:
        await self.abort_cap_motion()
