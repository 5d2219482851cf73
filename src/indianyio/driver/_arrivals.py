"""Messages on their way to a handler.

An event is made when its turn has come, not when its message arrives: to inflate a BLOB or to read it from its
descriptor takes time, which must be neither the reader's nor the event loop's, and what waits stays as small as it
travelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

from indianyio.protocol import Attachment, Frame, NewBLOBVector, SetBLOBVector, WireMessage

__all__ = ["Arrival"]

E = TypeVar("E")

# Python's objects for one member of a message, beside its text; measured at 250 to 350 bytes.
_MEMBER_BYTES = 300
# More digits than any size has, and fewer than int() minds.
_BLOB_VECTORS = (NewBLOBVector, SetBLOBVector)
_COUNT = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Arrival(Generic[E]):
    """A message that waits to be handled.

    :ivar make: makes the event of it; raises :class:`ValueError` if a BLOB's content cannot be read.
    :ivar size: bytes that are held until then.
    :ivar attachments: descriptors of its BLOBs, closed once the event is made.
    :ivar is_slow: whether making the event may take long.
    """

    make: Callable[[], E]
    size: int
    attachments: tuple[Attachment, ...] = ()
    is_slow: bool = False

    @classmethod
    def of(cls, frame: Frame, message: WireMessage, make: Callable[[], E]) -> Arrival[E]:
        """Return the arrival of a frame, with the frame's attachments, which remain on the frame as well."""
        if not isinstance(message, _BLOB_VECTORS):
            members = len(getattr(message, "members", ()))
            return cls(make, len(frame.data) + members * _MEMBER_BYTES)
        blobs = message.members
        attached = sum(_count(one.len or one.size) for one in blobs if one.attachment is not None)
        is_slow = bool(frame.attachments) or any((one.format or "").endswith(".z") for one in blobs)
        size = len(frame.data) + len(blobs) * _MEMBER_BYTES + attached
        return cls(make, size, frame.attachments, is_slow)

    async def open(self) -> E:
        """Return the event.

        :raises ValueError: the content of a BLOB cannot be read.
        :raises MemoryError: it does not fit into memory.
        """
        try:
            if self.is_slow:
                return await anyio.to_thread.run_sync(self.make)
            return self.make()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the descriptors: the message is not handled, or its event is made."""
        for attachment in self.attachments:
            attachment.close()


def _count(text: str | None) -> int:
    """Return a count of bytes; what is none is refused when the content is read, and what is absurd long before."""
    return int(text) if text is not None and _COUNT.fullmatch(text) else 0
