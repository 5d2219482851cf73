"""What a vector says about itself besides its members; every assigned value is checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from numbers import Integral
from typing import SupportsFloat, TypedDict, TypeVar, cast

from indianyio._vocabulary import Permission, State
from indianyio.protocol._numbers import number_text
from indianyio.protocol._text import require_name, require_xml_text

__all__ = [
    "STATES",
    "Heading",
    "SendOptions",
    "VectorAttributes",
    "require_number",
    "require_one_of",
    "require_word",
]

_PLAIN_NUMBERS = (int, float)

WordT = TypeVar("WordT", bound=StrEnum)

STATES: Mapping[str, State] = {str(state): state for state in State}
"""The states by their names on the wire."""


class Heading(TypedDict):
    """The attributes that every message of a vector starts with."""

    device: str
    name: str
    state: State
    timestamp: str
    message: str | None


class SendOptions(TypedDict, total=False):
    """What a send may say besides the values; what is left out stays as it is.

    ``message`` is a text for people; if it is empty, the one that is waiting is sent. ``timeout``, in seconds, and
    ``state`` remain in force afterwards.
    """

    message: str
    timeout: str | float | None
    state: str | None


class VectorAttributes:
    """Name, label, group, permission, state, timeout and message of a vector.

    :ivar devicename: the device it belongs to, empty until a device takes it.
    :ivar changed: something other than a member differs from what was last sent; true at first.
    :ivar enable: whether the vector takes part in anything; the driver heeds this.
    :ivar validate: whether clients' writes are checked against permission, rule and range.
    :raises TypeError: an argument is of the wrong type.
    :raises ValueError: an argument has an illegal value.
    """

    def __init__(self, name: str, label: str, group: str, perm: str, state: str) -> None:
        self._name = require_name(name, "the name of a vector")
        self.devicename = ""
        self.enable = True
        self.validate = True
        self.label = label
        self.group = group
        self._perm = require_word(Permission, perm, self._what("perm"))
        self._state = self._checked_state(state)
        self._timeout = "0"
        self._message = ""
        self.changed = True

    @property
    def name(self) -> str:
        """The vector's name in its device; it cannot be changed."""
        return self._name

    @property
    def label(self) -> str:
        """The text that people read; an empty one is sent as the name.

        :raises TypeError: on assignment of anything but a text.
        :raises ValueError: on assignment of a text that XML cannot carry.
        """
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = require_xml_text(label, self._what("label"))

    @property
    def group(self) -> str:
        """The page on which clients show the vector.

        :raises TypeError: on assignment of anything but a text.
        :raises ValueError: on assignment of a text that XML cannot carry.
        """
        return self._group

    @group.setter
    def group(self, group: str) -> None:
        self._group = require_xml_text(group, self._what("group"))

    @property
    def perm(self) -> Permission:
        """What clients may do. They learn of a change only by deletion and a new definition (docs/protocol.md W25).

        :raises ValueError: on assignment of anything but ``ro``, ``wo`` and ``rw``.
        """
        return self._perm

    @perm.setter
    def perm(self, perm: str) -> None:
        self._perm = self._checked_perm(perm)

    @property
    def state(self) -> State:
        """What the vector is doing; the words may be assigned as well as members of :class:`State`.

        :raises ValueError: on assignment of any other word.
        """
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        checked = self._checked_state(state)
        self.changed = self.changed or checked is not self._state
        self._state = checked

    @property
    def timeout(self) -> str:
        """How many seconds a change may take at worst, as text; 0 if unknown. Numbers may be assigned too.

        :raises TypeError: on assignment of neither a text nor a number.
        :raises ValueError: on assignment of anything but a finite number of at least 0.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, timeout: str | float) -> None:
        checked = self._checked_timeout(timeout)
        self.changed = self.changed or checked != self._timeout
        self._timeout = checked

    @property
    def message(self) -> str:
        """The text that travels with the next send, and with no other.

        :raises TypeError: on assignment of anything but a text.
        :raises ValueError: on assignment of a text that XML cannot carry.
        """
        return self._message

    @message.setter
    def message(self, message: str) -> None:
        checked = require_xml_text(message, self._what("message"))
        self.changed = self.changed or bool(checked)
        self._message = checked

    # -- for the wire ------------------------------------------------------------------------------------------

    def _wire_timeout(self) -> str | None:
        # Nobody waits for something that nobody can change.
        return None if self._perm is Permission.RO else self._timeout

    def _wire_label(self) -> str:
        # libindi's clients would show an empty label; its drivers send the name instead (docs/protocol.md 1.2).
        return self._label or self._name

    # -- checks ------------------------------------------------------------------------------------------------

    def _checked_perm(self, perm: str) -> Permission:
        return require_word(Permission, perm, self._what("perm"))

    def _checked_state(self, state: str) -> State:
        return require_word(State, state, self._what("state"))

    def _checked_timeout(self, timeout: str | float) -> str:
        what = self._what("timeout")
        text = number_text(require_number(timeout, what))
        if float(text) < 0:
            raise ValueError(f"{what} must not be negative, it is {timeout!r}")
        return text

    def _what(self, attribute: str) -> str:
        return f"the {attribute} of vector {self._name!r}"


def require_word(words: type[WordT], value: object, what: str) -> WordT:
    """Return ``value`` as one of the standard's words.

    :raises ValueError: it is not one of them.
    """
    for word in words:
        if word == value:
            return word
    raise ValueError(f"{what} must be one of {', '.join(words)}, not {value!r}")


def require_number(value: object, what: str) -> str:
    """Return a number as text; a text stays as it is, without blanks around it.

    :param value: a text as INDI writes numbers, or anything that makes a float, numpy's scalars included.
    :param what: what the error calls it.
    :raises TypeError: it is neither; a truth value is not a number.
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
    # numpy's truth values convert to 1.0 just like Python's, and are just as little meant as numbers.
    truth = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"
    # float comes before the protocol, for which the check takes ten times as long.
    if truth or not isinstance(value, float | SupportsFloat):
        raise TypeError(f"{what} must be a number or a text such as '12:30:36', not {value!r}")
    return _finite_text(int(value) if isinstance(value, Integral) else float(value), what)


def _finite_text(value: float, what: str) -> str:
    try:
        return number_text(value)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{what} must be finite, not {value!r}") from exc


def require_one_of(words: tuple[str, ...], value: object, what: str) -> str:
    """Return ``value`` if it is one of ``words``, as a plain string even if it is a member of an enumeration.

    :raises TypeError: it is not a text; truth values are not accepted for words.
    :raises ValueError: it is any other word.
    """
    if isinstance(value, str) and value in words:
        return str(value)
    wrong: type[Exception] = ValueError if isinstance(value, str) else TypeError
    raise wrong(f"{what} must be one of {', '.join(words)}, not {value!r}")
