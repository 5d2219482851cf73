"""Bytes to frames: where each message begins and ends, whatever is around it.

The stream is a sequence of XML elements without a root (protocol.md 1.1). A raw ``<``, a known tag, and then white
space, ``/`` or ``>`` always begin a message, even inside something unfinished: an element, a quoted value or a
comment (docs/decisions/0003). A message ends with its start tag if that closes itself, otherwise at the first end
tag of the same name. Whether the bytes in between are sound is for the decoder to say.

Elements that are cut short by the next one, text between messages, unknown elements and stray end tags are reported
as :class:`Unusable`, one report for each run of such bytes. White space, byte order marks and XML declarations
between messages are ignored (protocol.md W1, W20).

The result does not depend on how the stream is cut. Five steps read it, and they carry on at the byte where the
last piece ended: only an incomplete tag name at the end of a piece is read again, at most 17 bytes. Bytes that are
known to belong to the current element go into a buffer that becomes the frame's bytes without being copied.
Messages that lie whole and orderly in one piece, as nearly all do, take one of two shortcuts: one for plain
messages (see ``_plain``), one for others whose start and end tags are sound. The steps handle everything out of the
ordinary.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from functools import cache
from io import BytesIO
from typing import ClassVar

from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol._blob_spans import attached_count, extended
from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._decoder import canonical_reader
from indianyio.protocol._frames import EXCERPT_BYTES, Bounds, Frame, Skipped, Streak, Unusable, target_of
from indianyio.protocol._lilxml import REST_OF_HEAD, end_before_half_tag
from indianyio.protocol._messages import CONTENT_TAGS, MESSAGES
from indianyio.protocol._plain import PlainFrames

__all__ = ["Framer"]

_SPACE = rb"[ \t\r\n]"
_TAGS = rb"(?:" + b"|".join(tag.encode() for tag in MESSAGES) + rb")(?=[ \t\r\n/>])"
# lilxml skips a declaration up to the first '>'. The length is bounded because every new piece is matched again.
_DECLARATION_BYTES = 1000
_SILENT_TEXT = rb"(?:%b++|\xef\xbb\xbf|<\?xml[^<>]{0,%d}+>)*+" % (_SPACE, _DECLARATION_BYTES - len("<?xml>"))

_SILENT = LazyPattern(_SILENT_TEXT)
_OPENING = LazyPattern(rb"<(" + _TAGS + rb")")
_WHOLE_HEAD = LazyPattern(_SILENT_TEXT + rb"<(" + _TAGS + rb")" + REST_OF_HEAD)
_SPACES = LazyPattern(_SPACE + rb"*+")

# The bytes that matter inside a start tag: outside quotes, inside either kind of quotes, and inside a comment or
# the like, which lilxml skips up to the first ">" (protocol.md W2).
_MARKS = {
    b"": LazyPattern(rb"""[<>"']"""),
    b'"': LazyPattern(rb'["<]'),
    b"'": LazyPattern(rb"['<]"),
    b">": LazyPattern(rb"[><]"),
}

_MORE = -1  # the position returned by a step that has used up its bytes


@cache
def _closing(tag: str) -> re.Pattern[bytes]:
    """Return the pattern that ends a message's body, or shows that it has no end; made when it is first needed."""
    return re.compile(rb"<(?:/" + tag.encode() + rb"(?=[ \t\r\n>])|" + _TAGS + rb")")


