"""Frames to messages, by an XML parser; plain ones are taken apart by ``_plain_decoder``.

What becomes of a parsed element is read off the message classes: their fields are the attributes, and those
without a default must be there. What the classes do not name is ignored, as the standard asks.

Values stay as they were written (that ``On`` is a switch's value is the model's business), except that a BLOB
must be decoded to be carried at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Generic, TypeVar
from xml.etree.ElementTree import Element, TreeBuilder

from indianyio._vocabulary import Limits
from indianyio.protocol._blobs import decode_base64
from indianyio.protocol._elements import Attachment, OneBLOB, WireElement, WireMember, WireMessage
from indianyio.protocol._frames import EXCERPT_BYTES, Frame, Unusable
from indianyio.protocol._messages import MEMBERS, MESSAGES
from indianyio.protocol._plain_decoder import plain_message
from indianyio.protocol._shapes import Node, RefusalError, nodes_of, parse
from indianyio.protocol._values import BLANKS, CONTENT_FIELDS, WORDS, text_reader

__all__ = ["decode", "parse_element"]

# More digits than any size has, and fewer than int() minds.
_SIZE = re.compile(r"[0-9]{1,18}")

_ElementT_co = TypeVar("_ElementT_co", bound=WireElement, covariant=True)


def decode(frame: Frame, limits: Limits = Limits()) -> WireMessage | Unusable:  # noqa: B008 - frozen
    """Return the message in a frame; it is kept there, so asking again costs nothing.

    A frame that is found unusable keeps its attachments; whoever drops it closes them.

    :param frame: an element as it was received, with the attachments that belong to it.
    :param limits: how deep and how long the peer's messages may be.
    :return: the message, or why it cannot be used. Values are text as on the wire, BLOBs are decoded from base64
        and not inflated.
    :raises RemoteProtocolError: the peer exceeds ``limits.depth`` or ``limits.members``; whether it is to be
        disconnected, the caller decides. The frame is as before, so asking again raises again. Nothing else is
        raised, whatever the bytes.
    """
    if frame.decoded is None:
        try:
            frame.decoded = plain_message(frame, limits) if frame.plain else _message(frame, limits)
        except RefusalError as refusal:
            frame.decoded = Unusable.made_of(frame, str(refusal))
    return frame.decoded


def parse_element(data: bytes) -> Element:
    """Return an element as :mod:`xml.etree.ElementTree` has it, for code that wants to read the XML itself.

    :param data: the bytes of a frame.
    :raises ValueError: it is not well-formed and cannot be repaired, or declares a document type or an entity.
    """
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
    size = int(written_size) if _SIZE.fullmatch(written_size) else None
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
    attributes = [entry for entry in fields(cls) if entry.name not in CONTENT_FIELDS]
    has_value = any(entry.name == "value" for entry in fields(cls))
    content = _value(cls) if has_value else _no_content
    return _Plan(
        tag=cls.tag,
        build=cls,
        attributes=tuple(entry.name for entry in attributes),
        required=tuple(entry.name for entry in attributes if entry.default is MISSING),
        content=_blob if cls is OneBLOB else content,
    )


_MESSAGE_PLANS = {tag: _plan(cls) for tag, cls in MESSAGES.items()}
_MEMBER_PLANS = {vector.tag: _plan(member) for vector, member in MEMBERS.items()}


def _message(frame: Frame, limits: Limits) -> WireMessage:
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
