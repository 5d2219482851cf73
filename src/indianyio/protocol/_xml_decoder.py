"""Frames to messages by means of an XML parser, for everything that no shortcut takes.

defusedxml parses, with all its guards on, into something simple: an element, its children, and the text that stands
directly in them. Base64 does not pass through the parser. It is cut out of the bytes first and only the rest is
parsed; each oneBLOB that the parser meets is then the next one that was cut, because both see the same ones. So a
thumbnail and a gigabyte take the same way.

The message classes say what a parsed element becomes: their fields are the attributes, and those without a default
must be present. Whatever the classes do not name is ignored, as the standard asks. Values stay as they were written
(that ``On`` is a switch's value is the model's business), except that a BLOB has to be decoded to be carried at
all.

This module and the parser are imported when they are first needed (see ``_decoder``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol._blob_spans import blob_elements, decimal
from indianyio.protocol._blobs import decode_base64
from indianyio.protocol._elements import (
    Attachment,
    OneBLOB,
    WireElement,
    WireMember,
    WireMessage,
    attributes_of,
    required_of,
)
from indianyio.protocol._frames import EXCERPT_BYTES, Frame
from indianyio.protocol._lilxml import UnrepairableError, encoding_of, repaired
from indianyio.protocol._messages import CONTENT_TAGS, MEMBERS, MESSAGES
from indianyio.protocol._text import BLANKS, WORDS, text_reader

__all__ = ["RefusalError", "parse_element", "parsed_message"]

# Nothing nests elements this deep by accident, and the parser keeps every open one in memory.
_HOPELESS_DEPTH = 1000

_NO_MORE = memoryview(b"")

_ResultT_co = TypeVar("_ResultT_co", covariant=True)


class RefusalError(Exception):
    """Why a message cannot be used; it never leaves the decoder."""


@dataclass(slots=True)
class Node:
    """An element as parsed.

    :ivar base64: what was cut out of a oneBLOB, or ``None`` if the parser saw all of it.
    """

    tag: str
    attributes: Mapping[str, str]
    base64: memoryview | None = None
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text that stands directly in it, before, between and after its children."""
        return "".join(self.texts)


class _Shape:
    """A target for the parser, which keeps what a message can have, within the limits.

    Beyond the limits it only counts, because a lost end tag nests everything that follows: the parser then finds
    the element broken at its end, and that costs only the message. Only a peer whose sound XML goes too far is
    disconnected.
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
        # Text after a child belongs to the root; text below the children belongs to nobody.
        if self._depth <= 2 and self._excess is None:
            self._nodes[0 if self._depth == 1 else -1].texts.append(text)

    def close(self) -> list[Node]:
        if self._excess is not None:
            raise self._excess
        if self._tag in CONTENT_TAGS and (self._is_miscut or next(self._cut, _NO_MORE) is not _NO_MORE):
            # Happens only after a repair, and then some BLOB would get the content of another.
            raise RefusalError("it is not clear which content belongs to which oneBLOB")
        return self._nodes


class _Target(Protocol[_ResultT_co]):
    def close(self) -> _ResultT_co: ...


def parse(data: bytes, make_target: Callable[[], _Target[_ResultT_co]]) -> _ResultT_co:
    """Parse the bytes of one element, and repair it first if it is not well-formed.

    :param data: UTF-8, or bytes that cannot be UTF-8 and are read as Latin-1.
    :param make_target: makes a target for the parser; called again after a repair.
    :return: what the target made of the element.
    :raises RefusalError: it is not well-formed and cannot be repaired, or it declares a document type or an entity.
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
    :param limits: how deep and how wide it may be, and how long apart from base64.
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
    """Return an element in which all names are what they look like, as lilxml reads them."""
    try:
        return repaired(data).encode()
    except UnrepairableError:
        return data


def _cut_base64(data: bytes, limits: Limits) -> tuple[bytes, list[memoryview | None]]:
    """Return the rest of a BLOB vector, and for each oneBLOB what was cut out of it."""
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
    # Before anything is copied, because a copy makes all other threads wait.
    if sum(map(len, kept)) > limits.message_bytes:
        raise RefusalError(f"it has more than {limits.message_bytes} bytes beside its base64")
    return b"".join(kept), cut


# -- what elements become --------------------------------------------------------------------------------------

_ElementT_co = TypeVar("_ElementT_co", bound=WireElement, covariant=True)


