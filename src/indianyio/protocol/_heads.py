"""Start tags read as bytes: who is addressed, and where BLOB content lies, without parsing XML.

Everything here answers as an XML parser would for well-formed input, and for what is repaired as it will be then
(see ``_repair``): a message must not be counted with other descriptors, or sent another way, than it is read in the
end. For the rest, which the decoder refuses anyway, it says something harmless. Attributes are read one after the
other from the front, so that nothing inside a quoted value is mistaken for one. All patterns are possessive: none
costs more than one look at each byte.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "REST_OF_HEAD",
    "BlobElement",
    "attached_count",
    "attribute",
    "blob_elements",
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
_ATTRIBUTE = re.compile(rb"""%b([^ \t\r\n\x0B\x0C=<>"'/]++)%b(?:"([^"]*+)"|'([^']*+)')""" % (_GAP, _EQUALS))
_DECLARATION = re.compile(r"<[!?][^>]*+>")

_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_BASES = {2: 10, 3: 16}
_XML_CHARACTERS = re.compile(r"[\t\n\r -\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_HIGHEST_CODE_POINT = 0x10FFFF

# XML readers give a blank for every line end and tab that stands in an attribute.
_LINE_END = re.compile(rb"\r\n|[\t\r\n]")
# Left out when a message is repaired.
_NO_CHARACTERS = re.compile(r"[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]")

# What is between the quotes may have a raw "<", and there may be comments: lilxml reads it.
_REST_OF_BLOB_HEAD = rb"""[^<>"']*+(?:(?:"[^"]*+"|'[^']*+'|<[!?][^>]*+>)[^<>"']*+)*+>"""
_MARKUP = re.compile(
    rb"<(?:(!--)|(!\[CDATA\[)|(\?)|(?P<blob>oneBLOB)(?=[ \t\r\n/>])"
    + _REST_OF_BLOB_HEAD
    + rb"(?:(?<!/>)(?P<content>[^<]*+)(?=</oneBLOB[ \t\r\n>]))?)"
)
_ENDS = {1: b"-->", 2: b"]]>", 3: b"?>"}

_TAG = re.compile(rb"<" + _REST_OF_BLOB_HEAD)
# An image has five or so. Of more than this, one search through everything is cheaper.
_FEW_TAGS = 100

_SLICE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BlobElement:
    """Where a oneBLOB lies.

    :ivar attributes: where its attributes begin.
    :ivar content: from where to where its text goes, or ``None`` if it has none or markup inside.
    """

    attributes: int
    content: tuple[int, int] | None


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


def blob_elements(data: bytes) -> Iterator[BlobElement]:
    """Yield every oneBLOB that an XML parser would see, in order, so not those in comments and the like.

    :param data: a BLOB vector, or what is there of one.
    """
    position = 0
    while match := _MARKUP.search(data, position):
        position = match.end()
        if match["blob"] is not None:
            yield BlobElement(match.end("blob"), None if match["content"] is None else match.span("content"))
            continue
        ending = _ENDS[match.lastindex or 0]
        position = data.find(ending, position)
        if position < 0:
            return


def attached_count(data: bytes) -> int:
    """Count the oneBLOB elements whose content travels as a descriptor (protocol.md W36).

    :param data: a BLOB vector, or what is there of one.
    :return: how many descriptors belong to it.
    """
    if not _mentions_attached(data):
        return 0
    return sum(attribute(data, blob.attributes, b"attached") == "true" for blob in blob_elements(data))


def _mentions_attached(data: bytes) -> bool:
    """Return whether the word is in any tag; base64 is skipped at the speed of memory."""
    position = 0
    for _ in range(_FEW_TAGS):
        start = data.find(b"<", position)
        if start < 0:
            return False
        tag = _TAG.match(data, start)
        position = tag.end() if tag else start + 1
        if tag is None or b"attached" in tag[0]:
            break
    return b"attached" in data
