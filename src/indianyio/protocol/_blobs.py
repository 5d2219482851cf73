"""BLOBs: where they lie in a vector, what their attributes say of their size, and their content (protocol.md 1.5).

There are two scanners for BLOB vectors, because one is exact and the other fast.

:func:`blob_elements` finds what an XML parser would see in *any* vector, once that is repaired if need be (see
``_lilxml``); so not what stands in a comment, a CDATA section or a processing instruction. The decoder depends on
it: it cuts out base64 before it parses, and the parser must then meet as many elements as were cut. So does the
count of descriptors. A pattern looks at each byte of the base64, at more than 1 GB/s; what is decoded is looked
at anyway.

:func:`blob_spans` serves the relay, which does not decode: a text ends at the first ``<``, which ``bytes.find``
looks for more than ten times as fast. That is right in a *plain* vector (see ``_plain``), and all but the contents
is proved to be plain when they are taken out. In any other vector the spans may be wrong in any way but one: a span
never contains a ``<``, so what is left without them is still not plain.

An image is tens of megabytes, so nothing here holds its content more often than it must, and all of it proceeds
slice by slice. Encoding returns the slices, never their sum. Decoding first takes the text for what most programs
send, base64 without a line break, which needs no copy; only where that fails is white space taken out and padding
put on.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO

import msgspec
import pybase64

from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._lilxml import REST_OF_HEAD, attribute

__all__ = [
    "Base64Encoder",
    "BlobElement",
    "BlobSpan",
    "attached_count",
    "blob_elements",
    "blob_spans",
    "decimal",
    "decode_base64",
    "encode_base64",
    "inflate",
    "without_contents",
]

_HEAD = LazyPattern(rb"<oneBLOB(?=[ \t\r\n/>])" + REST_OF_HEAD)
_SPACES = LazyPattern(rb"[ \t\r\n]*+")
_TAG_BYTES = len(b"<oneBLOB")
# More digits than any size has, and fewer than int() minds.
_DECIMAL = LazyPattern(r"[0-9]{1,18}")

# What is between the quotes may have a raw "<", and there may be comments: lilxml reads it.
_REST_OF_ANY_HEAD = rb"""[^<>"']*+(?:(?:"[^"]*+"|'[^']*+'|<[!?][^>]*+>)[^<>"']*+)*+>"""
_MARKUP = LazyPattern(
    rb"<(?:(!--)|(!\[CDATA\[)|(\?)|(?P<blob>oneBLOB)(?=[ \t\r\n/>])"
    + _REST_OF_ANY_HEAD
    + rb"(?:(?<!/>)(?P<content>[^<]*+)(?=</oneBLOB[ \t\r\n>]))?)"
)
_ENDS = {1: b"-->", 2: b"]]>", 3: b"?>"}

_TAG = LazyPattern(rb"<" + _REST_OF_ANY_HEAD)
# An image has five or so. Of more than this, one search through everything is cheaper.
_FEW_TAGS = 100


def decimal(text: str | None) -> int | None:
    """Return a count of bytes, or ``None`` for what is not written as one (protocol.md S29)."""
    return int(text) if text is not None and _DECIMAL.fullmatch(text) else None


# -- in any vector ---------------------------------------------------------------------------------------------


class BlobElement(msgspec.Struct, frozen=True):
    """Where a oneBLOB lies.

    :ivar attributes: where its attributes begin.
    :ivar content: from where to where its text goes, or ``None`` if it has none or markup inside.
    """

    attributes: int
    content: tuple[int, int] | None


def blob_elements(data: bytes) -> Iterator[BlobElement]:
    """Yield every oneBLOB that an XML parser would see, in order, so not those in comments and the like.

    :param data: a BLOB vector, or what is there of one.
    """
    position = 0
    while match := _MARKUP.search(data, position):
        position = match.end()
        if match["blob"] is not None:
            yield BlobElement(match.end("blob"), None if match["content"] is None else match.span("content"))
            continue
        ending = _ENDS[match.lastindex or 0]
        position = data.find(ending, position)
        if position < 0:
            return


def attached_count(data: bytes) -> int:
    """Count the oneBLOB elements whose content travels as a descriptor (protocol.md W36).

    :param data: a BLOB vector, or what is there of one.
    :return: how many descriptors belong to it.
    """
    if not _mentions_attached(data):
        return 0
    return sum(attribute(data, blob.attributes, b"attached") == "true" for blob in blob_elements(data))


def _mentions_attached(data: bytes) -> bool:
    """Return whether the word is in any tag; base64 is skipped at the speed of memory."""
    position = 0
    for _ in range(_FEW_TAGS):
        start = data.find(b"<", position)
        if start < 0:
            return False
        tag = _TAG.match(data, start)
        position = tag.end() if tag else start + 1
        if tag is None or b"attached" in tag[0]:
            break
    return b"attached" in data


# -- in a plain vector -----------------------------------------------------------------------------------------


class BlobSpan(msgspec.Struct, frozen=True):
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


# -- content ---------------------------------------------------------------------------------------------------

_LINE = 72
"""Characters of base64 in a line, the only length libindi writes and counts on (protocol.md W32)."""

# Bytes encoded at a time: about 1 MiB of base64, and a whole number of lines of 54 bytes each.
_LINE_BYTES = _LINE // 4 * 3
_SLICE_BYTES = (1 << 20) // _LINE * _LINE_BYTES
_TEXT_SLICE_BYTES = _SLICE_BYTES // 3 * 4

# Compressed bytes taken at a time, and inflated bytes made of them at a time.
_COMPRESSED_BYTES = 64 << 10
_INFLATED_BYTES = 256 << 10

_WHITE_SPACE = b" \t\n\r\v\f"
_NOT_BASE64 = LazyPattern(rb"[^A-Za-z0-9+/= \t\n\r\v\f]")


def encode_base64(data: bytes | bytearray | memoryview, *, wrap: bool = False) -> list[bytes]:
    """Encode BLOB content.

    :param data: the bytes; a memoryview may have any format and layout, and is taken in C order.
    :param wrap: put a newline after every 72 characters and at the end.
    :return: slices of about 1 MiB, to be sent one after the other; none for no data.
    """
    view = _flat(data)
    slices = (view[start : start + _SLICE_BYTES] for start in range(0, len(view), _SLICE_BYTES))
    return [_wrapped(part) if wrap else pybase64.b64encode(part) for part in slices]


def _wrapped(data: memoryview) -> bytes:
    text = pybase64.b64encode(data)
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return b"\n".join([*lines, b""])


def _flat(data: bytes | bytearray | memoryview) -> memoryview:
    view = memoryview(data)
    if not view.c_contiguous:
        return memoryview(view.tobytes())
    if view.format == "B" and view.ndim == 1:
        return view
    # memoryview.cast() refuses big-endian numbers, which FITS images are made of, and empty arrays.
    from pickle import PickleBuffer

    return PickleBuffer(view).raw()


def decode_base64(text: bytes | memoryview) -> bytes:
    """Decode BLOB content, wrapped or not.

    Goes slice by slice, so that a worker thread that decodes an image lets the event loop have its turn in between.

    :param text: base64 with ASCII white space anywhere and with or without its padding.
    :raises ValueError: it is anything else; the error tells what, and where.
    """
    view, content = _flat(text), BytesIO()
    for start in range(0, len(view), _TEXT_SLICE_BYTES):
        piece = view[start : start + _TEXT_SLICE_BYTES]
        decoded = _decoded(piece)
        # Where a slice has less than that in it there was padding, behind which nothing may come.
        is_last = start + len(piece) == len(view)
        if not decoded or (len(decoded) < _SLICE_BYTES and not is_last):
            return _decode_loose(view, start, content)
        content.write(decoded)
    return content.getvalue()  # no copy, as nobody else has the buffer


def _decoded(digits: memoryview | bytes) -> bytes:
    """Return what unbroken base64 stands for, or nothing if it is no such."""
    try:
        return pybase64.b64decode(digits, validate=True)
    except binascii.Error:
        return b""


def _decode_loose(view: memoryview, start: int, content: BytesIO) -> bytes:
    """Decode what has white space in it, or lacks its padding.

    :param start: where to go on.
    :param content: what the text before that stands for.
    """
    rest, padded = b"", False
    for position in range(start, len(view), _TEXT_SLICE_BYTES):
        piece = bytes(view[position : position + _TEXT_SLICE_BYTES])
        digits = rest + piece.translate(None, _WHITE_SPACE)
        whole = len(digits) // 4 * 4
        rest, decoded = digits[whole:], _decoded(digits[:whole])
        if whole and (padded or not decoded):
            raise ValueError(_fault(view))
        padded = len(decoded) < whole // 4 * 3
        content.write(decoded)
    if rest:
        last = _decoded(rest + b"=" * (-len(rest) % 4))
        if padded or not last:
            raise ValueError(_fault(view))
        content.write(last)
    return content.getvalue()


def _fault(view: memoryview) -> str:
    """Return what is wrong with text that is not base64."""
    count, padding = 0, -1
    for position in range(0, len(view), _TEXT_SLICE_BYTES):
        piece = bytes(view[position : position + _TEXT_SLICE_BYTES])
        found = _NOT_BASE64.search(piece)
        if found is not None:
            return f"base64 has the byte 0x{found[0][0]:02X} at offset {position + found.start()}"
        digits = piece.translate(None, _WHITE_SPACE)
        if padding < 0 <= digits.find(b"="):
            padding = count + digits.find(b"=")
        count += len(digits)
    if padding >= 0:
        return f"base64 has misplaced padding after {padding} of {count} characters"
    return f"base64 ends after {count} characters, in the middle of a byte"


def inflate(data: bytes, size: int, limit_bytes: int) -> bytes:
    """Inflate the content of a BLOB whose format ends in ``.z``.

    Memory grows with what the stream really holds, up to an eighth and 1 MiB more than ``size``; most of the eighth
    is never touched. Bytes after the end of the stream are ignored: indiserver appends some to compressed BLOBs
    that came to it as descriptors (protocol.md W41).

    :param data: the zlib stream.
    :param size: how many bytes it must inflate to.
    :param limit_bytes: how many bytes it may inflate to.
    :raises ValueError: ``size`` is negative or beyond the limit, or this is no zlib stream of just that many bytes.
    """
    if not 0 <= size <= limit_bytes:
        raise ValueError(f"a BLOB of {size} bytes cannot be inflated; at most {limit_bytes} are allowed")
    inflater, content = zlib.decompressobj(), BytesIO()
    try:
        for start in range(0, len(data), _COMPRESSED_BYTES):
            for part in _inflated(inflater, data[start : start + _COMPRESSED_BYTES]):
                if content.tell() + len(part) > size:
                    raise ValueError(f"a compressed BLOB holds more than the {size} bytes it announced")
                content.write(part)
            if inflater.eof:
                break
    except zlib.error as error:
        raise ValueError(f"a compressed BLOB is damaged: {error}") from None
    if not inflater.eof or content.tell() < size:
        raise ValueError(f"a compressed BLOB ends after {content.tell()} of {size} bytes")
    return content.getvalue()


def _inflated(inflater: zlib._Decompress, compressed: bytes) -> Iterator[bytes]:
    # A part as long as allowed may have more behind it in the inflater, even if nothing compressed is left over.
    part = inflater.decompress(compressed, _INFLATED_BYTES)
    while len(part) == _INFLATED_BYTES:
        yield part
        part = inflater.decompress(inflater.unconsumed_tail, _INFLATED_BYTES)
    yield part


class Base64Encoder:
    """Encode content that arrives in pieces, such as a file that is read slice by slice.

    The results joined are the unwrapped base64 of the pieces joined.
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        # What is left of the pieces so far: base64 takes three bytes at a time.
        self._rest = b""

    def feed(self, piece: bytes | bytearray | memoryview) -> bytes:
        """Take the next piece and return as much base64 as can be told by now.

        :param piece: of any length, and may be changed once this has returned.
        """
        view = _flat(piece)
        if self._rest:
            view = memoryview(self._rest + view)
        whole = len(view) // 3 * 3
        self._rest = bytes(view[whole:])
        return pybase64.b64encode(view[:whole])

    def finish(self) -> bytes:
        """Return the last, padded base64; the encoder is then as new."""
        rest, self._rest = self._rest, b""
        return pybase64.b64encode(rest)
