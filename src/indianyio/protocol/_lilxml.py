"""Elements read as libindi's reader, "lilxml", reads them, where an XML parser is too slow or too strict.

*Start tags as bytes* tell who is addressed, without parsing XML. For well-formed input the answers are those of an
XML parser; for input that is repaired, those that the parser gives after the repair. Otherwise a message could be
counted with other descriptors, or sent another way, than the decoder reads it later. That is why both subjects
stand in one module, and why their patterns must agree. For everything else, which the decoder refuses anyway, the
answer is only harmless. Attributes are read one after the other from the front, so nothing inside a quoted value is
mistaken for one.

*Repair* turns what lilxml accepts and an XML parser refuses into XML with the same meaning. indiserver relays
whatever lilxml can read, and that is more than XML: garbage from a serial line in a firmware text, or ``sensor 2 <
sensor 1`` in a message. Such a message was not damaged on the way, and dropping it would lose a value that
everybody else sees. So when the strict parser has failed, the element is read once more by lilxml's rules and
written as XML, which the strict parser then reads like any other: nothing reaches a program without having passed
the parser. Where XML gives something a meaning, that meaning counts, even if lilxml gives it another (a numeric
reference, a CDATA section, a comment with a ``>`` in it). The table is in docs/protocol.md, the reasons are in
docs/decisions/0013-what-lilxml-reads-is-repaired.md.

All patterns are possessive, and every step of the repair consumes what it has looked at, so no input takes long.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._elements import DefText, OneText
from indianyio.protocol._messages import MESSAGES

__all__ = [
    "PARTED",
    "REST_OF_HEAD",
    "UnrepairableError",
    "attribute",
    "encoding_of",
    "end_before_half_tag",
    "repaired",
]

# -- what both have in common ----------------------------------------------------------------------------------

# lilxml counts more characters as white space than XML does, needs none between two attributes, skips declarations,
# and accepts no "=" or two of them, as long as something separates the name from the value.
_BLANKS = " \t\n\r\x0b\x0c"
_GAP = r"(?:[ \t\n\r\x0B\x0C]++|<[!?][^>]*+>)*+"
_EQUALS = r"(?:[ \t\n\r\x0B\x0C=]++|<[!?][^>]*+>)++"
_QUOTED = r"""(?:"([^"]*+)"|'([^']*+)')"""
_DECLARATION = LazyPattern(r"<[!?][^>]*+>")

