"""Plain messages taken from a stream with one pattern match each.

Nearly all messages are plain (see ``_plain``). Where one lies whole in what was received, a single match finds its
end, proves that it may be handed on as it is, and tells whom it concerns; together these are most of what a server
has to know. Whatever does not match is left to the framer, which has all the time in the world.
"""

from __future__ import annotations

import re

from indianyio._vocabulary import Limits
from indianyio.protocol._frames import Frame, Head, Unusable
from indianyio.protocol._heads import attached_count
from indianyio.protocol._messages import MESSAGES, NewBLOBVector, SetBLOBVector, SetNumberVector
from indianyio.protocol._plain import is_xml_utf8, plain_element, quoted_value

__all__ = ["CONTENT_TAGS", "PlainFrames"]

CONTENT_TAGS = frozenset({SetBLOBVector.tag, NewBLOBVector.tag})
"""The messages that carry BLOBs and may be as long as these."""

_NEXT_TAG = re.compile(rb"[ \t\r\n]*+<([A-Za-z]++)")
_TAGS = {tag.encode(): tag for tag in MESSAGES if tag not in CONTENT_TAGS}

# A peer may make up names for ever, so only this many heads are remembered, and none that is longer.
_KEPT_HEADS = 1000
_KEPT_BYTES = 200


class PlainFrames:
    """Makes frames of messages, and knows the plain ones.

    :param limits: what a message may be. A longer one than its start tag may be is not looked at here.
    """

    def __init__(self, limits: Limits) -> None:
        self._members = limits.members
        self._longest = min(limits.message_bytes, limits.attributes_bytes)
        self._heads: dict[tuple[str, bytes | None, bytes | None], Head] = {}
        self._tag = SetNumberVector.tag  # that of the last message, which is likely to be that of the next

    def take(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        """Take plain messages as long as one follows the other, with white space between them.

        :param piece: bytes of the stream.
        :param position: where a message may begin.
        :param found: gets the frames.
        :return: the index behind the last message taken, or ``position``.
        """
        tag, heads = self._tag, self._heads
        match_at = plain_element(tag, self._members).match
        while True:
            match = match_at(piece, position)
            if match is None:
                tag = self._other_tag(piece, position)
                if not tag:
                    return position
                match_at = plain_element(tag, self._members).match
                continue
            data, device, name = match.groups()
            if len(data) > self._longest or not (data.isascii() or is_xml_utf8(data)):
                return position
            head = heads.get((tag, device, name)) or self._new_head(tag, device, name)
            found.append(Frame(tag, data, (), 0, None, True, head))
            position = match.end()

    def frame(self, tag: str, data: bytes) -> Frame:
        """Return the frame of a message that the framer has cut out."""
        if tag in CONTENT_TAGS:
            return Frame(tag, data, (), attached_count(data))
        if len(data) <= self._longest and (data.isascii() or is_xml_utf8(data)):
            match = plain_element(tag, self._members).fullmatch(data)
            if match is not None:
                return Frame(tag, data, (), 0, None, True, self._new_head(tag, match[2], match[3]))
        return Frame(tag, data)

    def _other_tag(self, piece: bytes, position: int) -> str:
        """Return the tag that comes next, unless it is the one that was tried, or none to be taken here."""
        following = _NEXT_TAG.match(piece, position)
        tag = _TAGS.get(following[1], "") if following else ""
        if tag in ("", self._tag):
            return ""
        self._tag = tag
        return tag

    def _new_head(self, tag: str, device: bytes | None, name: bytes | None) -> Head:
        head = (tag, quoted_value(device), quoted_value(name))
        if len(device or b"") + len(name or b"") <= _KEPT_BYTES:
            if len(self._heads) >= _KEPT_HEADS:
                self._heads.clear()
            self._heads[tag, device, name] = head
        return head
