"""What the body of an instrument's class declares: its properties, what writes to them do, and what is polled."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Self, TypeAlias, TypeVar, overload

from indianyio._vocabulary import State
from indianyio.instrument._running._operations import WhenBusy
from indianyio.properties import Values

if TYPE_CHECKING:
    from indianyio.instrument._framework._instrument import Instrument
    from indianyio.instrument._framework._property import BoundProperty

__all__ = [
    "Binding",
    "OperationRule",
    "Property",
    "Seconds",
    "When",
    "adopt_methods",
    "every",
    "methods_of",
    "needs",
    "optional",
    "overrides",
    "properties_of",
]

V = TypeVar("V", bound=Values)
MethodT = TypeVar("MethodT", bound=Callable[..., Awaitable[object]])

When: TypeAlias = Literal["connected", "always"] | Callable[[Any], bool]
"""When clients see a property: while the instrument is connected; always; or while it is connected and a function
that gets the instrument returns true."""

Binding: TypeAlias = Mapping[str, Any]
"""How an instance differs from its class, as arguments of ``bind``."""


class OperationRule(NamedTuple):
    """How an operation is carried out.

    :ivar when_busy: what happens to a write that arrives while it is running.
    :ivar group: what it moves; operations of the same group exclude each other.
    :ivar replaces_group: whether a write replaces another operation of the group, instead of being refused.
    :ivar done: the state in which its success leaves the property.
    :ivar aborted: the state in which an abort leaves the property.
    :ivar aborted_values: the values in which an abort leaves it. If absent, switches go back to their earlier
        values, and others stay as they are.
    :ivar finishes: whether disconnecting waits until it is done, because it leads to safety.
    :ivar shows_wanted: whether the property shows the wanted values from the beginning, not the actual ones.
    """

    when_busy: WhenBusy
    group: str
    replaces_group: bool
    done: State
    aborted: State
    aborted_values: Values | None
    finishes: bool = False
    shows_wanted: bool = False


class Property(Generic[V]):
    """A property of an instrument, declared in its class.

    ::

        class Heater(Instrument):
            target = Property(HeaterTarget)

            @target.write
            async def _set_target(self, wanted: HeaterTarget) -> None:
                await self.heater.set(wanted.celsius)

    On an instance it is a :class:`BoundProperty`, which has the values and the state, and sends them. The author
    chooses the name of the attribute; clients know the property by the name in its class of values.

    A subclass adds methods to a property of its base class by ``@Heater.target.check`` and the like. It then has a
    property of its own; that of the base class stays as it is.

    :param values: the class of its values.
    :param when: when clients see it. A function is asked when the instrument is connected, and at each
        ``redefine()``.
    :param persist: whether it is kept in the instrument's settings file.
    :param adapt: called with each instrument when it is made; returns how that instrument differs from the class
        of values, in its limits for instance, as arguments of :func:`bind`. ``None`` leaves the property out.
    :param attribute: its name in the instrument, if it is not declared in the body of a class.
    :param method: the name of the method that carries out what clients write, likewise.
    :raises TypeError: ``values`` is not a class of values with a name.
    """

    def __init__(
        self,
        values: type[V],
        *,
        when: When = "connected",
        persist: bool = False,
        adapt: Callable[[Any], Binding | None] | None = None,
        attribute: str = "",
        method: str | None = None,
    ) -> None:
        if not hasattr(values, "declaration"):
            raise TypeError(f"a property is declared by a class of values with a name, not by {values!r}")
        self.values = values
        self.when = when
        self.persist = persist
        self.adapt = adapt
        self.attribute = attribute
        self.method = method
        self._is_owned = False
        self.checkers: tuple[str, ...] = ()
        self.rule: OperationRule | None = None
        self.abort: Property[Any] | str | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute = self.attribute or name
        self._is_owned = True

    @overload
    def __get__(self, instrument: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instrument: Instrument, owner: type) -> BoundProperty[V]: ...
    def __get__(self, instrument: Instrument | None, owner: type) -> Self | BoundProperty[V]:
        if instrument is None:
            return self
        return instrument._bound_property(self)

    @property
    def aborted_by(self) -> str | None:
        """The attribute of the property that aborts this property's operation."""
        return self.abort.attribute if isinstance(self.abort, Property) else self.abort

    def __repr__(self) -> str:
        return f"<Property {self.attribute} ({self.values.declaration.name})>"

    def write(self, method: MethodT) -> MethodT:
        """Have a method carry out what clients write; for what is done at once.

        The method gets the wanted values: those written, and the present ones for all other members. When it
        returns, the property has these values and is Ok, unless the method has reported something else. An error
        that leaves it is answered with Alert.

        :raises TypeError: another method carries out the writes already.
        """
        return self._with(method, lambda mine: mine._claim(method))

    def operation(
        self,
        *,
        abort: Property[Any] | str | None = None,
        when_busy: WhenBusy = "refuse",
        group: str = "",
        replaces_group: bool = False,
        done: State | str = State.OK,
        aborted: State | str = State.IDLE,
        aborted_values: V | None = None,
        finishes: bool = False,
        shows_wanted: bool = False,
    ) -> Callable[[MethodT], MethodT]:
        """Have a method carry out what clients write; for what takes time.

        The property is Busy until the method returns, and then Ok. It then has the values that the method returns,
        or the wanted ones if it returns none, whatever the method has reported on the way. An error that leaves it
        is answered with Alert.

        It can be aborted: :exc:`~indianyio.instrument.Aborted` is raised where the method waits, and what the
        method awaits on its way out is carried out within ``grace`` seconds. The end of the driver's run aborts it
        too.

        :param abort: the property whose write aborts it; in a mix-in, that property's attribute in the classes that
            have it.
        :param when_busy: what happens to a write that arrives while it is running: ``"refuse"``, ``"queue"`` or
            ``"replace"``, which cancels the operation first.
        :param group: what it moves. While another operation of the same group is running, a write is refused.
        :param replaces_group: whether the write cancels that other operation instead, and takes its place.
        :param done: the state of the property when the method has returned, unless the method has set another one.
        :param aborted: the state of the property after an abort.
        :param aborted_values: its values after an abort. If absent, switches go back to what they were before, and
            others stay as they are.
        :param finishes: whether a client that disconnects the instrument has to wait until it is done, because it
            leads to safety, as parking does. An abort, lost hardware and the end of the driver end it all the same.
        :param shows_wanted: whether the property has the wanted values as soon as it is Busy, as an exposure has
            its seconds. Switches always do. Others show what is: where a focuser is, not where it is going.
        :raises TypeError: the property is written by another method already, or kept in the settings: loading these
            must not move anything.
        """
        if self.persist:
            raise TypeError(
                f"{self!r} is kept in the settings, which must not begin an operation when they are loaded"
            )
        rule = OperationRule(
            when_busy, group, replaces_group, State(done), State(aborted), aborted_values, finishes, shows_wanted
        )

        def claim(method: MethodT) -> MethodT:
            def change(mine: Property[Any]) -> None:
                mine._claim(method)
                mine.rule, mine.abort = rule, abort

            return self._with(method, change)

        return claim

    def check(self, method: MethodT) -> MethodT:
        """Have a method check what clients write before an operation begins, while nothing is Busy yet.

        It refuses by raising :exc:`~indianyio.WriteRefusedError`. If no operation is needed, it does what is wanted
        at once, and returns the property's values. It is called for each write, also while an operation goes on.

        The check of a subclass is called first, and that of its base class after it. So a parked mount does not
        move because its author has added a check.
        """

        def change(mine: Property[Any]) -> None:
            mine._look_first(method.__name__)

        return self._with(method, change)

    def _with(self, method: MethodT, change: Callable[[Property[Any]], None]) -> MethodT:
        """Apply a change that a method makes: at once in the class that declares the property, else later.

        A property that has an owner belongs to the base class, so the change is noted at the method and applied to
        the subclass's own copy, when the subclass is made.
        """
        if self._is_owned:
            setattr(method, _CHANGES, (*getattr(method, _CHANGES, ()), (self.attribute, change)))
        else:
            change(self)
        return method

    def inherit(self, declared: Property[Any]) -> None:
        """Take over the methods and rules of the base class's property that this one replaces."""
        if self.method is None:
            self.method, self.rule, self.abort = declared.method, declared.rule, declared.abort
        for checker in declared.checkers:
            if checker not in self.checkers:
                self.checkers = (*self.checkers, checker)
        self.adapt = declared.adapt if self.adapt is None else self.adapt

    def _look_first(self, checker: str) -> None:
        self.checkers = (checker, *(one for one in self.checkers if one != checker))

    def _claim(self, method: Callable[..., Awaitable[object]]) -> None:
        if self.method is not None:
            raise TypeError(
                f"{self.method}() carries out writes to {self!r} already; {method.__name__}() cannot do so as well"
            )
        self.method = method.__name__


