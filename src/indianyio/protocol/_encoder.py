"""Messages to bytes, in one canonical form (protocol.md part 5).

Nearly all messages are *simple*: they consist of printable ASCII without the five characters for which XML has
entities, so nothing needs escaping. This is checked once for all values of a message together, by a function for
each class that is generated from the fields of the class (docs/decisions/0012).

The careful way takes BLOBs, texts that need escaping, and whatever must not be written. It goes value by value, so
that an error can name the one that is wrong. It makes pieces of XML from front to back. Short pieces are joined;
long base64 stays in the slices in which it was made, so that a BLOB is never held twice. Text stands directly
inside its tags: libindi strips white space around it, other readers do not.

Each message ends with a newline, the MESSAGE_END of ``_frames``.

A BLOB vector may also be given base64 that was made earlier, while its content was read from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast

from msgspec.structs import replace

from indianyio.exceptions import LocalProtocolError
from indianyio.protocol._blob_spans import decimal
from indianyio.protocol._blobs import encode_base64
from indianyio.protocol._compiled import function_from
from indianyio.protocol._elements import OneBLOB, WireElement, WireMember, WireMessage, attributes_of, required_of
from indianyio.protocol._frames import MESSAGE_END
from indianyio.protocol._messages import MEMBERS, MESSAGES, SET_VECTORS, NewBLOBVector, SetBLOBVector
from indianyio.protocol._text import (
    SIMPLE_CHARACTERS,
    WORDS,
    escape_attribute,
    escape_text,
    is_simple,
    require_xml_text,
)

__all__ = ["encode", "encode_blob_parts", "encode_parts", "joined_parts"]

_Writer: TypeAlias = Callable[[WireMessage], bytes]

_ATTRIBUTES: dict[type[WireElement], tuple[str, ...]] = {
    cls: attributes_of(cls) for cls in (*MESSAGES.values(), *MEMBERS.values())
}
_BLOB_VECTORS = (SetBLOBVector, NewBLOBVector)

_END = MESSAGE_END.decode()

# A piece at least this long is sent as it is: copying it once more would cost more than another call to send.
_LONG_PIECE_BYTES = 64 << 10


def encode(message: WireMessage) -> bytes:
    """Return a message as it goes on the wire.

    :param message: the message; a BLOB's content is written as unwrapped base64.
    :raises LocalProtocolError: a set without ``state``; a BLOB with content but without ``size`` or ``format``; an
        attached one without ``len``; a ``size`` that contradicts the content, or content of two kinds.
    :raises ValueError: an attribute or a text has a character that XML cannot carry.
    :raises TypeError: an attribute or a text is not a :class:`str`.
    """
    return _WRITERS[type(message)](message)


def encode_parts(message: WireMessage, *, wrap: bool = False, stateless: bool = False) -> list[bytes]:
    """Return a message as parts to be sent one after the other, with nothing between them.

    :param message: the message.
    :param wrap: break base64 into lines of 72 characters and give its length in ``enclen``, which lets C++ readers
        skip it faster. Otherwise ``enclen`` is left out, whatever the message says: without exact lines it makes
        these readers lose the connection (protocol.md W32).
    :param stateless: whether a set may lack ``state``, as the white paper allows. For relaying another program's
        message: whether its readers can do without is up to its author.
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
    """Return a BLOB vector as parts, with base64 that was made earlier for some members or for all.

    :param message: the vector. Members that ``contents`` does not name are encoded as by :func:`encode_parts`.
    :param contents: unwrapped base64 in slices, by member name.
    :return: one part, or more where BLOBs are long.
    :raises LocalProtocolError: as :func:`encode_parts` does; or ``contents`` names a member that the vector lacks.
    :raises ValueError: an attribute has a character that XML cannot carry.
    :raises TypeError: an attribute is not a :class:`str`.
    """
    strangers = contents.keys() - {member.name for member in message.members}
    if strangers:
        raise LocalProtocolError(f"{_described(message)} has no member {min(strangers)!r} to put content into")
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
        return f"{_element(message)}{_END}"
    lines = [f"{_start(message)}>", *map(_element, members), f"</{message.tag}>{_END}"]
    return "\n".join(lines)


def _written_in_parts(message: WireMessage) -> bytes:
    return b"".join(encode_parts(message))


class _Writers(dict[type[WireMessage], _Writer]):
    """The functions that write messages, one for each class, made when they are first needed."""

    def __missing__(self, cls: type[WireMessage]) -> _Writer:
        made = _written_in_parts if cls in _BLOB_VECTORS else _simple_writer(cls, _written_carefully)
        self[cls] = made
        return made


_WRITERS = _Writers()


def _pieces(
    message: SetBLOBVector | NewBLOBVector, contents: Mapping[str, Sequence[bytes]], wrap: bool
) -> Iterator[bytes]:
    if not message.members:
        yield f"{_element(message)}{_END}".encode()
        return
    yield f"{_start(message)}>\n".encode()
    for member in message.members:
        try:
            yield from _blob(member, contents.get(member.name), wrap)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{_described(message)}: {error}") from None
        yield b"\n"
    yield f"</{message.tag}>{_END}".encode()


def _require_state(message: WireMessage) -> None:
    if type(message) in SET_VECTORS and getattr(message, "state", None) is None:
        raise LocalProtocolError(f"{_described(message)} has no state; libindi rejects a set without one")


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
    # A reader that trusts enclen may skip enclen + enclen/72 + 1 characters (protocol.md W32). If the last line is
    # full, that is one more than there are; the blank keeps the reader from skipping the "<" of the end tag.
    yield b" </oneBLOB>" if wrap else b"</oneBLOB>"


