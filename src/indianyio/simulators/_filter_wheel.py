"""A simulated filter wheel."""

from __future__ import annotations

import anyio

from indianyio.instrument.filter_wheel import FilterWheel

__all__ = ["SimulatedFilterWheel"]

_SECONDS_PER_SLOT = 0.5


class SimulatedFilterWheel(FilterWheel):
    """A wheel of eight filters, which takes half a second from one filter to the next and turns one way only."""

    def __init__(self, devicename: str = "Filter Simulator") -> None:
        super().__init__(devicename)
        self.turned_to = 1
        self.is_moving = False

    async def select(self, slot: int) -> None:
        """Turn to a filter."""
        self.is_moving = True
        try:
            while self.turned_to != slot:
                await anyio.sleep(_SECONDS_PER_SLOT)
                self.turned_to = self.turned_to % len(self.filters) + 1
        finally:
            self.is_moving = False
