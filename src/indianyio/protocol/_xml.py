"""XML to a plain shape: an element, its children, and the text that stands directly in them.

defusedxml parses, with all its guards on. Base64 does not go through it: it is cut out of the bytes first, only
what remains is parsed, and each oneBLOB that the parser then meets is the next one that was cut, because both see
the same ones. So there is one way for a thumbnail and for a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol._blob_spans import blob_elements
from indianyio.protocol._elements import OneBLOB
from indianyio.protocol._framer import CONTENT_TAGS
from indianyio.protocol._frames import Frame
from indianyio.protocol._repair import UnrepairableError, repaired
from indianyio.protocol._start_tags import encoding_of

__all__ = ["Node", "RefusalError", "nodes_of", "parse"]

# No accident nests elements like this, and the parser remembers every open one.
_HOPELESS_DEPTH = 1000

_NO_MORE = memoryview(b"")

_ResultT_co = TypeVar("_ResultT_co", covariant=True)


class RefusalError(Exception):
    """Why a message cannot be used; never leaves the decoder."""


@dataclass(slots=True)
class Node:
    """An element as parsed.

    :ivar base64: what was cut out of a oneBLOB, or ``None`` where the parser saw it all.
    """

    tag: str
    attributes: Mapping[str, str]
    base64: memoryview | None = None
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What stands directly in it, before, between and behind its children."""
        return "".join(self.texts)


class _Shape:
    """A target for the parser: keeps what a message can have, and no more than the limits allow.

    Beyond them it only looks on, because a lost end tag nests what follows: then the parser finds the element
    broken at its end, and that costs the message. Only who goes too far in good order is to be disconnected.
    """

    def __init__(self, tag: str, limits: Limits, cut: Iterator[memoryview | None]) -> None:
        self._tag = tag
        self._nodes: list[Node] = []  # the root and its children
        self._limits = limits
        self._cut = cut
        self._depth = 0
        self._is_miscut = False
        self._excess: RemoteProtocolError | None = None

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > self._limits.depth:
            self._exceed(f"elements more than {self._limits.depth} deep")
        elif len(self._nodes) > self._limits.members and self._depth == 2:
            self._exceed(f"more than {self._limits.members} members")
        base64 = self._next_cut() if tag == OneBLOB.tag else None
        if self._depth <= 2 and self._excess is None:
            self._nodes.append(Node(tag, attributes, base64))

    def _next_cut(self) -> memoryview | None:
        base64 = next(self._cut, _NO_MORE)
        self._is_miscut = self._is_miscut or base64 is _NO_MORE
        return base64

    def _exceed(self, what: str) -> None:
        self._excess = RemoteProtocolError(f"{what} in a {self._tag}")
        if self._depth > _HOPELESS_DEPTH:
            raise self._excess

    def end(self, tag: str) -> None:
        self._depth -= 1

    def data(self, text: str) -> None:
        # Text after a child belongs to the root, text below the children to nobody.
        if self._depth <= 2 and self._excess is None:
            self._nodes[0 if self._depth == 1 else -1].texts.append(text)

    def close(self) -> list[Node]:
        if self._excess is not None:
            raise self._excess
        if self._tag in CONTENT_TAGS and (self._is_miscut or next(self._cut, _NO_MORE) is not _NO_MORE):
            # Only in what was repaired, and then some BLOB would get the content of another.
            raise RefusalError("it cannot be told which content belongs to which oneBLOB")
        return self._nodes


class _Target(Protocol[_ResultT_co]):
    def close(self) -> _ResultT_co: ...


def parse(data: bytes, make_target: Callable[[], _Target[_ResultT_co]]) -> _ResultT_co:
    """Parse the bytes of one element; what is not well-formed is repaired first.

    :param data: UTF-8, or what cannot be that and is taken for Latin-1.
    :param make_target: makes what is told of the element's parts; called again for what was repaired.
    :return: what the target made of them.
    :raises RefusalError: it is not well-formed and cannot be repaired, or declares a document type or an entity.
    """
    try:
        return _parse_strictly(data.decode(encoding_of(data)), make_target())
    except ParseError as exc:
        fault = exc
    try:
        return _parse_strictly(repaired(data), make_target())
    except (UnrepairableError, ParseError) as exc:
        raise RefusalError(f"it is not well-formed XML ({fault}) and cannot be repaired: {exc}") from exc


def _parse_strictly(text: str, target: _Target[_ResultT_co]) -> _ResultT_co:
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    try:
        parser.feed(text)
        result: _ResultT_co = parser.close()
    except DefusedXmlException as exc:
        raise RefusalError(f"it declares a document type or an entity: {exc}") from exc
    return result


def nodes_of(frame: Frame, limits: Limits) -> list[Node]:
    """Parse a frame.

    :param frame: an element.
    :param limits: how deep, how wide, and beside base64 how long it may be.
    :return: its root, then the root's children.
    :raises RefusalError: it cannot be parsed.
    :raises RemoteProtocolError: it is too deep or has too many members.
    """
    kept, cut = frame.data, list[memoryview | None]()
    if frame.tag in CONTENT_TAGS:
        kept, cut = _cut_base64(frame.data, limits)
    if b"xmlns" in kept:
        kept = _without_namespaces(kept)
    return parse(kept, lambda: _Shape(frame.tag, limits, iter(cut)))


def _without_namespaces(data: bytes) -> bytes:
    """Return an element in which all names are what they look like, as they are to lilxml."""
    try:
        return repaired(data).encode()
    except UnrepairableError:
        return data


def _cut_base64(data: bytes, limits: Limits) -> tuple[bytes, list[memoryview | None]]:
    """Return what is left of a BLOB vector, and for each oneBLOB what was cut out of it."""
    view, position = memoryview(data), 0
    kept: list[memoryview] = []
    cut: list[memoryview | None] = []
    for blob in blob_elements(data):
        if len(cut) == limits.members:
            raise RemoteProtocolError(f"more than {limits.members} BLOBs in a message")
        if blob.content is None:
            cut.append(None)
        else:
            start, end = blob.content
            kept.append(view[position:start])
            cut.append(view[start:end])
            position = end
    kept.append(view[position:])
    # Before anything is copied: that keeps all threads waiting.
    if sum(map(len, kept)) > limits.message_bytes:
        raise RefusalError(f"it has more than {limits.message_bytes} bytes beside its base64")
    return b"".join(kept), cut
