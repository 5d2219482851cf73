"""Virtual time on both back ends: an hour of sleep passes at once, and a machine that stalls costs no time at all.

For tests without threads, sockets and other processes, for which nobody would wait.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from trio.testing import MockClock

__all__ = ["VirtualLoop", "virtual_backend"]


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio's whose time passes only while every task waits for it."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Let this much time pass, as trio's :class:`MockClock` does."""
        self._now += seconds


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select()  # nothing but another thread, or a signal, can go on
        ready = super().select(0)
        if not ready and timeout > 0:
            self._loop.jump(timeout)
        return ready


def virtual_backend(name: str) -> tuple[str, dict[str, Any]]:
    """Return what a fixture ``anyio_backend`` returns for virtual time on a back end."""
    if name == "trio":
        return name, {"clock": MockClock(autojump_threshold=0)}
    return name, {"loop_factory": VirtualLoop}
