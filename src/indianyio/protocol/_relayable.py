"""What may be handed on, and in which bytes.

What one peer sends becomes part of the streams of many others, and each of their readers has traps of its own. So a
frame is handed on as it is only if it is plain (see ``_plain``), if it has what libindi's programs cannot do
without, and if its BLOBs are such that the readers which trust their attributes survive them. Anything else is
decoded and written anew, or is unusable. Either way one message is concerned, never the link.

Of base64 the pattern sees nothing. It is proved by decoding it slice by slice, which is the fastest way to look at
it, and broken lines must be of one length: at other places than between groups of four a line break damages the
content for libindi's clients (protocol.md W30), and an ``enclen`` that does not fit hangs them (W32).

One thing cannot be mended: a text that begins with ``&`` or ``<`` is written as XML wants it, and libindi's readers
show its first entity undecoded (W9).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from itertools import islice

import pybase64
from msgspec.structs import replace

from indianyio._vocabulary import PROTOCOL_VERSION, Limits
from indianyio.exceptions import LocalProtocolError
from indianyio.protocol._blob_spans import BlobSpan, blob_spans, decimal, without_contents
from indianyio.protocol._decoder import decode
from indianyio.protocol._elements import OneBLOB, WireMessage
from indianyio.protocol._encoder import encode_parts
from indianyio.protocol._frames import Frame, Head, Unusable
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
# The end of a line and the indent of an end tag; who sends more white space gets the BLOB written anew.
_TAIL_BYTES = 64
_SLICE_BYTES = 1 << 20
# Of wrapped base64 less: taking its line ends out keeps all threads waiting.
_LINES_BYTES = 128 << 10
# Names in it may be as long as a start tag.
_REASON_CHARACTERS = 200
# libindi's readers expect a line break after this many characters of base64 (protocol.md W32).
_LINE = 72

SURELY_SENDABLE_BYTES = Limits().attributes_bytes
"""A message that is no longer has no start tag that is too long, nor too many members, as each takes some bytes."""


def relayable(frame: Frame, limits: Limits = Limits()) -> Frame | Unusable:  # noqa: B008 - frozen
    """Return a frame that any peer may be given, with the same meaning.

    A message needs what its class requires: def*, set* and new* a ``device`` and a ``name``, delProperty a
    ``device``; and each oneBLOB a ``size`` that is a count of bytes (protocol.md S29, S31). A getProperties of a
    version that would make libindi's drivers exit gets ours (S20). What is written anew has lost unknown
    attributes and children, members without a name, and BLOB content that its size denied.

    :param frame: as it was received, with the attachments that belong to it.
    :param limits: what a message may be, the same as when it was received; also what is written anew, and what
        its attachments hold, stays below.
    :return: the same frame, or a new one. Attachments that the new one does not have are closed. Where the answer
        is :class:`Unusable`, they are still the frame's, and whoever drops it closes them.
    :raises RemoteProtocolError: the peer exceeds ``limits.depth`` or ``limits.members`` and is to be
        disconnected. Nothing else is raised, whatever the bytes.
    """
    is_safe = _is_safe(frame, limits) if frame.safe is None else frame.safe
    return frame if is_safe else _written_anew(frame, limits)


def is_relayable_as_it_is(frame: Frame, limits: Limits = Limits()) -> bool:  # noqa: B008 - frozen
    """Tell whether :func:`relayable` returns the same frame, and have the frame remember it.

    That is found within milliseconds, where writing anew may take a second for each megabyte.

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
    """Return whether no driver minds: libindi's exit without a number, and with one beyond their own."""
    return version is not None and re.fullmatch(r"0\.[0-9]|1\.[0-7]|[01]", version) is not None


def _is_safe_blob_vector(frame: Frame, limits: Limits) -> bool:
    spans = list(islice(blob_spans(frame.data), limits.members + 1))
    # Before anything is copied: that keeps all threads waiting.
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
    """Return whether what the attributes of a BLOB say is true, as far as readers depend on it."""
    size, length = decimal(span.attribute(b"size")), span.attribute(b"len")
    if not span.attribute(b"name"):
        return False  # a BLOB that the C++ client does not know crashes it (protocol.md W34)
    if span.attached:
        return bool(size) and not span.has_text and (length is None or bool(decimal(length)))
    if not span.has_text:
        # Readers skip a BLOB of size 0, and an empty one of another size crashes the C++ client (protocol.md W34).
        return size == 0 and span.attribute(b"enclen") in {None, "0"}
    start = span.text_start
    digits = _count_digits(span.data, start, _text_end(span, start))
    return bool(size) and digits > 0 and _is_true_enclen(span, digits, span.content_end - start)


