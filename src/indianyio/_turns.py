"""The clock that measures how long messages and handlers keep the event loop.

Fairness is about real time, so this clock is real even if the event loop's own clock is not. But then two runs in
virtual time are never quite the same: if one is a little slower, another task gets its turn earlier. So a
simulation replaces this clock for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

__all__ = ["clock", "measured_by"]

clock: Callable[[], float] = perf_counter
"""Returns seconds; to be called as ``_turns.clock()``, since it changes."""


@contextmanager
def measured_by(other: Callable[[], float]) -> Iterator[None]:
    """Measure by another clock for as long as the block lasts, in every event loop of this process.

    :param other: returns seconds, and never goes back. One that stands still lets everybody keep the event loop
        until they wait.
    """
    global clock
    before, clock = clock, other
    try:
        yield
    finally:
        clock = before
