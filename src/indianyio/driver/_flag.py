"""A flag to look at or to wait for, on either back end and across runs."""

from __future__ import annotations

import anyio
import anyio.lowlevel

__all__ = ["Flag"]


class Flag:
    """What an event is for ``driver.stopped`` and ``driver.shutdownrequested``.

    Unlike an event of a back end it may be made before any event loop runs, outlive one, and be lowered again.
    """

    def __init__(self) -> None:
        self._raised = False
        self._waiting: set[anyio.Event] = set()

    def is_set(self) -> bool:
        """Return whether the flag is raised."""
        return self._raised

    async def wait(self) -> None:
        """Return once the flag is raised; may be cancelled."""
        if self._raised:
            await anyio.lowlevel.checkpoint()
            return
        event = anyio.Event()
        self._waiting.add(event)
        try:
            await event.wait()
        finally:
            self._waiting.discard(event)

    def set(self) -> None:
        """Raise the flag and wake everybody who waits for it."""
        self._raised = True
        for event in self._waiting:
            event.set()

    def clear(self) -> None:
        """Lower the flag."""
        self._raised = False
