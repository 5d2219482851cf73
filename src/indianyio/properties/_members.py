"""The right-hand sides of members' declarations.

Each of these functions returns a :class:`Member`, which the class collects when it is made. To a type checker the
result is the attribute's value in an instance, and a default as well: any member may be left out when values are
made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from msgspec.structs import replace

from indianyio._vocabulary import State
from indianyio.properties._declaration import Kind, Member
from indianyio.properties._kinds import KINDS, finite_float, shown
from indianyio.protocol._numbers import require_number_format
from indianyio.protocol._text import require_name, require_xml_text

__all__ = ["blob", "blobs", "light", "lights", "number", "numbers", "switch", "switches", "text", "texts"]

# How a number is printed for people unless its member says otherwise; clients refuse an empty format.
_NUMBER_FORMAT = "%g"
_BLOB_FORMAT = ".bin"


def number(
    name: str,
    *,
    label: str | None = None,
    format: str = _NUMBER_FORMAT,  # noqa: A002 - the attribute's name in INDI
    min: float = 0,  # noqa: A002
    max: float = 0,  # noqa: A002
    step: float = 0,
    default: float = 0,
) -> float:
    """Declare a number.

    :param name: its name on the wire.
    :param label: what people read; the name if absent.
    :param format: how it is printed for people (docs/protocol.md 1.3).
    :param min: the least value that may be written; there are no limits unless ``min`` is below ``max``.
    :param max: the greatest value that may be written.
    :param step: the step that a dial should have.
    :param default: its value if none is given; it may be outside the limits.
    :raises TypeError: an argument is of a wrong type.
    :raises ValueError: INDI cannot carry an argument, a number is not finite, or ``min`` is above ``max``.
    """
    return cast("float", _number(require_name(name, "a number's name"), label, format, (min, max, step), default))


def numbers(
    *,
    format: str = _NUMBER_FORMAT,  # noqa: A002 - the attribute's name in INDI
    min: float = 0,  # noqa: A002
    max: float = 0,  # noqa: A002
    step: float = 0,
    default: float = 0,
) -> Mapping[str, float]:
    """Declare a mapping of numbers that are made at run time, by their names on the wire.

    It holds every member of the property that is not declared by itself. The parameters are those of
    :func:`number`, and apply to each of these members.
    """
    return cast("Mapping[str, float]", _number("", None, format, (min, max, step), default))


def switch(name: str, *, label: str | None = None, default: bool = False) -> bool:
    """Declare a switch: ``True`` is On.

    :param name: its name on the wire.
    :param label: what people read; the name if absent.
    :param default: its value if none is given, unless by the rule another switch that is given as On turns it Off.
    :raises TypeError: an argument is of a wrong type.
    :raises ValueError: INDI cannot carry an argument.
    """
    return cast("bool", _word("Switch", require_name(name, "a switch's name"), label, default))


def switches(*, default: bool = False) -> Mapping[str, bool]:
    """Declare a mapping of switches that are made at run time, by their names on the wire.

    It holds every member of the property that is not declared by itself.

    :param default: whether a switch is On when it is made.
    """
    return cast("Mapping[str, bool]", _word("Switch", "", None, default))


def text(name: str, *, label: str | None = None, default: str = "") -> str:
    """Declare a text.

    :param name: its name on the wire.
    :param label: what people read; the name if absent.
    :param default: its value if none is given.
    :raises TypeError: an argument is of a wrong type.
    :raises ValueError: INDI cannot carry an argument.
    """
    return cast("str", _word("Text", require_name(name, "a text's name"), label, default))


def texts(*, default: str = "") -> Mapping[str, str]:
    """Declare a mapping of texts that are made at run time, by their names on the wire.

    It holds every member of the property that is not declared by itself.

    :param default: what a text is when it is made.
    """
    return cast("Mapping[str, str]", _word("Text", "", None, default))


def light(name: str, *, label: str | None = None, default: State = State.IDLE) -> State:
    """Declare a light, which shows a state.

    :param name: its name on the wire.
    :param label: what people read; the name if absent.
    :param default: its value if none is given.
    :raises TypeError: an argument is of a wrong type.
    :raises ValueError: INDI cannot carry an argument.
    """
    return cast("State", _word("Light", require_name(name, "a light's name"), label, default))


def lights(*, default: State = State.IDLE) -> Mapping[str, State]:
    """Declare a mapping of lights that are made at run time, by their names on the wire.

    It holds every member of the property that is not declared by itself.

    :param default: what a light shows when it is made.
    """
    return cast("Mapping[str, State]", _word("Light", "", None, default))


def blob(
    name: str,
    *,
    label: str | None = None,
    format: str = _BLOB_FORMAT,  # noqa: A002 - the attribute's name in INDI
) -> bytes:
    """Declare a BLOB; its value is empty bytes if none is given.

    :param name: its name on the wire.
    :param label: what people read; the name if absent.
    :param format: the format in which it is sent: a file suffix with its dot.
    :raises TypeError: an argument is of a wrong type.
    :raises ValueError: INDI cannot carry an argument.
    """
    return cast("bytes", _blob(require_name(name, "a BLOB's name"), label, format))


def blobs(*, format: str = _BLOB_FORMAT) -> Mapping[str, bytes]:  # noqa: A002 - the attribute's name in INDI
    """Declare a mapping of BLOBs that are made at run time, by their names on the wire.

    It holds every member of the property that is not declared by itself.

    :param format: the format in which they are sent: a file suffix with its dot.
    """
    return cast("Mapping[str, bytes]", _blob("", None, format))


def _number(name: str, label: str | None, fmt: str, limits: tuple[float, float, float], default: float) -> Member:
    what = f"number({name!r})"
    named = zip(("min", "max", "step"), limits, strict=True)
    least, most, step = (finite_float(limit, f"{what}: {which}") for which, limit in named)
    if least > most:
        raise ValueError(f"{what}: min must not be above max, but {shown(least)} is above {shown(most)}")
    if not require_number_format(fmt, f"{what}: format"):
        raise ValueError(f"{what}: format must not be empty, as clients refuse that; {_NUMBER_FORMAT!r} will do")
    return Member(
        kind="Number",
        name=name,
        label=_label(name, label),
        format=fmt,
        min=least,
        max=most,
        step=step,
        # May be outside the limits: libindi has such properties, whose value is unknown at first.
        default=finite_float(default, f"{what}: default"),
    )


def _word(kind: Kind, name: str, label: str | None, default: object) -> Member:
    bare = Member(kind=kind, name=name, label=_label(name, label), default="")
    return replace(bare, default=KINDS[kind].take(bare, default, f"{kind.lower()}({name!r}): default"))


def _blob(name: str, label: str | None, suffix: str) -> Member:
    what = f"blob({name!r}): format"
    if not require_xml_text(suffix, what).startswith("."):
        raise ValueError(f"{what} must be a suffix with its dot, such as '.fits', not {suffix!r}")
    return Member(kind="BLOB", name=name, label=_label(name, label), default=b"", format=suffix)


def _label(name: str, label: str | None) -> str:
    # libindi's drivers send the name in place of an empty label.
    return require_xml_text(label or name, f"the label of {name!r}")
