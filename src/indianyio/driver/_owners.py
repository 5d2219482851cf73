"""What a vector knows of its device, and both of them of their driver.

They are protocols, so that what is owned need not know the module of its owner.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from indianyio._model import AnyVector
from indianyio.driver._background import BackgroundWork
from indianyio.driver._sending import Sender

__all__ = ["DeviceOwner", "Running", "VectorOwner"]


class Running(Protocol):
    """Whether there is a run."""

    @property
    def sender(self) -> Sender | None:
        """What sends for the run, if there is one."""


class DeviceOwner(Protocol):
    """A driver, seen from its devices and vectors; in fact it is the :class:`IPyDriver`, with all that it has."""

    driverdata: dict[str, object]

    @property
    def stop(self) -> bool:
        """Whether the run is to end."""

    def __getitem__(self, name: str, /) -> VectorOwner:
        """Return a device."""

    def shutdown(self, reason: str = ...) -> None:
        """Let the run end in order."""

    def add_background(self, work: BackgroundWork, *args: object) -> None:
        """Have ``work`` run beside the driver."""

    async def send_message(self, message: str = ..., timestamp: datetime | None = ...) -> None:
        """Send a line for people that names no device."""


class VectorOwner(Protocol):
    """A device, seen from its vectors; in fact it is the :class:`Device`, with all that it has."""

    devicename: str
    devicedata: dict[str, object]
    enable: bool
    driver: DeviceOwner | None

    @property
    def _run_state(self) -> Running:
        """Whether there is a run."""

    def __getitem__(self, name: str, /) -> AnyVector:
        """Return a vector."""
