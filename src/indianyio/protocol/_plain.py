"""Plain messages: bytes that all readers of INDI understand alike, and how these are taken from a stream.

A message is *plain* if a pattern that is made from the message classes matches all of it. The pattern matches only
one element with its proper children, with quoted attributes and text. So the message cannot contain a comment, a
CDATA section, a processing instruction or a document type, any entity except the five that every XML reader knows,
a control character, a ``<`` or ``>`` where libindi's reader and an XML parser might disagree, or ``]]>``. Two more
traps of libindi's reader are not plain either: a text whose first character is an entity (protocol.md W9), and
white space other than blanks in an attribute (W5). ``xmlns`` is refused because it renames all elements for those
who heed it, and ``enclen``, except on a BLOB, because it makes libindi's reader skip what it should read (W32).

There are two patterns for a message. The first wants the declared attributes in their usual order, so that none can
occur twice. Nearly everything matches it, and it also captures device and vector, so that the framer learns all
that a relay needs. The second takes any attributes in any order, and then their names are compared: if two have the
same name, libindi uses the first (W6), but other readers refuse the message.

The patterns are possessive and their parts begin with different bytes, so no input makes them try anything twice.

Nearly all messages are plain (docs/decisions/0009). If one lies whole in the bytes received, a single match finds
its end, proves that it may be forwarded unchanged, and tells who is concerned; that is most of what a server has to
know. For a peer whose messages are all decoded, canonical ones (see ``_decoder``) are found, proved and decoded in
one pass instead. Whatever does not match is left to the framer, which can take its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from indianyio._vocabulary import Limits
from indianyio.protocol._blob_spans import attached_count
from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._elements import OneBLOB, WireElement, WireMessage, attributes_of, required_of
from indianyio.protocol._frames import Frame, Head, Unusable
from indianyio.protocol._lilxml import attribute, encoding_of
from indianyio.protocol._messages import CONTENT_TAGS, MEMBERS, MESSAGES, EnableBLOB, GetProperties

__all__ = [
    "PlainFrames",
    "Reader",
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
    # The end comes first: entities are rare, and a repetition costs time even if there are none.
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

# XML does not have these characters, though UTF-8 does.
_NO_CHARACTERS = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")


def is_plain(tag: str, data: bytes, members: int) -> bool:
    """Return whether every reader of INDI understands this message, and understands it alike.

    A plain message also has the attributes that its class requires, and they are not empty.

    :param tag: its tag, one of :data:`~indianyio.protocol._messages.MESSAGES`.
    :param data: its bytes; for a BLOB vector, without the base64.
    :param members: how many members it may have.
    """
    return is_plain_in_order(tag, data, members) or is_plain_in_any_order(tag, data, members)


def is_plain_in_order(tag: str, data: bytes, members: int) -> bool:
    """Return whether it is plain, with its attributes in their usual order; arguments as for :func:`is_plain`."""
    return plain_element(tag, members).fullmatch(data) is not None and is_xml_utf8(data)


def is_plain_in_any_order(tag: str, data: bytes, members: int) -> bool:
    """Return whether it is plain although its order is not the usual one; arguments as for :func:`is_plain`."""
    if _unordered(tag, members).fullmatch(data) is None or _repeats(data) or not is_xml_utf8(data):
        return False
    return all(attribute(data, len(tag) + 1, name.encode()) for name in required_of(MESSAGES[tag]))


@lru_cache(maxsize=2 * len(MESSAGES))
def plain_element(tag: str, members: int) -> re.Pattern[bytes]:
    """Return the pattern of a plain message with its attributes in their usual order.

    The pattern allows white space in front and has three groups: the message, its device and its vector, the latter
    two with their quotes. A group is empty if the message's class has no such attribute. Check bytes beyond ASCII
    with :func:`is_xml_utf8`.

    :param tag: its tag, one of :data:`~indianyio.protocol._messages.MESSAGES`.
    :param members: how many members it may have.
    """
    cls = MESSAGES[tag]
    absent = b"()" * sum(name not in cls.__struct_fields__ for name in _ADDRESS)
    element = _element(cls, _content(cls, members), in_order=True, required=required_of(cls), shown=_ADDRESS)
    return re.compile(_BLANK + rb"*+(" + element + rb")" + absent)


def captured_head(cls: type[WireElement]) -> str:
    """Return a pattern that takes apart an element which is known to be plain.

    It matches the start tag of a message, or the whole of a member or of a message with a text. Each field of the
    class has its group, in the order of the fields: attributes with their quotes, ``value`` as it is.
    """
    names = cls.__struct_fields__
    content = {"value": b"([^<]*+)", "members": b"()"}.get(names[-1], b"")
    attributes = _in_order(cls, required=(), shown=names)
    return (rb"<%b%b%b*+(?:/>|>%b)" % (cls.tag.encode(), attributes, _BLANK, content)).decode()


def quoted_value(raw: bytes | None) -> str | None:
    """Return the value of an attribute of a plain message, or ``None`` if it is absent.

    :param raw: the value with its quotes.
    """
    if not raw:
        return None
    text = raw[1:-1].decode()
    return unescape(text) if "&" in text else text


def unescape(text: str) -> str:
    """Return what a text of a plain message means: it contains only the five standard entities."""
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
        # Members without a name occur, and mean nothing (protocol.md W23).
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
    # What everybody writes comes first, because it is found faster there.
    written = rb"(?: %b=|%b++%b%b)%b" % (name.encode(), _BLANK, name.encode(), _EQUALS, value)
    return written if required else rb"(?:" + written + rb")?+"


def _repeats(data: bytes) -> bool:
    """Return whether an element of an otherwise plain message has two attributes of the same name."""
    names = map(_ATTRIBUTE_NAME.findall, _HEAD.findall(data))
    return any(len(set(found)) < len(found) for found in names)


def is_xml_utf8(data: bytes) -> bool:
    """Return whether these bytes are UTF-8 and, control characters aside, have only characters that XML has."""
    if data.isascii():
        return True
    return encoding_of(data) == "utf-8" and not any(absent in data for absent in _NO_CHARACTERS)


# -- from a stream ---------------------------------------------------------------------------------------------

# How far to look for canonical messages: otherwise every start tag without an end would cost a search of everything
# that follows it.
_NEAR_BYTES = 4096

# No message is shorter. What follows the last message is usually its line end.
_LEAST_BYTES = len("<message/>")

_NEXT_TAG = LazyPattern(rb"[ \t\r\n]*+<([A-Za-z]++)")
_TAGS = {tag.encode(): tag for tag in MESSAGES if tag not in CONTENT_TAGS}

# A peer may invent new names for ever, so only this many heads are remembered, and no longer ones than this.
_KEPT_HEADS = 1000
_KEPT_BYTES = 200


Reader: TypeAlias = Callable[[str, int, int, int], tuple[WireMessage, int] | None]
"""Reads canonical messages of one tag, as described at :func:`indianyio.protocol._decoder.canonical_reader`."""


class PlainFrames:
    """Makes frames of messages, and recognises the plain ones.

    :param limits: how long a message may be. One that is longer than its start tag may be is not examined here.
    :param reader_of: returns what decodes canonical messages of a tag; ``None`` if frames are not to be decoded.
    """

    def __init__(self, limits: Limits, reader_of: Callable[[str], Reader] | None) -> None:
        self._reader_of = reader_of
        self._members = limits.members
        self._longest = min(limits.message_bytes, limits.attributes_bytes)
        self._heads: dict[tuple[str, bytes | None, bytes | None], Head] = {}
        # The tag of the last message, which is likely to be that of the next; everybody begins with this one.
        self._tag = GetProperties.tag

    def take(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> tuple[int, bool]:
        """Take plain messages as long as they follow one another, with only white space between them.

        :param piece: bytes of the stream.
        :param position: where a message may begin.
        :param found: the list to which the frames are added.
        :return: the index just after the last message taken, or ``position``; and whether the message that begins
            there, if one does, is known not to be plain.
        """
        if self._reader_of is not None and piece.isascii():
            position = self._take_canonical(self._reader_of, piece, position, found)
        if len(piece) - position < _LEAST_BYTES:
            return position, False
        return self._take_plain(piece, position, found)

    def _take_canonical(
        self, reader_of: Callable[[str], Reader], piece: bytes, position: int, found: list[Frame | Unusable]
    ) -> int:
        text, tag = piece.decode(), self._tag
        read = reader_of(tag)
        while True:
            # Nearly always a single line end stands between messages.
            start = position + piece.startswith(b"\n", position)
            near = read(text, start, start + _NEAR_BYTES, self._members)
            if near is None:
                tag = self._other_tag(piece, position)
                if not tag:
                    return position
                read = reader_of(tag)
                continue
            message, end = near
            if end - start > self._longest:
                return position
            found.append(Frame(tag, piece[start:end], (), 0, message, True))
            position = end
            if len(piece) - position < _LEAST_BYTES:
                return position

    def _take_plain(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> tuple[int, bool]:
        tag, heads = self._tag, self._heads
        match_at = plain_element(tag, self._members).match
        while True:
            match = match_at(piece, position)
            if match is None:
                tag = self._other_tag(piece, position)
                if not tag:
                    return position, True
                match_at = plain_element(tag, self._members).match
                continue
            data, device, name = match.groups()
            if len(data) > self._longest or not (data.isascii() or is_xml_utf8(data)):
                return position, len(data) <= self._longest
            head = heads.get((tag, device, name)) or self._new_head(tag, device, name)
            found.append(Frame(tag, data, (), 0, None, True, head))
            position = match.end()
            if len(piece) - position < _LEAST_BYTES:
                return position, False

    def frame(self, tag: str, data: bytes, *, refused: bool = False, bare: tuple[int, int] = (0, 0)) -> Frame:
        """Return the frame of a message that the framer has cut out.

        :param tag: its tag.
        :param data: its bytes.
        :param refused: whether it is known not to be plain.
        :param bare: where a BLOB vector is known to contain no ``<``.
        """
        if tag in CONTENT_TAGS:
            return Frame(tag, data, (), attached_count(data, bare), bare=bare)
        if refused:
            return Frame(tag, data, plain=False)
        if len(data) > self._longest:
            return Frame(tag, data)
        match = plain_element(tag, self._members).fullmatch(data) if is_xml_utf8(data) else None
        if match is None:
            return Frame(tag, data, plain=False)
        return Frame(tag, data, (), 0, None, True, self._new_head(tag, match[2], match[3]))

    def _other_tag(self, piece: bytes, position: int) -> str:
        """Return the next tag, unless it is the one already tried or none that is taken here."""
        following = _NEXT_TAG.match(piece, position)
        tag = _TAGS.get(following[1], "") if following else ""
        if tag in ("", self._tag):
            return ""
        self._tag = tag
        return tag

    def _new_head(self, tag: str, device: bytes | None, name: bytes | None) -> Head:
        head = (tag, quoted_value(device), quoted_value(name))
        if len(device or b"") + len(name or b"") <= _KEPT_BYTES:
            if len(self._heads) >= _KEPT_HEADS:
                self._heads.clear()
            self._heads[tag, device, name] = head
        return head
