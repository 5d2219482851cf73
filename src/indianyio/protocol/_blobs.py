"""The content of BLOBs: base64, the zlib stream of the ``.z`` formats (protocol.md 1.5), and shared attachments.

An image has tens of megabytes, so nothing here copies it more often than necessary. Encoding works slice by slice
and returns the slices without joining them. Decoding first assumes what most programs send, base64 without line
breaks, which needs no copy. Only if that fails does it take out white space and add the missing padding.

Slices matter for another reason as well. Large BLOBs are processed in a worker thread, but a single call of
Python's own that searches, copies or translates the whole text holds the interpreter's lock until it is done.
Taking the line ends out of 100 MB would stop the event loop for 200 ms. Only pybase64 releases the lock.

Content that came with a descriptor is not copied either: its receivers have one attachment in common, which is
closed when the last of them has released it.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator
from copy import copy
from io import BytesIO
from typing import Protocol, runtime_checkable

import msgspec
import pybase64

from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._elements import Attachment

__all__ = [
    "Base64Encoder",
    "SharedAttachment",
    "decode_base64",
    "decoded_slices",
    "encode_base64",
    "inflate",
    "slices_of",
]

_LINE = 72
"""Characters of base64 in a line: the only length that libindi writes and expects (protocol.md W32)."""

# How many bytes are encoded at a time: about 1 MiB of base64, and a whole number of lines of 54 bytes each.
_LINE_BYTES = _LINE // 4 * 3
_SLICE_BYTES = (1 << 20) // _LINE * _LINE_BYTES

# How much base64 with white space in it is decoded at a time: other threads wait that long, about 0.3 ms.
_TEXT_BYTES = 128 << 10

# How many compressed bytes are taken at a time, and how many inflated bytes are made of them at a time.
_COMPRESSED_BYTES = 64 << 10
_INFLATED_BYTES = 256 << 10

_WHITE_SPACE = b" \t\n\r\v\f"
_NOT_BASE64 = LazyPattern(rb"[^A-Za-z0-9+/= \t\n\r\v\f]")


def encode_base64(data: bytes | bytearray | memoryview, *, wrap: bool = False) -> list[bytes]:
    """Encode BLOB content.

    :param data: the bytes; a memoryview may have any format and layout, and is read in C order.
    :param wrap: put a newline after every 72 characters and at the end.
    :return: slices of about 1 MiB, to be sent one after the other; no slices if there is no data.
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
    # memoryview.cast() refuses empty arrays, and the big-endian numbers of which FITS images are made.
    from pickle import PickleBuffer

    return PickleBuffer(view).raw()


def decode_base64(text: bytes | memoryview) -> bytes:
    """Decode BLOB content, wrapped or not.

    :param text: base64 with ASCII white space anywhere and with or without its padding.
    :raises ValueError: it is anything else; the error says what is wrong, and where.
    """
    flat = text if isinstance(text, bytes) else _flat(text)
    try:
        return pybase64.b64decode(flat, validate=True)
    except binascii.Error:
        return b"".join(decoded_slices(flat))


def decoded_slices(text: bytes | memoryview) -> Iterator[bytes]:
    """Decode BLOB content as :func:`decode_base64` does, and yield it slice by slice.

    :raises ValueError: as :func:`decode_base64` does, perhaps after some slices.
    """
    view = _flat(text)
    rest, is_padded = b"", False
    try:
        for start in range(0, len(view), _TEXT_BYTES):
            digits = rest + bytes(view[start : start + _TEXT_BYTES]).translate(None, _WHITE_SPACE)
            whole = len(digits) // 4 * 4
            rest = digits[whole:]
            if not whole:
                continue
            if is_padded:  # more digits after the padding that ended the previous slice
                raise binascii.Error
            yield pybase64.b64decode(memoryview(digits)[:whole], validate=True)
            is_padded = digits.endswith(b"=", 0, whole)
        if rest:
            if is_padded:
                raise binascii.Error
            yield pybase64.b64decode(rest + b"=" * (-len(rest) % 4), validate=True)
    except binascii.Error:
        raise ValueError(_fault(view)) from None


def _fault(text: memoryview) -> str:
    """Return what is wrong with base64 that could not be decoded."""
    characters, padding = 0, -1
    for start in range(0, len(text), _TEXT_BYTES):
        piece = bytes(text[start : start + _TEXT_BYTES])
        found = _NOT_BASE64.search(piece)
        if found is not None:
            return f"base64 has the byte 0x{found[0][0]:02X} at offset {start + found.start()}"
        digits = piece.translate(None, _WHITE_SPACE)
        if padding < 0 <= (index := digits.find(b"=")):
            padding = characters + index
        characters += len(digits)
    if padding >= 0:
        return f"base64 has misplaced padding after {padding} of {characters} characters"
    return f"base64 ends after {characters} characters, in the middle of a byte"


