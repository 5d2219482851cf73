"""What comes out of a byte stream: whole elements to be used, and reports of what cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field

from indianyio.protocol._elements import Attachment, WireMessage
from indianyio.protocol._heads import attribute

__all__ = ["Frame", "Unusable"]

EXCERPT_BYTES = 120
"""How much of what is dropped a report shows: enough to recognise a message, short enough for a log line."""


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
    """

    tag: str
    data: bytes
    attachments: tuple[Attachment, ...] = ()
    attached: int = 0
    decoded: WireMessage | Unusable | None = field(default=None, repr=False, compare=False)
    _address: tuple[str | None, str | None] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def device(self) -> str | None:
        """The device named in the start tag, read without parsing the element."""
        return self._read_address()[0]

    @property
    def name(self) -> str | None:
        """The vector named in the start tag, read without parsing the element."""
        return self._read_address()[1]

    def _read_address(self) -> tuple[str | None, str | None]:
        if self._address is None:
            position = len(self.tag) + 1
            self._address = (attribute(self.data, position, b"device"), attribute(self.data, position, b"name"))
        return self._address
