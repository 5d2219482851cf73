"""The members of a vector, as a client sees them: typed values, and what the definition says about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from indianyio._vocabulary import State
from indianyio.protocol import format_number
from indianyio.protocol._numbers import LONGEST_NUMBER_TEXT, getfloat, is_plain_decimal

__all__ = ["Member", "NamedThings", "NumberMember", "number_or", "shortened", "state_or"]

V = TypeVar("V")

# How much of a text for people is kept; libindi cuts them at 254.
_TEXT_CHARACTERS = 1000


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
