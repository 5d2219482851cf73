"""Frames to messages by means of an XML parser: the way of everything that no shortcut takes.

What becomes of a parsed element is read off the message classes: their fields are the attributes, and those
without a default must be there. What the classes do not name is ignored, as the standard asks.

Values stay as they were written (that ``On`` is a switch's value is the model's business), except that a BLOB
must be decoded to be carried at all.

This and the parser are imported when they are needed first (see ``_decoder``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from xml.etree.ElementTree import Element, TreeBuilder

from indianyio._vocabulary import Limits
from indianyio.protocol._blob_spans import decimal
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
from indianyio.protocol._messages import MEMBERS, MESSAGES
from indianyio.protocol._values import BLANKS, WORDS, text_reader
from indianyio.protocol._xml import Node, RefusalError, nodes_of, parse

__all__ = ["parse_element", "parsed_message"]

_ElementT_co = TypeVar("_ElementT_co", bound=WireElement, covariant=True)


def parse_element(data: bytes) -> Element:
    """Return an element as ElementTree has it (see :func:`indianyio.protocol._decoder.parse_element`)."""
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
        raise RefusalError(f"a oneBLOB has content and no size, but {written_size[:EXCERPT_BYTES]!r}")
    return content


def _base64(node: Node) -> bytes:
    # Uncut is what has markup inside, such as a comment; rare enough to be copied.
    try:
        return decode_base64(node.text.encode() if node.base64 is None else node.base64)
    except ValueError as exc:
        raise RefusalError(f"the content of a oneBLOB is not base64: {exc}") from exc


@dataclass(frozen=True, slots=True)
class _Plan(Generic[_ElementT_co]):
    """How an element is made from its node; all of it follows from the fields of its class."""

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
    """Return the message in a frame, whatever is already known of it, by means of the XML parser.

    :raises RefusalError: it cannot be used.
    :raises RemoteProtocolError: it is too deep or has too many members.
    """
    plan = _MESSAGE_PLANS.get(frame.tag)
    if plan is None:
        raise RefusalError("its tag is unknown")
    root, *children = nodes_of(frame, limits)
    if root.tag != plan.tag:
        raise RefusalError(f"it is no {plan.tag}")
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
    """Return the members that have a name; others exist and mean nothing (protocol.md W23)."""
    members = []
    for node in nodes:
        if node.tag == plan.tag:
            # Before the name is looked at: also a BLOB without a name has its descriptor.
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
