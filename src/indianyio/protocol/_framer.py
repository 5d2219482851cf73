"""Bytes to frames: where each message begins and ends, whatever is around it.

The stream is a row of XML elements without a root (protocol.md 1.1). A raw ``<``, one of the known tags and then
white space, ``/`` or ``>`` always begins a message, also where something else is unfinished: an element, a quoted
value, a comment. Valid XML never has these bytes inside a message, so nothing good is lost by it, and after any
garbage whatsoever the next whole message is found. A message ends with its start tag if that closes itself,
otherwise at the first end tag of the same name. Whether what lies between is sound is the decoder's business.

Elements which begin before the last one ended, text between messages, unknown elements and stray end tags are
reported as :class:`Unusable`, one for each run of such bytes. White space, byte order marks and XML declarations
between messages are no matter (protocol.md W1, W20).

The result does not depend on how the stream is cut. It is read by four steps, which carry on at the byte where
the last piece ended: only a half tag name at the end of a piece is looked at again, at most 17 bytes. What is
known to belong to the element begun is written to a buffer that becomes the frame's bytes without being copied.
Messages that lie whole and orderly in one piece, nearly all of them, are taken by a shortcut with two pattern
matches each; it leaves everything out of the ordinary to the steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from io import BytesIO
from typing import ClassVar

from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol._frames import EXCERPT_BYTES, Frame, Unusable
from indianyio.protocol._heads import REST_OF_HEAD, attached_count
from indianyio.protocol._messages import MESSAGES, NewBLOBVector, SetBLOBVector

__all__ = ["CONTENT_TAGS", "Framer"]

CONTENT_TAGS = frozenset({SetBLOBVector.tag, NewBLOBVector.tag})
"""The messages that carry BLOBs and may be as long as these."""

_SPACE = rb"[ \t\r\n]"
_TAGS = rb"(?:" + b"|".join(tag.encode() for tag in MESSAGES) + rb")(?=[ \t\r\n/>])"
# lilxml skips a declaration up to the first '>'. It is bounded because it is matched again with every piece.
_DECLARATION_BYTES = 1000
_SILENT_TEXT = rb"(?:%b|\xef\xbb\xbf|<\?xml[^<>]{0,%d}+>)*+" % (_SPACE, _DECLARATION_BYTES - len("<?xml>"))

_SILENT = re.compile(_SILENT_TEXT)
_OPENING = re.compile(rb"<(" + _TAGS + rb")")
_WHOLE_HEAD = re.compile(_SILENT_TEXT + rb"<(" + _TAGS + rb")" + REST_OF_HEAD)
_CLOSINGS = {tag: re.compile(rb"<(?:/" + tag.encode() + rb"(?=[ \t\r\n>])|" + _TAGS + rb")") for tag in MESSAGES}
_SPACES = re.compile(_SPACE + rb"*+")

# What matters inside a start tag: outside of quotes, and inside of either kind.
_MARKS = {b"": re.compile(rb"""[<>"']"""), b'"': re.compile(rb'["<]'), b"'": re.compile(rb"['<]")}

_HALF_TAG = re.compile(rb"</?[A-Za-z]*")
_LONGEST_HALF_TAG = len("</") + max(len(tag) for tag in MESSAGES)

_MORE = -1  # the position returned by a step that has used up its bytes


