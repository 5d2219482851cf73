"""The two forms in which a BLOB travels, and how one is converted into the other (protocol.md 1.6 and S32).

A receiver that takes descriptors gets descriptors, even for BLOBs that arrived as base64. Any other receiver gets
one line of base64, even for BLOBs that arrived as descriptors. A conversion changes only the oneBLOB elements
concerned, and of these only the content and the attributes that describe it: ``enclen``, ``len`` and ``attached``.

A conversion works slice by slice and is made once for all receivers, so it never holds more than its result. A
large BLOB is converted in a worker thread, in slices so short that the event loop never has to wait for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Protocol, TypeAlias

from indianyio._vocabulary import MAX_DESCRIPTORS
from indianyio.protocol._blob_spans import BlobSpan, blob_spans
from indianyio.protocol._blobs import Base64Encoder, decoded_slices, slices_of
from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._elements import Attachment
from indianyio.protocol._encoder import joined_parts
from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import CONTENT_TAGS, SetBLOBVector

__all__ = [
    "MakeAttachment",
    "WritableAttachment",
    "attached_bytes",
    "attached_lengths",
    "blob_form",
    "inline_parts",
    "is_stream",
]

_ATTRIBUTE = LazyPattern(rb"""[ \t\r\n]++([A-Za-z0-9_]++)[ \t\r\n]*+=[ \t\r\n]*+(?:"[^"]*+"|'[^']*+')""")
_OF_THE_FORM = frozenset({b"enclen", b"len", b"attached"})

# How much of an attachment is read at a time: it takes about a millisecond and becomes 1 MiB of base64.
_SLICE_BYTES = 768 << 10


class WritableAttachment(Attachment, Protocol):
    """Shared memory that is being filled."""

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append all of ``piece``.

        :raises OSError: no memory is left.
        """

    def seal(self) -> None:
        """Finish the content.

        :raises OSError: the system refuses to seal it.
        """


MakeAttachment: TypeAlias = Callable[[str], WritableAttachment]
"""Makes empty shared memory with a label; raises :class:`OSError` if it cannot."""


def blob_form(frame: Frame, *, attach: bool, make: MakeAttachment) -> Frame:
    """Return a frame in a form that the receiver can read.

    :param frame: what :func:`~indianyio.protocol._relayable.relayable` returned.
    :param attach: whether the receiver takes descriptors. If not, attached BLOBs become inline. If so, inline BLOBs
        become attached. They stay inline, which everybody can read, if there would be more than 16 descriptors, as
        many as libindi takes at a time (protocol.md W37), or if no memory or no descriptor is left.
    :param make: makes the memory into which content is decoded.
    :return: the same frame if it already has that form, otherwise a new one. The caller must close the attachments
        that are new in it; those of ``frame`` keep their owner.
    :raises ValueError: an attachment cannot be read, or has fewer bytes than its element says.
    """
    if attach:
        return _attached(frame, make)
    return Frame(frame.tag, b"".join(inline_parts(frame))) if frame.attached else frame


def inline_parts(frame: Frame) -> list[bytes]:
    """Return the bytes of a frame with its attached BLOBs made inline, in parts of about 1 MiB.

    :param frame: what :func:`~indianyio.protocol._relayable.relayable` returned; its attachments keep their owner.
    :raises ValueError: an attachment cannot be read, or has fewer bytes than its element says.
    """
    return joined_parts(_inline(frame))


def is_stream(frame: Frame) -> bool:
    """Return whether a frame is part of a video, which a slow receiver may miss (protocol.md 2.8).

    :param frame: what :func:`~indianyio.protocol._relayable.relayable` returned.
    """
    if frame.tag != SetBLOBVector.tag:
        return False
    return any("stream" in (span.attribute(b"format") or "") for span in blob_spans(frame.data, frame.bare))


def attached_bytes(frame: Frame) -> int:
    """Return how many bytes of BLOBs travel beside a frame.

    :param frame: what :func:`~indianyio.protocol._relayable.relayable` or :func:`blob_form` returned.
    """
    return sum(attached_lengths(frame))


def attached_lengths(frame: Frame) -> list[int]:
    """Return how many bytes each attachment of a frame holds, according to the frame.

    :param frame: what :func:`~indianyio.protocol.relayable` or :func:`blob_form` returned.
    """
    return [span.attached_bytes for span in _attached_spans(frame)] if frame.attached else []


# -- to descriptors --------------------------------------------------------------------------------------------


def _attached(frame: Frame, make: MakeAttachment) -> Frame:
    if frame.tag not in CONTENT_TAGS:
        return frame
    spans = [span for span in blob_spans(frame.data, frame.bare) if span.attached or span.has_text]
    if not frame.attached < len(spans) <= MAX_DESCRIPTORS:
        return frame
    attachments: list[Attachment] = []
    pieces: list[memoryview | bytes] = []
    there = iter(frame.attachments)
    view, position = memoryview(frame.data), 0
    with ExitStack() as made:
        for span in spans:
            if span.attached:
                attachments.append(next(there))
                continue
            try:
                memory, length = _filled(span, view[span.head_end : span.content_end], make, made)
            except OSError:
                return frame
            attachments.append(memory)
            head = _bare_head(span) + b' len="%d" attached="true">' % length
            pieces += [view[position : span.start], head]
            position = span.content_end
        made.pop_all()
    pieces.append(view[position:])
    return Frame(frame.tag, b"".join(pieces), tuple(attachments), len(attachments))


def _filled(span: BlobSpan, base64: memoryview, make: MakeAttachment, made: ExitStack) -> tuple[Attachment, int]:
    """Return memory with a BLOB's content, and the content's length."""
    memory, length = make(span.attribute(b"name") or ""), 0
    made.callback(memory.close)
    for content in decoded_slices(base64):
        memory.write(content)
        length += len(content)
    memory.seal()
    return memory, length


def _bare_head(span: BlobSpan) -> bytes:
    """Return a start tag without its end and without the attributes that describe the form."""
    head = span.data[span.start : span.head_end].rstrip(b" \t\r\n/>")
    return _ATTRIBUTE.sub(lambda found: b"" if found[1] in _OF_THE_FORM else found[0], head)


# -- to base64 -------------------------------------------------------------------------------------------------


def _inline(frame: Frame) -> Iterator[bytes]:
    position = 0
    for span, attachment in zip(_attached_spans(frame), frame.attachments, strict=True):
        yield frame.data[position : span.start] + _bare_head(span) + b">"
        encoder = Base64Encoder()
        yield from map(encoder.feed, slices_of(attachment, span.attached_bytes, _SLICE_BYTES))
        yield encoder.finish()
        if span.closes_itself:
            yield b"</oneBLOB>"
        position = span.content_end
    yield frame.data[position:]


def _attached_spans(frame: Frame) -> Iterator[BlobSpan]:
    return (span for span in blob_spans(frame.data) if span.attached)
