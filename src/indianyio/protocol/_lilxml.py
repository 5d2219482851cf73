"""Elements read as libindi's reader, "lilxml", reads them, where an XML parser is too slow or too strict.

*Start tags as bytes* tell who is addressed without parsing XML. The answers are those of an XML parser for
well-formed input, and for what is repaired those that it gets then: a message must not be counted with other
descriptors, or sent another way, than it is read in the end. That is why both stand in one module, and their
patterns must agree. For the rest, which the decoder refuses anyway, something harmless is said. Attributes are read
one after the other from the front, so that nothing inside a quoted value is mistaken for one.

*Repair* turns what lilxml takes and an XML parser refuses into XML that means the same. indiserver hands on
whatever lilxml can read, and that is more than XML: serial rubbish in a firmware text, ``sensor 2 < sensor 1`` in a
message. Such a message is no accident of the wire, and dropping it loses a value that everybody else would see. So
when the strict way has failed, the element is read here once more by lilxml's rules and written as XML, which the
strict parser then reads like any other: nothing reaches a program that the parser has not passed. Where XML has a
meaning, it counts, even where lilxml has another one (a numeric reference, a CDATA section, a comment with a ``>``
in it). The table is in docs/protocol.md, the reasons are in docs/decisions/0013-what-lilxml-reads-is-repaired.md.

All patterns are possessive and every step of the repair consumes what it has looked at, so no bytes take long.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._elements import DefText, OneText

__all__ = [
    "PARTED",
    "REST_OF_HEAD",
    "UnrepairableError",
    "attribute",
    "encoding_of",
    "repaired",
]

# -- what both have in common ----------------------------------------------------------------------------------

# lilxml takes more for white space than XML does, needs none between two attributes, passes over declarations, and
# minds neither a second "=" nor none, as long as something parts the name from the value.
_BLANKS = " \t\n\r\x0b\x0c"
_GAP = r"(?:[ \t\n\r\x0B\x0C]++|<[!?][^>]*+>)*+"
_EQUALS = r"(?:[ \t\n\r\x0B\x0C=]++|<[!?][^>]*+>)++"
_QUOTED = r"""(?:"([^"]*+)"|'([^']*+)')"""
_DECLARATION = LazyPattern(r"<[!?][^>]*+>")

