"""What a run needs of the driver that its author has written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from indianyio._model import SnoopEvent, SnoopTable
from indianyio._rated_log import RatedLog
from indianyio.driver._device import Device
from indianyio.driver._events import NewEvent
from indianyio.driver._owners import Background

__all__ = ["DriverHooks", "SnoopHandler"]

SnoopHandler: TypeAlias = Callable[[SnoopEvent], Awaitable[None]]
"""Gets what one vector of another driver says, in the place of ``snoopevent``."""


class DriverHooks(Protocol):
    """A driver, seen from its run: what its author has written, and how it is to be treated."""

    auto_send_def: bool
    grace: float
    ping_timeout: float
    data: dict[str, Device]
    _snoops: SnoopTable
    _background: Background
    _rated_log: RatedLog
    _on_snooped: dict[tuple[str | None, str | None], SnoopHandler]

    async def hardware(self) -> None:
        """Operate the instrument."""

    async def rxevent(self, event: NewEvent) -> None:
        """Carry out what a client asks for."""

    async def rxerror(self, event: NewEvent, exc: Exception) -> None:
        """Deal with an error that left :meth:`rxevent`."""

    async def snoopevent(self, event: SnoopEvent) -> None:
        """Hear what another driver said."""

    async def leave(self) -> None:
        """Make the instrument safe."""
