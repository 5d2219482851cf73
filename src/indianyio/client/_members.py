"""The members of a vector, as a client sees them: typed values, what the definition says, and what can be written.

The content of a BLOB is in memory if it is small, otherwise in a file without a name.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from anyio import to_thread

from indianyio._model._writes import whole_number
from indianyio._vocabulary import State
from indianyio._whole_files import new_file
from indianyio.protocol import Attachment, OneBLOB, format_number
from indianyio.protocol._blobs import slices_of
from indianyio.protocol._numbers import LONGEST_NUMBER_TEXT, getfloat, is_plain_decimal
from indianyio.streams import flaw_of

__all__ = [
    "Blob",
    "Content",
    "Member",
    "NamedThings",
    "NumberMember",
    "OnProgress",
    "Progress",
    "Upload",
    "Written",
    "blob_of",
    "number_or",
    "shortened",
    "state_or",
]

V = TypeVar("V")

# How much of a text for people is kept; libindi cuts them at 254.
_TEXT_CHARACTERS = 1000


class Upload(NamedTuple):
    """A value for a BLOB member together with its format.

    :ivar content: the bytes, or the path of a file with them.
    :ivar format: a file suffix with its leading dot, such as ``.fits``.
    """

    content: bytes | os.PathLike[str]
    format: str = ".bin"


Written: TypeAlias = float | bool | str | bytes | os.PathLike[str] | Upload
"""A value to write to a member: a number, also as a text such as ``-0:30:15``; a bool for a switch; a text; for a
BLOB bytes, an :class:`Upload`, or the path of a file, whose suffix is the format."""


class NamedThings(Mapping[str, V]):
    """A mapping with an identity: two of them are not equal just because their contents are."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Member(Generic[V]):
    """A member as the server last reported it.

    :ivar name: its name.
    :ivar label: the text that people read.
    :ivar value: its value: a number as :class:`float`, a switch as :class:`bool`, a text as :class:`str`, a light
        as :class:`~indianyio.State`; a BLOB as :class:`~indianyio.client.Blob`, or ``None`` before the first.
    """

    __slots__ = ("label", "name", "value")

    def __init__(self, name: str, label: str, value: V) -> None:
        self.name = name
        self.label = label
        self.value = value

    @property
    def text(self) -> str:
        """The value as people read it."""
        if isinstance(self.value, bool):
            return "On" if self.value else "Off"
        return str(self.value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}={self.value!r}>"


class NumberMember(Member[float]):
    """A number.

    :ivar format: how it is printed (docs/protocol.md 1.3).
    :ivar min: the lowest value that may be written, if it is below :attr:`max`.
    :ivar max: the highest value that may be written.
    :ivar step: the step that a dial should have; 0 if it does not matter.
    """

    __slots__ = ("format", "max", "min", "step")

    def __init__(
        self,
        name: str,
        label: str,
        value: float,
        format: str,  # noqa: A002 - the attribute's name in INDI
        *,
        limits: tuple[float, float, float],
    ) -> None:
        super().__init__(name, label, value)
        self.format = format
        self.min, self.max, self.step = limits

    @property
    def text(self) -> str:
        """The value in the member's own format; in ``%g`` if that format cannot be used."""
        try:
            return format_number(self.value, self.format).strip()
        except ValueError:
            return f"{self.value:g}"

    @property
    def has_limits(self) -> bool:
        """Whether there is a range; equal limits mean that there is none."""
        return self.min < self.max


def shortened(text: str | None) -> str:
    """Return a text for people without the white space around it, cut to a length that people read."""
    return (text or "").strip()[:_TEXT_CHARACTERS]


def number_or(text: str | None, otherwise: float) -> float:
    """Return the number that a text gives, or ``otherwise`` if it is not a number."""
    if text is None:
        return otherwise
    if len(text) <= LONGEST_NUMBER_TEXT and is_plain_decimal(text):
        return float(text)  # nearly all are plain, and are read alike below
    if not text.strip():
        return otherwise
    try:
        return getfloat(text)
    except ValueError:
        return otherwise


def state_or(text: str, otherwise: State) -> State:
    """Return the state that a text names, or ``otherwise`` if it does not name one."""
    try:
        return State(text.strip())
    except ValueError:
        return otherwise


# -- the contents of BLOBs -------------------------------------------------------------------------------------

_SLICE_BYTES = 1 << 20


class Progress(NamedTuple):
    """The progress of a BLOB.

    :ivar done: bytes received or written so far.
    :ivar total: how many there will be; 0 if unknown.
    """

    done: int
    total: int


OnProgress: TypeAlias = Callable[[Progress], None]
"""Called with the progress of a BLOB; must not wait."""


