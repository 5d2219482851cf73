"""Plain frames to messages, without an XML parser.

In a plain message (see ``_plain``) everything is where it is expected: the attributes stand in their usual order,
text ends at the next ``<``, and there are no entities but five. So two patterns take it apart, one for the start
tag and one for all members, several times faster than a parser does, and with the same result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import cache, partial
from typing import Generic, TypeVar, cast

from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol._elements import WireElement, WireMember, WireMessage
from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import MEMBERS, MESSAGES
from indianyio.protocol._plain import captured_head, quoted_value, unescape
from indianyio.protocol._values import WORDS, text_reader

__all__ = ["plain_message"]

_ElementT = TypeVar("_ElementT", bound=WireElement)
_LINE_END = re.compile(r"\r\n?")


def plain_message(frame: Frame, limits: Limits) -> WireMessage:
    """Return the message in a frame that is known to be plain.

    :raises RemoteProtocolError: it has more members than these limits allow.
    """
    plan = _message_plan(frame.tag)
    head = plan.head.match(frame.data)
    if head is None:
        raise ValueError(f"{frame.data[:40]!r} is not the plain {frame.tag} that it was said to be")
    raws: list[object] = [*head.groups()]
    if plan.member is not None:
        raws[-1] = _members(plan.member, frame, head.end(), limits)
    return plan.build(raws)


def _members(member: _Plan[WireMember], frame: Frame, position: int, limits: Limits) -> tuple[WireMember, ...]:
    """Return the members that have a name; others exist and mean nothing (protocol.md W23)."""
    found = member.head.findall(frame.data, position)
    if len(found) > limits.members:
        raise RemoteProtocolError(f"more than {limits.members} members in a {frame.tag}")
    return tuple([member.build(raws) for raws in found if len(raws[0]) > len('""')])


class _Plan(Generic[_ElementT]):
    """How an element is made from what a pattern has captured of it, field by field.

    :ivar head: the pattern; its groups are the fields, in their order, attributes with their quotes.
    :ivar member: the plan of the members, if there are any.
    """

    def __init__(self, cls: type[_ElementT], member: _Plan[WireMember] | None = None) -> None:
        self.head = captured_head(cls)
        self.member = member
        self._cls = cls
        self._fields = tuple((getattr(cls, entry.name).__set__, _reader(cls, entry.name)) for entry in fields(cls))

    def build(self, raws: Iterable[object]) -> _ElementT:
        """Return the element; like its constructor, which takes three times as long."""
        element = object.__new__(self._cls)
        for (assign, read), raw in zip(self._fields, raws, strict=True):
            assign(element, read(raw))
        return element


def _reader(cls: type[WireElement], name: str) -> Callable[[object], object]:
    """Return what makes the value of a field from the bytes captured for it."""
    if name == "members":
        return lambda members: members
    if name == "value":
        return cast("Callable[[object], object]", partial(_text, text_reader(cls)))
    word = WORDS.get(name)
    return cast("Callable[[object], object]", quoted_value if word is None else partial(_word, word))


def _text(read: Callable[[str], str], raw: bytes | None) -> str:
    text = (raw or b"").decode()
    if "&" in text:
        text = unescape(text)
    return read(_LINE_END.sub("\n", text) if "\r" in text else text)


def _word(word: Callable[[str], object], raw: bytes | None) -> object:
    text = quoted_value(raw)
    return None if text is None else word(text)


@cache
def _message_plan(tag: str) -> _Plan[WireMessage]:
    """Return how a message is made. The patterns take milliseconds, so each is made when it is needed first."""
    cls = MESSAGES[tag]
    return _Plan(cls, _Plan(MEMBERS[cls]) if cls in MEMBERS else None)