Seconds: TypeAlias = float | Callable[[Any], float] | None
"""How long to wait: seconds, a function that returns them for an instrument, or ``None`` for its POLLING_PERIOD."""


def every(seconds: Seconds = None) -> Callable[[MethodT], MethodT]:
    """Have a method of an instrument called again and again while the instrument is connected.

    The first call comes right after connecting. An error that leaves the method is logged and told to clients, and
    the next call comes all the same. Disconnecting cancels it.

    :param seconds: from the end of one call to the beginning of the next, or a function that returns them for an
        instrument, each time; the instrument's POLLING_PERIOD if absent.
    :raises ValueError: the seconds are 0 or less.
    """
    if isinstance(seconds, float | int) and not seconds > 0:
        raise ValueError(f"every({seconds!r}): the seconds must be above 0")

    def mark(method: MethodT) -> MethodT:
        setattr(method, _EVERY, (seconds,))
        return method

    return mark


def optional(method: MethodT) -> MethodT:
    """Mark a method of a device class that an author may leave out; what needs it is not offered then."""
    setattr(method, _OPTIONAL, True)
    return method


_CHANGES = "_indianyio_changes"
_EVERY = "_indianyio_every"
_OPTIONAL = "_indianyio_optional"


def overrides(instrument: object, *names: str) -> bool:
    """Return whether an instrument's author has written all of these optional methods."""
    return not any(getattr(getattr(type(instrument), name), _OPTIONAL, False) for name in names)