class _Place(Enum):
    """Where in the stream the next byte lies."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()
    END_TAG = auto()
    SKIP = auto()


class Framer:
    """Cuts one peer's bytes into frames.

    Ordinarily a peer that exceeds a limit, or sends nothing but nonsense, has failed and should be disconnected.
    Only decoding shows whether a frame is a message, so whoever decodes frames reports the result with
    :meth:`count_unusable` or :meth:`count_good`. The framer itself counts what it drops between frames.

    Where one peer stands for many, as a server stands for all its clients towards a driver, any of them could then
    cost the others the connection. Nor is a stray print in a driver a reason to end an instrument. With a forgiving
    framer, whatever exceeds a limit is lost, and nothing else:

    - A message or a start tag that grows too long, or too much garbage, is dropped at once. From there to the next
      opening, bytes are only counted, and make one report; memory stays within the limits.
    - There may be any number of unusable messages in a row.
    - A BLOB vector is kept to its end even if its start tag is too long, because the descriptors that belong to it
      must be counted (protocol.md W36). Only then is it reported. One that is longer than ``limits.blob_bytes``
      still sets :attr:`failure`: it can neither be kept nor be dropped uncounted, because after it nobody could
      tell which descriptor belongs to which BLOB.

    :param limits: how much the peer may make this program hold.
    :param forgiving: whether to keep the peer whatever it sends, except a BLOB vector that is too long.
    :param decoding: whether every message will be decoded, as in a driver or a client. Most are then decoded while
        they are cut out, which reads them once instead of twice. The frames are the same either way.
    :ivar failure: why this peer must be disconnected, or ``None``. A framer that has failed returns nothing more
        and holds no memory.
    """

    def __init__(self, limits: Limits = Limits(), *, forgiving: bool = False, decoding: bool = False) -> None:  # noqa: B008
        self.failure: RemoteProtocolError | None = None
        self._limits = limits
        self._forgiving = forgiving
        self._bounds = Bounds(limits, forgiving=forgiving)
        self._plain = PlainFrames(limits, canonical_reader if decoding else None)
        self._dropped = Streak(limits)
        self._refused = Streak(limits)
        self._forget()

    def _forget(self) -> None:
        self._place = _Place.BETWEEN
        self._tag = ""
        self._quote = b""
        self._overlong_head = False  # a BLOB vector's start tag is too long; the vector is reported at its end
        self._run = bytearray()  # bytes between messages that have to be reported
        self._element = BytesIO()  # what has been read of the current element
        self._bare = (0, 0)  # where in the element there is no "<"
        self._skipped = Skipped("", None)  # what grew too long
        self._half_tag = b""  # what can only be understood together with the bytes that follow
        self._start = 0  # where in this piece the run or element continues

    @property
    def pending_bytes(self) -> int:
        """How many bytes are waiting for the rest of their message; skipped bytes are not counted."""
        return len(self._run) + self._element.tell() + len(self._half_tag)

    def feed(self, data: bytes) -> list[Frame | Unusable]:
        """Take the next bytes and return the frames they complete, in the order of the stream.

        :param data: any bytes, or none.
        :return: frames, and reports of what was dropped. Check :attr:`failure` after using them.
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
        elif self._place is not _Place.SKIP:
            self._drop(rest, len(rest), "the stream ended inside", found)
        if self._place is _Place.SKIP:
            self._end_skip(rest, len(rest), found)
        self._forget()
        return [item for item in found if isinstance(item, Unusable)]

    def count_unusable(self, unusable: Unusable) -> None:
        """Count a frame that turned out to be unusable. Too many in a row set :attr:`failure`, unless forgiving."""
        self._count(self._refused, unusable)

    def count_good(self) -> None:
        """Count a frame that turned out to be a message, which ends a row of unusable ones."""
        if self._refused.count:
            self._refused.clear()

    # -- the steps: each starts at a position in the piece and returns the position of the next step ---------------

    def _between(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        if not self._run:
            position = self._take_whole(piece, position, found)
            if position == len(piece):
                return _MORE
            silent = _SILENT.match(piece, position)
            self._start = position = silent.end() if silent else position
        opening = _OPENING.search(piece, position)
        if opening is None:
            return self._wait_between(piece, end_before_half_tag(piece, position))
        self._end_run(piece, opening.start(), found)
        return self._begin(opening) if self._place is _Place.BETWEEN else opening.start()

    def _take_whole(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        while True:
            start, (position, refused) = position, self._plain.take(piece, position, found)
            if position > start and self._dropped.count:
                self._dropped.clear()
            if piece[position : position + 2] in {b"\n", b""}:
                return len(piece)
            head = _WHOLE_HEAD.match(piece, position)
            if head is None:
                break
            # What follows a declaration has not been looked at yet.
            refused &= not piece[position : head.start(1) - 1].strip(b" \t\r\n")
            tag = head[1].decode()
            start, end = head.start(1) - 1, head.end()
            if end - start > self._limits.attributes_bytes:
                break
            if not piece.endswith(b"/>", start, end):
                closing = _closing(tag).search(piece, end)
                if closing is None or not piece.startswith(b"/", closing.start() + 1):
                    break
                end = closing.end() + 1
                if not piece.endswith(b">", start, end):
                    break
            if end - start > self._bounds.message_bytes(tag):
                break
            self._add(tag, piece[start:end], found, refused=refused)
            position = end
        return position

    def _in_head(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        while mark := _MARKS[self._quote].search(piece, position):
            at, position = mark.start(), mark.end()
            if mark[0] == b"<":
                if opening := _OPENING.match(piece, at):
                    return self._begin_anew(piece, opening, found)
                if end_before_half_tag(piece, at) == at:
                    return self._wait_inside(piece, at)
                if not self._quote and piece.startswith((b"!", b"?"), position):
                    self._quote = b">"
            elif mark[0] == b">" and not self._quote:
                return self._end_head(piece, position, found)
            else:
                self._quote = b"" if self._quote else mark[0]
        return self._wait_inside(piece, len(piece))

    def _end_head(self, piece: bytes, end: int, found: list[Frame | Unusable]) -> int:
        if excess := self._overlong(end - self._start):
            return self._exceed(excess, piece, end)
        self._overlong_head = self._element.tell() + end - self._start > self._limits.attributes_bytes
        if self._last_two(piece, end) == b"/>":
            return self._finish(piece, end, found)
        self._place = _Place.BODY
        return end

    def _in_body(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        # Most of a BLOB contains no "<", and this search is several times faster than the pattern.
        sign = piece.find(b"<", position)
        if sign < 0:
            at = self._element.tell() + position - self._start
            self._bare = extended(self._bare, at, len(piece) - position)
            return self._wait_inside(piece, len(piece))
        mark = _closing(self._tag).search(piece, sign)
        if mark is None:
            return self._wait_inside(piece, end_before_half_tag(piece, position))
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

    def _skip(self, piece: bytes, position: int, found: list[Frame | Unusable]) -> int:
        if opening := _OPENING.search(piece, position):
            self._end_skip(piece, opening.start(), found)
            return self._begin(opening)
        settled = end_before_half_tag(piece, position)
        self._skipped.add(memoryview(piece)[self._start : settled])
        self._half_tag = piece[settled:]
        return _MORE

    _STEPS: ClassVar[dict[_Place, Callable[[Framer, bytes, int, list[Frame | Unusable]], int]]] = {
        _Place.BETWEEN: _between,
        _Place.HEAD: _in_head,
        _Place.BODY: _in_body,
        _Place.END_TAG: _in_end_tag,
        _Place.SKIP: _skip,
    }

    # -- what the steps do -----------------------------------------------------------------------------------------

    def _begin(self, opening: re.Match[bytes]) -> int:
        self._place, self._tag, self._quote = _Place.HEAD, opening[1].decode(), b""
        self._start, self._bare = opening.start(), (0, 0)
        return opening.end()

    def _begin_anew(self, piece: bytes, opening: re.Match[bytes], found: list[Frame | Unusable]) -> int:
        if excess := self._overlong(opening.start() - self._start):
            return self._exceed(excess, piece, opening.start())
        self._drop(piece, opening.start(), "another message begins inside", found)
        return self._begin(opening)

    def _finish(self, piece: bytes, end: int, found: list[Frame | Unusable]) -> int:
        if excess := self._overlong(end - self._start):
            return self._exceed(excess, piece, end)
        element = self._take_element(piece, end)
        if self._overlong_head:
            excess = f"the start tag of a {self._tag} is longer than {self._limits.attributes_bytes} bytes"
            self._report(excess, element, self._tag, found)
        else:
            self._add(self._tag, element, found)
        self._place, self._bare = _Place.BETWEEN, (0, 0)
        return end

    def _add(self, tag: str, data: bytes, found: list[Frame | Unusable], *, refused: bool = False) -> None:
        found.append(self._plain.frame(tag, data, refused=refused, bare=self._bare))
        self._dropped.clear()

    def _drop(self, piece: bytes, end: int, reason: str, found: list[Frame | Unusable]) -> None:
        self._report(f"{reason} a {self._tag}", self._take_element(piece, end), self._tag, found)

    def _end_run(self, piece: bytes, end: int, found: list[Frame | Unusable]) -> None:
        run = _SILENT.sub(b"", bytes(self._run) + piece[self._start : end], count=1)
        self._run.clear()
        self._start = end
        if excess := self._dropped.overrun(len(run)):
            self._skip_or_fail(excess, None, run)
        elif text := run.rstrip(b" \t\r\n"):
            self._report("not part of any message", text, None, found)

    def _end_skip(self, piece: bytes, end: int, found: list[Frame | Unusable]) -> None:
        self._skipped.add(memoryview(piece)[self._start : end])
        found.append(self._skipped.report())

    def _report(self, reason: str, data: bytes, tag: str | None, found: list[Frame | Unusable]) -> None:
        unusable = Unusable(
            reason, data[:EXCERPT_BYTES], len(data), attached_count(data), tag, target_of(tag, data)
        )
        found.append(unusable)
        self._count(self._dropped, unusable)

    def _count(self, streak: Streak, unusable: Unusable) -> None:
        # A BLOB counts as one message, however long it is: one bad image must not cost the camera its connection.
        size = 0 if unusable.tag in CONTENT_TAGS else unusable.size
        if not self._forgiving and (excess := streak.add(size)):
            self._fail(excess)

    def _take_element(self, piece: bytes, end: int) -> bytes:
        if not self._element.tell():
            return piece[self._start : end]
        self._element.write(memoryview(piece)[self._start : end])
        # A BytesIO hands out its own buffer, so that a long BLOB is not copied; it cannot be used again afterwards.
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
        # An incomplete declaration is not garbage yet, and where the stream happens to be cut must not decide that.
        if len(self._run) > _DECLARATION_BYTES and (excess := self._dropped.overrun(len(self._run))):
            run, self._run = bytes(self._run), bytearray()
            self._skip_or_fail(excess, None, run)
        return _MORE

    def _wait_inside(self, piece: bytes, settled: int) -> int:
        if excess := self._overlong(settled - self._start):
            return self._exceed(excess, piece, settled)
        self._element.write(memoryview(piece)[self._start : settled])
        self._half_tag = piece[settled:]
        return _MORE

    def _overlong(self, more: int) -> str | None:
        return self._bounds.excess(self._tag, self._element.tell() + more, in_head=self._place is _Place.HEAD)

    # -- beyond a limit --------------------------------------------------------------------------------------------

    def _exceed(self, excess: str, piece: bytes, position: int) -> int:
        element = self._take_element(piece, position)
        self._start = position
        self._skip_or_fail(excess, self._tag, element)
        return position

    def _skip_or_fail(self, excess: str, tag: str | None, data: bytes) -> None:
        """Skip what exceeds a limit, up to the next opening, if the peer is kept."""
        if not self._forgiving or tag in CONTENT_TAGS:
            self._fail(excess)
            return
        self._place, self._skipped = _Place.SKIP, Skipped(excess, tag)
        self._skipped.add(memoryview(data))

    def _fail(self, reason: str) -> None:
        self.failure = RemoteProtocolError(reason)
        self._forget()
