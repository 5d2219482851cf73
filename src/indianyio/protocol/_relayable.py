"""What may be forwarded, and in which bytes.

What one peer sends becomes part of the streams of many others, and each of their readers has traps of its own. So a
frame is forwarded unchanged only if it is plain (see ``_plain``), has what libindi's programs cannot do without,
and has BLOBs that are safe for readers which trust their attributes. Anything else is decoded and rewritten, or is
unusable. Either way this affects one message, never the link.

The pattern does not look at base64. Decoding it slice by slice proves that it is sound, and that is the fastest way
to look at it. Its lines, if any, must all have one length: a line break that does not fall between groups of four
characters damages the content for libindi's clients (protocol.md W30), and an ``enclen`` that does not fit hangs
them (W32).

One thing cannot be mended: a text that begins with ``&`` or ``<`` is escaped as XML demands, and libindi's readers
show its first entity undecoded (W9).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pybase64
from msgspec.structs import replace

from indianyio._vocabulary import PROTOCOL_VERSION, Limits
from indianyio.exceptions import LocalProtocolError
from indianyio.protocol._blob_spans import BlobSpan, blob_spans, decimal, without_contents
from indianyio.protocol._decoder import decode
from indianyio.protocol._elements import OneBLOB, WireMessage
from indianyio.protocol._encoder import encode_parts
from indianyio.protocol._frames import Frame, Head, Unusable, element_of
from indianyio.protocol._lilxml import attribute
from indianyio.protocol._messages import CONTENT_TAGS, GetProperties, NewBLOBVector, SetBLOBVector
from indianyio.protocol._plain import is_plain, is_plain_in_any_order, is_plain_in_order

__all__ = [
    "SURELY_SENDABLE_BYTES",
    "is_relayable_as_it_is",
    "relayable",
    "require_encoded_size",
    "require_size",
]

_BLANKS = " \t\r\n"
# Enough for the end of a line and the indent of an end tag. A BLOB with more white space than this is rewritten.
_TAIL_BYTES = 64
_SLICE_BYTES = 1 << 20
# Wrapped base64 is taken in smaller slices: taking out its line ends makes all other threads wait.
_LINES_BYTES = 128 << 10
# The reason may contain names, which may be as long as a start tag.
_REASON_CHARACTERS = 200
_PADDING, _NEWLINE = ord("="), ord("\n")
# libindi's readers expect a line break after this many characters of base64 (protocol.md W32).
_LINE = 72

SURELY_SENDABLE_BYTES = Limits().attributes_bytes
"""A message no longer than this cannot have too long a start tag or too many members: each takes some bytes."""


def relayable(frame: Frame, limits: Limits = Limits()) -> Frame | Unusable:  # noqa: B008 - frozen
    """Return a frame that any peer may be given, with the same meaning.

    A message needs what its class requires: def*, set* and new* a ``device`` and a ``name``, delProperty a
    ``device``; and each oneBLOB needs a ``size`` that is a count of bytes (protocol.md S29, S31). A getProperties
    with a version that would make libindi's drivers exit is given ours (S20). What is rewritten loses unknown
    attributes and children, members without a name, and BLOB content that contradicts its size.

    :param frame: as it was received, with the attachments that belong to it.
    :param limits: how long a message may be, the same as when it was received. What is rewritten, and what its
        attachments hold, keeps to them as well.
    :return: the same frame, or a new one. Attachments that the new frame does not have are closed. If the result is
        :class:`Unusable`, the frame still owns them, and whoever drops the frame closes them.
    :raises RemoteProtocolError: the peer exceeds ``limits.depth`` or ``limits.members`` and must be disconnected.
        Nothing else is raised, whatever the bytes.
    """
    is_safe = _is_safe(frame, limits) if frame.safe is None else frame.safe
    return frame if is_safe else _written_anew(frame, limits)


def is_relayable_as_it_is(frame: Frame, limits: Limits = Limits()) -> bool:  # noqa: B008 - frozen
    """Return whether :func:`relayable` would return the same frame; the frame remembers the answer.

    This takes milliseconds, while rewriting may take a second for each megabyte.

    :param frame: as it was received, with the attachments that belong to it.
    :param limits: those that :func:`relayable` will be called with.
    """
    if frame.safe is None:
        frame.safe = _is_safe(frame, limits)
    return frame.safe


# -- as it is --------------------------------------------------------------------------------------------------


def _is_safe(frame: Frame, limits: Limits) -> bool:
    if frame.tag in CONTENT_TAGS:
        return _is_safe_blob_vector(frame, limits)
    if frame.plain is None:
        frame.plain = is_plain_in_order(frame.tag, frame.data, limits.members)
    if not (frame.plain or is_plain_in_any_order(frame.tag, frame.data, limits.members)):
        return False
    return frame.tag != GetProperties.tag or _is_harmless_version(
        attribute(frame.data, len("<getProperties"), b"version")
    )


def _is_harmless_version(version: str | None) -> bool:
    """Return whether no driver minds: libindi's exit if it is not a number, or higher than their own version."""
    return version is not None and re.fullmatch(r"0\.[0-9]|1\.[0-7]|[01]", version) is not None


