"""Which bytes all readers of INDI understand alike, decided by one look at each byte.

A message is *plain* if a pattern, made from the message classes, matches the whole of it. Nothing but one element
with its proper children does, with quoted attributes and text. No comment, CDATA section, processing instruction or
document type can hide in it, no entity but the five that every XML reader knows, no control character, no ``<`` or
``>`` where libindi's reader and an XML parser might disagree, and no ``]]>``. Two more traps of libindi's reader
are not plain either: a text whose first character is an entity (protocol.md W9), and white space other than blanks
in an attribute (W5). ``xmlns`` is refused because it changes the names of all elements for those who heed it, and
``enclen`` beside a BLOB's because it makes libindi's reader skip what it should read (W32).

There are two patterns for a message. The first has the declared attributes in their usual order, so that none can
be there twice; nearly everything matches it, and it tells device and vector, too, so that the framer finds all that
a relay needs with it. The second takes any attributes in any order, and then their names
are compared: libindi lets the first of two with one name count (W6), other readers refuse the message.

The patterns are possessive and their parts begin with different bytes, so no input makes them try anything twice.
"""

from __future__ import annotations

import re
from functools import lru_cache

from indianyio.protocol._elements import OneBLOB, WireElement, WireMessage, attributes_of, required_of
from indianyio.protocol._messages import MEMBERS, MESSAGES, EnableBLOB
from indianyio.protocol._patterns import LazyPattern
from indianyio.protocol._start_tags import attribute, encoding_of

__all__ = [
    "captured_head",
    "is_plain",
    "is_plain_in_any_order",
    "is_plain_in_order",
    "is_xml_utf8",
    "plain_element",
    "quoted_value",
    "unescape",
]

_BLANK = rb"[ \t\r\n]"
_NAME = rb"[A-Za-z_][A-Za-z0-9_]*+"
_ENTITY = rb"&(?:amp|lt|gt|quot|apos);"
_EQUALS = _BLANK + rb"*+=" + _BLANK + rb"*+"


def _quoted(quote: bytes) -> bytes:
    literal = rb"[^<>&\x00-\x1F\x7F" + quote + rb"]*+"
    # The end comes first: entities are rare, and a repetition costs something even if there is none.
    return quote + literal + rb"(?:%b|(?:%b%b)++%b)" % (quote, _ENTITY, literal, quote)


_VALUE = rb"(?:" + _quoted(b'"') + rb"|" + _quoted(b"'") + rb")"
_NOT_EMPTY = rb"""(?!""|'')"""
_LITERAL = rb"[^<&\]\x00-\x08\x0B\x0C\x0E-\x1F]*+"
_TEXT = _BLANK + rb"*+(?!&)" + _LITERAL + rb"(?:(?:" + _ENTITY + rb"|\](?!\]>))" + _LITERAL + rb")*+"
_ANY_ATTRIBUTES = rb"(?:%b++(?!(?:%%b)\b)%b%b%b)*+" % (_BLANK, _NAME, _EQUALS, _VALUE)

_HEAD = LazyPattern(rb"<[A-Za-z][^<>]*+>")
_ATTRIBUTE_NAME = LazyPattern(_BLANK + rb"(" + _NAME + rb")" + _EQUALS + _VALUE)

_ADDRESS = ("device", "name")
_ENTITY_TEXT = LazyPattern(r"&(amp|lt|gt|quot|apos);")
_MEANT = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}

# Not characters to XML, though UTF-8 has them.
_NO_CHARACTERS = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")


def is_plain(tag: str, data: bytes, members: int) -> bool:
    """Return whether every reader of INDI understands this message, and understands the same.

    It has the attributes that its class requires, and they are not empty.

    :param tag: its tag, one of :data:`~indianyio.protocol._messages.MESSAGES`.
    :param data: its bytes; of a BLOB vector without the base64.
    :param members: how many members it may have.
    """
    return is_plain_in_order(tag, data, members) or is_plain_in_any_order(tag, data, members)


def is_plain_in_order(tag: str, data: bytes, members: int) -> bool:
    """Return whether it is plain with its attributes in their usual order; arguments as in :func:`is_plain`."""
    return plain_element(tag, members).fullmatch(data) is not None and is_xml_utf8(data)


def is_plain_in_any_order(tag: str, data: bytes, members: int) -> bool:
    """Return whether it is plain, where no usual order was found; arguments as in :func:`is_plain`."""
    if _unordered(tag, members).fullmatch(data) is None or _repeats(data) or not is_xml_utf8(data):
        return False
    return all(attribute(data, len(tag) + 1, name.encode()) for name in required_of(MESSAGES[tag]))


