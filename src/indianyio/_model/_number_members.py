"""The number member, and what is taken for a number.

A number is kept as the text it was given, because that is what drivers read back; it travels as a plain decimal,
because C++ clients read the sexagesimal ``3:30`` in an update as 3 (protocol.md 1.3).
"""

from __future__ import annotations

from math import inf, isfinite
from numbers import Integral
from typing import SupportsFloat, cast

from indianyio._model._members import WordMember
from indianyio.protocol._elements import DefNumber, OneNumber
from indianyio.protocol._numbers import (
    LARGEST_EXACT_INT,
    LONGEST_NUMBER_TEXT,
    format_number,
    getfloat,
    is_plain_decimal,
    number_text,
    parse_number,
    require_number_format,
)

__all__ = ["DEFAULT_FORMAT", "NumberMember", "require_number"]

_PLAIN_NUMBERS = (int, float)

DEFAULT_FORMAT = "%g"
"""What a number member without a format is sent as; readers refuse an empty one."""


class _Limit:
    """One of the attributes ``min``, ``max`` and ``step``: a number like the value, sent when it has changed."""

    def __set_name__(self, owner: type[NumberMember], name: str) -> None:
        self._name = name

    def __get__(self, member: NumberMember, owner: type[NumberMember]) -> str:
        return member.limits[self._name]

    def __set__(self, member: NumberMember, value: str | float) -> None:
        member.change_limit(self._name, value)