_XML_CHARACTERS = LazyPattern(r"[\t\n\r -\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_HIGHEST_CODE_POINT = 0x10FFFF
# What is not a character in XML: a repair leaves these out of attributes and of texts for people.
_NO_CHARACTER = r"[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]"

_SLICE_BYTES = 1 << 20


def _without_declarations(value: str) -> str:
    """Return an attribute without the declarations that lilxml skips, such as comments (protocol.md W2)."""
    # Cut at the last ">": otherwise each "<!" behind it would search to the end in vain.
    end = value.rfind(">") + 1
    return _DECLARATION.sub("", value[:end]) + value[end:] if "<" in value else value


def _is_xml_character(code_point: int) -> bool:
    """Return whether XML has a character with this number."""
    return code_point <= _HIGHEST_CODE_POINT and _XML_CHARACTERS.match(chr(code_point)) is not None


def encoding_of(data: bytes) -> str:
    """Return the encoding in which the bytes of one element must be read (protocol.md W12).

    :param data: the whole element, because all its parts are read alike.
    :return: ``"utf-8"`` if that is possible, otherwise ``"latin-1"``, which always is.
    """
    if data.isascii():
        return "utf-8"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        # In slices, because an element may take four times its bytes as text.
        for start in range(0, len(data), _SLICE_BYTES):
            decoder.decode(data[start : start + _SLICE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


# -- start tags as bytes ---------------------------------------------------------------------------------------

_HALF_TAG = LazyPattern(rb"</?[A-Za-z]*")
_LONGEST_HALF_TAG = len("</") + max(len(tag) for tag in MESSAGES)


def end_before_half_tag(piece: bytes, position: int) -> int:
    """Return where to stop reading a piece of the stream, leaving out a tag name that the next piece may continue.

    :param position: everything before this has been dealt with.
    """
    last = piece.rfind(b"<", max(position, len(piece) - _LONGEST_HALF_TAG))
    return last if last >= 0 and _HALF_TAG.fullmatch(piece, last) else len(piece)


REST_OF_HEAD = rb"""[^<>"']*+(?:(?:"[^"<]*+"|'[^'<]*+')[^<>"']*+)*+>"""
"""A start tag from just after its name to its end, provided that it contains no raw ``<``."""

_ATTRIBUTE_BYTES = LazyPattern(
    (_GAP + r"""([^ \t\r\n\x0B\x0C=<>"'/]++)""" + _EQUALS + _QUOTED).encode(),
)
_REFERENCE = LazyPattern(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_REFERENCE_BASES = {2: 10, 3: 16}

# XML readers turn every line end and tab in an attribute into a blank.
_LINE_END = LazyPattern(rb"\r\n|[\t\r\n]")
_NO_CHARACTERS = LazyPattern(_NO_CHARACTER)


def attribute(data: bytes, position: int, name: bytes) -> str | None:
    """Return an attribute of the start tag whose attributes begin at ``position``.

    :param data: the element.
    :param position: the index just after the tag's name.
    :param name: the attribute to look for; if several have this name, the first one counts (protocol.md W6).
    :return: its value with entities and line ends resolved, or ``None`` if it is absent.
    """
    while match := _ATTRIBUTE_BYTES.match(data, position):
        if match[1] == name:
            return _value(data, match[2] if match[3] is None else match[3])
        position = match.end()
    return None


def _value(data: bytes, raw: bytes) -> str:
    text = _LINE_END.sub(b" ", raw).decode("ascii" if raw.isascii() else encoding_of(data))
    text = _NO_CHARACTERS.sub("", _without_declarations(text))
    return _REFERENCE.sub(_referenced, text) if "&" in text else text


def _referenced(match: re.Match[str]) -> str:
    if match[1]:
        return _NAMED[match[1]]
    kind = match.lastindex or 0
    code_point = int(match[kind], _REFERENCE_BASES[kind])
    return chr(code_point) if _is_xml_character(code_point) else match[0]


# -- repair ----------------------------------------------------------------------------------------------------

_NAME = r"[A-Za-z_:][A-Za-z0-9_:.\-]*+"
_START = LazyPattern(rf"<[{_BLANKS}]*+({_NAME})")
_END = LazyPattern(r"</([^<>]*+)>")
_ATTRIBUTE = LazyPattern(rf"{_GAP}({_NAME}){_EQUALS}{_QUOTED}")
_HEAD_END = LazyPattern(rf"{_GAP}(/?>)")

_SPECIAL = LazyPattern(
    rf"&(?:(?:amp|lt|gt|quot|apos|#([0-9]{{1,7}})|#x([0-9A-Fa-f]{{1,6}}));)?|[<>\"]|{_NO_CHARACTER}"
)
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_BASES = {1: 10, 2: 16}

# In a text for people a control character is garbage between two letters. In any other text it separates what
# stands around it ("1\x072" is not 12), so something must remain there that is not part of a number or a word.
_TEXTS = frozenset({OneText.tag, DefText.tag})
PARTED = "\N{REPLACEMENT CHARACTER}"
"""What replaces a control character in texts that are not for people."""


class UnrepairableError(Exception):
    """Why an element cannot be repaired."""


def repaired(data: bytes) -> str:
    """Return an element as XML with the content that lilxml reads in it.

    :param data: UTF-8, or bytes that cannot be UTF-8 and are read as Latin-1.
    :return: one well-formed element without comments, namespaces and declarations.
    :raises UnrepairableError: lilxml could not read it either, or it declares a document type.
    """
    return _Reader(data.decode(encoding_of(data))).read()


class _Reader:
    """Reads one element from front to back and writes it as it goes.

    :param text: the element.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[str] = []
        self._written: list[str] = []
        self._absent: set[str] = set()  # endings that do not occur in the rest

    def read(self) -> str:
        self._start_tag()
        while self._open:
            if self._at == len(self._text):
                raise UnrepairableError(f"{self._open[-1]} is not closed")
            if self._text[self._at] != "<":
                self._content(self._up_to("<"))
            elif self._text.startswith(("<!", "<?"), self._at):
                self._declaration()
            elif found := _END.match(self._text, self._at):
                self._end_tag(found)
            else:
                self._start_tag()
        if self._text[self._at :].strip(_BLANKS):
            raise self._error("something follows its end")
        return "".join(self._written)

    def _start_tag(self) -> None:
        found = _START.match(self._text, self._at)
        if found is None:
            raise self._error("a '<' does not begin a tag")
        tag, self._at = found[1], found.end()
        attributes = self._attributes()
        ending = _HEAD_END.match(self._text, self._at)
        if ending is None:
            raise self._error(f"the tag {tag} neither ends nor has another attribute")
        self._at = ending.end()
        self._written.append(f"<{_plain_name(tag)}{attributes}{ending[1]}")
        if ending[1] == ">":
            self._open.append(tag)

    def _attributes(self) -> str:
        """Read the attributes of a tag; if several have one name, the first one counts (protocol.md W6)."""
        values: dict[str, str] = {}
        while True:
            found = _ATTRIBUTE.match(self._text, self._at)
            if found is None:
                return "".join([f' {name}="{value}"' for name, value in values.items()])
            name, self._at = found[1], found.end()
            # Elements are called what they look like (W3); declaring a namespace would rename them.
            if name != "xmlns" and not name.startswith("xmlns:"):
                value = found[2] if found[3] is None else found[3]
                values.setdefault(_plain_name(name), _escaped(_without_declarations(value), ""))

    def _end_tag(self, found: re.Match[str]) -> None:
        tag = self._open.pop()
        # lilxml ignores white space here, even inside the name.
        if "".join(found[1].split()) != tag:
            raise self._error(f"{tag} is closed by another end tag")
        self._written.append(f"</{_plain_name(tag)}>")
        self._at = found.end()

    def _declaration(self) -> None:
        """Skip a comment or the like: to its end according to XML, or else to the next ``>`` (protocol.md W2)."""
        text, start = self._text, self._at
        if text.startswith("<![CDATA[", start) and (end := self._find("]]>", start)) >= 0:
            self._content(text[start + len("<![CDATA[") : end], _escaped_data)
            self._at = end + len("]]>")
            return
        if text.startswith("<!DOCTYPE", start):
            raise self._error("it declares a document type")
        # From the second character on, because libindi accepts "<!-->" as a whole comment.
        end = self._find("-->", start + 2) if text.startswith("<!--", start) else -1
        end = end + len("-->") if end >= 0 else self._find(">", start) + 1
        if not end:
            raise self._error("a '<!' or '<?' has no end")
        self._at = end

    def _content(self, text: str, escape: Callable[[str, str], str] | None = None) -> None:
        parting = "" if self._open[-1] in _TEXTS else PARTED
        if parting:
            # At both ends lilxml strips more characters as white space than XML does.
            text = text.lstrip(_BLANKS) if self._written[-1].endswith(">") else text
            text = text.rstrip(_BLANKS) if self._text.startswith("</", self._at) else text
        self._written.append((escape or _escaped)(text, parting))

    def _up_to(self, ending: str) -> str:
        start, end = self._at, self._find(ending, self._at)
        self._at = len(self._text) if end < 0 else end
        return self._text[start : self._at]

    def _find(self, ending: str, start: int) -> int:
        """Return the next index of ``ending``, or -1; that it occurs nowhere is found out only once."""
        end = -1 if ending in self._absent else self._text.find(ending, start)
        if end < 0:
            self._absent.add(ending)
        return end

    def _error(self, what: str) -> UnrepairableError:
        return UnrepairableError(f"{what} (at character {self._at})")


def _plain_name(name: str) -> str:
    """Return a name without a prefix, which would need a declaration."""
    return name.replace(":", "_")


def _escaped(text: str, parting: str) -> str:
    """Return text as XML, with those references resolved that XML knows.

    :param parting: what replaces a character that XML does not have.
    """

    def written(found: re.Match[str]) -> str:
        first = found[0][0]
        if first != "&":
            return _ESCAPED.get(first, parting)
        kind = found.lastindex
        if found[0] == "&" or (kind and not _is_xml_character(int(found[kind], _BASES[kind]))):
            return "&amp;" + found[0][1:]
        return found[0]

    return _SPECIAL.sub(written, text)


def _escaped_data(text: str, parting: str) -> str:
    """Return the content of a CDATA section as XML: it contains no references."""
    return _escaped(text.replace("&", "&amp;"), parting)
