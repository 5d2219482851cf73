"""What a framer keeps account of while bytes of its peer are lost: how many in a row, and how they began."""

from __future__ import annotations

from indianyio._vocabulary import Limits
from indianyio.protocol._frames import EXCERPT_BYTES, Unusable

__all__ = ["Skipped", "Streak"]


class Streak:
    """How much was unusable since the last good message.

    :param limits: how much of it is too much.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.clear()

    def clear(self) -> None:
        """Begin anew: there was a good message."""
        self._count = 0
        self._size = 0

    def add(self, size: int) -> str | None:
        """Count an unusable message, and return why the peer has sent too much of this, if it has."""
        self._count += 1
        if self._count > self._limits.dropped_in_a_row:
            return f"more than {self._limits.dropped_in_a_row} unusable messages in a row"
        self._size += size
        return self.overrun(0)

    def overrun(self, more: int) -> str | None:
        """Return why so many bytes on top of those counted would be too much, if they would."""
        if self._size + more > self._limits.garbage_bytes:
            return f"more than {self._limits.garbage_bytes} bytes without a usable message"
        return None


class Skipped:
    """Bytes that are counted and not kept, except for an excerpt of how they began.

    :param reason: why they are not kept.
    :param tag: the tag of the message that they are of, or ``None`` for what is no message.
    """

    def __init__(self, reason: str, tag: str | None) -> None:
        self._reason = reason
        self._tag = tag
        self._excerpt = b""
        self._size = 0

    def add(self, data: memoryview) -> None:
        """Count the next bytes."""
        self._excerpt += data[: EXCERPT_BYTES - len(self._excerpt)]
        self._size += len(data)

    def report(self) -> Unusable:
        """Return what is told of them. It claims no descriptors: these belong to BLOB vectors, never skipped."""
        return Unusable(self._reason, self._excerpt, self._size, 0, self._tag)
