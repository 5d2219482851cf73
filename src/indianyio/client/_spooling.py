"""Large BLOBs go into a file while they arrive, so that none is ever held in memory as a whole.

This stands between the stream and whatever reads messages. Everything passes unchanged, except the content of a
oneBLOB that grows beyond a threshold. Its base64 is decoded, as it arrives, into a file without a name, and what is
passed on is the form in which BLOBs travel beside the XML (docs/protocol.md 1.6): a member without text that says
``attached="true"``, and the file as its attachment. So the reader has to handle only one form.

The result does not depend on where the stream is cut.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import ClassVar, NamedTuple, Protocol

import pybase64

from indianyio.protocol import Attachment

__all__ = ["SPOOLED_BYTES", "SpoolFile", "SpoolProgress", "Spooler"]

SPOOLED_BYTES = 1 << 20
"""A BLOB with more base64 than this goes into a file."""

# A longer start tag of a member is passed on unchanged: the reader behind this has the same limit and refuses it.
_LONGEST_HEAD = 64 << 10

_VECTOR = re.compile(rb"<setBLOBVector(?=[ \t\r\n])")
_INSIDE = re.compile(rb"<(?:oneBLOB(?=[ \t\r\n/>])|/setBLOBVector)")
_HEAD_MARK = re.compile(rb"""[>"'<]""")
_TAGS = (b"<setBLOBVector", b"<oneBLOB", b"</setBLOBVector")
_LONGEST_TAG = max(map(len, _TAGS))

_ATTRIBUTE = re.compile(rb"""[ \t\r\n]++([A-Za-z0-9_]++)[ \t\r\n]*+=[ \t\r\n]*+("[^"]*+"|'[^']*+')""")
_OF_THE_FORM = frozenset({b"enclen", b"len", b"attached"})
_WHITE_SPACE = b" \t\n\r\v\f"