def _is_safe_blob_vector(frame: Frame, limits: Limits) -> bool:
    spans = list(islice(blob_spans(frame.data, frame.bare), limits.members + 1))
    # Before anything is copied, because a copy makes all other threads wait.
    if len(spans) > limits.members or _markup_bytes(frame.data, spans) > limits.message_bytes:
        return False
    rest = without_contents(frame.data, spans)
    if not is_plain(frame.tag, rest, limits.members):
        return False
    attached = [span for span in spans if span.attached]
    if not len(attached) == frame.attached == len(frame.attachments):
        return False
    return _attached_bytes(attached) <= limits.blob_bytes and all(map(_is_sound, spans))


def _markup_bytes(data: bytes, spans: list[BlobSpan]) -> int:
    return len(data) - sum(span.content_end - span.head_end for span in spans)


def _attached_bytes(spans: list[BlobSpan]) -> int:
    return sum(span.attached_bytes for span in spans)


def _is_sound(span: BlobSpan) -> bool:
    """Return whether the attributes of a BLOB are true, as far as readers depend on them."""
    size, length = decimal(span.attribute(b"size")), span.attribute(b"len")
    if not span.attribute(b"name"):
        return False  # the C++ client crashes on a BLOB that it does not know (protocol.md W34)
    if span.attached:
        return bool(size) and not span.has_text and (length is None or bool(decimal(length)))
    if not span.has_text:
        # Readers skip a BLOB of size 0; an empty one of any other size crashes the C++ client (protocol.md W34).
        return size == 0 and span.attribute(b"enclen") in {None, "0"}
    start = span.text_start
    digits = _count_digits(span.data, start, _text_end(span, start))
    return bool(size) and digits > 0 and _is_true_enclen(span, digits, span.content_end - start)


def _text_end(span: BlobSpan, start: int) -> int:
    """Return the index just after the last byte of a BLOB's text that is not white space."""
    tail = span.data[max(start, span.content_end - _TAIL_BYTES) : span.content_end]
    return span.content_end - len(tail) + len(tail.rstrip(b" \t\r\n"))


