"""Which bytes all readers of INDI understand alike, decided by one look at each byte.

A message is *plain* if a pattern, made from the message classes, matches the whole of it. Nothing but one element
with its proper children does, with quoted attributes and text. No comment, CDATA section, processing instruction or
document type can hide in it, no entity but the five that every XML reader knows, no control character, no ``<`` or
``>`` where libindi's reader and an XML parser might disagree, and no ``]]>``. Two more traps of libindi's reader
are not plain either: a text whose first character is an entity (protocol.md W9), and white space other than blanks
in an attribute (W5). ``xmlns`` is refused because it changes the names of all elements for those who heed it, and
``enclen`` beside a BLOB's because it makes libindi's reader skip what it should read (W32).

There are two patterns for a message. The first has the declared attributes in their usual order, so that none can
be there twice; nearly everything matches it. The second takes any attributes in any order, and then their names
are compared: libindi lets the first of two with one name count (W6), other readers refuse the message.

The patterns are possessive and their parts begin with different bytes, so no input makes them try anything twice.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from functools import lru_cache

from indianyio.protocol._elements import OneBLOB, WireElement, WireMessage
from indianyio.protocol._heads import attribute, encoding_of
from indianyio.protocol._messages import MEMBERS, MESSAGES, EnableBLOB

__all__ = ["is_plain"]

_CONTENT_FIELDS = frozenset({"members", "value", "data", "attachment"})

_BLANK = rb"[ \t\r\n]"
_NAME = rb"[A-Za-z_][A-Za-z0-9_]*+"
_ENTITY = rb"&(?:amp|lt|gt|quot|apos);"
_EQUALS = _BLANK + rb"*+=" + _BLANK + rb"*+"


def _quoted(quote: bytes) -> bytes:
    literal = rb"[^<>&\x00-\x1F" + quote + rb"]*+"
    return quote + literal + rb"(?:" + _ENTITY + literal + rb")*+" + quote


_VALUE = rb"(?:" + _quoted(b'"') + rb"|" + _quoted(b"'") + rb")"
_NOT_EMPTY = rb"""(?!""|'')"""
_LITERAL = rb"[^<&\]\x00-\x08\x0B\x0C\x0E-\x1F]*+"
_TEXT = _BLANK + rb"*+(?!&)" + _LITERAL + rb"(?:(?:" + _ENTITY + rb"|\](?!\]>))" + _LITERAL + rb")*+"
_ANY_ATTRIBUTES = rb"(?:%b++(?!(?:%%b)\b)%b%b%b)*+" % (_BLANK, _NAME, _EQUALS, _VALUE)

_HEAD = re.compile(rb"<[A-Za-z][^<>]*+>")
_ATTRIBUTE_NAME = re.compile(_BLANK + rb"(" + _NAME + rb")" + _EQUALS + _VALUE)

# Not characters to XML, though UTF-8 has them.
_NO_CHARACTERS = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")


def is_plain(tag: str, data: bytes, members: int) -> bool:
    """Return whether every reader of INDI understands this message, and understands the same.

    It has the attributes that its class requires, and they are not empty.

    :param tag: its tag, one of :data:`~indianyio.protocol.MESSAGES`.
    :param data: its bytes; of a BLOB vector without the base64.
    :param members: how many members it may have.
    """
    if _pattern(tag, members).fullmatch(data) is None and not _is_plain_unordered(tag, data, members):
        return False
    return data.isascii() or _is_xml_utf8(data)


def _is_plain_unordered(tag: str, data: bytes, members: int) -> bool:
    if _pattern(tag, members, False).fullmatch(data) is None or _repeats(data):
        return False
    return all(attribute(data, len(tag) + 1, name.encode()) for name in _required(MESSAGES[tag]))


@lru_cache(maxsize=4 * len(MESSAGES))
def _pattern(tag: str, members: int, in_order: bool = True) -> re.Pattern[bytes]:
    cls = MESSAGES[tag]
    content = _TEXT if cls is EnableBLOB else _BLANK + rb"*+"
    if cls in MEMBERS:
        # Members without a name exist and mean nothing (protocol.md W23).
        member = _element(MEMBERS[cls], _TEXT, in_order=in_order, required=())
        content += rb"(?:%b%b*+){0,%d}+" % (member, _BLANK, members)
    return re.compile(_element(cls, content, in_order=in_order, required=_required(cls)))


def _required(cls: type[WireMessage]) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(cls) if entry.default is MISSING)


def _element(cls: type[WireElement], content: bytes, *, in_order: bool, required: tuple[str, ...]) -> bytes:
    tag = cls.tag.encode()
    refused = rb"xmlns" if cls is OneBLOB else rb"xmlns|enclen"
    attributes = _in_order(cls, required) if in_order else _ANY_ATTRIBUTES % refused
    return rb"<%b%b%b*+(?:/>|>%b</%b%b*+>)" % (tag, attributes, _BLANK, content, tag, _BLANK)


def _in_order(cls: type[WireElement], required: tuple[str, ...]) -> bytes:
    names = [entry.name for entry in fields(cls) if entry.name not in _CONTENT_FIELDS]
    attributes = (
        (rb"%b++%b%b%b%b" if name in required else rb"(?:%b++%b%b%b%b)?+")
        % (_BLANK, name.encode(), _EQUALS, _NOT_EMPTY if name in required else b"", _VALUE)
        for name in names
    )
    return b"".join(attributes)


def _repeats(data: bytes) -> bool:
    """Return whether an element of an otherwise plain message has two attributes of one name."""
    names = map(_ATTRIBUTE_NAME.findall, _HEAD.findall(data))
    return any(len(set(found)) < len(found) for found in names)


def _is_xml_utf8(data: bytes) -> bool:
    return encoding_of(data) == "utf-8" and not any(absent in data for absent in _NO_CHARACTERS)
