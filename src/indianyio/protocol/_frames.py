"""What comes out of a byte stream: whole elements that can be used, and reports of what cannot be used.

On the wire a newline follows each message. The encoders write it and a frame does not have it, because what a peer
sends has any white space there, or none. Where one becomes the other is decided here: :data:`MESSAGE_END` says what
it is, and only this module takes it off or adds it. The two places through which an answer goes at once do so
themselves, with that constant, because there each call counts (``server/_local_driver``, ``server/_peers``).

Also how a framer keeps count of the bytes that are lost: how many in a row, and how they began.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, TypeAlias, get_args

import msgspec
from msgspec.structs import replace

from indianyio._vocabulary import Limits
from indianyio.protocol._elements import Attachment, WireMessage
from indianyio.protocol._lilxml import attribute
from indianyio.protocol._messages import CONTENT_TAGS, MESSAGES, NewVector

__all__ = [
    "EXCERPT_BYTES",
    "MESSAGE_END",
    "Bounds",
    "Frame",
    "Head",
    "Skipped",
    "Streak",
    "Unusable",
    "element_of",
    "line_of",
    "lines_of",
    "parts_of_line",
    "target_of",
]

MESSAGE_END: Final = b"\n"
"""What follows each message on the wire."""

# Shorter messages are copied to add their end; after longer ones it is sent separately, which costs a call.
_COPIED_BYTES = 64 << 10

EXCERPT_BYTES = 120
"""How much of the dropped bytes a report shows: enough to recognise a message, short enough for a log line."""


# The messages with which a client asks for something and then waits for the outcome.
_WRITES = frozenset({cls.tag for cls in get_args(NewVector)})

Head: TypeAlias = tuple[str, str | None, str | None]
"""A message's tag, device and vector: all that decides where it goes."""


class Unusable(msgspec.Struct, frozen=True):
    """Bytes of a peer that were dropped, and why.

    :ivar reason: what was wrong, for a log line.
    :ivar excerpt: how the dropped bytes begin, at most 120 of them.
    :ivar size: how many bytes were dropped.
    :ivar attached: how many descriptors belonged to them. The receiver takes as many from its queue and closes
        them; otherwise the next BLOB would get the wrong one (protocol.md W36).
    :ivar tag: the message's tag, or ``None`` for bytes that are not part of a message.
    :ivar target: the device and the vector that a client's write was meant for, if its start tag gives both: its
        sender is owed an answer.
    """

    reason: str
    excerpt: bytes
    size: int
    attached: int = 0
    tag: str | None = None
    target: tuple[str, str] | None = None

    plain: ClassVar[bool | None] = False

    def refused_write(self) -> Frame | None:
        """Return the write that these bytes began, so that it can be answered as one that cannot be read.

        :return: a frame with the excerpt as its bytes, already decoded to this report; ``None`` if it was not a
            write, or if nobody can tell what it was meant for.
        """
        if self.tag is None or self.target is None:
            return None
        return Frame(
            self.tag, self.excerpt, decoded=self, plain=False, known_head=(self.tag, *self.target), safe=False
        )

    @classmethod
    def made_of(cls, frame: Frame, reason: str) -> Unusable:
        """Return the report of a whole frame that cannot be used; its holder still owns its attachments."""
        return cls(reason, frame.data[:EXCERPT_BYTES], len(frame.data), tag=frame.tag)


class Frame(msgspec.Struct, eq=False):
    """One top-level element as it was sent: the unit in which messages travel.

    Two frames are equal if their bytes and attachments are; what is known about the bytes does not count.

    :ivar tag: the element's tag, one of those of the message classes.
    :ivar data: its exact bytes, without the white space around it.
    :ivar attachments: the descriptors that came with it, one for each attached oneBLOB. Whoever receives the frame
        owns them.
    :ivar attached: how many oneBLOB elements say that their content is attached.
    :ivar decoded: the result of :func:`~indianyio.protocol.decode`, once it has been called. Whoever makes a frame
        from a message puts the message here.
    :ivar plain: whether all readers understand it alike, its attributes stand in their usual order (see
        ``_plain``), and it has no more members than its receiver's limits allow; ``None`` as long as nobody has
        looked. Nobody needs to look twice.
    :ivar known_head: what :attr:`head` returns, if that is known.
    :ivar safe: whether it may be forwarded unchanged, within its receiver's limits (see ``_relayable``); ``None``
        as long as nobody has looked.
    :ivar bare: the start and the end of a part known to contain no ``<``: most of an image, which is then not
        searched again by everybody who looks for markup.
    """

    tag: str
    data: bytes
    attachments: tuple[Attachment, ...] = ()
    attached: int = 0
    decoded: WireMessage | Unusable | None = None
    plain: bool | None = None
    known_head: Head | None = None
    safe: bool | None = None
    bare: tuple[int, int] = (0, 0)

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
        """Return a message as a frame, as if it had been received. Not for messages with BLOBs.

        :param message: the message.
        :param data: what :func:`~indianyio.protocol.encode` made of it.
        """
        return cls(message.tag, data.removesuffix(MESSAGE_END), decoded=message, known_head=_head_of(message))

    def with_attachments(self, attachments: tuple[Attachment, ...]) -> Frame:
        """Return the same element with other attachments, as many as it had before."""
        return replace(self, attachments=attachments, safe=None)

    @property
    def head(self) -> Head:
        """The tag, and the names in the start tag, read without parsing the element."""
        if self.known_head is None:
            # Only for plain bytes: a rewritten message may have another name than the message it was made from.
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


