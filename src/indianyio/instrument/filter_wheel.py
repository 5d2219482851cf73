"""Filter wheels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._declared import Property
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._interface import Interface
from indianyio.standard.filter_wheel import FilterName, FilterSlot

__all__ = ["FilterWheel"]


class FilterWheel(Instrument):
    r"""A filter wheel; to be subclassed with :meth:`select`.

    ::

        class MyWheel(FilterWheel):
            filters = ("Luminance", "Red", "Green", "Blue", "H_Alpha")

            async def select(self, slot: int) -> None:
                await self.wire.query(b"G%d\r" % slot, until=b"\r", timeout=10)

    Clients may change the names of the filters, which are kept in the settings. A filter that is asked for while
    the wheel is turning is refused: a wheel between two filters is at neither.
    """

    interface = Interface.FILTER

    filters: ClassVar[Sequence[str]] = ("Luminance", "Red", "Green", "Blue", "H_Alpha", "SII", "OIII", "LPR")
    """The names of the filters, in the order of their slots; at least one."""

    slot = Property(FilterSlot, adapt=lambda wheel: {"limits": {"slot": (1, len(wheel.filters))}})
    names = Property(FilterName, persist=True, adapt=lambda wheel: wheel._first_names())

    async def select(self, slot: int) -> None:
        """Turn to a filter, and return when it is in the beam.

        :param slot: which one, counted from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method select(slot)")

    def filter(self) -> str:
        """Return the name of the filter in the beam."""
        return list(self.names.value.names.values())[round(self.slot.value.slot) - 1]

    def _first_names(self) -> dict[str, object]:
        slots = {f"FILTER_SLOT_NAME_{number}": name for number, name in enumerate(self.filters, 1)}
        labels = {name: f"Filter#{number}" for number, name in enumerate(slots, 1)}
        return {"made": labels, "value": FilterName(names=slots)}

    @slot.check
    async def _check_slot(self, wanted: FilterSlot) -> None:
        # To INDI the limits 1 to 1, those of a single filter, mean that there are none, so they are checked here.
        if not 1 <= round(wanted.slot) <= len(self.filters):
            raise WriteRefusedError(f"there is no filter {wanted.slot:g}; they are 1 to {len(self.filters)}")

    @slot.operation()
    async def _select(self, wanted: FilterSlot) -> FilterSlot:
        slot = round(wanted.slot)
        await self.select(slot)
        return FilterSlot.from_wire({"FILTER_SLOT_VALUE": slot})
