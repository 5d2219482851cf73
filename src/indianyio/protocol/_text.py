"""Names and texts: what XML and INDI can carry, and how it is escaped.

Escaping is a compromise between two readers. An XML parser wants ``&`` and ``<`` escaped and little else; libindi's
own does not decode an entity that stands first in a text (protocol.md W9), and drops control characters from
attributes (W5). So a text gets as few entities as XML allows, and white space in attributes becomes blanks before
anybody drops it.
"""

from __future__ import annotations

from indianyio.protocol._patterns import LazyPattern

__all__ = [
    "SIMPLE_CHARACTERS",
    "brief",
    "escape_attribute",
    "escape_text",
    "is_simple",
    "replace_uncarried",
    "require_name",
    "require_xml_text",
]

# libindi keeps a message in 255 bytes, of which the last is a NUL, and cuts longer ones (protocol.md W15).
_LONGEST_MESSAGE_BYTES = 254
_ELLIPSIS = "..."

# libindi keeps names in 64 bytes, of which the last is a NUL, and cuts longer ones (protocol.md W15).
_LONGEST_NAME_BYTES = 63

_NOT_XML = LazyPattern(r"[\x00-\x08\x0B\x0C\x0E-\x1F\uD800-\uDFFF\uFFFE\uFFFF]")
SIMPLE_CHARACTERS = bytes(set(range(ord(" "), 0x7F)) - set(b"\"&'<>"))
"""What is never escaped. To delete it and see what is left is the fastest way to look for anything else."""

_NOT_PRINTABLE_ASCII = LazyPattern(r"[^ -~]")

_SPECIAL_IN_TEXT = LazyPattern(r"[&<]|]]>")
_TEXT_ENTITIES = {"&": "&amp;", "<": "&lt;", "]]>": "]]&gt;"}

_SPECIAL_IN_ATTRIBUTE = LazyPattern(r'[&<>"\t\n\r\x7F]')
_ATTRIBUTE_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": " ", "\n": " ", "\r": " ", "\x7f": ""}
)


def require_xml_text(value: object, what: str) -> str:
    """Return ``value`` if XML 1.0 can carry it as text.

    :param value: what is to become an attribute or a text.
    :param what: its name in the error, such as ``"label"``.
    :return: the same text.
    :raises TypeError: it is not a :class:`str`.
    :raises ValueError: it has a control character other than tab, line feed and carriage return, a surrogate,
        U+FFFE or U+FFFF.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    found = _NOT_XML.search(value)
    if found is not None:
        raise ValueError(f"{what} has U+{ord(found[0]):04X} at position {found.start()}, which XML cannot carry")
    return value


def is_simple(text: str) -> bool:
    """Return whether ``text`` is written as it is, in attributes and in elements.

    It has printable ASCII only, and of that not the five characters for which XML has names.
    """
    return text.isascii() and not text.encode().translate(None, SIMPLE_CHARACTERS)


def replace_uncarried(text: str) -> str:
    """Return ``text`` with U+FFFD for each character that XML cannot carry.

    For texts of which nobody is the author, such as those of other people's exceptions.
    """
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def brief(text: str) -> str:
    """Return a text of which nobody is the author, as long as INDI's readers take a message, and sendable.

    Longer ones are cut between two characters and end in ``...``; the whole belongs into a log.
    """
    carried = replace_uncarried(text)
    written = carried.encode()
    if len(written) <= _LONGEST_MESSAGE_BYTES:
        return carried
    return written[: _LONGEST_MESSAGE_BYTES - len(_ELLIPSIS)].decode(errors="ignore") + _ELLIPSIS


def require_name(value: object, what: str) -> str:
    """Return ``value`` if it can be the name of a device, a vector or a member everywhere in the INDI world.

    :param value: the name.
    :param what: what it names, for the error, such as ``"device name"``.
    :return: the same name.
    :raises TypeError: it is not a :class:`str`.
    :raises ValueError: it is empty, longer than 63 bytes (protocol.md W15), has other characters than printable
        ASCII, or begins or ends with a blank.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{what} is empty")
    found = _NOT_PRINTABLE_ASCII.search(value)
    if found is not None:
        raise ValueError(
            f"{what} has U+{ord(found[0]):04X} at position {found.start()}; only printable ASCII will do"
        )
    if len(value) > _LONGEST_NAME_BYTES:
        raise ValueError(f"{what} {value[:20]!r}... has {len(value)} bytes; at most {_LONGEST_NAME_BYTES} will do")
    if value != value.strip():
        raise ValueError(f"{what} {value!r} begins or ends with a blank, which readers drop")
    return value


def escape_text(text: str) -> str:
    """Return ``text`` as the content of an element.

    Quotes stay raw, and so does ``>`` unless it would end a CDATA section: a leading entity would reach libindi
    undecoded (protocol.md W9). For a leading ``&`` or ``<`` there is no help. White space at either end reaches
    no libindi reader (W10), and XML readers take a carriage return for a line feed.

    :param text: what :func:`require_xml_text` accepts.
    """
    if _SPECIAL_IN_TEXT.search(text) is None:
        return text
    return _SPECIAL_IN_TEXT.sub(lambda found: _TEXT_ENTITIES[found[0]], text)


def escape_attribute(text: str) -> str:
    """Return ``text`` as an attribute value between double quotes.

    Each tab, line feed and carriage return becomes a blank: XML readers make it one, and libindi would glue the
    words together (protocol.md W5). DEL is left out: libindi drops it, so with it a name would be two.

    :param text: what :func:`require_xml_text` accepts.
    """
    if _SPECIAL_IN_ATTRIBUTE.search(text) is None:
        return text
    return text.translate(_ATTRIBUTE_ENTITIES)
