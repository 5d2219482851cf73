"""What comes out of a byte stream: whole elements to be used, and reports of what cannot be used.

Also what a framer keeps account of while bytes of its peer are lost: how many in a row, and how they began.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias, get_args

import msgspec

from indianyio._vocabulary import Limits
from indianyio.protocol._elements import Attachment, WireMessage
from indianyio.protocol._lilxml import attribute
from indianyio.protocol._messages import CONTENT_TAGS, MESSAGES, NewVector

__all__ = ["EXCERPT_BYTES", "Bounds", "Frame", "Head", "Skipped", "Streak", "Unusable", "target_of"]

EXCERPT_BYTES = 120
"""How much of what is dropped a report shows: enough to recognise a message, short enough for a log line."""


# What clients send and wait to see the outcome of.
_WRITES = frozenset({cls.tag for cls in get_args(NewVector)})

Head: TypeAlias = tuple[str, str | None, str | None]
"""A message's tag, device and vector: all that decides about its way."""


class Unusable(msgspec.Struct, frozen=True):
    """Bytes of a peer that were dropped, and why.

    :ivar reason: what was wrong, for a log line.
    :ivar excerpt: how the dropped bytes begin, at most 120 of them.
    :ivar size: how many bytes were dropped.
    :ivar attached: how many descriptors belonged to them; the receiver takes as many from its queue and closes
        them, or the next BLOB gets the wrong one (protocol.md W36).
    :ivar tag: the message's tag, or ``None`` for what is not part of a message.
    :ivar target: the device and the vector that a client's write was for, if its start tag tells both: whoever sent
        it is to be answered.
    """

    reason: str
    excerpt: bytes
    size: int
    attached: int = 0
    tag: str | None = None
    target: tuple[str, str] | None = None

    plain: ClassVar[bool | None] = False

    def refused_write(self) -> Frame | None:
        """Return the write that these bytes were the beginning of, to be answered as one that cannot be read.

        :return: a frame with the excerpt for its bytes, already decoded to this report; ``None`` if it was not a
            write, or if it cannot be told what it was for.
        """
        if self.tag is None or self.target is None:
            return None
        return Frame(
            self.tag, self.excerpt, decoded=self, plain=False, known_head=(self.tag, *self.target), safe=False
        )

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


def target_of(tag: str | None, data: bytes) -> tuple[str, str] | None:
    """Return the device and the vector that a write was for which was broken off; ``None`` if that cannot be told.

    :param tag: the tag of what was begun; of other messages than writes nobody waits for an answer.
    :param data: its bytes, from the ``<`` on.
    """
    if tag is None or tag not in _WRITES:
        return None
    values = (attribute(data, len(tag) + 1, word) or "" for word in (b"device", b"name"))
    # A quote that nobody closed makes a value run into the next tag; what was meant ends before that.
    device, name = (value.partition(">")[0].partition("<")[0] for value in values)
    return (device, name) if device and name else None


# -- limits, and what is lost ----------------------------------------------------------------------------------


class Bounds:
    """How long a peer's messages may be.

    :param limits: what they are made from.
    :param forgiving: whether a BLOB vector is kept to its end even if its start tag is too long.
    """

    def __init__(self, limits: Limits, *, forgiving: bool) -> None:
        self._sizes = {tag: limits.blob_bytes if tag in CONTENT_TAGS else limits.message_bytes for tag in MESSAGES}
        self._heads = {
            tag: size if forgiving and tag in CONTENT_TAGS else min(size, limits.attributes_bytes)
            for tag, size in self._sizes.items()
        }

    def message_bytes(self, tag: str) -> int:
        """Return how long a message of this tag may be."""
        return self._sizes[tag]

    def excess(self, tag: str, size: int, *, in_head: bool) -> str | None:
        """Return what is too long if a message of this size, or its start tag, is; else ``None``."""
        limit = self._heads[tag] if in_head else self._sizes[tag]
        if size <= limit:
            return None
        what = "the start tag of a" if limit < self._sizes[tag] else "a"
        return f"{what} {tag} is longer than {limit} bytes"


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
        target = target_of(self._tag, self._excerpt)
        return Unusable(self._reason, self._excerpt, self._size, 0, self._tag, target)
