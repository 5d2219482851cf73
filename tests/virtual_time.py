"""Virtual time on both back ends: an hour of sleep passes at once, and a machine that stalls costs no time at all.

It must not pass while something outside of the event loop is awaited, such as a thread or a socket. So where there
is any, time passes only when nothing has happened for a moment of real time.
"""

from __future__ import annotations

import asyncio
import selectors
from functools import partial
from typing import Any

import trio
from trio.testing import MockClock

__all__ = ["VirtualLoop", "hold", "virtual_backend"]


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio's whose time passes only while every task waits for it.

    :param idle_seconds: how long, in real time, nothing must have happened before time passes.
    """

    def __init__(self, idle_seconds: float = 0.0) -> None:
        self.idle_seconds = idle_seconds
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
            return super().select()  # nothing but what is outside can make anything go on
        ready = super().select(self._loop.idle_seconds if timeout > 0 else 0)
        if not ready and timeout > 0:
            self._loop.jump(timeout)
        return ready


def virtual_backend(name: str, idle_seconds: float = 0.0) -> tuple[str, dict[str, Any]]:
    """Return what a fixture ``anyio_backend`` returns for virtual time on a back end."""
    if name == "trio":
        return name, {"clock": MockClock(autojump_threshold=idle_seconds)}
    return name, {"loop_factory": partial(VirtualLoop, idle_seconds)}


def hold(seconds: float) -> None:
    """Let time pass in which no task runs, as code does that blocks the event loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(seconds)
    else:
        assert isinstance(loop, VirtualLoop)
        loop.jump(seconds)
