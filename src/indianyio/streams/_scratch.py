"""Where received bytes land before they are kept.

``recv(65536)`` and ``read(65536)`` make an object of that size and shrink it to what has come, a few hundred bytes
as a rule. The rest goes back to the C library, and much of it lies unused between other objects: the process grows
although nothing is held. So everything is received into the same memory, and kept in objects that have their length
from the beginning; small ones come from Python's own pools.
"""

from __future__ import annotations

import threading

__all__ = ["LONGEST_RECEIVE_BYTES", "scratch"]

LONGEST_RECEIVE_BYTES = 512 << 10
"""The most that is received at a time: more than a unix socket holds, and some of what a TCP connection does."""


class _Scratch(threading.local):
    """One for each thread, for there may be an event loop in any."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(LONGEST_RECEIVE_BYTES))


_SCRATCH = _Scratch()


def scratch(length: int) -> memoryview:
    """Return memory to receive at most so many bytes into; to be copied before anything is awaited."""
    return _SCRATCH.memory[:length]
