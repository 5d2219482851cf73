"""Plain messages taken from a stream with one pattern match each.

Nearly all messages are plain (see ``_plain``). Where one lies whole in what was received, a single match finds its
end, proves that it may be handed on as it is, and tells whom it concerns; together these are most of what a server
has to know. For a peer whose every message is to be decoded, canonical ones (see ``_plain_decoder``) are found,
proved and decoded in one look instead. Whatever does not match is left to the framer, which has all the time in the
world.
"""

from __future__ import annotations

from indianyio._vocabulary import Limits
from indianyio.protocol._blob_spans import attached_count
from indianyio.protocol._frames import Frame, Head, Unusable
from indianyio.protocol._messages import MESSAGES, NewBLOBVector, SetBLOBVector, SetNumberVector
from indianyio.protocol._patterns import LazyPattern
from indianyio.protocol._plain import is_xml_utf8, plain_element, quoted_value
from indianyio.protocol._plain_decoder import canonical_reader

__all__ = ["CONTENT_TAGS", "PlainFrames"]

CONTENT_TAGS = frozenset({SetBLOBVector.tag, NewBLOBVector.tag})
"""The messages that carry BLOBs and may be as long as these."""

# Canonical messages are looked for no further than this: otherwise every start tag without an end would cost a look
# at all that follows it.
_NEAR_BYTES = 4096

# No message is shorter; what comes behind the last one is usually its line end.
_LEAST_BYTES = len("<message/>")

_NEXT_TAG = LazyPattern(rb"[ \t\r\n]*+<([A-Za-z]++)")
_TAGS = {tag.encode(): tag for tag in MESSAGES if tag not in CONTENT_TAGS}

# A peer may make up names for ever, so only this many heads are remembered, and none that is longer.
_KEPT_HEADS = 1000
_KEPT_BYTES = 200


class PlainFrames:
    """Makes frames of messages, and knows the plain ones.

    :param limits: what a message may be. A longer one than its start tag may be is not looked at here.
    :param decoding: whether every message is going to be decoded.
    """

    def __init__(self, limits: Limits, *, decoding: bool) -> None:
        self._decoding = decoding
        self._members = limits.members
        self._longest = min(limits.message_bytes, limits.attributes_bytes)
        self._heads: dict[tuple[str, bytes | None, bytes | None], Head] = {}
        self._tag = SetNumberVector.tag  # that of the last message, which is likely to be that of the next

    def take(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> tuple[int, bool]:
        """Take plain messages as long as one follows the other, with white space between them.

        :param piece: bytes of the stream.
        :param position: where a message may begin.
        :param found: gets the frames.
        :return: the index behind the last message taken, or ``position``; and whether the message that begins
            there, if one does, is known not to be plain.
        """
        if self._decoding and piece.isascii():
            position = self._take_canonical(piece, position, found)
        if len(piece) - position < _LEAST_BYTES:
            return position, False
        return self._take_plain(piece, position, found)

    def _take_canonical(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        text, tag = piece.decode(), self._tag
        read = canonical_reader(tag)
        while True:
            # Nearly always it is one line end that stands between messages.
            start = position + piece.startswith(b"\n", position)
            near = read(text, start, start + _NEAR_BYTES, self._members)
            if near is None:
                tag = self._other_tag(piece, position)
                if not tag:
                    return position
                read = canonical_reader(tag)
                continue
            message, end = near
            if end - start > self._longest:
                return position
            found.append(Frame(tag, piece[start:end], (), 0, message, True))
            position = end
            if len(piece) - position < _LEAST_BYTES:
                return position

    def _take_plain(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> tuple[int, bool]:
        tag, heads = self._tag, self._heads
        match_at = plain_element(tag, self._members).match
        while True:
            match = match_at(piece, position)
            if match is None:
                tag = self._other_tag(piece, position)
                if not tag:
                    return position, True
                match_at = plain_element(tag, self._members).match
                continue
            data, device, name = match.groups()
            if len(data) > self._longest or not is_xml_utf8(data):
                return position, len(data) <= self._longest
            head = heads.get((tag, device, name)) or self._new_head(tag, device, name)
            found.append(Frame(tag, data, (), 0, None, True, head))
            position = match.end()
            if len(piece) - position < _LEAST_BYTES:
                return position, False

    def frame(self, tag: str, data: bytes, *, refused: bool = False) -> Frame:
        """Return the frame of a message that the framer has cut out.

        :param tag: its tag.
        :param data: its bytes.
        :param refused: whether it is known not to be plain.
        """
        if tag in CONTENT_TAGS:
            return Frame(tag, data, (), attached_count(data))
        if refused:
            return Frame(tag, data, plain=False)
        if len(data) > self._longest:
            return Frame(tag, data)
        match = plain_element(tag, self._members).fullmatch(data) if is_xml_utf8(data) else None
        if match is None:
            return Frame(tag, data, plain=False)
        return Frame(tag, data, (), 0, None, True, self._new_head(tag, match[2], match[3]))

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
