"""The backlash of a drive: how much it is, and whether the hardware is to make up for it."""

from __future__ import annotations

from typing import Protocol

from indianyio.instrument._framework._declared import optional
from indianyio.instrument._framework._instrument import Instrument

__all__ = ["BacklashOwner"]


class _Toggle(Protocol):
    @property
    def enabled(self) -> bool: ...


class _Steps(Protocol):
    @property
    def steps(self) -> float: ...


class BacklashOwner(Instrument):
    """An instrument whose drive has backlash.

    The subclass declares the properties ``backlash_switch`` and ``backlash``, each with the class of values for its
    kind of device, and names the two private methods below as those that carry out the writes.
    """

    @optional
    async def set_backlash(self, steps: int) -> None:
        """Compensate for this many steps of backlash; 0 switches the compensation off."""

    async def _switch_backlash(self, wanted: _Toggle) -> None:
        await self.set_backlash(round(self._bound["backlash"].value.steps) if wanted.enabled else 0)

    async def _set_backlash(self, wanted: _Steps) -> None:
        if self._bound["backlash_switch"].value.enabled:
            await self.set_backlash(round(wanted.steps))