def _attached(blob: OneBLOB) -> bytes:
    if blob.len is None:
        raise LocalProtocolError(f"oneBLOB {blob.name!r} is attached but has no len")
    # Two tags, as libindi writes it: its readers take the descriptor at the end tag.
    return f"{_start(replace(blob, enclen=None, attached='true'))}></oneBLOB>".encode()


def _require_size(blob: OneBLOB, *, has_content: bool) -> None:
    if has_content:
        for name in ("size", "format"):
            if getattr(blob, name) is None:
                raise LocalProtocolError(f"oneBLOB {blob.name!r} has content but no {name}")
    if blob.size is None:
        return
    size = decimal(blob.size)
    if size is None:
        raise LocalProtocolError(f"oneBLOB {blob.name!r} has the size {blob.size!r}, which is not a count of bytes")
    # Readers skip a BLOB of size 0, and the C++ client crashes on an empty one of any other size (protocol.md W34).
    if (size > 0) != has_content:
        raise LocalProtocolError(
            f"oneBLOB {blob.name!r} has the size {blob.size} and {'some' if has_content else 'no'} content"
        )


# ---- simple messages -----------------------------------------------------------------------------------------


def _simple_writer(cls: type[WireMessage], careful: _Writer) -> _Writer:
    """Return the function that writes messages of a class.

    :param cls: not a BLOB vector's class.
    :param careful: writes a message that is not simple, or raises an error that says why it must not be written.
    """
    member = MEMBERS.get(cls)
    sets = cls in SET_VECTORS
    # Each field gets a variable of the same name; all other variables begin with an underscore.
    lines = ["written = checked = ''"]
    lines += _fields(cls, "_message")
    if sets:
        lines += ["if state is None:", "    return careful(_message)"]
    lines += _start_statements(cls, (*required_of(cls), *["state"] * sets))
    if member is None:
        lines += _end_statements(cls, _END)
    else:
        lines += [
            "if members:",
            "    written += '>\\n'",
            "    for _one in members:",
            "        if type(_one) is not member:",
            "            return careful(_message)",
            *_indented(_member(member), 8),
            f"    written += {f'</{cls.tag}>{_END}'!r}",
            "else:",
            f"    written += {f'/>{_END}'!r}",
        ]
    body = [
        "try:",
        *_indented(lines, 4),
        "    special = encode(checked).translate(None, simple)",
        # Only a str can be added to a str and encoded, and only if it has no lone surrogate.
        "except (TypeError, UnicodeEncodeError):",
        "    return careful(_message)",
        "return careful(_message) if special else written.encode()",
    ]
    names = {"member": member, "encode": str.encode, "simple": SIMPLE_CHARACTERS, "careful": careful}
    return cast("_Writer", function_from(["def made(_message):", *_indented(body, 4)], names))


def _member(member: type[WireElement]) -> list[str]:
    """Return statements that write a member, with a shortcut for what most members look like.

    In a definition most members have all attributes; elsewhere most have only a name.
    """
    required, attributes = required_of(member), attributes_of(member)
    any_member = [*_start_statements(member, required), *_end_statements(member, "\n")]
    optional = attributes[len(required) :]
    if "value" not in member.__struct_fields__:
        return [*_fields(member, "_one"), *any_member]
    if "label" in optional:
        usual, there = f"None not in ({', '.join(optional)},)", attributes
    else:
        usual, there = f"{' is '.join([*optional, 'None'])} is None", required
    head = f"<{member.tag} " + " ".join(f'{name}="{{{name}}}"' for name in there)
    return [
        *_fields(member, "_one"),
        f"if value and {usual}:",
        f"    checked += {' + '.join(there)} + value",
        f"    written += f'{head}>{{value}}</{member.tag}>\\n'",
        "else:",
        *_indented(any_member, 4),
    ]


def _fields(cls: type[WireElement], variable: str) -> list[str]:
    """Return statements that put each field of the object in a variable into a variable of the field's name."""
    return [f"{name} = {variable}.{name}" for name in cls.__struct_fields__]


def _start_statements(cls: type[WireElement], always: tuple[str, ...]) -> list[str]:
    """Return statements that write a start tag up to its end.

    The values are checked by adding them up, because only a str can be added to a str; formatting takes anything.

    :param cls: the element's class.
    :param always: the attributes that are always present.
    """
    attributes = attributes_of(cls)
    first = [name for name in attributes if name in always]
    lines = [f"written += f'<{cls.tag}'" + "".join(f" {_attribute(name)}" for name in first)]
    if first:
        lines.append(f"checked += {' + '.join(first)}")
    for name in attributes:
        if name not in always:
            lines += [f"if {name} is not None:", f"    written += {_attribute(name)}", f"    checked += {name}"]
    return lines


def _attribute(name: str) -> str:
    # Adjacent literals become one. The words of the standard are enumerations, which are slow to format.
    return f"""' {name}="' + {name} + '"'""" if name in WORDS else f"""f' {name}="{{{name}}}"'"""


def _end_statements(cls: type[WireElement], behind: str) -> list[str]:
    """Return statements that end the element, after its text if it has one, and write what follows it."""
    empty = repr(f"/>{behind}")
    if "value" not in cls.__struct_fields__:
        return [f"written += {empty}"]
    end_tag = repr(f"</{cls.tag}>{behind}")
    return ["checked += value", f"written += f'>{{value}}' {end_tag} if value else {empty}"]


def _indented(lines: list[str], blanks: int) -> list[str]:
    return [" " * blanks + line for line in lines]
