"""What comes out of a byte stream: whole elements to be used, and reports of what cannot be used.

Also what a framer keeps account of while bytes of its peer are lost: how many in a row, and how they began.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import msgspec

from indianyio._vocabulary import Limits
from indianyio.protocol._elements import Attachment, WireMessage
from indianyio.protocol._lilxml import attribute

__all__ = ["EXCERPT_BYTES", "Frame", "Head", "Skipped", "Streak", "Unusable"]

EXCERPT_BYTES = 120
"""How much of what is dropped a report shows: enough to recognise a message, short enough for a log line."""


Head: TypeAlias = tuple[str, str | None, str | None]
"""A message's tag, device and vector: all that decides about its way."""


class Unusable(msgspec.Struct, frozen=True):
    """Bytes of a peer that were dropped, and why.

    :ivar reason: what was wrong, for a log line.
    :ivar excerpt: how the dropped bytes begin, at most 120 of them.
    :ivar size: how many bytes were dropped.
    :ivar attached: how many descriptors belonged to them; the receiver takes as many from its queue and closes
        them, or the next BLOB gets the wrong one (protocol.md W36).
    :ivar tag: the message's tag, or ``None`` for what is no message.
    """

    reason: str
    excerpt: bytes
    size: int
    attached: int = 0
    tag: str | None = None

    plain: ClassVar[bool | None] = False

    @classmethod
    def made_of(cls, frame: Frame, reason: str) -> Unusable:
        """Return the report of a whole frame that cannot be used; its attachments are its holder's."""
        return cls(reason, frame.data[:EXCERPT_BYTES], len(frame.data), tag=frame.tag)


class Frame(msgspec.Struct, eq=False):
    """One top-level element as it was sent: the unit that travels.

    Two are equal if their bytes and attachments are; what is known of the bytes does not count.

    :ivar tag: the element's tag, one of :data:`~indianyio.protocol._messages.MESSAGES`.
    :ivar data: its exact bytes, without the white space around it.
    :ivar attachments: the descriptors that came with it, one for each attached oneBLOB. Whoever receives the
        frame owns them.
    :ivar attached: how many oneBLOB elements say that their content is attached.
    :ivar decoded: what :func:`~indianyio.protocol.decode` found, once it was asked; whoever makes a frame from a
        message puts the message here.
    :ivar plain: whether all readers understand it alike, and its attributes stand in their usual order (see
        ``_plain``), and it has no more members than its receiver's limits allow; ``None`` as long as nobody has
        looked. It is looked at once.
    :ivar known_head: what :attr:`head` returns, if that is known.
    :ivar safe: whether it may be handed on as it is, within its receiver's limits (see ``_relayable``); ``None`` as
        long as nobody has looked.
    """

    tag: str
    data: bytes
    attachments: tuple[Attachment, ...] = ()
    attached: int = 0
    decoded: WireMessage | Unusable | None = None
    plain: bool | None = None
    known_head: Head | None = None
    safe: bool | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return (self.tag, self.data, self.attachments, self.attached) == (
            other.tag,
            other.data,
            other.attachments,
            other.attached,
        )

    def __repr__(self) -> str:
        return f"Frame({self.tag!r}, {self.data!r}, {self.attachments!r}, {self.attached!r})"

    @classmethod
    def of(cls, message: WireMessage, data: bytes) -> Frame:
        """Return a message as a frame, as if it had been received; not one with BLOBs.

        :param message: the message.
        :param data: what :func:`~indianyio.protocol.encode` made of it.
        """
        return cls(message.tag, data.removesuffix(b"\n"), decoded=message, known_head=_head_of(message))

    def with_attachments(self, attachments: tuple[Attachment, ...]) -> Frame:
        """Return the same element with other attachments, as many as it had."""
        return Frame(self.tag, self.data, attachments, self.attached, self.decoded, self.plain, self.known_head)

    @property
    def head(self) -> Head:
        """The tag, and what the start tag names, read without parsing the element."""
        if self.known_head is None:
            # Only of plain bytes: what was written anew may have another name than the message it was made from.
            if self.plain and isinstance(self.decoded, WireMessage):
                self.known_head = _head_of(self.decoded)
                return self.known_head
            device, name = (attribute(self.data, len(self.tag) + 1, word) for word in (b"device", b"name"))
            self.known_head = (self.tag, device, name)
        return self.known_head

    @property
    def device(self) -> str | None:
        """The device named in the start tag."""
        return self.head[1]

    @property
    def name(self) -> str | None:
        """The vector named in the start tag."""
        return self.head[2]


def _head_of(message: WireMessage) -> Head:
    return message.tag, getattr(message, "device", None), getattr(message, "name", None)


# -- what is lost ----------------------------------------------------------------------------------------------


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
