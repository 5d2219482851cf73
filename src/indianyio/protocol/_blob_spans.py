"""Where the BLOBs lie in a vector, and what their attributes say about their size, found without parsing XML.

There are two scanners: one is exact, the other is fast.

:func:`blob_elements` finds what an XML parser would see in *any* vector, after a repair if one is needed (see
``_lilxml``). So it ignores comments, CDATA sections and processing instructions. The decoder depends on it: it cuts
out the base64 before parsing, and the parser must then meet exactly as many elements as were cut. The count of
descriptors depends on it too.

:func:`blob_spans` serves the relay, which does not decode. It ends a text at the first ``<``, whatever follows.
That is right in a *plain* vector (see ``_plain``); and whether a vector is plain is checked on what is left when
the contents have been taken out. In any other vector the spans may be wrong in every way but one: a span never
contains a ``<``, so what is left without the spans is still not plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from indianyio._vocabulary import Limits
from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._lilxml import REST_OF_HEAD, attribute

__all__ = [
    "BlobElement",
    "BlobSpan",
    "attached_count",
    "blob_elements",
    "blob_spans",
    "decimal",
    "extended",
    "without_contents",
]

_HEAD = LazyPattern(rb"<oneBLOB(?=[ \t\r\n/>])" + REST_OF_HEAD)
_SPACES = LazyPattern(rb"[ \t\r\n]*+")
_TAG_BYTES = len(b"<oneBLOB")
# More digits than any size has, yet few enough for int() to convert at once.
_DECIMAL = LazyPattern(r"[0-9]{1,18}")

# A quoted value may contain a raw "<", and a tag may contain comments: lilxml reads both.
_REST_OF_ANY_HEAD = rb"""[^<>"']*+(?:(?:"[^"]*+"|'[^']*+'|<[!?][^>]*+>)[^<>"']*+)*+>"""
_MARKUP = LazyPattern(rb"<(?:(!--)|(!\[CDATA\[)|(\?)|oneBLOB(?=[ \t\r\n/>]))")
_MARKUP_BYTES = len(b"<![CDATA[")
_REST = LazyPattern(_REST_OF_ANY_HEAD)
_END_TAG = LazyPattern(rb"</oneBLOB[ \t\r\n>]")
_ENDS = {1: b"-->", 2: b"]]>", 3: b"?>"}

_TAG = LazyPattern(rb"<" + _REST_OF_ANY_HEAD)
# An image has about five tags. Beyond this many, one search through everything is cheaper.
_FEW_TAGS = 100

# How much is searched at a time: a search holds the interpreter's lock, even in a thread.
_WINDOW_BYTES = 256 << 10
# A message with a longer tag, or with more than this beside its base64, is refused in any case.
_LONGEST_TAG_BYTES = 1 << 20
_MOST_MARKUP_BYTES = 2 << 20
_MOST_BLOBS = Limits().members


def decimal(text: str | None) -> int | None:
    """Return a count of bytes, or ``None`` for what is not written as one (protocol.md S29)."""
    return int(text) if text is not None and _DECIMAL.fullmatch(text) else None


def extended(bare: tuple[int, int], position: int, length: int) -> tuple[int, int]:
    """Return a part that is known to contain no ``<``, when another is found; one of them if they do not touch."""
    start, end = bare
    if position == end:
        return start, end + length
    return (position, position + length) if length > end - start else bare


def _next_markup(data: bytes, position: int, bare: tuple[int, int]) -> int:
    """Return the index of the next ``<``, or -1 if there is none; the bare part is not searched again."""
    start, end = bare
    if position < start:
        found = data.find(b"<", position, start)
        if found >= 0:
            return found
    return data.find(b"<", max(position, end))


# -- in any vector ---------------------------------------------------------------------------------------------


class BlobElement(msgspec.Struct, frozen=True):
    """Where a oneBLOB lies.

    :ivar attributes: the index at which its attributes begin.
    :ivar content: the start and end of its text, or ``None`` if it has no text or contains markup.
    """

    attributes: int
    content: tuple[int, int] | None


def blob_elements(data: bytes, most_bytes: int | None = None) -> Iterator[BlobElement]:
    """Yield every oneBLOB that an XML parser would see, in order; those in comments and the like are left out.

    :param data: a BLOB vector, or the part of one that has arrived.
    :param most_bytes: how much to search apart from base64; everything if absent.
    """
    position = 0
    end = len(data) if most_bytes is None else min(most_bytes, len(data))
    while position < end:
        match = _MARKUP.search(data, position, position + _WINDOW_BYTES)
        if match is None:
            position += _WINDOW_BYTES - _MARKUP_BYTES
            continue
        position = match.end()
        if match.lastindex is None:
            rest = _REST.match(data, position, position + _LONGEST_TAG_BYTES)
            if rest is None:
                continue
            content = _content(data, rest.end())
            yield BlobElement(position, content)
            position = rest.end()
            if content:
                end = min(end + content[1] - content[0], len(data))
                position = content[1]
            continue
        position = _found(data, _ENDS[match.lastindex], position, end)


def _found(data: bytes, sought: bytes, position: int, end: int) -> int:
    """Return the first index of ``sought`` from ``position`` on, or ``end`` if it does not occur before that."""
    while position < end:
        index = data.find(sought, position, min(position + _WINDOW_BYTES, end))
        if index >= 0:
            return index
        position += _WINDOW_BYTES - len(sought)
    return end


def _content(data: bytes, head_end: int) -> tuple[int, int] | None:
    """Return the start and end of the text after a start tag, or ``None`` if it has no text or contains markup."""
    if data.endswith(b"/>", 0, head_end):
        return None
    end = data.find(b"<", head_end)
    return (head_end, end) if end >= 0 and _END_TAG.match(data, end) else None


def attached_count(data: bytes, bare: tuple[int, int] = (0, 0)) -> int:
    """Count the oneBLOB elements whose content travels as a descriptor (protocol.md W36).

    :param data: a BLOB vector, or the part of one that has arrived.
    :param bare: where there is known to be no ``<``; see :class:`~indianyio.protocol.Frame`.
    :return: how many descriptors belong to it. The count takes time from the event loop, so it covers only the
        first ten thousand oneBLOB elements, and 2 MiB apart from their base64. A vector with more is refused
        anyway, and a peer that attaches more than 16 BLOBs is disconnected.
    """
    if not _mentions_attached(data, bare):
        return 0
    blobs = islice(blob_elements(data, _MOST_MARKUP_BYTES), _MOST_BLOBS)
    return sum(attribute(data, blob.attributes, b"attached") == "true" for blob in blobs)


def _mentions_attached(data: bytes, bare: tuple[int, int]) -> bool:
    """Return whether a tag may contain the word "attached"; base64 is skipped at the speed of memory."""
    position = 0
    for _ in range(_FEW_TAGS):
        start = _next_markup(data, position, bare)
        if start < 0:
            return False
        tag = _TAG.match(data, start, start + _WINDOW_BYTES)
        if tag is None or b"attached" in tag[0]:
            return True
        position = tag.end()
    return b"attached" in data


# -- in a plain vector -----------------------------------------------------------------------------------------


class BlobSpan(msgspec.Struct, frozen=True):
    """Where one oneBLOB lies.

    :ivar data: the vector's bytes.
    :ivar start: the index of its ``<``.
    :ivar head_end: the index just after its start tag.
    :ivar content_end: the index just after its text, where its end tag begins unless the start tag closes itself.
    """

    data: bytes
    start: int
    head_end: int
    content_end: int

    @property
    def attributes(self) -> int:
        """The index just after the tag's name."""
        return self.start + _TAG_BYTES

    @property
    def closes_itself(self) -> bool:
        """Whether the element consists of its start tag alone."""
        return self.data.endswith(b"/>", self.start, self.head_end)

    @property
    def text_start(self) -> int:
        """The index of the first byte of its text that is not white space, or the text's end if there is none."""
        spaces = _SPACES.match(self.data, self.head_end, self.content_end)
        return spaces.end() if spaces else self.head_end

    @property
    def has_text(self) -> bool:
        """Whether there is more in it than white space."""
        return self.text_start < self.content_end

    @property
    def attached(self) -> bool:
        """Whether the content travels as a descriptor (protocol.md 1.6)."""
        # A message may have thousands of BLOBs, and the search takes a tenth of what reading the attributes does.
        is_mentioned = self.data.find(b"attached", self.start, self.head_end) >= 0
        return is_mentioned and self.attribute(b"attached") == "true"

    @property
    def attached_bytes(self) -> int:
        """How much the descriptor holds for this BLOB (protocol.md W38); 0 if no attribute gives a number."""
        return decimal(self.attribute(b"len")) or decimal(self.attribute(b"size")) or 0

    def attribute(self, name: bytes) -> str | None:
        """Return the value of an attribute, or ``None`` if it is absent."""
        return attribute(self.data, self.attributes, name)


def blob_spans(data: bytes, bare: tuple[int, int] = (0, 0)) -> Iterator[BlobSpan]:
    """Yield every oneBLOB of a plain BLOB vector, in order.

    :param bare: where there is known to be no ``<``; see :class:`~indianyio.protocol.Frame`.
    """
    position = 0
    while head := _HEAD.search(data, position):
        span = BlobSpan(data, head.start(), head.end(), head.end())
        if span.closes_itself:
            position = span.head_end
        else:
            position = _next_markup(data, span.head_end, bare)
            if position < 0:
                return
            span = BlobSpan(data, head.start(), head.end(), position)
        yield span


def without_contents(data: bytes, spans: Iterable[BlobSpan]) -> bytes:
    """Return a BLOB vector with the texts of its BLOBs taken out."""
    view, position = memoryview(data), 0
    kept: list[memoryview] = []
    for span in spans:
        kept.append(view[position : span.head_end])
        position = span.content_end
    kept.append(view[position:])
    return b"".join(kept)
