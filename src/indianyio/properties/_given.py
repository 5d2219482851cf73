"""The values of attributes: one member's value, or a mapping of the members made at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias, cast

from indianyio.properties._declaration import Member, Value
from indianyio.protocol._text import require_name

__all__ = ["Given", "Take", "count_on", "off", "shown", "take_mapping"]

Given: TypeAlias = Value | Mapping[str, Value]
"""The value of an attribute: one member's value, or those of all members that are made at run time."""

Take: TypeAlias = Callable[[Member, object, str], Given]
"""Checks the value that a program gives for a member, and returns it as it will be read."""


def take_mapping(
    take: Callable[[Member, object, str], Value],
    declared: Mapping[str, str],
    member: Member,
    value: object,
    what: str,
) -> Mapping[str, Value]:
    """Check the mapping that a program gives for the members made at run time, and return it."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} must be a mapping of names on the wire to values, not {value!r:.80}")
    taken: dict[str, Value] = {}
    for name, one in value.items():
        if name in declared:
            raise ValueError(f"{what} cannot have {name!r}, which is the member {declared[name]}")
        taken[require_name(name, f"{what}: a name")] = take(member, one, f"{what}[{name!r}]")
    return MappingProxyType(taken)


def count_on(given: Mapping[str, Given]) -> int:
    """Return how many of these switches are On."""
    on = 0
    for value in given.values():
        if value is True:
            on += 1
        elif value is not False:
            on += sum(cast("Mapping[str, bool]", value).values())
    return on


def off(value: Given) -> Given:
    """Return the same switches, all Off."""
    return MappingProxyType(dict.fromkeys(value, False)) if isinstance(value, Mapping) else False


def shown(value: Given) -> str:
    """Return the value of an attribute as ``repr`` shows it; of a BLOB only its length."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return repr(dict(value)) if isinstance(value, Mapping) else repr(value)
