"""The two forms in which a BLOB travels, and from one to the other (protocol.md 1.6 and S32).

A receiver that takes descriptors gets them, for what came as base64 too; any other gets one line of base64, for
what came as a descriptor too. Only the bytes of the oneBLOB elements concerned change, of these only the content
and the attributes ``enclen``, ``len`` and ``attached``, which describe it.

Content is taken whole: a conversion holds the BLOB and its base64 at the same time, once for all receivers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Protocol, TypeAlias

from indianyio._vocabulary import MAX_DESCRIPTORS
from indianyio.protocol._blobs import BlobSpan, blob_spans, decode_base64, encode_base64
from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._elements import Attachment
from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import CONTENT_TAGS, SetBLOBVector

__all__ = ["MakeAttachment", "WritableAttachment", "attached_bytes", "attached_lengths", "blob_form", "is_stream"]

_ATTRIBUTE = LazyPattern(rb"""[ \t\r\n]++([A-Za-z0-9_]++)[ \t\r\n]*+=[ \t\r\n]*+(?:"[^"]*+"|'[^']*+')""")
# Copied at a time, so that other threads have their turn in between.
_COPIED_BYTES = 1 << 20

_OF_THE_FORM = frozenset({b"enclen", b"len", b"attached"})


class WritableAttachment(Attachment, Protocol):
    """Shared memory being filled."""

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append all of ``piece``.

        :raises OSError: there is no memory left.
        """

    def seal(self) -> None:
        """Finish the content.

        :raises OSError: the system refuses.
        """


MakeAttachment: TypeAlias = Callable[[str], WritableAttachment]
"""Makes empty shared memory with a label, or raises :class:`OSError`."""


def blob_form(frame: Frame, *, attach: bool, make: MakeAttachment) -> Frame:
    """Return a frame in the form that a receiver can read.

    :param frame: what :func:`~indianyio.protocol._relayable.relayable` returned.
    :param attach: whether the receiver takes descriptors. If not, attached BLOBs become inline. If so, inline ones
        become attached, unless that made more than 16 descriptors, which is what libindi takes at a time
        (protocol.md W37), or there is no memory or no descriptor left: inline is read by everybody.
    :param make: where content is decoded into.
    :return: the same frame if it has that form, or a new one. Attachments that are new in it are the caller's to
        close; those of ``frame`` stay whose they were.
    :raises ValueError: an attachment cannot be read, or has fewer bytes than the element says.
    """
    if attach:
        return _attached(frame, make)
    return _inline(frame) if frame.attached else frame


def is_stream(frame: Frame) -> bool:
    """Return whether a frame is part of a video, which a slow receiver may miss (protocol.md 2.8).

    :param frame: what :func:`~indianyio.protocol._relayable.relayable` returned.
    """
    if frame.tag != SetBLOBVector.tag:
        return False
    return any("stream" in (span.attribute(b"format") or "") for span in blob_spans(frame.data))


def attached_bytes(frame: Frame) -> int:
    """Return how many bytes of BLOBs travel beside a frame.

    :param frame: what :func:`~indianyio.protocol._relayable.relayable` or :func:`blob_form` returned.
    """
    return sum(attached_lengths(frame))


def attached_lengths(frame: Frame) -> list[int]:
    """Return how many bytes each attachment of a frame holds, as the frame says.

    :param frame: what :func:`~indianyio.protocol.relayable` or :func:`blob_form` returned.
    """
    return [span.attached_bytes for span in _attached_spans(frame)] if frame.attached else []


# -- to descriptors --------------------------------------------------------------------------------------------


def _attached(frame: Frame, make: MakeAttachment) -> Frame:
    if frame.tag not in CONTENT_TAGS:
        return frame
    spans = [span for span in blob_spans(frame.data) if span.attached or span.has_text]
    if not frame.attached < len(spans) <= MAX_DESCRIPTORS:
        return frame
    attachments: list[Attachment] = []
    pieces: list[bytes] = []
    there = iter(frame.attachments)
    data, view, position = frame.data, memoryview(frame.data), 0
    with ExitStack() as made:
        for span in spans:
            if span.attached:
                attachments.append(next(there))
                continue
            content = decode_base64(view[span.head_end : span.content_end])
            try:
                attachments.append(_filled(span, content, make, made))
            except OSError:
                return frame
            head = _bare_head(span) + b' len="%d" attached="true">' % len(content)
            pieces += [*_copied(data, position, span.start), head]
            position = span.content_end
        made.pop_all()
    pieces += _copied(data, position, len(data))
    return Frame(frame.tag, b"".join(pieces), tuple(attachments), len(attachments))


def _filled(span: BlobSpan, content: bytes, make: MakeAttachment, made: ExitStack) -> Attachment:
    memory = make(span.attribute(b"name") or "")
    made.callback(memory.close)
    memory.write(content)
    memory.seal()
    return memory


def _bare_head(span: BlobSpan) -> bytes:
    """Return a start tag without its end and without the attributes that tell the form."""
    head = span.data[span.start : span.head_end].rstrip(b" \t\r\n/>")
    return _ATTRIBUTE.sub(lambda found: b"" if found[1] in _OF_THE_FORM else found[0], head)


# -- to base64 -------------------------------------------------------------------------------------------------


def _inline(frame: Frame) -> Frame:
    # Of bytes only, no views: while it joins other objects Python lets no other thread run.
    pieces: list[bytes] = []
    data, position = frame.data, 0
    for span, attachment in zip(_attached_spans(frame), frame.attachments, strict=True):
        pieces += _copied(data, position, span.start)
        pieces += [_bare_head(span), b">", *encode_base64(attachment.read(span.attached_bytes))]
        pieces += [b"</oneBLOB>"] * span.closes_itself
        position = span.content_end
    pieces += _copied(data, position, len(data))
    return Frame(frame.tag, b"".join(pieces))


def _copied(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield what is between two BLOBs; there may be another one in it, which travels as base64."""
    for position in range(start, end, _COPIED_BYTES):
        yield data[position : min(position + _COPIED_BYTES, end)]


def _attached_spans(frame: Frame) -> Iterator[BlobSpan]:
    return (span for span in blob_spans(frame.data) if span.attached)
