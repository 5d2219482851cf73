"""Start tags read as bytes: who is addressed, without parsing XML.

Everything here answers as an XML parser would for well-formed input, and for what is repaired as it will be then
(see ``_repair``): a message must not be counted with other descriptors, or sent another way, than it is read in the
end. For the rest, which the decoder refuses anyway, it says something harmless. Attributes are read one after the
other from the front, so that nothing inside a quoted value is mistaken for one. All patterns are possessive: none
costs more than one look at each byte.
"""

from __future__ import annotations

import codecs
import re

from indianyio.protocol._patterns import LazyPattern

__all__ = [
    "REST_OF_HEAD",
    "attribute",
    "encoding_of",
    "is_xml_character",
    "without_declarations",
]

REST_OF_HEAD = rb"""[^<>"']*+(?:(?:"[^"<]*+"|'[^'<]*+')[^<>"']*+)*+>"""
"""A start tag from behind its name to its end, as long as no raw ``<`` is in it."""

# lilxml takes more for white space than XML does, needs none between two attributes, passes over declarations, and
# minds neither a second "=" nor none.
_GAP = rb"(?:[ \t\r\n\x0B\x0C]++|<[!?][^>]*+>)*+"
_EQUALS = rb"(?:[ \t\r\n\x0B\x0C=]++|<[!?][^>]*+>)++"
_ATTRIBUTE = LazyPattern(rb"""%b([^ \t\r\n\x0B\x0C=<>"'/]++)%b(?:"([^"]*+)"|'([^']*+)')""" % (_GAP, _EQUALS))
_DECLARATION = LazyPattern(r"<[!?][^>]*+>")

_REFERENCE = LazyPattern(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_BASES = {2: 10, 3: 16}
_XML_CHARACTERS = LazyPattern(r"[\t\n\r -\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_HIGHEST_CODE_POINT = 0x10FFFF

# XML readers give a blank for every line end and tab that stands in an attribute.
_LINE_END = LazyPattern(rb"\r\n|[\t\r\n]")
# Left out when a message is repaired.
_NO_CHARACTERS = LazyPattern(r"[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]")

_SLICE_BYTES = 1 << 20


def attribute(data: bytes, position: int, name: bytes) -> str | None:
    """Return an attribute of the start tag whose attributes begin at ``position``.

    :param data: the element.
    :param position: the index behind the tag's name.
    :param name: the attribute looked for; of several with this name the first counts (protocol.md W6).
    :return: its value with entities and line ends resolved, or ``None`` if it is not there.
    """
    while match := _ATTRIBUTE.match(data, position):
        if match[1] == name:
            return _value(data, match[2] if match[3] is None else match[3])
        position = match.end()
    return None


def _value(data: bytes, raw: bytes) -> str:
    text = _LINE_END.sub(b" ", raw).decode("ascii" if raw.isascii() else encoding_of(data))
    text = _NO_CHARACTERS.sub("", without_declarations(text))
    return _REFERENCE.sub(_referenced, text) if "&" in text else text


def without_declarations(value: str) -> str:
    """Return an attribute without what lilxml passes over in it, a comment for instance (protocol.md W2)."""
    # What is behind the last ">" would be searched to its end for each "<!".
    end = value.rfind(">") + 1
    return _DECLARATION.sub("", value[:end]) + value[end:] if "<" in value else value


def _referenced(match: re.Match[str]) -> str:
    if match[1]:
        return _NAMED[match[1]]
    kind = match.lastindex or 0
    code_point = int(match[kind], _BASES[kind])
    return chr(code_point) if is_xml_character(code_point) else match[0]


def is_xml_character(code_point: int) -> bool:
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