_XML_CHARACTERS = LazyPattern(r"[\t\n\r -\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_HIGHEST_CODE_POINT = 0x10FFFF
# What is no character to XML: left out of attributes and of texts for people when a message is repaired.
_NO_CHARACTER = r"[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]"

_SLICE_BYTES = 1 << 20


def _without_declarations(value: str) -> str:
    """Return an attribute without what lilxml passes over in it, a comment for instance (protocol.md W2)."""
    # What is behind the last ">" would be searched to its end for each "<!".
    end = value.rfind(">") + 1
    return _DECLARATION.sub("", value[:end]) + value[end:] if "<" in value else value


def _is_xml_character(code_point: int) -> bool:
    """Return whether XML has a character of this number."""
    return code_point <= _HIGHEST_CODE_POINT and _XML_CHARACTERS.match(chr(code_point)) is not None


def encoding_of(data: bytes) -> str:
    """Return how the bytes of one element are to be read (protocol.md W12).

    :param data: the whole element: its parts are all read alike.
    :return: ``"utf-8"`` if that is possible, else ``"latin-1"``, which always is.
    """
    if data.isascii():
        return "utf-8"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        # In slices, because as text an element may take four times its bytes.
        for start in range(0, len(data), _SLICE_BYTES):
            decoder.decode(data[start : start + _SLICE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


# -- start tags as bytes ---------------------------------------------------------------------------------------

REST_OF_HEAD = rb"""[^<>"']*+(?:(?:"[^"<]*+"|'[^'<]*+')[^<>"']*+)*+>"""
"""A start tag from behind its name to its end, as long as no raw ``<`` is in it."""

_ATTRIBUTE_BYTES = LazyPattern(
    (_GAP + r"""([^ \t\r\n\x0B\x0C=<>"'/]++)""" + _EQUALS + _QUOTED).encode(),
)
_REFERENCE = LazyPattern(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_REFERENCE_BASES = {2: 10, 3: 16}

# XML readers give a blank for every line end and tab that stands in an attribute.
_LINE_END = LazyPattern(rb"\r\n|[\t\r\n]")
_NO_CHARACTERS = LazyPattern(_NO_CHARACTER)


def attribute(data: bytes, position: int, name: bytes) -> str | None:
    """Return an attribute of the start tag whose attributes begin at ``position``.

    :param data: the element.
    :param position: the index behind the tag's name.
    :param name: the attribute looked for; of several with this name the first counts (protocol.md W6).
    :return: its value with entities and line ends resolved, or ``None`` if it is not there.
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

# In a text for people a control character is rubbish between two letters. In any other text it parts what stands
# around it ("1\x072" is not 12), so something must stay there that is no part of a number or a word.
_TEXTS = frozenset({OneText.tag, DefText.tag})
PARTED = "\N{REPLACEMENT CHARACTER}"
"""What takes the place of a control character in any other text than one for people."""


class UnrepairableError(Exception):
    """Why an element cannot be repaired."""


def repaired(data: bytes) -> str:
    """Return an element as XML, with what lilxml reads in it.

    :param data: UTF-8, or what cannot be that and is taken for Latin-1.
    :return: one well-formed element without comments, namespaces and declarations.
    :raises UnrepairableError: lilxml would not read it either, or it declares a document type.
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
        self._absent: set[str] = set()  # endings of which there is none in the rest

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
            raise self._error("a '<' begins no tag")
        tag, self._at = found[1], found.end()
        attributes = self._attributes()
        ending = _HEAD_END.match(self._text, self._at)
        if ending is None:
            raise self._error(f"no attribute, nor the end of the tag {tag}")
        self._at = ending.end()
        self._written.append(f"<{_plain_name(tag)}{attributes}{ending[1]}")
        if ending[1] == ">":
            self._open.append(tag)

    def _attributes(self) -> str:
        """Read the attributes of a tag; of several with one name the first counts (protocol.md W6)."""
        values: dict[str, str] = {}
        while True:
            found = _ATTRIBUTE.match(self._text, self._at)
            if found is None:
                return "".join([f' {name}="{value}"' for name, value in values.items()])
            name, self._at = found[1], found.end()
            # Names of elements are what they are (W3); a namespace that was declared would change them.
            if name != "xmlns" and not name.startswith("xmlns:"):
                value = found[2] if found[3] is None else found[3]
                values.setdefault(_plain_name(name), _escaped(_without_declarations(value), ""))

    def _end_tag(self, found: re.Match[str]) -> None:
        tag = self._open.pop()
        # lilxml minds no white space here, not even inside the name.
        if "".join(found[1].split()) != tag:
            raise self._error(f"{tag} is closed by another end tag")
        self._written.append(f"</{_plain_name(tag)}>")
        self._at = found.end()

    def _declaration(self) -> None:
        """Pass over a comment or the like: to its end as XML has it, else to the next ``>`` (protocol.md W2)."""
        text, start = self._text, self._at
        if text.startswith("<![CDATA[", start) and (end := self._find("]]>", start)) >= 0:
            self._content(text[start + len("<![CDATA[") : end], _escaped_data)
            self._at = end + len("]]>")
            return
        if text.startswith("<!DOCTYPE", start):
            raise self._error("it declares a document type")
        # From the second character on, because libindi lets "<!-->" be a whole comment.
        end = self._find("-->", start + 2) if text.startswith("<!--", start) else -1
        end = end + len("-->") if end >= 0 else self._find(">", start) + 1
        if not end:
            raise self._error("a '<!' or '<?' has no end")
        self._at = end

    def _content(self, text: str, escape: Callable[[str, str], str] | None = None) -> None:
        parting = "" if self._open[-1] in _TEXTS else PARTED
        if parting:
            # At either end lilxml takes more for white space than XML does.
            text = text.lstrip(_BLANKS) if self._written[-1].endswith(">") else text
            text = text.rstrip(_BLANKS) if self._text.startswith("</", self._at) else text
        self._written.append((escape or _escaped)(text, parting))

    def _up_to(self, ending: str) -> str:
        start, end = self._at, self._find(ending, self._at)
        self._at = len(self._text) if end < 0 else end
        return self._text[start : self._at]

    def _find(self, ending: str, start: int) -> int:
        """Return where this is next; that it is nowhere is found out once."""
        end = -1 if ending in self._absent else self._text.find(ending, start)
        if end < 0:
            self._absent.add(ending)
        return end

    def _error(self, what: str) -> UnrepairableError:
        return UnrepairableError(f"{what} (at character {self._at})")


def _plain_name(name: str) -> str:
    """Return a name without a prefix, which would have to be declared."""
    return name.replace(":", "_")


def _escaped(text: str, parting: str) -> str:
    """Return text as XML, its references resolved as far as XML knows them.

    :param parting: what takes the place of what is no character to XML.
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
    """Return the content of a CDATA section as XML: there are no references in it."""
    return _escaped(text.replace("&", "&amp;"), parting)
