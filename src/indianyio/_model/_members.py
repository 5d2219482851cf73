"""The members of a vector: a name, a label and a value that is right at any time.

Whatever is assigned is checked where it is assigned, so that nothing has to be discovered when it is sent: a
value which XML or INDI cannot carry raises :class:`ValueError` or :class:`TypeError` with the member's name, the
value and what would do. ``check`` is that test, the setter of ``membervalue`` stores what it returns.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from indianyio._vocabulary import Light, Switch
from indianyio.protocol._elements import (
    DefLight,
    DefSwitch,
    DefText,
    OneLight,
    OneSwitch,
    OneText,
    WireMember,
)
from indianyio.protocol._text import escape_attribute, escape_text, is_simple, require_name, require_xml_text

__all__ = ["LightMember", "Member", "SwitchMember", "TextMember", "WordMember"]

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

    _always_new: ClassVar[bool] = (
        False  # whether an assigned value counts as changed even if it equals the last one
    )

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

    def definition(self) -> WireMember:
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

    def _word(self, value: object, words: tuple[str, ...]) -> str:
        """Return ``value`` as one of ``words``, as a plain string even where it is an enumeration's member."""
        if not isinstance(value, str):
            raise TypeError(f"{self._what('value')} must be one of {', '.join(words)}, not {value!r}")
        if value not in words:
            raise ValueError(f"{self._what('value')} must be one of {', '.join(words)}, not {value!r}")
        return str(value)


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


_SWITCH_WORDS = tuple(str(word) for word in Switch)
_LIGHT_WORDS = tuple(str(word) for word in Light)


class SwitchMember(WordMember):
    """A member that is ``On`` or ``Off``."""

    _tag = OneSwitch.tag

    def __init__(self, name: str, label: str | None = None, membervalue: str = "Off") -> None:
        super().__init__(name, label, membervalue)

    def check(self, value: object) -> str:
        """Return ``On`` or ``Off``.

        :raises TypeError: it is no text; True and False are not taken for On and Off.
        :raises ValueError: it is another word.
        """
        return self._word(value, _SWITCH_WORDS)

    @property
    def is_on(self) -> bool:
        """Whether it is On."""
        return self._value == Switch.ON

    def definition(self) -> DefSwitch:
        """Return the element that defines this member."""
        return DefSwitch(name=self._name, label=self._label, value=self._value)

    def report(self) -> OneSwitch:
        """Return the element that carries the value."""
        return OneSwitch(name=self._name, value=self._value)


class LightMember(WordMember):
    """A member that shows ``Idle``, ``Ok``, ``Busy`` or ``Alert``."""

    _tag = OneLight.tag

    def __init__(self, name: str, label: str | None = None, membervalue: str = "Idle") -> None:
        super().__init__(name, label, membervalue)

    def check(self, value: object) -> str:
        """Return one of the four words.

        :raises TypeError: it is no text.
        :raises ValueError: it is another word.
        """
        return self._word(value, _LIGHT_WORDS)

    def definition(self) -> DefLight:
        """Return the element that defines this member."""
        return DefLight(name=self._name, label=self._label, value=self._value)

    def report(self) -> OneLight:
        """Return the element that carries the value."""
        return OneLight(name=self._name, value=self._value)


class TextMember(WordMember):
    """A member that holds a text; blanks at its ends do not survive libindi (protocol.md W10)."""

    _tag = OneText.tag

    def __init__(self, name: str, label: str | None = None, membervalue: str = "") -> None:
        super().__init__(name, label, membervalue)

    def check(self, value: object) -> str:
        """Return the text.

        :raises TypeError: it is no text.
        :raises ValueError: it has characters which XML cannot carry.
        """
        return require_xml_text(value, self._what("value"))

    def accepts(self, text: str) -> bool:
        """Return ``True``: a client may write any text."""
        return True

    def definition(self) -> DefText:
        """Return the element that defines this member."""
        return DefText(name=self._name, label=self._label, value=self._value)

    def report(self) -> OneText:
        """Return the element that carries the value."""
        return OneText(name=self._name, value=self._value)
