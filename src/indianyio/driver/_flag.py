"""A flag to look at or to wait for, on either back end and across runs."""

from __future__ import annotations

import threading

import anyio
import anyio.lowlevel

__all__ = ["Flag"]


class Flag:
    """What an event is for ``driver.stopped`` and ``driver.shutdownrequested``.

    Unlike an event of a back end it may be made before any event loop runs, outlive one, be lowered again, and be
    raised in another thread. That wakes nobody, as only an event loop's own thread can: who raises it there sees to
    it that it is raised in the event loop as well.
    """

    def __init__(self) -> None:
        self._raised = False
        self._waiting: dict[anyio.Event, int] = {}

    def is_set(self) -> bool:
        """Return whether the flag is raised."""
        return self._raised

    async def wait(self) -> None:
        """Return once the flag is raised; may be cancelled."""
        if self._raised:
            await anyio.lowlevel.checkpoint()
            return
        event = anyio.Event()
        self._waiting[event] = threading.get_ident()
        try:
            await event.wait()
        finally:
            del self._waiting[event]

    def set(self) -> None:
        """Raise the flag and wake everybody who waits for it in this thread."""
        self._raised = True
        own = threading.get_ident()
        for event, thread in list(self._waiting.items()):
            if thread == own:
                event.set()

    def clear(self) -> None:
        """Lower the flag."""
        self._raised = False