def inflate(data: bytes, size: int, limit_bytes: int) -> bytes:
    """Inflate the content of a BLOB whose format ends in ``.z``.

    Memory grows with what the stream really holds, to at most ``size`` plus an eighth and 1 MiB, and most of that
    eighth is never touched. Bytes after the end of the stream are ignored: indiserver appends some to compressed
    BLOBs that it received as descriptors (protocol.md W41).

    :param data: the zlib stream.
    :param size: how many bytes it must inflate to.
    :param limit_bytes: how many bytes it may inflate to.
    :raises ValueError: ``size`` is negative or above the limit, or ``data`` is not a zlib stream of exactly
        ``size`` bytes.
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
    # After a part of the full length the inflater may hold more, even if no compressed bytes are left.
    part = inflater.decompress(compressed, _INFLATED_BYTES)
    while len(part) == _INFLATED_BYTES:
        yield part
        part = inflater.decompress(inflater.unconsumed_tail, _INFLATED_BYTES)
    yield part


class Base64Encoder:
    """Encode content that arrives in pieces, such as a file that is read slice by slice.

    Joined together, the results are the unwrapped base64 of all the pieces.
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        # The bytes that have not been encoded yet: base64 takes three at a time.
        self._rest = b""

    def feed(self, piece: bytes | bytearray | memoryview) -> bytes:
        """Take the next piece and return as much base64 as is known by now.

        :param piece: of any length; the caller may change it once this has returned.
        """
        view = _flat(piece)
        if self._rest:
            view = memoryview(self._rest + view)
        whole = len(view) // 3 * 3
        self._rest = bytes(view[whole:])
        return pybase64.b64encode(view[:whole])

    def finish(self) -> bytes:
        """Return the last base64, with its padding; afterwards the encoder is as good as new."""
        rest, self._rest = self._rest, b""
        return pybase64.b64encode(rest)


# -- one descriptor, many receivers ----------------------------------------------------------------------------


@runtime_checkable
class _SlicedAttachment(Protocol):
    """An attachment that can be read in slices."""

    def slices(self, length: int, slice_bytes: int) -> Iterator[bytes]:
        """Yield the first ``length`` bytes, at most ``slice_bytes`` at a time."""


def slices_of(attachment: Attachment, length: int, slice_bytes: int) -> Iterator[bytes]:
    """Yield the first ``length`` bytes of an attachment, in slices if it can be read that way.

    :raises ValueError: there are fewer; perhaps after some slices.
    """
    if isinstance(attachment, _SlicedAttachment):
        return attachment.slices(length, slice_bytes)
    return iter((attachment.read(length),))


class _Common(msgspec.Struct):
    attachment: Attachment
    holders: int = 1


class SharedAttachment:
    """One holder's share of an attachment; itself an :class:`Attachment`.

    A holder may close its share at any time, which closes nothing else. A share that is lost without being closed
    keeps the attachment open as long as there is a reference to the share, and no longer. All holders must be in
    one thread.

    :param attachment: what is shared; from now on it belongs to the holders.
    """

    __slots__ = ("_common",)

    def __init__(self, attachment: Attachment) -> None:
        self._common: _Common | None = _Common(attachment)

    @property
    def attachment(self) -> Attachment:
        """What is shared.

        :raises ValueError: this holder is closed.
        """
        return self._open().attachment

    def share(self) -> SharedAttachment:
        """Return another share of the same attachment.

        :raises ValueError: this one is closed.
        """
        self._open().holders += 1
        return copy(self)

    def read(self, length: int) -> bytes:
        """Return the first ``length`` bytes.

        :raises ValueError: there are fewer, or this holder is closed.
        """
        return self._open().attachment.read(length)

    def slices(self, length: int, slice_bytes: int) -> Iterator[bytes]:
        """Yield the first ``length`` bytes, at most ``slice_bytes`` at a time if the attachment can do that.

        :raises ValueError: there are fewer, or this holder is closed.
        """
        return slices_of(self._open().attachment, length, slice_bytes)

    def close(self) -> None:
        """Release this share; closing twice does nothing."""
        common, self._common = self._common, None
        if common is None:
            return
        common.holders -= 1
        if not common.holders:
            common.attachment.close()

    def _open(self) -> _Common:
        if self._common is None:
            raise ValueError("the attachment is closed")
        return self._common