class _Place(Enum):
    """Where in the stream the next byte lies."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()
    END_TAG = auto()


class Framer:
    """Cut one peer's bytes into frames.

    A frame is only known to be a message once it is decoded. So that a peer which sends nothing but nonsense is
    found out, whoever looks into frames reports what came of it: :meth:`count_unusable` or :meth:`count_good`.
    The framer itself counts what it drops, from frame to frame.

    :param limits: what the peer may make this program hold.
    :ivar failure: why this peer must be disconnected, or ``None``. Nothing comes out of a framer that failed,
        and it holds no memory.
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self.failure: RemoteProtocolError | None = None
        self._limits = limits
        self._size_limits = {
            tag: limits.blob_bytes if tag in CONTENT_TAGS else limits.message_bytes for tag in MESSAGES
        }
        self._dropped = _Streak(limits)
        self._refused = _Streak(limits)
        self._forget()

    def _forget(self) -> None:
        self._place = _Place.BETWEEN
        self._tag = ""
        self._quote = b""
        self._run = bytearray()  # what stands between messages and is not silent
        self._element = BytesIO()  # what has been read of the element begun
        self._half_tag = b""  # what can only be understood with the bytes that follow
        self._start = 0  # where in the present piece the run or element goes on

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait for the rest of their message."""
        return len(self._run) + self._element.tell() + len(self._half_tag)

    def feed(self, data: bytes) -> list[Frame | Unusable]:
        """Take the next bytes and return what they complete, in the order of the stream.

        :param data: any bytes; also none.
        :return: frames, and reports of what was dropped. Look at :attr:`failure` after using them.
        """
        found: list[Frame | Unusable] = []
        piece = self._half_tag + data if self._half_tag else data
        self._half_tag = b""
        self._start = position = 0
        while position != _MORE and self.failure is None:
            position = self._STEPS[self._place](self, piece, position, found)
        return found

    def close(self) -> list[Unusable]:
        """End the stream and report what was left unfinished.

        :return: at most one report.
        """
        found: list[Frame | Unusable] = []
        if self.failure is not None:
            return []
        rest, self._half_tag, self._start = self._half_tag, b"", 0
        if self._place is _Place.BETWEEN:
            self._end_run(rest, len(rest), found)
        else:
            self._drop(rest, len(rest), "the stream ended inside", found)
        self._forget()
        return [item for item in found if isinstance(item, Unusable)]

    def count_unusable(self, unusable: Unusable) -> None:
        """Count a frame that turned out to be unusable; too many in a row set :attr:`failure`."""
        self._fail_if(self._refused.add(unusable))

    def count_good(self) -> None:
        """Count a frame that turned out to be a message: the row of unusable ones is broken."""
        self._refused.clear()

    # -- the steps: each goes on at a position in the piece and returns where the next begins ----------------------

    def _between(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        if not self._run:
            position = self._take_whole(piece, position, found)
            silent = _SILENT.match(piece, position)
            self._start = position = silent.end() if silent else position
        opening = _OPENING.search(piece, position)
        if opening is None:
            return self._wait_between(piece, _settled(piece, position))
        self._end_run(piece, opening.start(), found)
        return self._begin(opening)

    def _take_whole(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        while head := _WHOLE_HEAD.match(piece, position):
            tag = head[1].decode()
            start, end = head.start(1) - 1, head.end()
            if end - start > self._limits.attributes_bytes:
                break
            if not piece.endswith(b"/>", start, end):
                closing = _CLOSINGS[tag].search(piece, end)
                if closing is None or not piece.startswith(b"/", closing.start() + 1):
                    break
                end = closing.end() + 1
                if not piece.endswith(b">", start, end):
                    break
            if end - start > self._size_limits[tag]:
                break
            self._add(tag, piece[start:end], found)
            position = end
        return position

    def _in_head(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        while mark := _MARKS[self._quote].search(piece, position):
            at, position = mark.start(), mark.end()
            if mark[0] == b"<":
                if opening := _OPENING.match(piece, at):
                    return self._begin_anew(piece, opening, found)
                if _settled(piece, at) == at:
                    return self._wait_inside(piece, at)
            elif mark[0] == b">":
                return self._end_head(piece, position, found)
            else:
                self._quote = b"" if self._quote else mark[0]
        return self._wait_inside(piece, len(piece))

    def _end_head(self, piece: bytes, end: int, found: list[Frame | Unusable]) -> int:
        if self._fail_if(self._overlong(end - self._start)):
            return _MORE
        if self._last_two(piece, end) == b"/>":
            return self._finish(piece, end, found)
        self._place = _Place.BODY
        return end

    def _in_body(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        mark = _CLOSINGS[self._tag].search(piece, position)
        if mark is None:
            return self._wait_inside(piece, _settled(piece, position))
        if opening := _OPENING.match(piece, mark.start()):
            return self._begin_anew(piece, opening, found)
        self._place = _Place.END_TAG
        return mark.end()

    def _in_end_tag(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        spaces = _SPACES.match(piece, position)
        end = spaces.end() if spaces else position
        if end == len(piece):
            return self._wait_inside(piece, end)
        if piece.startswith(b">", end):
            return self._finish(piece, end + 1, found)
        self._place = _Place.BODY
        return end

    _STEPS: ClassVar[dict[_Place, Callable[[Framer, bytes, int, list[Frame | Unusable]], int]]] = {
        _Place.BETWEEN: _between,
        _Place.HEAD: _in_head,
        _Place.BODY: _in_body,
        _Place.END_TAG: _in_end_tag,
    }

    # -- what the steps do -----------------------------------------------------------------------------------------

    def _begin(self, opening: re.Match[bytes]) -> int:
        self._place, self._tag, self._quote = _Place.HEAD, opening[1].decode(), b""
        self._start = opening.start()
        return opening.end()

    def _begin_anew(self, piece: bytes, opening: re.Match[bytes], found: list[Frame | Unusable]) -> int:
        if self._fail_if(self._overlong(opening.start() - self._start)):
            return _MORE
        self._drop(piece, opening.start(), "another message begins inside", found)
        return self._begin(opening)

    def _finish(self, piece: bytes, end: int, found: list[Frame | Unusable]) -> int:
        if self._fail_if(self._overlong(end - self._start)):
            return _MORE
        self._add(self._tag, self._take_element(piece, end), found)
        self._place = _Place.BETWEEN
        return end

    def _add(self, tag: str, data: bytes, found: list[Frame | Unusable]) -> None:
        found.append(Frame(tag, data, (), attached_count(data) if tag in CONTENT_TAGS else 0))
        self._dropped.clear()

    def _drop(self, piece: bytes, end: int, reason: str, found: list[Frame | Unusable]) -> None:
        self._report(f"{reason} a {self._tag}", self._take_element(piece, end), self._tag, found)

    def _end_run(self, piece: bytes, end: int, found: list[Frame | Unusable]) -> None:
        run = _SILENT.sub(b"", bytes(self._run) + piece[self._start : end], count=1)
        self._run.clear()
        if not self._fail_if(self._dropped.overrun(len(run))) and (text := run.rstrip(b" \t\r\n")):
            self._report("not part of any message", text, None, found)

    def _report(self, reason: str, data: bytes, tag: str | None, found: list[Frame | Unusable]) -> None:
        unusable = Unusable(reason, data[:EXCERPT_BYTES], len(data), attached_count(data), tag)
        found.append(unusable)
        self._fail_if(self._dropped.add(unusable))

    def _take_element(self, piece: bytes, end: int) -> bytes:
        if not self._element.tell():
            return piece[self._start : end]
        self._element.write(memoryview(piece)[self._start : end])
        # A BytesIO hands out its own buffer, so a long BLOB is not copied; hence a new one afterwards.
        element, self._element = self._element.getvalue(), BytesIO()
        return element

    def _last_two(self, piece: bytes, end: int) -> bytes:
        if end - self._start >= 2:
            return piece[end - 2 : end]
        self._element.seek(-1, 2)
        return self._element.read() + piece[self._start : end]

    def _wait_between(self, piece: bytes, settled: int) -> int:
        self._run += piece[self._start : settled]
        if silent := _SILENT.match(self._run):
            del self._run[: silent.end()]
        self._half_tag = piece[settled:]
        # Half a declaration is not garbage yet, and where the stream is cut must not decide about it.
        if len(self._run) > _DECLARATION_BYTES:
            self._fail_if(self._dropped.overrun(len(self._run)))
        return _MORE

    def _wait_inside(self, piece: bytes, settled: int) -> int:
        if not self._fail_if(self._overlong(settled - self._start)):
            self._element.write(memoryview(piece)[self._start : settled])
            self._half_tag = piece[settled:]
        return _MORE

    def _overlong(self, more: int) -> str | None:
        size, limit, what = self._element.tell() + more, self._size_limits[self._tag], self._tag
        if self._place is _Place.HEAD and self._limits.attributes_bytes < limit:
            limit, what = self._limits.attributes_bytes, f"start tag of a {self._tag}"
        return f"a {what} is longer than {limit} bytes" if size > limit else None

    def _fail_if(self, reason: str | None) -> bool:
        if reason is not None:
            self.failure = RemoteProtocolError(reason)
            self._forget()
        return reason is not None


class _Streak:
    """How much was unusable since the last good message.

    A BLOB counts only as one message, however long: one bad image must not cost the camera its connection.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.clear()

    def clear(self) -> None:
        self._count = 0
        self._size = 0

    def add(self, unusable: Unusable) -> str | None:
        """Count it, and return why the peer has sent too much of this, if it has."""
        self._count += 1
        if self._count > self._limits.dropped_in_a_row:
            return f"more than {self._limits.dropped_in_a_row} unusable messages in a row"
        if unusable.tag not in CONTENT_TAGS:
            self._size += unusable.size
        return self.overrun(0)

    def overrun(self, more: int) -> str | None:
        if self._size + more > self._limits.garbage_bytes:
            return f"more than {self._limits.garbage_bytes} bytes without a usable message"
        return None


def _settled(piece: bytes, position: int) -> int:
    """Return the end of the bytes that cannot be the beginning of a tag any more."""
    last = piece.rfind(b"<", max(position, len(piece) - _LONGEST_HALF_TAG))
    return last if last >= 0 and _HALF_TAG.fullmatch(piece, last) else len(piece)