@lru_cache(maxsize=2 * len(MESSAGES))
def plain_element(tag: str, members: int) -> re.Pattern[bytes]:
    """Return the pattern of a plain message with its attributes in their usual order.

    It takes white space in front, and has three groups: the message, and with their quotes its device and its
    vector; of what the message's class does not have, the group is empty. Bytes beyond ASCII are to be looked at
    by :func:`is_xml_utf8`.

    :param tag: its tag, one of :data:`~indianyio.protocol._messages.MESSAGES`.
    :param members: how many members it may have.
    """
    cls = MESSAGES[tag]
    absent = b"()" * sum(name not in cls.__struct_fields__ for name in _ADDRESS)
    element = _element(cls, _content(cls, members), in_order=True, required=required_of(cls), shown=_ADDRESS)
    return re.compile(_BLANK + rb"*+(" + element + rb")" + absent)


def captured_head(cls: type[WireElement]) -> str:
    """Return a pattern that takes apart what is known to be plain.

    Of a message it matches the start tag, of a member or of a message with a text the whole. Each field of the
    class has its group, in their order: attributes with their quotes, ``value`` without anything.
    """
    names = cls.__struct_fields__
    content = {"value": b"([^<]*+)", "members": b"()"}.get(names[-1], b"")
    attributes = _in_order(cls, required=(), shown=names)
    return (rb"<%b%b%b*+(?:/>|>%b)" % (cls.tag.encode(), attributes, _BLANK, content)).decode()


def quoted_value(raw: bytes | None) -> str | None:
    """Return the value of an attribute of a plain message, ``None`` if it is not there.

    :param raw: the value in its quotes.
    """
    if not raw:
        return None
    text = raw[1:-1].decode()
    return unescape(text) if "&" in text else text


def unescape(text: str) -> str:
    """Return a text of a plain message as it was meant: it has no entities but five."""
    return _ENTITY_TEXT.sub(lambda found: _MEANT[found[1]], text)


@lru_cache(maxsize=2 * len(MESSAGES))
def _unordered(tag: str, members: int) -> re.Pattern[bytes]:
    cls = MESSAGES[tag]
    return re.compile(
        _element(cls, _content(cls, members, in_order=False), in_order=False, required=required_of(cls))
    )


def _content(cls: type[WireMessage], members: int, *, in_order: bool = True) -> bytes:
    content = _TEXT if cls is EnableBLOB else _BLANK + rb"*+"
    if cls in MEMBERS:
        # Members without a name exist and mean nothing (protocol.md W23).
        member = _element(MEMBERS[cls], _TEXT, in_order=in_order, required=())
        content += rb"(?:%b%b*+){0,%d}+" % (member, _BLANK, members)
    return content


def _element(
    cls: type[WireElement],
    content: bytes,
    *,
    in_order: bool,
    required: tuple[str, ...],
    shown: tuple[str, ...] = (),
) -> bytes:
    tag = cls.tag.encode()
    refused = rb"xmlns" if cls is OneBLOB else rb"xmlns|enclen"
    attributes = _in_order(cls, required, shown) if in_order else _ANY_ATTRIBUTES % refused
    return rb"<%b%b%b*+(?:/>|>%b</%b%b*+>)" % (tag, attributes, _BLANK, content, tag, _BLANK)


def _in_order(cls: type[WireElement], required: tuple[str, ...], shown: tuple[str, ...]) -> bytes:
    names = attributes_of(cls)
    return b"".join(_one_attribute(name, required=name in required, shown=name in shown) for name in names)


def _one_attribute(name: str, *, required: bool, shown: bool) -> bytes:
    value = (_NOT_EMPTY if required else b"") + (b"(" + _VALUE + b")" if shown else _VALUE)
    # What everybody writes comes first: it is found faster.
    written = rb"(?: %b=|%b++%b%b)%b" % (name.encode(), _BLANK, name.encode(), _EQUALS, value)
    return written if required else rb"(?:" + written + rb")?+"


def _repeats(data: bytes) -> bool:
    """Return whether an element of an otherwise plain message has two attributes of one name."""
    names = map(_ATTRIBUTE_NAME.findall, _HEAD.findall(data))
    return any(len(set(found)) < len(found) for found in names)


def is_xml_utf8(data: bytes) -> bool:
    """Return whether these bytes are UTF-8, and have no character that XML has not, other than control ones."""
    if data.isascii():
        return True
    return encoding_of(data) == "utf-8" and not any(absent in data for absent in _NO_CHARACTERS)