class Content:
    """The content of a BLOB member, as it arrived.

    Large ones lie in a file without a name, or in the memory that a server on this machine passed on; the content
    is only read when it is asked for. The file or memory is released with the last reference to this object.

    :ivar name: the member's name; it comes from the network, so it is never used as a path.
    :ivar format: a file suffix with its leading dot, such as ``.fits``; ``.fits.z`` if it is compressed.
    :ivar size: the uncompressed size in bytes, according to the driver.
    :ivar length: the size in bytes as transported.
    :ivar timestamp: when the driver sent it, in UTC; ``None`` if the driver does not say.
    """

    __slots__ = ("__weakref__", "_attachment", "_data", "format", "length", "name", "size", "timestamp")

    def __init__(
        self,
        name: str,
        format: str,  # noqa: A002 - the attribute's name in INDI
        size: int,
        *,
        data: bytes = b"",
        attachment: Attachment | None = None,
        length: int | None = None,
        timestamp: datetime | None = None,
    ) -> None:
        self.name = name
        self.format = format
        self.size = size
        self.length = len(data) if length is None else length
        self.timestamp = timestamp
        self._data = data
        self._attachment = attachment

    def __repr__(self) -> str:
        return f"<Blob {self.name} {self.format} {self.size} bytes>"

    @property
    def is_compressed(self) -> bool:
        """Whether the content travelled as a zlib stream."""
        return self.format.endswith(".z")

    @property
    def data(self) -> bytes:
        """The content as transported, read now if it is in a file.

        :raises ValueError: it cannot be read; the text says why.
        """
        return self._data if self._attachment is None else self._attachment.read(self.length)

    def content(self) -> bytes:
        """Return the content, decompressed if need be.

        :raises ValueError: it cannot be read, or is damaged.
        """
        return b"".join(self.slices())

    def slices(self) -> Iterator[bytes]:
        """Yield the content piece by piece, decompressed if need be, so that it never lies in memory as a whole.

        :raises ValueError: it is not available, or is damaged.
        """
        return _inflated(self._transported(), self.size) if self.is_compressed else self._transported()

    def _saving(self, target: Path) -> Generator[Progress]:
        """Write the content into a file piece by piece; closed before its end, this leaves nothing behind."""
        if not target.name:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        with new_file(target.parent, 0o666) as file:
            done = 0
            for piece in self.slices():
                file.write(piece)
                done += len(piece)
                yield Progress(done, self.size)
            file.replace(target)

    def _transported(self) -> Iterator[bytes]:
        attachment = self._attachment
        if attachment is None:
            yield self._data
            return
        if (flaw := flaw_of(attachment, self.length)) is not None:
            raise ValueError(flaw)
        yield from slices_of(attachment, self.length, _SLICE_BYTES)


class Blob(Content):
    """The content of a BLOB member, as it arrived.

    Large ones lie in a file without a name, or in the memory that a server on this machine passed on; the content
    is only read when it is asked for. The file or memory is released with the last reference to this object.
    """

    __slots__ = ()

    async def save(self, path: str | os.PathLike[str], *, progress: OnProgress | None = None) -> Path:
        """Write the content into a file, which is complete as soon as it appears.

        It is written under another name in the same folder, and then renamed; an existing file is replaced. If this
        is cancelled, it leaves nothing behind.

        :param path: where; nothing that comes from the network becomes part of it.
        :param progress: called with the progress of the writing.
        :return: the path.
        :raises OSError: it cannot be written there.
        :raises ValueError: the content is not available, or is damaged; nothing was written.
        """
        target = Path(path)
        with closing(self._saving(target)) as pieces:
            while (written := await to_thread.run_sync(next, pieces, None)) is not None:
                if progress is not None:
                    progress(written)
        return target


def blob_of(one: OneBLOB, timestamp: datetime | None) -> Blob | None:
    """Return the content that a member of an update carries, or ``None`` if it only reports a state.

    :raises ValueError: its size is not a whole number.
    """
    size = None if one.size is None else whole_number(one.size)
    suffix = one.format or ".bin"
    if one.attachment is not None:
        length = whole_number(one.size if one.len is None else one.len) if one.len or one.size else 0
        whole = length if size is None else size
        return Blob(one.name, suffix, whole, attachment=one.attachment, length=length, timestamp=timestamp)
    data = bytes(one.data)
    if not data and not size:
        return None
    return Blob(one.name, suffix, len(data) if size is None else size, data=data, timestamp=timestamp)


def _inflated(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    inflater, total = zlib.decompressobj(), 0
    try:
        for piece in pieces:
            rest = piece
            while rest and not inflater.eof:
                part = inflater.decompress(rest, _SLICE_BYTES)
                rest = inflater.unconsumed_tail
                total += len(part)
                if total > size:
                    raise ValueError(f"a compressed BLOB holds more than the {size} bytes it announced")
                yield part
        while not inflater.eof and (part := inflater.flush(_SLICE_BYTES)):
            total += len(part)
            yield part
    except zlib.error as error:
        raise ValueError(f"a compressed BLOB is damaged: {error}") from None
    if not inflater.eof or total != size:
        raise ValueError(f"a compressed BLOB ends after {total} of {size} bytes")
