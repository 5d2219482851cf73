"""Where the BLOBs lie in a vector: a scan that costs next to nothing, whatever their size.

It serves what is relayed, where the base64 of an image is not to be looked at by a pattern. In a plain message (see
``_plain``) a text ends at the first ``<``, and that is found at the speed of memory. In any other message the spans
may be wrong in any way but one: a span never contains a ``<``, so what is left without them is still not plain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from indianyio.protocol._heads import REST_OF_HEAD, attribute

__all__ = ["BlobSpan", "blob_spans", "decimal", "without_contents"]

_HEAD = re.compile(rb"<oneBLOB(?=[ \t\r\n/>])" + REST_OF_HEAD)
_SPACES = re.compile(rb"[ \t\r\n]*+")
_TAG_BYTES = len(b"<oneBLOB")
# More digits than any size has, and fewer than int() minds.
_DECIMAL = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class BlobSpan:
    """Where one oneBLOB lies.

    :ivar data: the vector's bytes.
    :ivar start: the index of its ``<``.
    :ivar head_end: the index behind its start tag.
    :ivar content_end: the index behind its text, which is that of the end tag unless the start tag closes itself.
    """

    data: bytes
    start: int
    head_end: int
    content_end: int

    @property
    def attributes(self) -> int:
        """The index behind the tag's name."""
        return self.start + _TAG_BYTES

    @property
    def closes_itself(self) -> bool:
        """Whether the start tag is all there is of the element."""
        return self.data.endswith(b"/>", self.start, self.head_end)

    @property
    def text_start(self) -> int:
        """The index of the first byte of its text that is no white space, or the text's end if there is none."""
        spaces = _SPACES.match(self.data, self.head_end, self.content_end)
        return spaces.end() if spaces else self.head_end

    @property
    def has_text(self) -> bool:
        """Whether there is more in it than white space."""
        return self.text_start < self.content_end

    @property
    def attached(self) -> bool:
        """Whether the content travels as a descriptor (protocol.md 1.6)."""
        return self.attribute(b"attached") == "true"

    @property
    def attached_bytes(self) -> int:
        """How much the descriptor holds for this BLOB (protocol.md W38); 0 where no number says."""
        return decimal(self.attribute(b"len")) or decimal(self.attribute(b"size")) or 0

    def attribute(self, name: bytes) -> str | None:
        """Return an attribute, or ``None`` if it is not there."""
        return attribute(self.data, self.attributes, name)


def blob_spans(data: bytes) -> Iterator[BlobSpan]:
    """Yield every oneBLOB of a plain BLOB vector, in order."""
    position = 0
    while head := _HEAD.search(data, position):
        span = BlobSpan(data, head.start(), head.end(), head.end())
        if span.closes_itself:
            position = span.head_end
        else:
            position = data.find(b"<", span.head_end)
            if position < 0:
                return
            span = BlobSpan(data, head.start(), head.end(), position)
        yield span


def without_contents(data: bytes, spans: Iterable[BlobSpan]) -> bytes:
    """Return what is left of a BLOB vector when the texts of its BLOBs are taken out."""
    view, position = memoryview(data), 0
    kept: list[memoryview] = []
    for span in spans:
        kept.append(view[position : span.head_end])
        position = span.content_end
    kept.append(view[position:])
    return b"".join(kept)


def decimal(text: str | None) -> int | None:
    """Return a count of bytes, or ``None`` for what is not written as one (protocol.md S29)."""
    return int(text) if text is not None and _DECIMAL.fullmatch(text) else None
