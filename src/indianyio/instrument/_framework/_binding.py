"""Makes an ordinary vector of a driver from what a class of values declares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from indianyio._model import BLOBMember, LightMember, Member, NumberMember, SwitchMember, TextMember
from indianyio._vocabulary import Permission, State, Switch
from indianyio.driver import AnyVector, BLOBVector, LightVector, NumberVector, SwitchVector, TextVector
from indianyio.properties import Declaration, Values
from indianyio.properties import Member as Declared
from indianyio.properties._kinds import shown

__all__ = ["Limits", "bind", "switch_word"]

V = TypeVar("V", bound=Values)

Limits: TypeAlias = tuple[float, float] | tuple[float, float, float]
"""The least and the greatest number that may be written, and the step if it is not the declared one."""

_NO_LIMITS: Mapping[str, Limits] = {}
_NO_NAMES: Mapping[str, str] = {}

# Plain texts, which a member takes at once.
_ON, _OFF = str(Switch.ON), str(Switch.OFF)


def bind(
    cls: type[V],
    *,
    value: V | None = None,
    label: str | None = None,
    group: str | None = None,
    perm: Permission | str | None = None,
    state: State | str | None = None,
    timeout: float | None = None,
    limits: Mapping[str, Limits] = _NO_LIMITS,
    made: Mapping[str, str] = _NO_NAMES,
    without: Collection[str] = (),
) -> AnyVector:
    """Return a vector as a class of values declares it, except where an argument says otherwise.

    It is an ordinary :class:`~indianyio.NumberVector`, :class:`~indianyio.SwitchVector` and so on, to be given to a
    :class:`~indianyio.Device`.

    :param cls: the class.
    :param value: its first values; as declared if absent.
    :param label: what people read.
    :param group: the page on which clients show it.
    :param perm: what clients may do with it; lights are always ``ro``.
    :param state: its first state.
    :param timeout: how long a change may take at worst, in seconds.
    :param limits: other limits for numbers, by attribute. Members made at run time are named by their names on the
        wire; limits for the attribute of their mapping hold for all of them that are not named.
    :param made: the members to make at run time: their labels by their names on the wire. The members in ``value``
        are made as well.
    :param without: attributes of members that this device does not have; they read as declared.
    :raises TypeError: the class has no such member, has no members that are made at run time, or has no name;
        ``value`` is of another class; limits are given for members that are not numbers.
    :raises ValueError: an argument has no legal value, a minimum is above its maximum, or no member is left.
    """
    declaration = _declaration_of(cls)
    if value is not None and not isinstance(value, cls):
        raise TypeError(f"the value of {cls.__name__} must be one of its values, not {value!r:.80}")
    members = list(_members(cls, value, made, without))
    _check_limits(cls, limits, members)
    vector = _vector(
        declaration,
        declaration.label if label is None else label,
        declaration.group if group is None else group,
        declaration.perm if perm is None else perm,
        declaration.state if state is None else state,
        [_MEMBERS[declaration.kind](member, limits) for member in members],
    )
    vector.timeout = shown(declaration.timeout) if timeout is None else timeout
    return vector


def switch_word(value: object) -> object:
    """Return On or Off for a bool; anything else is left to the vector to accept or refuse."""
    if value is True:
        return _ON
    return _OFF if value is False else value


# -- members -------------------------------------------------------------------------------------------------------


class _Initial(NamedTuple):
    """A member that is to be made.

    :ivar declared: its declaration, or the one for all members that are made at run time.
    :ivar name: its name on the wire.
    :ivar label: what people read.
    :ivar value: its first value.
    """

    declared: Declared
    name: str
    label: str
    value: Any


def _members(
    cls: type[Values], value: Values | None, made: Mapping[str, str], without: Collection[str]
) -> Iterator[_Initial]:
    declared, template = cls.declaration.members, cls.declaration.template
    _check_names(cls, without, [member.attribute for member in declared], "without")
    # On the class an attribute reads as its default, and on an instance as its value.
    source: object = cls if value is None else value
    for member in declared:
        if member.attribute not in without:
            yield _Initial(member, member.name, member.label, getattr(source, member.attribute))
    if template is not None:
        initial: Mapping[str, object] = getattr(source, template.attribute)
        for name in dict.fromkeys((*made, *initial)):
            yield _Initial(template, name, made.get(name, name), initial.get(name, template.default))
    elif made:
        raise TypeError(f"{cls.__name__} has no members that are made at run time, such as {', '.join(made)}")


def _check_limits(cls: type[Values], limits: Mapping[str, Limits], members: Collection[_Initial]) -> None:
    known = (name for member in members for name in (member.declared.attribute, member.name))
    _check_names(cls, limits, list(dict.fromkeys(known)), "limits")
    if limits and cls.declaration.kind != "Number":
        raise TypeError(f"{cls.__name__} has {cls.declaration.kind} members, which have no limits")
    for name, (least, most, *_) in limits.items():
        if least > most:  # to INDI this means that there are no limits at all
            raise ValueError(f"the limits of {cls.__name__}.{name} are the wrong way around: {least:g} to {most:g}")


def _check_names(cls: type[Values], given: Collection[str], known: Collection[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise TypeError(f"{where}: {cls.__name__} has no member {name!r}; it has {', '.join(known)}")


def _declaration_of(cls: type[Values]) -> Declaration:
    try:
        return cls.declaration
    except AttributeError:
        raise TypeError(f"{cls.__name__} is not a property, because it has no name") from None


def _number(initial: _Initial, limits: Mapping[str, Limits]) -> NumberMember:
    declared = initial.declared
    least, most, *step = limits.get(initial.name) or limits.get(declared.attribute) or (declared.min, declared.max)
    # As texts, so that a whole number looks like one.
    numbers = (shown(float(one)) for one in (least, most, step[0] if step else declared.step, initial.value))
    return NumberMember(initial.name, initial.label, declared.format, *numbers)


# -- kinds ---------------------------------------------------------------------------------------------------------


_MEMBERS: Mapping[str, Callable[[_Initial, Mapping[str, Limits]], Member[Any]]] = {
    "Number": _number,
    "Switch": lambda one, _: SwitchMember(one.name, one.label, str(switch_word(one.value))),
    "Text": lambda one, _: TextMember(one.name, one.label, one.value),
    "Light": lambda one, _: LightMember(one.name, one.label, one.value),
    "BLOB": lambda one, _: BLOBMember(one.name, one.label, 0, one.declared.format, one.value or None),
}


def _vector(
    declaration: Declaration, label: str, group: str, perm: str, state: str, members: list[Any]
) -> AnyVector:
    name = declaration.name
    match declaration.kind:
        case "Light":
            return LightVector(name, label, group, state, members)
        case "Switch":
            assert declaration.rule is not None  # every class of switches has one
            return SwitchVector(name, label, group, perm, declaration.rule, state, members)
        case "Number":
            return NumberVector(name, label, group, perm, state, members)
        case "Text":
            return TextVector(name, label, group, perm, state, members)
        case "BLOB":
            return BLOBVector(name, label, group, perm, state, members)
