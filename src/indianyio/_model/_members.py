"""The members of a vector: a name, a label and a value that is valid at any time.

Every value is checked when it is assigned, so that nothing is left to be discovered when it is sent: a value that
XML or INDI cannot carry raises :class:`ValueError` or :class:`TypeError` with the member's name, the value, and
what would be accepted. ``check`` is that test; the setter of ``membervalue`` stores what it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from msgspec import Struct

from indianyio._model._attributes import require_one_of
from indianyio._vocabulary import Light, Switch
from indianyio.protocol import _elements as wire
from indianyio.protocol._messages import DefVector, NewVector, SetVector
from indianyio.protocol._text import escape_attribute, escape_text, is_simple, require_name, require_xml_text

__all__ = [
    "Kind",
    "LightMember",
    "Member",
    "SwitchMember",
    "TextMember",
    "WordMember",
]

_SWITCH_WORDS = tuple(str(word) for word in Switch)
_ON = str(Switch.ON)
_LIGHT_WORDS = tuple(str(word) for word in Light)

ValueT_co = TypeVar("ValueT_co", covariant=True)


class Member(Generic[ValueT_co]):
    """What the five kinds of members have in common.

    :ivar changed: the value differs from what was last sent; true at first.
    :param name: at most what INDI allows as a name; it cannot be changed.
    :param label: the text that people read; the name if it is ``None`` or empty.
    :param membervalue: the first value.
    :raises TypeError: an argument is of the wrong type.
    :raises ValueError: an argument has a value that INDI cannot carry.
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
        """The text that people read instead of the name.

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
        :raises ValueError: on assignment of a value that this member cannot have.
        """
        return self._value

    @membervalue.setter
    def membervalue(self, value: object) -> None:
        checked = self.check(value)
        if self._always_new or checked != self._value:
            self.changed = True
        self._value = checked

    def check(self, value: object) -> ValueT_co:
        """Return ``value`` in the form in which this member would store it, without storing it.

        :raises TypeError: it is of the wrong type.
        :raises ValueError: this member cannot have it.
        """
        raise NotImplementedError

    def store(self, checked: object) -> None:
        """Store what :meth:`check` has returned."""
        if self._always_new or checked != self._value:
            self.changed = True
        # A cast would cost a call for each value.
        self._value = checked  # type: ignore[assignment]

    def definition(self) -> wire.WireMember:
        """Return the element that defines this member."""
        raise NotImplementedError

    def accepts(self, text: str) -> bool:
        """Return whether a client may certainly write this value; if not, the rules of the vector's kind decide.

        The answer must be ``False`` wherever a rule might refuse it.
        """
        return False

    def sent(self) -> None:
        """Note that the value has been sent in an update."""
        self.changed = False

    def unsent(self) -> None:
        """Undo :meth:`sent`: the last update has not reached anybody."""
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
        """Return the element that carries the value as XML, with a newline; the value then counts as sent."""
        self.changed = False
        value, element = self._kept
        if value is not self._value:
            value = self._value
            content = value if is_simple(value) else escape_text(value)
            element = f"{self._opening}>{content}{self._closing}" if content else f"{self._opening}/>\n"
            self._kept = (value, element)
        return element

    def report(self) -> wire.WireMember:
        """Return the element that carries the value."""
        raise NotImplementedError


DefT = TypeVar("DefT", wire.DefSwitch, wire.DefLight, wire.DefText)
OneT = TypeVar("OneT", wire.OneSwitch, wire.OneLight, wire.OneText)


class _PlainMember(WordMember, Generic[DefT, OneT]):
    """A member whose elements carry only its value: every kind but numbers and BLOBs."""

    _elements: tuple[type[DefT], type[OneT]]

    def definition(self) -> DefT:
        return self._elements[0](name=self._name, label=self._label, value=self._value)

    def report(self) -> OneT:
        return self._elements[1](name=self._name, value=self._value)


class SwitchMember(_PlainMember[wire.DefSwitch, wire.OneSwitch]):
    """A member that is ``On`` or ``Off``."""

    _tag = wire.OneSwitch.tag
    _elements = wire.DefSwitch, wire.OneSwitch

    def __init__(self, name: str, label: str | None = None, membervalue: str = "Off") -> None:
        super().__init__(name, label, membervalue)

    def check(self, value: object) -> str:
        """Return ``On`` or ``Off``.

        :raises TypeError: it is not a text; True and False are not accepted for On and Off.
        :raises ValueError: it is any other word.
        """
        if type(value) is str and value in _SWITCH_WORDS:
            return value
        return require_one_of(_SWITCH_WORDS, value, self._what("value"))

    @property
    def is_on(self) -> bool:
        """Whether it is On."""
        return self._value == _ON


class LightMember(_PlainMember[wire.DefLight, wire.OneLight]):
    """A member that shows ``Idle``, ``Ok``, ``Busy`` or ``Alert``."""

    _tag = wire.OneLight.tag
    _elements = wire.DefLight, wire.OneLight

    def __init__(self, name: str, label: str | None = None, membervalue: str = "Idle") -> None:
        super().__init__(name, label, membervalue)

    def check(self, value: object) -> str:
        """Return one of the four words.

        :raises TypeError: it is not a text.
        :raises ValueError: it is any other word.
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


class Kind(Struct, frozen=True):
    """What makes a vector one of the five kinds.

    :ivar vectortype: its name in drivers, such as ``SwitchVector``.
    :ivar member: the class of its members.
    :ivar new: the message with which a client writes it; ``None`` if it cannot be written.
    :ivar definition: makes the message that defines it.
    :ivar report: makes the message with its values.
    """

    vectortype: str
    member: type[Member[object]]
    new: type[NewVector] | None
    definition: Callable[..., DefVector]
    report: Callable[..., SetVector]
