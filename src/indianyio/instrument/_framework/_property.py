"""A property of a driver: a vector whose values are read and reported as instances of a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar, cast

from indianyio._model import NumberMember
from indianyio._model._attributes import STATES
from indianyio._vocabulary import Rule, State, Switch
from indianyio.driver import AnyVector, BLOBVector, NewEvent, SwitchVector, getProperties
from indianyio.instrument._framework._binding import Limits, bind, switch_word
from indianyio.properties import Values
from indianyio.protocol._text import require_xml_text

__all__ = ["BoundProperty", "noting_reports"]

V = TypeVar("V", bound=Values)

_NO_LIMITS: Mapping[str, Limits] = {}

_reported: ContextVar[set[BoundProperty[Any]] | None] = ContextVar("_reported", default=None)


@contextmanager
def noting_reports() -> Iterator[set[BoundProperty[Any]]]:
    """Note which properties are reported within this block, by this task and not by others."""
    noted: set[BoundProperty[Any]] = set()
    token = _reported.set(noted)
    try:
        yield noted
    finally:
        _reported.reset(token)


class BoundProperty(Generic[V]):
    """A property of one driver: a vector, with the members and the types of a class of values.

    The values are stored once, in the vector: what is assigned to the vector is read here, and the other way
    around.

    ::

        position = BoundProperty(AbsFocusPosition)
        driver = IPyDriver(Device("Focuser", [position.vector]))
        ...
        await position.report(steps=1200, state="Ok")

    :ivar values: the class of values.
    :ivar vector: the vector, an ordinary one: for :class:`~indianyio.Device`, ``rxevent`` and ``send_setVector``.
    :ivar is_untold: whether it was given values by :meth:`take` since it was reported last.
    :param cls: the class of values.
    :param vector: the vector, made by :func:`bind` or by hand; as declared if absent.
    :raises TypeError: the class has no name, or the vector is of another kind than the class.
    :raises ValueError: the vector has another name than the class.
    """

    def __init__(self, cls: type[V], vector: AnyVector | None = None) -> None:
        self.vector = bind(cls) if vector is None else vector
        declaration = cls.declaration
        if self.vector.vectortype != f"{declaration.kind}Vector":
            raise TypeError(f"{cls.__name__} needs a {declaration.kind}Vector, not {self.vector!r}")
        if self.vector.name != declaration.name:
            raise ValueError(f"{cls.__name__} is the property {declaration.name}, not {self.vector.name}")
        self.values = cls
        self.is_untold = False
        # Asked once, because isinstance() is slow with abstract classes.
        self._switches = self.vector if isinstance(self.vector, SwitchVector) else None
        self._is_blob = isinstance(self.vector, BLOBVector)
        self._names = {one.attribute: one.name for one in declaration.members}
        self._made = None if declaration.template is None else declaration.template.attribute

    def __repr__(self) -> str:
        return f"<BoundProperty {self.values.__name__} {self.vector!r}>"

    @property
    def state(self) -> State:
        """The state of the vector."""
        return self.vector.state

    @property
    def value(self) -> V:
        """The present values of the vector.

        All members are given, and the limits are not applied. A BLOB that is a path or a file is not read; it comes
        out as no bytes.
        """
        return self.values.from_wire(self._now())

    async def report(
        self,
        values: V | None = None,
        /,
        *,
        state: State | str | None = None,
        message: str | None = None,
        **members: object,
    ) -> None:
        """Give members new values, and send the whole vector to the clients.

        The limits are for what clients write, and are not applied to what a driver reports. If at most one switch
        may be On, reporting one as On turns the others Off. Of a BLOB property only the BLOBs named here are sent;
        a BLOB can be anything that :class:`~indianyio.BLOBMember` accepts. If a value, the state or the message is
        not accepted, nothing is changed and nothing is sent.

        If it is cancelled while it waits for room in the outbox, nobody has been told; the vector has the new
        values then, and counts as changed.

        :param values: values of the property; only those that were given are changed.
        :param state: the new state; unchanged if absent.
        :param message: a line for people, sent with this one message.
        :param members: single members instead of ``values``, by their attributes in the class. From a mapping of
            members that are made at run time, only those in it are changed.
        :raises TypeError: ``values`` are of another property, or members are given as well; a value is of a wrong
            type; there is no such member.
        :raises UnknownMemberError: the class has such a member, but this vector does not.
        :raises ValueError: INDI cannot carry a value or the message; there is no such state; two switches are On
            where only one may be.
        """
        if values is not None:
            # The usual case, without the cost of the general one.
            is_plain = type(values) is self.values and not members
            members = values._given if is_plain else self._given(values, members)
        if state is not None and state not in STATES:
            raise ValueError(
                f"the state of {self.values.__name__} must be one of {', '.join(STATES)}, not {state!r}"
            )
        if message:
            require_xml_text(message, self.vector._what("message"))
        self._store(members)
        self.is_untold = False
        noted = _reported.get()
        if noted is not None:
            noted.add(self)
        vector = self.vector
        if state is not None and state != vector.state and not vector.is_enabled:
            vector.state = state  # a send does not store it while clients do not have the vector
        if self._is_blob:
            await vector.send_setVectorMembers(message or "", None, None, state, self._named(members))
        else:
            await vector.send_setVector(message or "", None, None, state)

    def take(self, values: V | None = None, /, **members: object) -> Mapping[str, object]:
        """Give members new values without telling anybody; parameters and errors are as for :meth:`report`.

        :return: the given values, by attribute.
        """
        if values is not None:
            members = self._given(values, members)
        self._store(members)
        self.is_untold = True
        return members

    def limit(self, **limits: Limits) -> None:
        """Change the limits of what clients may write; clients learn of it with the next report.

        :param limits: by attribute, the least and the greatest number, and the step if that changes too.
        :raises KeyError: there is no such member.
        """
        for attribute, (least, most, *step) in limits.items():
            member = cast("NumberMember", self.vector.member(self._names[attribute]))
            member.change_limit("min", least)
            member.change_limit("max", most)
            if step:
                member.change_limit("step", step[0])

    def remake(self, value: V, *, limits: Mapping[str, Limits] = _NO_LIMITS) -> None:
        """Replace the members by those of these values; for a class whose members are made at run time.

        Only allowed while the property is not defined to clients; they get the new members with the next
        definition.

        :param value: the new members, with their first values.
        :param limits: as for :func:`bind`.
        :raises RuntimeError: the property is defined to clients.
        """
        made: Any = bind(self.values, value=value, limits=limits).members()
        self.vector.replace_members(made)

    def wanted(self, event: NewEvent | Mapping[str, object]) -> V:
        """Return what a write asks for: the written values, and the present ones for all other members.

        A client may write only some members. If the class alone read the write, the others would be at their
        defaults, and a mount that is sent only a right ascension would go to declination 0. If only one switch may
        be On and the write turns one On, the others are Off. For BLOBs there are only the written values.

        :param event: what ``rxevent`` gets, or another mapping of values by the members' names on the wire.
        :return: values with all members given; the limits are not applied again, the vector has done that.
        :raises ValueError: a text cannot be read as a value of its member.
        :raises TypeError: a value is neither text nor of its member's type.
        """
        assert not isinstance(event, getProperties)
        written = dict(event)
        if self._is_blob:
            return self.values.from_wire(written)
        now = self._now()
        if self._switches is not None and self._switches.rule is not Rule.ANY_OF_MANY:
            turned_on = any(switch_word(value) == Switch.ON for value in written.values())
            now = dict.fromkeys(now, Switch.OFF) if turned_on else now
        return self.values.from_wire({**now, **written})

    def _now(self) -> dict[str, object]:
        """Return the vector's values, by names on the wire; of BLOBs only those that are in memory."""
        values: dict[str, object] = {name: member.membervalue for name, member in self.vector.data.items()}
        if self._is_blob:
            values = {name: one for name, one in values.items() if isinstance(one, bytes | bytearray | memoryview)}
        return values

    def _store(self, members: Mapping[str, object]) -> None:
        """Store the members' values: all of them or, if one is not accepted, none."""
        if not members:
            return
        if self._switches is not None:
            self._turn(self._switches, members)
            return
        # The members are looked up each time, because a vector may get other ones of the same names.
        find, names = self.vector.member, self._names
        if len(members) == 1:  # the usual case, without the cost of the general one
            [(attribute, value)] = members.items()
            if attribute in names:
                find(names[attribute]).membervalue = value
                return
        try:
            found = [(find(names[attribute]), value) for attribute, value in members.items()]
        except KeyError:  # a member was made at run time, or does not exist
            found = [(find(name), value) for name, value in self._named(members).items()]
        for member, checked in [(member, member.check(value)) for member, value in found]:
            member.store(checked)

    def _given(self, values: V, members: Mapping[str, object]) -> dict[str, object]:
        """Return the values that were given, by attribute."""
        if not isinstance(values, self.values):
            raise TypeError(f"{self.values.__name__} cannot report {values!r:.80}")
        if members:
            raise TypeError(f"report values or members, not both: {values!r:.80} and {', '.join(members)}")
        return values._given  # not copied, because nobody here changes it

    def _named(self, members: Mapping[str, object]) -> dict[str, object]:
        """Return values by the members' names on the wire."""
        named: dict[str, object] = {}
        for attribute, value in members.items():
            name = self._names.get(attribute)
            if name is not None:
                named[name] = value
            elif attribute != self._made:
                known = [*self._names, *filter(None, [self._made])]
                raise TypeError(f"{self.values.__name__} has no member {attribute!r}; it has {', '.join(known)}")
            elif isinstance(value, Mapping):
                named.update(value)
            else:
                raise TypeError(
                    f"{self.values.__name__}: {attribute} must be a mapping of names on the wire to values"
                )
        return named

    def _turn(self, vector: SwitchVector, members: Mapping[str, object]) -> None:
        """Turn switches On and Off."""
        if len(members) == 1:
            [(attribute, value)] = members.items()
            if attribute in self._names:
                vector[self._names[attribute]] = switch_word(value)
                return
        words = {name: switch_word(value) for name, value in self._named(members).items()}
        on = [name for name, word in words.items() if word == Switch.ON]
        if len(on) > 1 and vector.rule is not Rule.ANY_OF_MANY:
            raise ValueError(f"{self.values.__name__}: only one may be On ({vector.rule}), not {', '.join(on)}")
        vector.update(words)
