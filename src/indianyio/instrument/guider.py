"""Guide pulses: a mix-in for mounts, and for cameras with a guide port."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from indianyio._vocabulary import State
from indianyio.instrument._framework._declared import Property
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._interface import Interface
from indianyio.standard.guider import TelescopeTimedGuideNs, TelescopeTimedGuideWe

__all__ = ["Direction", "Guider"]


_NO_PULSE_NS = TelescopeTimedGuideNs(north=0, south=0)
_NO_PULSE_WE = TelescopeTimedGuideWe(west=0, east=0)


class Direction(Enum):
    """The direction in which a mount moves."""

    NORTH = "north"
    SOUTH = "south"
    WEST = "west"
    EAST = "east"


class Guider(Instrument):
    """A device that gives guide pulses; to be mixed in, with :meth:`guide`.

    ::

        class MyMount(Mount, Guider):
            async def guide(self, direction: Direction, seconds: float) -> None:
                await self.wire.send(pulse(direction, seconds))
                await anyio.sleep(seconds)

    The two axes are independent of each other. A new pulse replaces one that is still going on on the same axis.
    """

    interface = Interface.GUIDER

    guide_ns = Property(TelescopeTimedGuideNs)
    guide_we = Property(TelescopeTimedGuideWe)

    async def guide(self, direction: Direction, seconds: float) -> None:
        """Give a pulse, and return when it is over.

        If this is cancelled, the pulse must be cut short.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method guide(direction, seconds)")

    @guide_ns.check
    async def _check_guiding_ns(self, wanted: TelescopeTimedGuideNs) -> None:
        self._require_guidable()

    @guide_we.check
    async def _check_guiding_we(self, wanted: TelescopeTimedGuideWe) -> None:
        self._require_guidable()

    def _require_guidable(self) -> None:
        """Refuse a pulse that would do harm, if the class that this is mixed into says so."""
        # That class may override this, or come after it in the bases' order.
        require: Callable[[], None] = getattr(super(), "_require_guidable", _nothing)
        require()

    # The Abort of a mount ends a pulse too; a camera has no property of that name, so its pulses are not aborted.
    @guide_ns.operation(abort="abort_motion", when_busy="replace", done=State.IDLE, aborted_values=_NO_PULSE_NS)
    async def _guide_ns(self, wanted: TelescopeTimedGuideNs) -> TelescopeTimedGuideNs:
        await self._guide(Direction.NORTH, wanted.north, Direction.SOUTH, wanted.south)
        return _NO_PULSE_NS

    @guide_we.operation(abort="abort_motion", when_busy="replace", done=State.IDLE, aborted_values=_NO_PULSE_WE)
    async def _guide_we(self, wanted: TelescopeTimedGuideWe) -> TelescopeTimedGuideWe:
        await self._guide(Direction.WEST, wanted.west, Direction.EAST, wanted.east)
        return _NO_PULSE_WE

    async def _guide(self, first: Direction, first_ms: float, second: Direction, second_ms: float) -> None:
        # As in libindi, north wins over south, and west over east.
        if first_ms > 0:
            await self.guide(first, first_ms / 1000)
        elif second_ms > 0:
            await self.guide(second, second_ms / 1000)


def _nothing() -> None:
    """Refuse nothing."""
