"""The members that hold numbers, with their limits and their format.

A number is kept as the text in which it was given, because that is what drivers read back. It travels as a plain
decimal, because C++ clients read the sexagesimal ``3:30`` in an update as 3 (docs/protocol.md 1.3).
"""

from __future__ import annotations

from math import inf, isfinite
from typing import cast

from indianyio._model._attributes import require_number
from indianyio._model._members import WordMember
from indianyio.protocol import _elements as wire
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

__all__ = ["DEFAULT_FORMAT", "NumberMember"]

DEFAULT_FORMAT = "%g"
"""The format that is sent for a number member without one; readers refuse an empty format."""


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
    :ivar limits_changed: the next update carries the limits too (libindi's "min/max update", docs/protocol.md 1.2).
    :param format: how clients print the number (docs/protocol.md 1.3); sent as ``%g`` if it is empty.
    :param min: the lowest value a client may ask for; there are no limits unless ``min`` is below ``max``.
    :param max: the highest value a client may ask for.
    :param step: the step that clients offer.
    :param membervalue: a decimal or sexagesimal text, or a finite number.
    """

    _tag = wire.OneNumber.tag

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
        self._limits_told = False  # whether any update has carried the limits
        self._range: tuple[float, float] | None = None  # the limits for accepts(), until they are changed

    @property
    def format(self) -> str:
        """How clients print the number; empty stands for ``%g``.

        :raises ValueError: on assignment of anything but a format for one number.
        """
        return self._format

    @format.setter  # noqa: A003 - the property above is meant
    def format(self, fmt: str) -> None:
        self._format = "" if fmt == "" else require_number_format(fmt, self._what("format"))

    def check(self, value: object) -> str:
        """Return the number as text; a text stays as it is, without blanks around it.

        :raises TypeError: it is neither a text nor a number; a bool is not a number.
        :raises ValueError: it is not a number as INDI writes them, or not finite.
        """
        # What drivers nearly always assign comes first; the result is exactly that of require_number().
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
        """Return whether a client may certainly write this number: a plain decimal within the limits."""
        if len(text) > LONGEST_NUMBER_TEXT or is_plain_decimal(text) is None:
            return False
        if self._range is None:
            least, most = parse_number(self.min), parse_number(self.max)
            self._range = (least, most) if least < most else (-inf, inf)
        number = float(text)
        return self._range[0] <= number <= self._range[1] and isfinite(number)

    def tell(self) -> str:
        """Return the element with the value, and with the limits if they have changed; both then count as sent."""
        self.changed = False
        if self.limits_changed:
            self.limits_changed = False
            self._limits_told = True
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

        :raises TypeError: ``value`` is neither a text nor a number.
        :raises ValueError: ``value`` is not a finite number.
        """
        checked = self._number(value, which)
        if checked != self.limits[which]:
            self.limits[which] = checked
            self._range = None
            self.limits_changed = self.changed = True

    def sent(self) -> None:
        """Note that the value, and the limits if they were due, have been sent in an update."""
        self._limits_told = self._limits_told or self.limits_changed
        self.changed = self.limits_changed = False

    def unsent(self) -> None:
        """Undo :meth:`sent` for the value, and for the limits if they were ever sent.

        The update that reached nobody need not be the last one: another task may have made one after it. So limits
        may be sent once too often, but are never lost.
        """
        self.changed = True
        self.limits_changed = self.limits_changed or self._limits_told

    def getfloatvalue(self) -> float:
        """Return the value as a float; if the text is sexagesimal, in degrees or hours."""
        return getfloat(self._value)

    def getformattedvalue(self) -> str:
        """Return the value in the member's format."""
        return self.format_number(self.getfloatvalue())

    def format_number(self, value: float) -> str:
        """Return ``value`` in the member's format."""
        return format_number(value, self._format or DEFAULT_FORMAT)

    def definition(self) -> wire.DefNumber:
        """Return the element that defines this member."""
        limits = {which: number_text(text) for which, text in self.limits.items()}
        fmt = self._format or DEFAULT_FORMAT
        return wire.DefNumber(
            name=self._name, label=self._label, format=fmt, value=number_text(self._value), **limits
        )

    def report(self) -> wire.OneNumber:
        """Return the element with the value, and with the limits if they have changed."""
        limits = {which: number_text(text) for which, text in self.limits.items()} if self.limits_changed else {}
        return wire.OneNumber(name=self._name, value=number_text(self._value), **limits)

    def _number(self, value: object, attribute: str) -> str:
        return require_number(value, self._what(attribute))
