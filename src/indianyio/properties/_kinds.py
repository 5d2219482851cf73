"""The five kinds of members: which values a program may give, and how values are written and read.

Giving a value is strict, so that a mistake in a program is reported where it is made. Reading is tolerant of how a
value is written, but never makes one up: a value that cannot be read is an error, not the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NamedTuple, SupportsFloat, cast

from indianyio._vocabulary import State, Switch
from indianyio.properties._declaration import Kind, Member, Value
from indianyio.protocol._numbers import number_text, parse_number
from indianyio.protocol._text import require_xml_text

__all__ = ["KINDS", "KindOfMember", "finite_float", "shown"]


class KindOfMember(NamedTuple):
    """How the values of one kind are handled.

    :ivar take: checks the value that a program gives for a member, and returns it as it will be read. The last
        argument is what errors call the member; they are :exc:`TypeError` or :exc:`ValueError`.
    :ivar write: returns a value as it is on the wire.
    :ivar read: returns the value of something from the wire, whether it is still a text or has been converted; the
        last argument and the errors are as for ``take``.
    """

    take: Callable[[Member, object, str], Value]
    write: Callable[[Any], str | bytes]
    read: Callable[[object, str], Value]


# -- numbers -------------------------------------------------------------------------------------------------------


def shown(number: float) -> str:
    """Return a number as errors show it: with all of its digits, but without ``.0``."""
    return repr(number).removesuffix(".0")


def finite_float(value: object, what: str) -> float:
    """Return a number as a float.

    :raises TypeError: it is not a number; truth values and texts do not count as numbers.
    :raises ValueError: it is not finite, or too large for a float.
    """
    if type(value) is not int:
        _require_number(value, what)
    try:
        number = float(cast("SupportsFloat", value))
    except OverflowError:
        raise ValueError(f"{what} must be a number that fits a float; this one is too large") from None
    if not isfinite(number):
        raise ValueError(f"{what} must be finite, not {value!r}")
    return number


def _require_number(value: object, what: str) -> None:
    # Like Python's own bools, numpy's convert to 1.0 willingly, but nobody means a number by them.
    is_truth = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"
    if is_truth or not isinstance(value, SupportsFloat):
        raise TypeError(f"{what} must be a number, not {value!r:.80}")


def _take_number(member: Member, value: object, what: str) -> float:
    # A shortcut for floats, as there is one for ints above: deciding what else is a number takes ten times as long.
    number = value if type(value) is float and isfinite(value) else finite_float(value, what)
    least, most = member.min, member.max
    if not least <= number <= most and least < most:
        raise ValueError(f"{what} must be from {shown(least)} to {shown(most)}, not {shown(number)}")
    return number


def _read_number(value: object, what: str) -> float:
    if isinstance(value, str):
        try:
            return parse_number(value)
        except ValueError as error:
            raise ValueError(f"{what} must be a number: {error}") from None
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise TypeError(f"{what} must be a number or the text of one, not {value!r:.80}")
    return float(value)


# -- switches ------------------------------------------------------------------------------------------------------

_WORDS = {True: str(Switch.ON), False: str(Switch.OFF)}
_TRUTHS = {word: truth for truth, word in _WORDS.items()}


def _take_switch(member: Member, value: object, what: str) -> bool:
    if value is True:
        return True
    if value is False:
        return False
    raise TypeError(f"{what} must be True or False, not {value!r:.80}")


def _read_switch(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    truth = _TRUTHS.get(value.strip()) if isinstance(value, str) else None
    if truth is None:
        raise ValueError(f"{what} must be On or Off, not {value!r:.80}")
    return truth


# -- texts, lights and BLOBs ---------------------------------------------------------------------------------------


def _take_text(member: Member, value: object, what: str) -> str:
    return require_xml_text(value, what)


def _read_text(value: object, what: str) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{what} must be a text, not {value!r:.80}")


_STATES = {str(state): state for state in State}


def _take_light(member: Member, value: object, what: str) -> State:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a State, not {value!r:.80}")
    return _read_light(value, what)


def _read_light(value: object, what: str) -> State:
    state = _STATES.get(value.strip()) if isinstance(value, str) else None
    if state is None:
        raise ValueError(f"{what} must be one of {', '.join(_STATES)}, not {value!r:.80}")
    return state


def _take_blob(member: Member, value: object, what: str) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{what} must be bytes, not {value!r:.80}")
    if not value:
        raise ValueError(f"{what} must not be empty: on the wire that would mean that there is no content")
    return value


def _read_blob(value: object, what: str) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"{what} must be bytes, not {value!r:.80}")


KINDS: Mapping[Kind, KindOfMember] = {
    "Number": KindOfMember(_take_number, number_text, _read_number),
    "Switch": KindOfMember(_take_switch, _WORDS.__getitem__, _read_switch),
    "Text": KindOfMember(_take_text, str, _read_text),
    "Light": KindOfMember(_take_light, str, _read_light),
    "BLOB": KindOfMember(_take_blob, bytes, _read_blob),
}
