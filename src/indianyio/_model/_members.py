"""The members of a vector: a name, a label and a value that is right at any time.

Whatever is assigned is checked where it is assigned, so that nothing has to be discovered when it is sent: a
value that XML or INDI cannot carry raises :class:`ValueError` or :class:`TypeError` with the member's name, the
value and what would do. ``check`` is that test; the setter of ``membervalue`` stores what it returns.

A number is kept as the text it was given, because that is what drivers read back; it travels as a plain decimal,
because C++ clients read the sexagesimal ``3:30`` in an update as 3 (docs/protocol.md 1.3).
"""

from __future__ import annotations

from math import inf, isfinite
from typing import ClassVar, Generic, TypeVar, cast

from indianyio._model._attributes import require_number, require_one_of
from indianyio._vocabulary import Light, Switch
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
from indianyio.protocol._text import escape_attribute, escape_text, is_simple, require_name, require_xml_text

__all__ = [
    "DEFAULT_FORMAT",
    "LightMember",
    "Member",
    "NumberMember",
    "SwitchMember",
    "TextMember",
    "WordMember",
]

_SWITCH_WORDS = tuple(str(word) for word in Switch)
_LIGHT_WORDS = tuple(str(word) for word in Light)

DEFAULT_FORMAT = "%g"
"""What a number member without a format is sent as; readers refuse an empty one."""

ValueT_co = TypeVar("ValueT_co", covariant=True)


class Member(Generic[ValueT_co]):
    """What the five kinds of members have in common.

    :ivar changed: the value differs from what was last sent; true at first.
    :param name: at most what INDI allows as a name; it cannot be changed.
    :param label: what people read; the name if it is ``None`` or empty.
    :param membervalue: the first value.
    :raises TypeError: an argument is of the wrong type.
    :raises ValueError: an argument has a value which INDI cannot carry.
    """

    # Whether an assigned value counts as changed even if it equals the last one.
    _always_new: ClassVar[bool] = False

    def __init__(self, name: str, label: str | None, membervalue: object) -> None:
        self._name = require_name(name, "the name of a member")
        self.label = label
        self._value = self.check(membervalue)
        self.changed = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, {self._label!r}, membervalue={self._value!r})"

    @property
    def name(self) -> str:
        """The member's name in its vector."""
        return self._name

    @property
    def label(self) -> str:
        """What people read instead of the name.

        :raises ValueError: on assignment of a text that XML cannot carry.
        """
        return self._label

    @label.setter
    def label(self, label: str | None) -> None:
        wanted = self._name if label is None or label == "" else label
        self._label = require_xml_text(wanted, self._what("label"))

    @property
    def membervalue(self) -> ValueT_co:
        """The value as it is stored.

        :raises TypeError: on assignment of a value of the wrong type.
        :raises ValueError: on assignment of a value which this member cannot have.
        """
        return self._value

    @membervalue.setter
    def membervalue(self, value: object) -> None:
        checked = self.check(value)
        if self._always_new or checked != self._value:
            self.changed = True
        self._value = checked

    def check(self, value: object) -> ValueT_co:
        """Return ``value`` as this member would store it; store nothing.

        :raises TypeError: it is of the wrong type.
        :raises ValueError: this member cannot have it.
        """
        raise NotImplementedError

    def definition(self) -> wire.WireMember:
        """Return the element that defines this member."""
        raise NotImplementedError

    def accepts(self, text: str) -> bool:
        """Return whether a client may surely write this value; if not, the rules of the vector's kind decide.

        The answer must be ``False`` wherever a rule might refuse.
        """
        return False

    def sent(self) -> None:
        """Take note that the value has gone out in an update."""
        self.changed = False

    def unsent(self) -> None:
        """Take back that the value has gone out: the last update has told nobody."""
        self.changed = True

    def _what(self, attribute: str) -> str:
        return f"the {attribute} of member {self._name!r}"