class SpoolFile(Attachment, Protocol):
    """A file that is being filled."""

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append all of ``piece``.

        :raises OSError: no space is left.
        """


class SpoolProgress(NamedTuple):
    """How far a large BLOB has come.

    :ivar device: the device that sends it.
    :ivar vector: its vector.
    :ivar done: how many bytes have arrived.
    :ivar total: how many there will be; 0 if that is not known.
    """

    device: str
    vector: str
    done: int
    total: int


class _Place(Enum):
    OUTSIDE = auto()
    VECTOR_HEAD = auto()  # in the start tag of a BLOB vector
    INSIDE = auto()  # in a BLOB vector
    HEAD = auto()  # in the start tag of a member
    CONTENT = auto()  # in its text, which is kept as long as it is short
    SPOOL = auto()  # in its text, which goes into the file


class Spooler:
    """Takes large BLOBs out of one peer's bytes.

    :param make: makes an empty file.
    :param refused: makes an attachment that cannot be read, given the reason.
    :param limit_bytes: the longest BLOB that is accepted.
    :param report: is told how far a BLOB has come.
    :param threshold_bytes: a BLOB with no more base64 than this is passed on unchanged.
    """

    def __init__(
        self,
        make: Callable[[], SpoolFile],
        refused: Callable[[str], Attachment],
        *,
        limit_bytes: int,
        report: Callable[[SpoolProgress], None],
        threshold_bytes: int = SPOOLED_BYTES,
    ) -> None:
        self._make = make
        self._refused = refused
        self._limit_bytes = limit_bytes
        self._report = report
        self._threshold_bytes = threshold_bytes
        self._place = _Place.OUTSIDE
        self._names = (b"", b"")
        self._held = bytearray()  # what has not been passed on yet
        self._head = b""
        self._content: _Content | None = None

    def feed(self, data: bytes) -> tuple[bytes, list[Attachment]]:
        """Take the next bytes; return what should be read instead, and the attachments that belong to it.

        :param data: any bytes; none ends the stream, and whatever was held back comes out.
        """
        if (
            self._place is _Place.OUTSIDE
            and not self._held
            and b"<" not in data[-_LONGEST_TAG:]
            and (_VECTOR.search(data) is None)
        ):
            return data, []  # this is nearly always so
        if not data:
            self.close()
            rest, self._held = bytes(self._held), bytearray()
            self._place = _Place.OUTSIDE
            return rest, []
        passed: list[bytes] = []
        attachments: list[Attachment] = []
        piece: bytes | None = data
        while piece is not None:
            piece = self._STEPS[self._place](self, piece, passed, attachments)
        return b"".join(passed), attachments

    def close(self) -> None:
        """Drop a BLOB that has not come to its end."""
        if self._content is not None and self._content.file is not None:
            self._content.file.close()
        self._content = None

    # -- the steps: each takes what is there, and returns what the next should take, or None if it needs more ------

    def _outside(self, piece: bytes, passed: list[bytes], attachments: list[Attachment]) -> bytes | None:
        piece = self._with_held(piece)
        found = _VECTOR.search(piece)
        if found is None:
            self._pass_settled(piece, passed)
            return None
        passed.append(piece[: found.start()])
        self._held += found[0]
        self._place = _Place.VECTOR_HEAD
        return piece[found.end() :]

    def _in_vector_head(self, piece: bytes, passed: list[bytes], attachments: list[Attachment]) -> bytes | None:
        return self._take_head(piece, passed, self._begin_vector)

    def _begin_vector(self, head: bytes, passed: list[bytes]) -> None:
        passed.append(head)
        attributes = _attributes(head)
        self._names = (attributes.get(b"device", b""), attributes.get(b"name", b""))
        self._place = _Place.OUTSIDE if head.endswith(b"/>") else _Place.INSIDE

    def _inside(self, piece: bytes, passed: list[bytes], attachments: list[Attachment]) -> bytes | None:
        piece = self._with_held(piece)
        found = _INSIDE.search(piece)
        if found is None:
            self._pass_settled(piece, passed)
            return None
        if found[0].startswith(b"</"):
            passed.append(piece[: found.end()])
            self._place = _Place.OUTSIDE
            return piece[found.end() :]
        passed.append(piece[: found.start()])
        self._held += found[0]
        self._place = _Place.HEAD
        return piece[found.end() :]

    def _in_head(self, piece: bytes, passed: list[bytes], attachments: list[Attachment]) -> bytes | None:
        return self._take_head(piece, passed, self._begin_member)

    def _begin_member(self, head: bytes, passed: list[bytes]) -> None:
        if head.endswith(b"/>") or _attributes(head).get(b"attached") == b"true":
            passed.append(head)
            self._place = _Place.INSIDE
        else:
            self._head = head
            self._place = _Place.CONTENT

    def _take_head(
        self, piece: bytes, passed: list[bytes], begin: Callable[[bytes, list[bytes]], None]
    ) -> bytes | None:
        """Act on a start tag, once it is complete; return what follows it.

        What turns out not to be a start tag is passed on: the reader behind this will deal with it.
        """
        self._held += piece
        end, is_whole = _head_end(self._held)
        if not end:
            return None
        held = bytes(self._held)
        self._held.clear()
        if is_whole:
            begin(held[:end], passed)
        else:
            passed.append(held[:end])
            self._place = _Place.OUTSIDE
        return held[end:]

    def _in_content(self, piece: bytes, passed: list[bytes], attachments: list[Attachment]) -> bytes | None:
        end = piece.find(b"<")
        if end < 0 and len(self._held) + len(piece) <= self._threshold_bytes:
            self._held += piece
            self._tell(len(self._held) * 3 // 4)  # roughly: there may be white space in it
            return None
        if len(self._held) + (len(piece) if end < 0 else end) <= self._threshold_bytes:
            passed += [self._head, bytes(self._held), piece[:end]]
            self._held.clear()
            self._place = _Place.INSIDE
            return piece[end:]
        self._content = _Content(self._make, self._limit_bytes)
        held = bytes(self._held)
        self._held.clear()
        self._content.feed(held)
        self._place = _Place.SPOOL
        return piece

    def _spool(self, piece: bytes, passed: list[bytes], attachments: list[Attachment]) -> bytes | None:
        content = self._content
        assert content is not None
        end = piece.find(b"<")
        content.feed(piece if end < 0 else piece[:end])
        self._tell(content.length)
        if end < 0:
            return None
        content.finish()
        head = _ATTRIBUTE.sub(
            lambda found: b"" if found[1] in _OF_THE_FORM else found[0], self._head.rstrip(b" \t\r\n>")
        )
        passed.append(head + b' len="%d" attached="true">' % content.length)
        file = content.file
        attachments.append(self._refused(content.flaw or "") if file is None else file)
        self._content = None
        self._place = _Place.INSIDE
        return piece[end:]

    _STEPS: ClassVar[Mapping[_Place, Callable[[Spooler, bytes, list[bytes], list[Attachment]], bytes | None]]] = {
        _Place.OUTSIDE: _outside,
        _Place.VECTOR_HEAD: _in_vector_head,
        _Place.INSIDE: _inside,
        _Place.HEAD: _in_head,
        _Place.CONTENT: _in_content,
        _Place.SPOOL: _spool,
    }

    # -- what they share -------------------------------------------------------------------------------------------

    def _with_held(self, piece: bytes) -> bytes:
        if self._held:
            piece = bytes(self._held) + piece
            self._held.clear()
        return piece

    def _pass_settled(self, piece: bytes, passed: list[bytes]) -> None:
        """Pass on everything except what may be the beginning of a tag."""
        last = piece.rfind(b"<", max(0, len(piece) - _LONGEST_TAG))
        end = len(piece)
        if last >= 0 and any(tag.startswith(piece[last:]) for tag in _TAGS):
            end = last
        passed.append(piece[:end])
        self._held += piece[end:]

    def _tell(self, done: int) -> None:
        attributes = _attributes(self._head)
        size = attributes.get(b"size", b"")
        # Compressed content has fewer bytes than its size says, and nothing says how many.
        is_whole = size.isdigit() and len(size) < 20 and not attributes.get(b"format", b"").endswith(b".z")
        device, vector = (name.decode("utf-8", "replace") for name in self._names)
        self._report(SpoolProgress(device, vector, done, int(size) if is_whole else 0))


class _Content:
    """Base64 that becomes a file as it arrives; what is wrong with it is reported at its end."""

    def __init__(self, make: Callable[[], SpoolFile], limit_bytes: int) -> None:
        self.flaw: str | None = None
        self.length = 0
        self.file: SpoolFile | None = None
        self._limit_bytes = limit_bytes
        self._rest = b""
        self._padded = False
        try:
            self.file = make()
        except OSError as error:
            self._fail(f"no file could be made for it: {error.strerror or error}")

    def feed(self, text: bytes) -> None:
        if self.file is None or not text:
            return
        digits = self._rest + text
        whole = len(digits) & ~3
        try:
            if not self._padded and whole:
                self._write(self.file, pybase64.b64decode(memoryview(digits)[:whole], validate=True))
                self._rest = digits[whole:]
                self._padded = digits[whole - 1] == ord("=")
                return
        except binascii.Error:
            pass  # it contains white space, or is damaged, which comes out below
        except OSError as error:
            self._fail(f"it could not be kept: {error.strerror or error}")
            return
        self._feed_loose(digits)

    def finish(self) -> None:
        rest, self._rest = self._rest.translate(None, _WHITE_SPACE), b""
        if self.file is not None and rest:
            self._feed_loose(rest + b"=" * (-len(rest) % 4))

    def _feed_loose(self, text: bytes) -> None:
        digits = text.translate(None, _WHITE_SPACE)
        whole = len(digits) & ~3
        self._rest = digits[whole:]
        if self.file is None or not digits:
            return
        try:
            if self._padded:
                raise binascii.Error("something follows its padding")
            if whole:
                self._write(self.file, pybase64.b64decode(memoryview(digits)[:whole], validate=True))
                self._padded = digits[whole - 1] == ord("=")
        except binascii.Error as error:
            self._fail(f"its base64 is damaged: {error}")
        except OSError as error:
            self._fail(f"it could not be kept: {error.strerror or error}")

    def _write(self, file: SpoolFile, piece: bytes) -> None:
        if self.length + len(piece) > self._limit_bytes:
            self._fail(f"it is longer than {self._limit_bytes} bytes")
            return
        file.write(piece)
        self.length += len(piece)

    def _fail(self, flaw: str) -> None:
        self.flaw = flaw
        self._rest = b""
        if self.file is not None:
            self.file.close()
            self.file = None


def _attributes(head: bytes) -> dict[bytes, bytes]:
    return {one[1]: one[2][1:-1] for one in _ATTRIBUTE.finditer(head)}


def _head_end(head: bytes | bytearray) -> tuple[int, bool]:
    """Return where the start tag at the beginning ends, and whether it is one.

    :return: 0 if its end has not arrived yet; ``False`` if another tag begins in it, or if it is too long.
    """
    quote = b""
    for mark in _HEAD_MARK.finditer(head, 1, _LONGEST_HEAD):
        if mark[0] == b"<":
            return mark.start(), False
        if mark[0] == b">" and not quote:
            return mark.end(), True
        if mark[0] != b">" and quote in (b"", mark[0]):
            quote = b"" if quote else mark[0]
    return (_LONGEST_HEAD, False) if len(head) >= _LONGEST_HEAD else (0, False)
