"""The one way from a vector, a device or a driver to the peer, if there is one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio.lowlevel

from indianyio.protocol import WireMessage

if TYPE_CHECKING:
    from indianyio.driver._driver import IPyDriver

__all__ = ["send", "timestamp_or_now"]


async def send(driver: IPyDriver | None, message: WireMessage | None) -> None:
    """Send a message, waiting while the outbox is full.

    Where there is no message, no driver or no run, nothing is sent, but the other tasks have their turn: nothing
    else would ever stop a loop of these.
    """
    run = None if driver is None else driver._present_run
    if message is None or run is None:
        await anyio.lowlevel.checkpoint()
    else:
        await run.deliver(message)


def timestamp_or_now(timestamp: datetime | None) -> datetime:
    """Return what a message shall be stamped with: the given moment, else this one."""
    return datetime.now(UTC) if timestamp is None else timestamp