def parse_element(data: bytes) -> Element:
    """Return an element as ElementTree represents it (see :func:`indianyio.protocol._decoder.parse_element`)."""
    try:
        return parse(data, TreeBuilder)
    except RefusalError as refusal:
        raise ValueError(str(refusal)) from refusal


_Content = Callable[[Node, Iterator[Attachment]], Mapping[str, object]]


def _no_content(node: Node, attachments: Iterator[Attachment]) -> Mapping[str, object]:
    return {}


def _value(cls: type[WireElement]) -> _Content:
    read = text_reader(cls)
    return lambda node, attachments: {"value": read(node.text)}


def _blob(node: Node, attachments: Iterator[Attachment]) -> Mapping[str, object]:
    written_size = node.attributes.get("size", "").strip(BLANKS)
    size = decimal(written_size)
    if node.attributes.get("attached") == "true":
        content: dict[str, object] = {"attachment": next(attachments, None)}
        if content["attachment"] is None:
            raise RefusalError("the descriptor of an attached BLOB is missing")
    else:
        content = {"data": b"" if size == 0 else _base64(node)}
        if not content["data"]:
            return content
    if size is None:
        raise RefusalError(f"a oneBLOB has content, but its size is {written_size[:EXCERPT_BYTES]!r}")
    return content


def _base64(node: Node) -> bytes:
    # What was not cut has markup inside, such as a comment; that is rare, so it may be copied.
    try:
        return decode_base64(node.text.encode() if node.base64 is None else node.base64)
    except ValueError as exc:
        raise RefusalError(f"the content of a oneBLOB is not base64: {exc}") from exc


@dataclass(frozen=True, slots=True)
class _Plan(Generic[_ElementT_co]):
    """How to make an element from its node; everything follows from the fields of its class."""

    tag: str
    build: Callable[..., _ElementT_co]
    attributes: tuple[str, ...]
    required: tuple[str, ...]
    content: _Content


def _plan(cls: type[_ElementT_co]) -> _Plan[_ElementT_co]:
    content = _value(cls) if "value" in cls.__struct_fields__ else _no_content
    return _Plan(
        tag=cls.tag,
        build=cls,
        attributes=attributes_of(cls),
        required=required_of(cls),
        content=_blob if cls is OneBLOB else content,
    )


_MESSAGE_PLANS = {tag: _plan(cls) for tag, cls in MESSAGES.items()}
_MEMBER_PLANS = {vector.tag: _plan(member) for vector, member in MEMBERS.items()}


def parsed_message(frame: Frame, limits: Limits) -> WireMessage:
    """Return the message in a frame by means of the XML parser, whatever is already known about the frame.

    :raises RefusalError: it cannot be used.
    :raises RemoteProtocolError: it is too deep or has too many members.
    """
    plan = _MESSAGE_PLANS.get(frame.tag)
    if plan is None:
        raise RefusalError("its tag is unknown")
    root, *children = nodes_of(frame, limits)
    if root.tag != plan.tag:
        raise RefusalError(f"it is not a {plan.tag}")
    for name in plan.required:
        if not root.attributes.get(name):
            raise RefusalError(f"{plan.tag} without {name}")
    attachments = iter(frame.attachments)
    content = dict(plan.content(root, attachments))
    if (member_plan := _MEMBER_PLANS.get(plan.tag)) is not None:
        content["members"] = _members(children, member_plan, attachments)
    if next(attachments, None) is not None:
        raise RefusalError("it came with more descriptors than it has attached BLOBs")
    return plan.build(**_attributes(root, plan), **content)


def _members(
    nodes: list[Node], plan: _Plan[WireMember], attachments: Iterator[Attachment]
) -> tuple[WireMember, ...]:
    """Return the members that have a name; others occur, and mean nothing (protocol.md W23)."""
    members = []
    for node in nodes:
        if node.tag == plan.tag:
            # Before the name is checked, because a BLOB without a name has a descriptor too.
            content = plan.content(node, attachments)
            if node.attributes.get("name"):
                members.append(plan.build(**_attributes(node, plan), **content))
    return tuple(members)


def _attributes(node: Node, plan: _Plan[WireElement]) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for name in plan.attributes:
        text = node.attributes.get(name)
        word = WORDS.get(name)
        found[name] = word(text) if word is not None and text is not None else text
    return found
