"""Sets of values of a property: a class is the declaration, an instance is what is read or asked for.

No code is generated and no annotation is looked at: the members are what the body of the class assigns. When a
class is made, each member is replaced by its default. An instance stores only the values that were given; the
others are found in the class. The annotations are for type checkers, which take all of this for a frozen dataclass
whose fields have defaults. (That is why there are no field specifiers: a type checker would then require every
member whose declaration has no ``default=``.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
)

from indianyio._vocabulary import Permission, Rule, State
from indianyio.properties._declaration import Declaration, Member, Value
from indianyio.properties._declaring import Keywords, declaration_of, members_of
from indianyio.properties._given import Given, Take, count_on, off, shown, take_mapping
from indianyio.properties._kinds import KINDS, KindOfMember

__all__ = ["Values"]

ValuesT = TypeVar("ValuesT", bound="Values")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class _Field(NamedTuple):
    """What a class needs for checking and reading the values of a member.

    :ivar what: what errors call the member.
    """

    member: Member
    take: Take
    what: str


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Values:
    """A set of values of one property, to be subclassed for each property.

    ::

        class FocusSpeed(Values, name="FOCUS_SPEED", label="Speed", perm="rw"):
            speed: float = number("FOCUS_SPEED_VALUE", label="Speed", min=0, max=5, default=1)

        FocusSpeed(speed=3)

    An instance cannot be changed. A member that was not given reads as its default, but is not sent. If only one
    switch may be On, and one was given as On, those that were not given read as Off. Two instances are equal if
    they are of the same class and all of their members read alike, given or not.

    A subclass of such a class inherits its members and its keywords, unless it declares them again. A class
    without a name, of its own or inherited, only serves as a base class.

    :cvar declaration: what the class declares.
    :param name: the property's name on the wire.
    :param label: what people read; the name if absent.
    :param group: the page on which clients show it.
    :param perm: what clients may do with it; if absent, lights are ``ro`` and all others ``rw``.
    :param rule: how many switches may be On; required for switches.
    :param state: its state when it is first defined.
    :param timeout: how long a change may take at worst, in seconds; 0 if that is not known.
    :raises TypeError: when the class is made: members or keywords do not fit together. When an instance is made:
        there is no such member, or a value is not of its member's type.
    :raises ValueError: when the class is made: a keyword has no legal value. When an instance is made: a number is
        not finite or outside its limits, INDI cannot carry a text, or too many or too few switches are On.
    """

    declaration: ClassVar[Declaration]

    _keywords: ClassVar[Keywords] = {}  # of this class itself, without its bases
    _members: ClassVar[Mapping[str, Member]] = _NOTHING  # of this class itself, without its bases, by attribute
    _fields: ClassVar[Mapping[str, _Field]] = _NOTHING  # by attribute; empty in a class without a name
    _attributes: ClassVar[Mapping[str, str]] = _NOTHING  # by name on the wire
    _kind: ClassVar[KindOfMember]
    _all_off: ClassVar[Mapping[str, Any] | None] = None  # all switches Off, if at most one may be On; else None
    _given: dict[str, Any]

    # -- classes ---------------------------------------------------------------------------------------------------

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        label: str | None = None,
        group: str | None = None,
        perm: Permission | Literal["ro", "wo", "rw"] | None = None,
        rule: Rule | Literal["OneOfMany", "AtMostOne", "AnyOfMany"] | None = None,
        state: State | Literal["Idle", "Ok", "Busy", "Alert"] | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init_subclass__()
        told = {
            "name": name,
            "label": label,
            "group": group,
            "perm": perm,
            "rule": rule,
            "state": state,
            "timeout": timeout,
        }
        keywords: dict[str, object] = {}
        members: dict[str, Member] = {}
        for base in reversed(cls.__mro__[1:]):
            keywords.update(vars(base).get("_keywords", _NOTHING))
            members.update(vars(base).get("_members", _NOTHING))
        cls._keywords = cast("Keywords", {which: value for which, value in told.items() if value is not None})
        cls._members = members_of(cls, Values, members)
        for member in cls._members.values():
            setattr(cls, member.attribute, member.default if member.name else _NOTHING)
        keywords.update(cls._keywords)
        members.update(cls._members)
        if "name" in keywords:
            cls._declare(declaration_of(cls.__name__, cast("Keywords", keywords), tuple(members.values())), members)

    @classmethod
    def _declare(cls, declaration: Declaration, members: Mapping[str, Member]) -> None:
        cls.declaration = declaration
        cls._kind = KINDS[declaration.kind]
        cls._attributes = {member.name: member.attribute for member in declaration.members}
        take = cls._kind.take
        cls._fields = {
            attribute: _Field(
                member,
                take if member.name else partial(take_mapping, take, cls._attributes),
                f"{cls.__name__} ({declaration.name}): {attribute}" + (f" ({member.name})" if member.name else ""),
            )
            for attribute, member in members.items()
        }
        off_by_attribute = {attribute: False if member.name else _NOTHING for attribute, member in members.items()}
        cls._all_off = off_by_attribute if declaration.is_exclusive else None

    # -- instances -------------------------------------------------------------------------------------------------

    def __init__(self, /, **members: object) -> None:
        # Every report of a driver passes here, so this does in one go what _taken() and _fill() do more readably.
        fields = self._fields
        for attribute, value in members.items():
            field = fields.get(attribute)
            if field is None:
                self._taken(members)  # raises the error that says what is wrong
                raise AssertionError("unreachable")
            member, take, what = field
            members[attribute] = take(member, value, what)
        if not fields:
            raise _abstract(type(self))
        own = self.__dict__
        if self._all_off is not None:
            on = count_on(cast("Mapping[str, Given]", members))
            if on != 1:
                self._check_rule(members, on)
            if on:
                own.update(self._all_off)
        own.update(members)
        own["_given"] = members

    @classmethod
    def from_wire(cls, values: Mapping[str, object]) -> Self:
        """Return the values that a message carries.

        Numbers may be sexagesimal, blanks around words do not matter, and limits are not applied: whoever sent this
        knows better. A missing member reads as its default. Values for which the class has no member are left out,
        unless it has a mapping of members that are made at run time.

        :param values: by the members' names on the wire. A value is a text, the bytes of a BLOB, or something that
            has been converted already: a number, a truth value, a state. ``None`` counts as missing.
        :raises ValueError: a text cannot be read as a value of its member.
        :raises TypeError: a value is neither text nor of its member's type; the class has no name.
        """
        if not cls._fields:
            raise _abstract(cls)
        read, template = cls._kind.read, cls.declaration.template
        given: dict[str, Any] = {}
        made: dict[str, Any] = {}
        for name, value in values.items():
            attribute = cls._attributes.get(name)
            if value is None or (attribute is None and template is None):
                continue
            if attribute is None:
                made[name] = read(value, f"{cls.__name__} ({cls.declaration.name}): {name}")
            else:
                given[attribute] = read(value, cls._fields[attribute].what)
        if template is not None and made:
            given[template.attribute] = MappingProxyType(made)
        return _filled(cls, given)

    @property
    def given(self) -> tuple[str, ...]:
        """The names on the wire of the members that were given; these are the ones that are sent."""
        return tuple(name for name, _ in self._named(self._given))

    def to_wire(self) -> dict[str, str | bytes]:
        """Return the given values as they are on the wire, by the members' names on the wire.

        A number is a plain decimal that reads back as exactly the same float.

        :raises ValueError: a number is not finite; only one that was read from the wire can be so.
        """
        write = self._kind.write
        return {name: write(value) for name, value in self._named(self._given)}

    def replace(self, /, **changes: object) -> Self:
        """Return a copy in which some members have other values.

        Members that were given here are given in the copy too. If at most one switch may be On and a change turns
        one On, the copy gives those that were On as Off.

        :param changes: members, as when values are made.
        :raises TypeError: there is no such member, or a value is not of its member's type.
        :raises ValueError: a changed value is not legal, or the switches break their rule.
        """
        changed = self._taken(changes)
        kept = dict(self._given)
        if self._all_off is not None and count_on(changed):
            kept = {attribute: off(value) for attribute, value in kept.items()}
        return _filled(type(self), kept | changed, is_checked=True)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, attribute) == getattr(other, attribute) for attribute in self._fields)

    def __hash__(self) -> int:
        read = (getattr(self, attribute) for attribute in self._fields)
        return hash((type(self), *(frozenset(one.items()) if isinstance(one, Mapping) else one for one in read)))

    def __repr__(self) -> str:
        values = ", ".join(f"{attribute}={shown(value)}" for attribute, value in self._given.items())
        return f"{type(self).__name__}({values})"

    def __reduce__(self) -> tuple[object, ...]:
        # A MappingProxyType, which guards a mapping against changes, cannot be copied or pickled.
        plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in self._given.items()}
        return _restored, (type(self), plain)

    if not TYPE_CHECKING:
        # For a frozen dataclass a type checker supplies its own versions, which know the members.

        __replace__ = replace

        def __setattr__(self, attribute: str, value: object) -> None:
            self._refuse_change(attribute)

        def __delattr__(self, attribute: str) -> None:
            self._refuse_change(attribute)

    def _refuse_change(self, attribute: str) -> None:
        raise AttributeError(
            f"{type(self).__name__}.{attribute} cannot be changed; replace({attribute}=...) returns a changed copy",
            name=attribute,
            obj=self,
        )

    # -- what was given --------------------------------------------------------------------------------------------

    def _named(self, given: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
        """Yield values by names on the wire."""
        for attribute, value in given.items():
            name = self._fields[attribute].member.name
            if name:
                yield name, value
            else:
                yield from value.items()

    @classmethod
    def _taken(cls, members: Mapping[str, Any]) -> dict[str, Any]:
        """Check the values that a program gives, and return them as they will be read."""
        fields = cls._fields
        if not fields:
            raise _abstract(cls)
        taken: dict[str, Any] = {}
        for attribute, value in members.items():
            field = fields.get(attribute)
            if field is None:
                raise TypeError(f"{cls.__name__} has no member {attribute!r}; it has {', '.join(fields)}")
            taken[attribute] = field.take(field.member, value, field.what)
        return taken

    def _fill(self, given: dict[str, Any], *, is_checked: bool) -> None:
        """Fill a new instance with these values; check whether the switches keep their rule, if asked to."""
        own = self.__dict__
        if self._all_off is not None:
            on = count_on(given)
            if is_checked and on != 1:
                self._check_rule(given, on)
            if on:
                own.update(self._all_off)
        own.update(given)
        own["_given"] = given

    def _check_rule(self, given: Mapping[str, Any], on: int) -> None:
        """Refuse what a driver would refuse, if at most one switch may be On."""
        rule, where = self.declaration.rule, f"{type(self).__name__} ({self.declaration.name})"
        if on > 1:
            names = [name for name, value in self._named(given) if value]
            raise ValueError(f"{where}: only one switch may be On ({rule}), not {', '.join(names)}")
        if given and rule is Rule.ONE_OF_MANY:
            raise ValueError(f"{where}: one switch must be On ({rule}); say which")


def _filled(cls: type[ValuesT], given: dict[str, Given], *, is_checked: bool = False) -> ValuesT:
    """Return an instance with these values, even if a program could not give them."""
    made = cls.__new__(cls)
    made._fill(given, is_checked=is_checked)  # noqa: SLF001 - it is this module's own class
    return made


def _restored(cls: type[ValuesT], plain: Mapping[str, Given]) -> ValuesT:
    """Return the instance that was copied or pickled."""
    guarded = (
        (name, MappingProxyType(value) if isinstance(value, dict) else value) for name, value in plain.items()
    )
    return _filled(cls, dict(guarded))


def _abstract(cls: type) -> TypeError:
    return TypeError(f"{cls.__name__} is not a property, as it has no name; write class X(Values, name='X')")