def _text_end(span: BlobSpan, start: int) -> int:
    """Return the index behind the last byte of a BLOB's text that is no white space."""
    tail = span.data[max(start, span.content_end - _TAIL_BYTES) : span.content_end]
    return span.content_end - len(tail) + len(tail.rstrip(b" \t\r\n"))


def _is_true_enclen(span: BlobSpan, digits: int, text_bytes: int) -> bool:
    """Return whether a reader may take what ``enclen`` announces unseen, and gets the whole BLOB (W32, W35)."""
    enclen = span.attribute(b"enclen")
    return enclen is None or (decimal(enclen) == digits and digits + digits // _LINE + 1 <= text_bytes)


def _count_digits(data: bytes, start: int, end: int) -> int:
    """Return how many characters of base64 these are, padding included; 0 if not every reader takes them."""
    if 0 <= data.find(b"=", start, end) < end - 2:
        return 0
    newline = data.find(b"\n", start, end)
    text = memoryview(data)[start:end]
    if newline < 0:
        slices: Iterator[memoryview | bytearray] = _slices(text, _SLICE_BYTES)
    elif (newline - start) % 4 == 0:
        slices = _unbroken(text, newline - start)
    else:
        return 0
    digits = 0
    for piece in slices:
        if not _is_base64(piece):
            return 0
        digits += len(piece)
    return digits


def _slices(text: memoryview, length: int) -> Iterator[memoryview]:
    return (text[position : position + length] for position in range(0, len(text), length))


def _unbroken(text: memoryview, width: int) -> Iterator[bytearray]:
    """Yield lines of one width, many at a time, without their ends; a line end anywhere else stays in them."""
    step = width + 1
    for piece in _slices(text, max(1, _LINES_BYTES // step) * step):
        lines = bytearray(piece)
        if not bytes(lines[width::step]).strip(b"\n"):
            del lines[width::step]
        yield lines


def _is_base64(text: memoryview | bytearray) -> bool:
    try:
        pybase64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True


# -- written anew ----------------------------------------------------------------------------------------------


def _written_anew(frame: Frame, limits: Limits) -> Frame | Unusable:
    message = decode(frame, limits)
    if isinstance(message, Unusable):
        return message
    try:
        message = _mended(message)
        parts = encode_parts(message, stateless=True)
        parts[-1] = parts[-1].removesuffix(b"\n")
        data = b"".join(parts)
        require_size(message, parts, limits)
    except (LocalProtocolError, ValueError) as error:
        reason = f"it cannot be written anew: {error}"[:_REASON_CHARACTERS]
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
    """Make sure that a message keeps to the limits that its receiver may have, who else would drop it.

    :param message: the message.
    :param parts: what was made of it.
    :param limits: those of the receiver; what ours have if absent.
    :raises LocalProtocolError: it does not, and cannot be sent; the text says by how much.
    """
    members = getattr(message, "members", ())
    _require_size(message.tag, sum(map(len, parts)), parts[0], len(members), limits)
    if message.tag in CONTENT_TAGS:
        _require_attached_size(members, limits)


def require_encoded_size(data: bytes, head: Head) -> None:
    """Do what :func:`require_size` does for a message that is encoded already; not one with BLOBs.

    :param data: its bytes; of up to :data:`SURELY_SENDABLE_BYTES` there is nothing to be checked.
    :param head: its tag, device and vector.
    :raises LocalProtocolError: as there.
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
    """Return a BLOB whose attributes say what it has."""
    size = decimal((blob.size or "").strip(_BLANKS))
    if size is None:
        raise LocalProtocolError(f"oneBLOB {blob.name!r} has no size that is a count of bytes")
    if size == 0 or (blob.attachment is None and not blob.data):
        return replace(blob, size="0", enclen=None, len=None, attached=None, data=b"", attachment=None)
    if blob.attachment is None:
        return replace(blob, size=str(size), enclen=None, len=None)
    length = decimal((blob.len or "").strip(_BLANKS)) or size
    return replace(blob, size=str(size), enclen=None, len=str(length))
