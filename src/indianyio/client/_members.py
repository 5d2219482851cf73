"""The members of a vector, as a client sees them: typed values, and what the definition says of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from indianyio._vocabulary import State
from indianyio.model._writes import whole_number
from indianyio.protocol import OneBLOB, format_number
from indianyio.protocol._blobs import inflate
from indianyio.protocol._numbers import getfloat

__all__ = ["Blob", "Member", "NumberMember", "blob_of", "number_or", "state_or"]

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Blob:
    """The content of a BLOB member, as it came.

    :ivar name: the member's name; it comes from the network, so it is never a path.
    :ivar format: a file suffix with its leading dot, such as ``.fits``; ``.fits.z`` for what is compressed.
    :ivar size: the bytes of the content when it is not compressed, as the driver says.
    :ivar data: the content as transported.
    :ivar timestamp: when the driver sent it, in UTC; ``None`` if it does not say.
    """

    name: str
    format: str
    size: int
    data: bytes = field(repr=False)
    timestamp: datetime | None = None

    @property
    def is_compressed(self) -> bool:
        """Whether :attr:`data` is a zlib stream."""
        return self.format.endswith(".z")

    def content(self) -> bytes:
        """Return the content, decompressed if need be.

        :raises ValueError: it is no zlib stream, or does not have :attr:`size` bytes.
        """
        return inflate(self.data, self.size, self.size) if self.is_compressed else self.data


class Member(Generic[V]):
    """A member as the server last told of it.

    :ivar name: its name.
    :ivar label: what people read.
    :ivar value: its value: a number as :class:`float`, a switch as :class:`bool`, a text as :class:`str`, a light as
        :class:`~indianyio.State`; a BLOB as :class:`Blob`, or ``None`` before the first.
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
    :ivar min: the least value that may be written, if it is below :attr:`max`.
    :ivar max: the greatest value that may be written.
    :ivar step: the step that a dial should have; 0 for none.
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
        """The value in the member's own format; ``%g`` where that cannot be used."""
        try:
            return format_number(self.value, self.format).strip()
        except ValueError:
            return f"{self.value:g}"

    @property
    def has_limits(self) -> bool:
        """Whether there is a range; equal limits are none."""
        return self.min < self.max


def number_or(text: str | None, otherwise: float) -> float:
    """Return the number that a text has, or something else where it has none."""
    if text is None or not text.strip():
        return otherwise
    try:
        return getfloat(text)
    except ValueError:
        return otherwise


def state_or(text: str, otherwise: State) -> State:
    """Return the state that a text names, or something else where it names none."""
    try:
        return State(text.strip())
    except ValueError:
        return otherwise


def blob_of(one: OneBLOB, timestamp: datetime | None) -> Blob | None:
    """Return the content that a member of an update carries; ``None`` where it only reports a state.

    :raises ValueError: its size is no whole number, or fewer bytes are attached than it says.
    """
    size = None if one.size is None else whole_number(one.size)
    if one.attachment is not None:
        data = one.attachment.read(whole_number(one.size if one.len is None else one.len))
    else:
        data = bytes(one.data)
    if not data and not size:
        return None
    return Blob(one.name, one.format or ".bin", len(data) if size is None else size, data, timestamp)
