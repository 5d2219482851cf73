"""What a vector knows of its device, what both know of their driver, and what they send with.

The owners are protocols, so that what is owned need not import its owner's module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import anyio.lowlevel

from indianyio._model import AnyVector, BLOBMember
from indianyio.driver._background import BackgroundWork
from indianyio.protocol import OneBLOB, SetBLOBVector, WireMessage
from indianyio.protocol._frames import Head

__all__ = ["DeviceOwner", "Running", "Sender", "VectorOwner", "send", "timestamp_or_now"]


class Sender(Protocol):
    """The way from vectors, devices and their driver to the peer of a run."""

    async def send(self, message: WireMessage) -> None:
        """Send a message, waiting while there is no room for it."""

    async def send_encoded(self, data: bytes, head: Head) -> None:
        """Send a message without BLOBs that is encoded already, as :meth:`send` does.

        :param data: its bytes, with the end of the message.
        :param head: its tag, device and vector.
        """

    async def send_blobs(
        self, members: Sequence[BLOBMember], update: Callable[[Sequence[OneBLOB]], SetBLOBVector | None]
    ) -> None:
        """Send the contents of members, all of one vector.

        :param update: makes the message once the contents are read and it is their turn; ``None`` is not sent.
        """


async def send(sender: Sender | None, message: WireMessage | None) -> None:
    """Send a message, waiting while the outbox is full.

    Where there is no message or nobody to send it to, nothing is sent, but the other tasks have their turn: nothing
    else would ever stop a loop of these.
    """
    if message is None or sender is None:
        await anyio.lowlevel.checkpoint()
    else:
        await sender.send(message)


def timestamp_or_now(timestamp: datetime | None) -> datetime:
    """Return what a message shall be stamped with: the given moment, else this one."""
    return datetime.now(UTC) if timestamp is None else timestamp


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