class NumberMember(WordMember):
    """A member that holds a number, stored as text.

    :ivar limits: the three limits by name; assign the attributes ``min``, ``max`` and ``step`` to change them.
    :ivar limits_changed: the next update carries the limits too (libindi's "min/max update", protocol.md 1.2).
    :param format: how clients print the number (protocol.md 1.3); sent as ``%g`` if it is empty.
    :param min: the least value a client may ask for; there are no limits unless ``min`` is below ``max``.
    :param max: the greatest value a client may ask for.
    :param step: the step that clients offer.
    :param membervalue: decimal or sexagesimal text, or a finite number.
    """

    _tag = OneNumber.tag

    min = _Limit()
    max = _Limit()
    step = _Limit()

    def __init__(
        self,
        name: str,
        label: str | None = None,
        format: str = "",  # noqa: A002 - the attribute's name in INDI and in the family
        min: str | float = "0",  # noqa: A002
        max: str | float = "0",  # noqa: A002
        step: str | float = "0",
        membervalue: str | float = "0",
    ) -> None:
        super().__init__(name, label, membervalue)
        self.format = format
        given = {"min": min, "max": max, "step": step}
        self.limits = {which: self._number(value, which) for which, value in given.items()}
        self.limits_changed = False
        self._limits_told = False  # whether the last update carried the limits
        self._range: tuple[float, float] | None = None  # what accepts() compares with, while the limits stay

    @property
    def format(self) -> str:
        """How clients print the number; empty stands for ``%g``.

        :raises ValueError: on assignment of what is no format for one number.
        """
        return self._format

    @format.setter  # noqa: A003 - the property above is meant
    def format(self, fmt: str) -> None:
        self._format = "" if fmt == "" else require_number_format(fmt, self._what("format"))

    def check(self, value: object) -> str:
        """Return the number as text: a text as it is, without blanks around it.

        :raises TypeError: it is neither text nor number; a bool is no number.
        :raises ValueError: it is no number as INDI writes them, or not finite.
        """
        # What drivers assign nearly always comes first; it is taken exactly as require_number() takes it.
        kind = type(value)
        if kind is float:
            if isfinite(cast("float", value)):
                return repr(value)
        elif kind is int:
            if -LARGEST_EXACT_INT <= cast("int", value) <= LARGEST_EXACT_INT:
                return str(value)
        elif kind is str:
            text = cast("str", value)
            if len(text) <= LONGEST_NUMBER_TEXT and is_plain_decimal(text) and isfinite(float(text)):
                return text
        return self._number(value, "value")

    def accepts(self, text: str) -> bool:
        """Return whether a client may surely write this number: a plain decimal within the limits."""
        if len(text) > LONGEST_NUMBER_TEXT or is_plain_decimal(text) is None:
            return False
        if self._range is None:
            least, most = parse_number(self.min), parse_number(self.max)
            self._range = (least, most) if least < most else (-inf, inf)
        number = float(text)
        return self._range[0] <= number <= self._range[1] and isfinite(number)

    def tell(self) -> str:
        """Return the element that carries the value, and the limits where they have changed; both count as sent."""
        self.changed = False
        self._limits_told = self.limits_changed
        if self.limits_changed:
            self.limits_changed = False
            limits = "".join(f' {which}="{number_text(text)}"' for which, text in self.limits.items())
            return f"{self._opening}{limits}>{number_text(self._value)}{self._closing}"
        value, element = self._kept
        if value is not self._value:
            value = self._value
            # A text that is plain decimal was checked when it was assigned, and is written as it is.
            written = value if is_plain_decimal(value) else number_text(value)
            element = f"{self._opening}>{written}{self._closing}"
            self._kept = (value, element)
        return element

    def change_limit(self, which: str, value: str | float) -> None:
        """Set ``min``, ``max`` or ``step``, to be sent with the next update of this member.

        :raises TypeError: ``value`` is neither text nor number.
        :raises ValueError: ``value`` is no finite number.
        """
        checked = self._number(value, which)
        if checked != self.limits[which]:
            self.limits[which] = checked
            self._range = None
            self.limits_changed = self.changed = True

    def sent(self) -> None:
        """Take note that the value, and the limits if they were due, have gone out in an update."""
        self._limits_told = self.limits_changed
        self.changed = self.limits_changed = False

    def unsent(self) -> None:
        """Take back that the value, and the limits if the last update carried them, have gone out."""
        self.changed = True
        self.limits_changed = self.limits_changed or self._limits_told

    def getfloatvalue(self) -> float:
        """Return the value as a float; degrees or hours where the text is sexagesimal."""
        return getfloat(self._value)

    def getformattedvalue(self) -> str:
        """Return the value in the member's format."""
        return self.format_number(self.getfloatvalue())

    def format_number(self, value: float) -> str:
        """Return ``value`` in the member's format."""
        return format_number(value, self._format or DEFAULT_FORMAT)

    def definition(self) -> DefNumber:
        """Return the element that defines this member."""
        limits = {which: number_text(text) for which, text in self.limits.items()}
        fmt = self._format or DEFAULT_FORMAT
        return DefNumber(name=self._name, label=self._label, format=fmt, value=number_text(self._value), **limits)

    def report(self) -> OneNumber:
        """Return the element that carries the value, and the limits where they have changed."""
        limits = {which: number_text(text) for which, text in self.limits.items()} if self.limits_changed else {}
        return OneNumber(name=self._name, value=number_text(self._value), **limits)

    def _number(self, value: object, attribute: str) -> str:
        return require_number(value, self._what(attribute))


def require_number(value: object, what: str) -> str:
    """Return a number as text: a text as it is, without blanks around it.

    :param value: a text as INDI writes numbers, or anything that makes a float, numpy's scalars included.
    :param what: its name in the error.
    :raises TypeError: it is neither; a truth value is no number.
    :raises ValueError: it cannot be read, or is not finite.
    """
    if isinstance(value, str):
        try:
            number_text(value)
        except ValueError as exc:
            raise ValueError(
                f"{what} must be a finite number such as '12.51' or '12:30:36', not {value!r}"
            ) from exc
        return value.strip()
    if type(value) in _PLAIN_NUMBERS:
        return _finite_text(cast("float", value), what)
    # numpy's truth values convert to 1.0 as willingly as Python's, and are as little meant for a number.
    truth = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"
    # float before the protocol, which takes ten times as long to tell.
    if truth or not isinstance(value, float | SupportsFloat):
        raise TypeError(f"{what} must be a number or a text such as '12:30:36', not {value!r}")
    return _finite_text(int(value) if isinstance(value, Integral) else float(value), what)


def _finite_text(value: float, what: str) -> str:
    try:
        return number_text(value)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{what} must be finite, not {value!r}") from exc