def _is_true_enclen(span: BlobSpan, digits: int, text_bytes: int) -> bool:
    """Return whether a reader that skips as much as ``enclen`` announces gets exactly the whole BLOB (W32, W35)."""
    enclen = span.attribute(b"enclen")
    return enclen is None or (decimal(enclen) == digits and digits + digits // _LINE + 1 <= text_bytes)


def _count_digits(data: bytes, start: int, end: int) -> int:
    """Return how many base64 characters these are, with padding; 0 if some reader would not accept them."""
    newline = data.find(b"\n", start, end)
    text = memoryview(data)[start:end]
    if newline < 0:
        return len(text) if _are_base64(_slices(text, _SLICE_BYTES)) else 0
    width = newline - start
    lines = _lines(text, width) if width < _LINES_BYTES else _long_lines(text, width)
    is_sound = width % 4 == 0 and _are_base64(lines)
    return len(text) - len(text) // (width + 1) if is_sound else 0


def _slices(text: memoryview, length: int) -> Iterator[memoryview]:
    return (text[position : position + length] for position in range(0, len(text), length))


def _lines(text: memoryview, width: int) -> Iterator[bytearray]:
    """Yield lines of one width, many at a time, as base64 without line ends, for checking only.

    A line end is replaced by a digit, which takes half the time that taking it out does, unless the groups of four
    characters would not stay whole.

    :raises binascii.Error: a line has another length, and is not the last.
    """
    step = width + 1
    count = max(1, _LINES_BYTES // step // 4 * 4)
    ends, digits = b"\n" * count, b"A" * count
    for piece in _slices(text, count * step):
        lines = bytearray(piece)
        found = lines[width::step]
        if not ends.startswith(found):
            raise binascii.Error
        if len(found) % 4:
            del lines[width::step]
        else:
            lines[width::step] = digits[: len(found)]
        yield lines


def _long_lines(text: memoryview, width: int) -> Iterator[memoryview]:
    """Do what :func:`_lines` does for lines so long that none of them should be copied as a whole."""
    for line in _slices(text, width + 1):
        if len(line) > width and line[width] != _NEWLINE:
            raise binascii.Error
        yield from _slices(line[:width], _SLICE_BYTES)


def _are_base64(slices: Iterable[memoryview | bytearray]) -> bool:
    """Return whether slices, each a whole number of groups of four characters, are base64 when joined."""
    is_padded = False
    try:
        for piece in slices:
            if is_padded:
                return False
            pybase64.b64decode(piece, validate=True)
            is_padded = piece[-1] == _PADDING
    except binascii.Error:
        return False
    return True


# -- rewritten -------------------------------------------------------------------------------------------------


def _written_anew(frame: Frame, limits: Limits) -> Frame | Unusable:
    message = decode(frame, limits)
    if isinstance(message, Unusable):
        return message
    try:
        message = _mended(message)
        parts = encode_parts(message, stateless=True)
        parts[-1] = element_of(parts[-1])
        data = b"".join(parts)
        require_size(message, parts, limits)
    except (LocalProtocolError, ValueError) as error:
        reason = f"it cannot be rewritten: {error}"[:_REASON_CHARACTERS]
        return Unusable.made_of(frame, reason)
    members = getattr(message, "members", ())
    kept = tuple(
        member.attachment for member in members if isinstance(member, OneBLOB) and member.attachment is not None
    )
    for attachment in frame.attachments:
        if not any(attachment is one for one in kept):
            attachment.close()
    return Frame(frame.tag, data, kept, len(kept), decoded=message)


def require_size(message: WireMessage, parts: Sequence[bytes], limits: Limits = Limits()) -> None:  # noqa: B008
    """Make sure that a message keeps to the limits its receiver probably has; otherwise the receiver would drop it.

    :param message: the message.
    :param parts: its encoded parts.
    :param limits: the receiver's limits; our defaults if absent.
    :raises LocalProtocolError: it exceeds them and cannot be sent; the text says by how much.
    """
    members = getattr(message, "members", ())
    _require_size(message.tag, sum(map(len, parts)), parts[0], len(members), limits)
    if message.tag in CONTENT_TAGS:
        _require_attached_size(members, limits)


def require_encoded_size(data: bytes, head: Head) -> None:
    """Do what :func:`require_size` does, for a message that is already encoded; not for one with BLOBs.

    :param data: its bytes; up to :data:`SURELY_SENDABLE_BYTES` there is nothing to check.
    :param head: its tag, device and vector.
    :raises LocalProtocolError: as :func:`require_size` does.
    """
    if len(data) > SURELY_SENDABLE_BYTES:
        _require_size(head[0], len(data), data, data.count(b"<one"), Limits())


def _require_size(tag: str, size: int, start: bytes, members: int, limits: Limits) -> None:
    limit = limits.blob_bytes if tag in CONTENT_TAGS else limits.message_bytes
    if size > limit:
        raise LocalProtocolError(f"a {tag} would have {size} bytes, more than {limit}")
    if size > limits.attributes_bytes and start.find(b">") >= limits.attributes_bytes:
        raise LocalProtocolError(f"the start tag of a {tag} would be longer than {limits.attributes_bytes} bytes")
    if members > limits.members:
        raise LocalProtocolError(f"a {tag} would have {members} members, more than {limits.members}")


def _require_attached_size(blobs: Sequence[OneBLOB], limits: Limits) -> None:
    attached_bytes = sum(int(blob.len or 0) for blob in blobs if blob.attachment is not None)
    if attached_bytes > limits.blob_bytes:
        raise LocalProtocolError(f"{attached_bytes} bytes are attached, more than {limits.blob_bytes}")


def _mended(message: WireMessage) -> WireMessage:
    match message:
        case GetProperties() if not _is_harmless_version(message.version):
            return replace(message, version=PROTOCOL_VERSION)
        case SetBLOBVector() | NewBLOBVector():
            return replace(message, members=tuple(map(_truthful, message.members)))
    return message


def _truthful(blob: OneBLOB) -> OneBLOB:
    """Return a BLOB whose attributes say what it contains."""
    size = decimal((blob.size or "").strip(_BLANKS))
    if size is None:
        raise LocalProtocolError(f"the size of oneBLOB {blob.name!r} is missing or not a count of bytes")
    if size == 0 or (blob.attachment is None and not blob.data):
        return replace(blob, size="0", enclen=None, len=None, attached=None, data=b"", attachment=None)
    if blob.attachment is None:
        return replace(blob, size=str(size), enclen=None, len=None)
    length = decimal((blob.len or "").strip(_BLANKS)) or size
    return replace(blob, size=str(size), enclen=None, len=str(length))