def needs(*methods: str) -> Callable[[Any], Binding | None]:
    """Return the ``adapt`` of a property that is offered if the author has written all of these methods."""
    return lambda instrument: {} if overrides(instrument, *methods) else None


def properties_of(cls: type) -> list[Property[Any]]:
    """Return the properties that a class and its bases declare, the bases' first, in order of declaration."""
    found: dict[str, Property[Any]] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Property):
                found[name] = value
            elif name in found:
                # ``sync_position = None`` in a subclass removes a property.
                del found[name]
    return list(found.values())


def adopt_methods(cls: type, sources: Iterable[type]) -> None:
    """Give a class its own copy of each inherited property to which a method in one of these classes is attached.

    :raises TypeError: another method carries out the writes to a property already.
    """
    for source in sources:
        for method in list(vars(source).values()):
            for attribute, change in getattr(method, _CHANGES, ()):
                mine = vars(cls).get(attribute)
                if not isinstance(mine, Property):
                    mine = copy.copy(getattr(cls, attribute))
                    setattr(cls, attribute, mine)
                change(mine)


def methods_of(cls: type) -> Iterator[tuple[str, Seconds]]:
    """Yield the names of the methods to be called again and again, with their seconds."""
    found: dict[str, Seconds] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            marked = getattr(value, _EVERY, None)
            if marked is not None:
                found[name] = marked[0]
    # By name, so that a method that overrides a marked one need not be marked again.
    yield from found.items()
