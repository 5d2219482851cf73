"""What comes out of a byte stream: whole elements to be used, and reports of what cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from indianyio.protocol._elements import Attachment, WireMessage
from indianyio.protocol._heads import attribute

__all__ = ["Frame", "Head", "Unusable"]

EXCERPT_BYTES = 120
"""How much of what is dropped a report shows: enough to recognise a message, short enough for a log line."""


Head: TypeAlias = tuple[str, str | None, str | None]
"""A message's tag, device and vector: all that decides about its way."""


@dataclass(frozen=True, slots=True)
class Unusable:
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

    plain: ClassVar[bool] = False

    @classmethod
    def made_of(cls, frame: Frame, reason: str) -> Unusable:
        """Return the report of a whole frame that cannot be used; its attachments are its holder's."""
        return cls(reason, frame.data[:EXCERPT_BYTES], len(frame.data), tag=frame.tag)


@dataclass(slots=True)
class Frame:
    """One top-level element as it was sent: the unit that travels.

    :ivar tag: the element's tag, one of :data:`~indianyio.protocol.MESSAGES`.
    :ivar data: its exact bytes, without the white space around it.
    :ivar attachments: the descriptors that came with it, one for each attached oneBLOB. Whoever receives the
        frame owns them.
    :ivar attached: how many oneBLOB elements say that their content is attached.
    :ivar decoded: what :func:`~indianyio.protocol.decode` found, once it was asked; whoever makes a frame from a
        message puts the message here.
    :ivar plain: whether it is known that all readers understand it alike (see ``_plain``), and that it has no more
        members than its receiver's limits allow. Otherwise that has not been looked at, or is not so.
    :ivar known_head: what :attr:`head` returns, if that is known.
    """

    tag: str
    data: bytes
    attachments: tuple[Attachment, ...] = ()
    attached: int = 0
    decoded: WireMessage | Unusable | None = field(default=None, repr=False, compare=False)
    plain: bool = field(default=False, repr=False, compare=False)
    known_head: Head | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, message: WireMessage, data: bytes) -> Frame:
        """Return a message as a frame, as if it had been received; not one with BLOBs.

        :param message: the message.
        :param data: what :func:`~indianyio.protocol.encode` made of it.
        """
        head = (message.tag, getattr(message, "device", None), getattr(message, "name", None))
        return cls(message.tag, data.removesuffix(b"\n"), decoded=message, known_head=head)

    @property
    def head(self) -> Head:
        """The tag, and what the start tag names, read without parsing the element."""
        if self.known_head is None:
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
