"""Start tags read as bytes: who is addressed, without parsing XML.

Everything here answers as an XML parser would for well-formed input, and says something harmless for the rest,
which the decoder refuses anyway. Attributes are read one after the other from the front, so that nothing inside
a quoted value is mistaken for one. All patterns are possessive: none costs more than one look at each byte.
"""

from __future__ import annotations

import codecs
import re

from indianyio.protocol._patterns import LazyPattern

__all__ = ["REST_OF_HEAD", "attribute", "encoding_of"]

REST_OF_HEAD = rb"""[^<>"']*+(?:(?:"[^"<]*+"|'[^'<]*+')[^<>"']*+)*+>"""
"""A start tag from behind its name to its end, as long as no raw ``<`` is in it."""

_ATTRIBUTE = LazyPattern(rb"""[ \t\r\n]++([^ \t\r\n=<>"'/]++)[ \t\r\n]*+=[ \t\r\n]*+(?:"([^"]*+)"|'([^']*+)')""")

_REFERENCE = LazyPattern(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_BASES = {2: 10, 3: 16}
_HIGHEST_CODE_POINT = 0x10FFFF

# XML readers give a blank for every line end and tab that stands in an attribute.
_LINE_END = LazyPattern(rb"\r\n|[\t\r\n]")

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
    return _REFERENCE.sub(_referenced, text) if "&" in text else text


def _referenced(match: re.Match[str]) -> str:
    if match[1]:
        return _NAMED[match[1]]
    kind = match.lastindex or 0
    code_point = int(match[kind], _BASES[kind])
    return chr(code_point) if code_point <= _HIGHEST_CODE_POINT else match[0]


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
