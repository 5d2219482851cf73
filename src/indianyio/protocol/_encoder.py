"""Messages to bytes, in one canonical form (protocol.md part 5).

Nearly all messages are written by ``_plain_encoder``. Here is the careful way, for BLOBs, for texts that need
escaping, and for whatever must not be written: value by value, so that an error names the one that is wrong. It
makes pieces of XML from front to back; short ones are joined, while long base64 stays in the slices in which
it was made, so that a BLOB is never held twice. Text stands directly inside its tags: libindi strips white space
around it, other readers do not.

A BLOB vector may also be given base64 that is ready, for content which was encoded while it was read from a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from indianyio.exceptions import LocalProtocolError
from indianyio.protocol._blob_spans import decimal
from indianyio.protocol._blobs import encode_base64
from indianyio.protocol._elements import OneBLOB, WireElement, WireMember, WireMessage, attributes_of
from indianyio.protocol._messages import MEMBERS, MESSAGES, SET_VECTORS, NewBLOBVector, SetBLOBVector
from indianyio.protocol._plain_encoder import Writer, simple_writer
from indianyio.protocol._text import escape_attribute, escape_text, is_simple, require_xml_text

__all__ = ["encode", "encode_blob_parts", "encode_parts", "joined_parts"]

_ATTRIBUTES: dict[type[WireElement], tuple[str, ...]] = {
    cls: attributes_of(cls) for cls in (*MESSAGES.values(), *MEMBERS.values())
}
_BLOB_VECTORS = (SetBLOBVector, NewBLOBVector)

# A piece at least this long is sent as it is: to copy it once more would cost more than another call to send.
_LONG_PIECE_BYTES = 64 << 10


def encode(message: WireMessage) -> bytes:
    """Return a message as it goes on the wire.

    :param message: the message; a BLOB's content is written as unwrapped base64.
    :raises LocalProtocolError: as in :func:`encode_parts`.
    :raises ValueError: an attribute or a text has a character that XML cannot carry.
    :raises TypeError: an attribute or a text is not a :class:`str`.
    """
    return _WRITERS[type(message)](message)


def encode_parts(message: WireMessage, *, wrap: bool = False, stateless: bool = False) -> list[bytes]:
    """Return a message as parts to be sent one after the other, with nothing between them.

    :param message: the message.
    :param wrap: break base64 into lines of 72 characters and tell its length in ``enclen``, which lets C++ readers
        skip it faster. Otherwise there is no ``enclen``, whatever the message says: without exact lines it makes
        them lose the connection (protocol.md W32).
    :param stateless: whether a set may be without ``state``, as the white paper allows: for another's, whose
        readers are its author's matter.
    :return: one part, or more where BLOBs are long.
    :raises LocalProtocolError: a set without ``state`` (protocol.md W24); a BLOB with content but without ``size``
        or ``format``; an attached one without ``len``; a ``size`` that contradicts the content, or a BLOB that
        has content of two kinds.
    :raises ValueError: an attribute or a text has a character that XML cannot carry.
    :raises TypeError: an attribute or a text is not a :class:`str`.
    """
    if isinstance(message, _BLOB_VECTORS):
        if not stateless:
            _require_state(message)
        return joined_parts(_pieces(message, {}, wrap))
    if stateless:
        return [_text(message).encode()]
    return [_WRITERS[type(message)](message)]


def encode_blob_parts(
    message: SetBLOBVector | NewBLOBVector, contents: Mapping[str, Sequence[bytes]]
) -> list[bytes]:
    """Return a BLOB vector as parts, with base64 that is ready for some members or for all.

    :param message: the vector. Members that ``contents`` does not name are encoded as by :func:`encode_parts`.
    :param contents: unwrapped base64 in slices, by member name.
    :return: one part, or more where BLOBs are long.
    :raises LocalProtocolError: as in :func:`encode_parts`; or ``contents`` names no member of the vector.
    :raises ValueError: an attribute has a character that XML cannot carry.
    :raises TypeError: an attribute is not a :class:`str`.
    """
    strangers = contents.keys() - {member.name for member in message.members}
    if strangers:
        raise LocalProtocolError(f"{_described(message)} has no member {min(strangers)!r} to take content")
    _require_state(message)
    return joined_parts(_pieces(message, contents, wrap=False))


def joined_parts(pieces: Iterator[bytes]) -> list[bytes]:
    """Return the same bytes with short neighbours joined; long pieces are not copied."""
    parts: list[bytes] = []
    short: list[bytes] = []
    for piece in pieces:
        if len(piece) < _LONG_PIECE_BYTES:
            short.append(piece)
            continue
        if short:
            parts.append(b"".join(short))
            short.clear()
        parts.append(piece)
    return [*parts, b"".join(short)]


# ---- elements ------------------------------------------------------------------------------------------------


def _written_carefully(message: WireMessage) -> bytes:
    _require_state(message)
    return _text(message).encode()


def _text(message: WireMessage) -> str:
    members: tuple[WireMember, ...] = getattr(message, "members", ())
    if not members:
        return f"{_element(message)}\n"
    lines = [f"{_start(message)}>", *map(_element, members), f"</{message.tag}>\n"]
    return "\n".join(lines)


def _written_in_parts(message: WireMessage) -> bytes:
    return b"".join(encode_parts(message))


class _Writers(dict[type[WireMessage], Writer]):
    """What writes the messages of each class, made when it is needed first."""

    def __missing__(self, cls: type[WireMessage]) -> Writer:
        made = _written_in_parts if cls in _BLOB_VECTORS else simple_writer(cls, _written_carefully)
        self[cls] = made
        return made


_WRITERS = _Writers()


def _pieces(
    message: SetBLOBVector | NewBLOBVector, contents: Mapping[str, Sequence[bytes]], wrap: bool
) -> Iterator[bytes]:
    if not message.members:
        yield f"{_element(message)}\n".encode()
        return
    yield f"{_start(message)}>\n".encode()
    for member in message.members:
        try:
            yield from _blob(member, contents.get(member.name), wrap)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{_described(message)}: {error}") from None
        yield b"\n"
    yield f"</{message.tag}>\n".encode()


def _require_state(message: WireMessage) -> None:
    if type(message) in SET_VECTORS and getattr(message, "state", None) is None:
        raise LocalProtocolError(f"{_described(message)} has no state, without which libindi rejects it")


def _described(message: WireMessage) -> str:
    return " ".join([message.tag, *(str(getattr(message, name)) for name in ("device", "name"))])


def _start(element: WireElement) -> str:
    start = f"<{element.tag}"
    for name in _ATTRIBUTES[type(element)]:
        value: object = getattr(element, name)
        if value is not None:
            if not (isinstance(value, str) and is_simple(value)):
                value = escape_attribute(require_xml_text(value, f"{element.tag} {name}"))
            start = f'{start} {name}="{value}"'
    return start


def _element(element: WireElement) -> str:
    content: object = getattr(element, "value", "")
    if content != "" and not (isinstance(content, str) and is_simple(content)):
        content = escape_text(require_xml_text(content, f"{element.tag} value"))
    if not content:
        return f"{_start(element)}/>"
    return f"{_start(element)}>{content}</{element.tag}>"


# ---- BLOBs ---------------------------------------------------------------------------------------------------


def _blob(blob: OneBLOB, ready: Sequence[bytes] | None, wrap: bool) -> Iterator[bytes]:
    attached = blob.attachment is not None
    data_bytes = memoryview(blob.data).nbytes
    if sum((attached, data_bytes > 0, ready is not None)) > 1:
        raise LocalProtocolError(f"oneBLOB {blob.name!r} has content of two kinds")
    slices = encode_base64(blob.data, wrap=wrap) if ready is None else ready
    characters = sum(map(len, slices))
    _require_size(blob, has_content=attached or characters > 0)
    if attached:
        yield _attached(blob)
        return
    enclen = str((data_bytes + 2) // 3 * 4) if wrap and characters else None
    bare = replace(blob, enclen=enclen, len=None, attached=None)
    if not characters:
        yield _element(bare).encode()
        return
    yield f"{_start(bare)}>".encode()
    yield from slices
    # A reader that trusts enclen may take enclen + enclen/72 + 1 characters unseen (protocol.md W32). That is one
    # more than lines that fill up exactly have; the blank keeps it from taking the "<" of the end tag.
    yield b" </oneBLOB>" if wrap else b"</oneBLOB>"


def _attached(blob: OneBLOB) -> bytes:
    if blob.len is None:
        raise LocalProtocolError(f"oneBLOB {blob.name!r} is attached and has no len")
    # Open and close tags: so it is written by libindi, whose readers take the descriptor at the close tag.
    return f"{_start(replace(blob, enclen=None, attached='true'))}></oneBLOB>".encode()


def _require_size(blob: OneBLOB, *, has_content: bool) -> None:
    if has_content:
        for name in ("size", "format"):
            if getattr(blob, name) is None:
                raise LocalProtocolError(f"oneBLOB {blob.name!r} has content and no {name}")
    if blob.size is None:
        return
    size = decimal(blob.size)
    if size is None:
        raise LocalProtocolError(f"oneBLOB {blob.name!r} has the size {blob.size!r}, which is no count of bytes")
    # Readers skip a BLOB of size 0, and the C++ client crashes on an empty one of another size (protocol.md W34).
    if (size > 0) != has_content:
        raise LocalProtocolError(
            f"oneBLOB {blob.name!r} has the size {blob.size} and {'some' if has_content else 'no'} content"
        )