class WordMember(Member[str]):
    """A member whose value is a word on the wire: every kind but BLOBs."""

    _tag: ClassVar[str]

    def __init__(self, name: str, label: str | None, membervalue: object) -> None:
        super().__init__(name, label, membervalue)
        self._opening = f'<{self._tag} name="{escape_attribute(name)}"'
        self._closing = f"</{self._tag}>\n"
        self._kept: tuple[str | None, str] = (None, "")  # a value, and the element that carries it

    def tell(self) -> str:
        """Return the element that carries the value as XML, with a newline; the value counts as sent."""
        self.changed = False
        value, element = self._kept
        if value is not self._value:
            value = self._value
            content = value if is_simple(value) else escape_text(value)
            element = f"{self._opening}>{content}{self._closing}" if content else f"{self._opening}/>\n"
            self._kept = (value, element)
        return element


DefT = TypeVar("DefT", wire.DefSwitch, wire.DefLight, wire.DefText)
OneT = TypeVar("OneT", wire.OneSwitch, wire.OneLight, wire.OneText)


class _PlainMember(WordMember, Generic[DefT, OneT]):
    """A member whose elements carry nothing but its value: every kind but numbers and BLOBs."""

    _elements: tuple[type[DefT], type[OneT]]

    def definition(self) -> DefT:
        """Return the element that defines this member."""
        return self._elements[0](name=self._name, label=self._label, value=self._value)

    def report(self) -> OneT:
        """Return the element that carries the value."""
        return self._elements[1](name=self._name, value=self._value)


class SwitchMember(_PlainMember[wire.DefSwitch, wire.OneSwitch]):
    """A member that is ``On`` or ``Off``."""

    _tag = wire.OneSwitch.tag
    _elements = wire.DefSwitch, wire.OneSwitch

    def __init__(self, name: str, label: str | None = None, membervalue: str = "Off") -> None:
        super().__init__(name, label, membervalue)

    def check(self, value: object) -> str:
        """Return ``On`` or ``Off``.

        :raises TypeError: it is not a text; True and False are not taken for On and Off.
        :raises ValueError: it is another word.
        """
        return require_one_of(_SWITCH_WORDS, value, self._what("value"))

    @property
    def is_on(self) -> bool:
        """Whether it is On."""
        return self._value == Switch.ON


class LightMember(_PlainMember[wire.DefLight, wire.OneLight]):
    """A member that shows ``Idle``, ``Ok``, ``Busy`` or ``Alert``."""

    _tag = wire.OneLight.tag
    _elements = wire.DefLight, wire.OneLight

    def __init__(self, name: str, label: str | None = None, membervalue: str = "Idle") -> None:
        super().__init__(name, label, membervalue)

    def check(self, value: object) -> str:
        """Return one of the four words.

        :raises TypeError: it is not a text.
        :raises ValueError: it is another word.
        """
        return require_one_of(_LIGHT_WORDS, value, self._what("value"))


class TextMember(_PlainMember[wire.DefText, wire.OneText]):
    """A member that holds a text; blanks at its ends do not survive libindi (docs/protocol.md W10)."""

    _tag = wire.OneText.tag
    _elements = wire.DefText, wire.OneText

    def __init__(self, name: str, label: str | None = None, membervalue: str = "") -> None:
        super().__init__(name, label, membervalue)

    def check(self, value: object) -> str:
        """Return the text.

        :raises TypeError: it is not a text.
        :raises ValueError: it has characters that XML cannot carry.
        """
        return require_xml_text(value, self._what("value"))

    def accepts(self, text: str) -> bool:
        """Return ``True``: a client may write any text."""
        return True


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
    :param min: the least value a client may ask for; there are no limits unless ``min`` is below ``max``.
    :param max: the greatest value a client may ask for.
    :param step: the step that clients offer.
    :param membervalue: decimal or sexagesimal text, or a finite number.
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

    def definition(self) -> wire.DefNumber:
        """Return the element that defines this member."""
        limits = {which: number_text(text) for which, text in self.limits.items()}
        fmt = self._format or DEFAULT_FORMAT
        return wire.DefNumber(
            name=self._name, label=self._label, format=fmt, value=number_text(self._value), **limits
        )

    def report(self) -> wire.OneNumber:
        """Return the element that carries the value, and the limits where they have changed."""
        limits = {which: number_text(text) for which, text in self.limits.items()} if self.limits_changed else {}
        return wire.OneNumber(name=self._name, value=number_text(self._value), **limits)

    def _number(self, value: object, attribute: str) -> str:
        return require_number(value, self._what(attribute))