def element_of(line: bytes) -> bytes:
    """Return what an encoder wrote, or the last part of it, without the end of the message."""
    return line.removesuffix(MESSAGE_END)


def line_of(frame: Frame) -> bytes:
    """Return a frame as it goes on the wire."""
    return frame.data + MESSAGE_END


def lines_of(frames: Iterable[Frame]) -> bytes:
    """Return frames as they go on the wire, one after the other."""
    elements = [frame.data for frame in frames]
    elements.append(b"")
    return MESSAGE_END.join(elements)


def parts_of_line(element: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return an element in slices as it goes on the wire; long slices are not copied."""
    *before, last = element
    return (*before, last + MESSAGE_END) if len(last) < _COPIED_BYTES else (*element, MESSAGE_END)


def _head_of(message: WireMessage) -> Head:
    return message.tag, getattr(message, "device", None), getattr(message, "name", None)


def target_of(tag: str | None, data: bytes) -> tuple[str, str] | None:
    """Return the device and the vector of a write that was broken off, or ``None`` if nobody can tell.

    :param tag: the tag of the message; only for writes does anybody wait for an answer.
    :param data: its bytes, starting at the ``<``.
    """
    if tag is None or tag not in _WRITES:
        return None
    values = (attribute(data, len(tag) + 1, word) or "" for word in (b"device", b"name"))
    # Without its closing quote a value runs into the next tag; the value that was meant ends before that.
    device, name = (value.partition(">")[0].partition("<")[0] for value in values)
    return (device, name) if device and name else None


# -- limits, and lost bytes ------------------------------------------------------------------------------------


class Bounds:
    """How long a peer's messages may be.

    :param limits: the limits that they follow from.
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
        """Return what is too long if a message of this size, or its start tag, is too long; otherwise ``None``."""
        limit = self._heads[tag] if in_head else self._sizes[tag]
        if size <= limit:
            return None
        what = "the start tag of a" if limit < self._sizes[tag] else "a"
        return f"{what} {tag} is longer than {limit} bytes"


class Streak:
    """How much was unusable since the last good message.

    :param limits: how much is too much.
    :ivar count: how many messages were unusable; it is nearly always 0, and then there is nothing to clear.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.clear()

    def clear(self) -> None:
        """Start again from zero: there was a good message."""
        self.count = 0
        self._size = 0

    def add(self, size: int) -> str | None:
        """Count an unusable message. Return why the peer has now sent too many, or ``None`` if it has not."""
        self.count += 1
        if self.count > self._limits.dropped_in_a_row:
            return f"more than {self._limits.dropped_in_a_row} unusable messages in a row"
        self._size += size
        return self.overrun(0)

    def overrun(self, more: int) -> str | None:
        """Return why this many more bytes would be too much, or ``None`` if they would not."""
        if self._size + more > self._limits.garbage_bytes:
            return f"more than {self._limits.garbage_bytes} bytes without a usable message"
        return None


class Skipped:
    """Bytes that are counted but not kept, except for an excerpt of how they began.

    :param reason: why they are not kept.
    :param tag: the tag of the message that they are part of, or ``None`` for bytes that are not part of one.
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
        """Return the report about them. It claims no descriptors: those belong to BLOB vectors, never skipped."""
        target = target_of(self._tag, self._excerpt)
        return Unusable(self._reason, self._excerpt, self._size, 0, self._tag, target)
