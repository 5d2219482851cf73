"""What happens when a client writes to a property of an instrument: its handler is chosen and given to it here.

A write to a property with an operation begins the operation, once the short writes before it have ended. A write to
a property that aborts operations does so. Any other write is carried out at once. Clients' writes to properties
that are there only while the instrument is connected pass through the gate first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from indianyio.driver import NewEvent
from indianyio.instrument._framework._declared import OperationRule, Property
from indianyio.instrument._framework._ends import PropertyEnds
from indianyio.instrument._framework._property import BoundProperty
from indianyio.instrument._framework._writes import Method, carry_out_abort, carry_out_write, event_of, write_of
from indianyio.instrument._running._gate import EarlierWrites, Gate, Handler
from indianyio.instrument._running._host import Host
from indianyio.instrument._running._operations import Operation
from indianyio.properties import Values

if TYPE_CHECKING:
    from indianyio.instrument._framework._instrument import Instrument

__all__ = ["Handlers"]


class Handlers:
    """The handlers of one instrument's properties, and the operations that they begin.

    Both dictionaries of properties have the same keys: the attributes of the instrument.

    :param instrument: the instrument, whose methods carry out the writes.
    :param declared: its properties, as its class declares them.
    :param bound: its properties, as it has them.
    :param host: the instrument's run.
    :param gate: lets writes through while the instrument is connected.
    :param earlier: the short writes that are being carried out.
    :ivar operations: the operations, by the attributes of their properties; there are none before :meth:`install`.
    """

    def __init__(
        self,
        instrument: Instrument,
        declared: Mapping[str, Property[Any]],
        bound: Mapping[str, BoundProperty[Any]],
        host: Host,
        gate: Gate,
        earlier: EarlierWrites,
    ) -> None:
        self._instrument = instrument
        self._declared = declared
        self._bound = bound
        self._host = host
        self._gate = gate
        self._earlier = earlier
        self.operations: dict[str, Operation[Any]] = {}

    def install(self, special: Mapping[str, Handler]) -> None:
        """Give every property its handler; to be called once.

        :param special: the handlers of properties that the library itself carries out, by their attributes.
        """
        for attribute, declared in self._declared.items():
            bound = self._bound[attribute]
            handler = special.get(attribute) or self._handler_for(declared, bound)
            if declared.when != "always":
                handler = self._gate.guarding(bound.vector, handler)
            bound.vector._on_write = handler
        self._exclude()

    def _handler_for(self, declared: Property[Any], bound: BoundProperty[Any]) -> Handler:
        """Return the function that handles the writes to a property."""
        if declared.rule is not None and declared.method is not None:
            operation = self._operation_for(declared, declared.method, declared.rule, bound)
            self.operations[declared.attribute] = operation
            return partial(operation.write, after=self._earlier.end)
        if self._aborted_by(declared):
            return partial(self._abort, declared)
        write = partial(carry_out_write, bound, self._method_of(declared))
        return self._earlier.noting(bound.vector, write)

    def _operation_for(
        self, declared: Property[Any], method: str, rule: OperationRule, bound: BoundProperty[Any]
    ) -> Operation[Any]:
        checks = [getattr(self._instrument, checker) for checker in declared.checkers]
        ends = PropertyEnds(bound, rule, self._instrument.rxerror, checks)
        carry_out: Callable[[Any], Awaitable[object]] = getattr(self._instrument, method)
        operation = Operation(bound.vector, carry_out, ends, self._host, lambda wanted: rule.when_busy)
        if declared.when != "always":
            operation.why_not = self._gate.why_not
        return operation

    def _exclude(self) -> None:
        """Let operations that move the same thing exclude each other."""
        rules = {name: one.rule for name, one in self._declared.items() if one.rule is not None}
        groups = {name: rule.group for name, rule in rules.items()}
        for name, operation in self.operations.items():
            operation.replaces_rivals = rules[name].replaces_group
            operation.rivals = [
                rival
                for other, rival in self.operations.items()
                if rival is not operation and groups[name] and groups[other] == groups[name]
            ]

    def _method_of(self, declared: Property[Any]) -> Method | None:
        """Return the author's method that carries out the writes to a property."""
        return None if declared.method is None else getattr(self._instrument, declared.method)

    # -- aborts ------------------------------------------------------------------------------------------------

    def _aborted_by(self, abort: Property[Any]) -> list[str]:
        """Return the properties whose operations a property aborts."""
        return [name for name, one in self._declared.items() if one.aborted_by == abort.attribute]

    async def _abort(self, declared: Property[Any], event: NewEvent) -> None:
        # Before anything is awaited: what was asked for before the Abort must not begin after it.
        aborts = {one.aborted_by for one in self._declared.values()}
        for name, bound in self._bound.items():
            if name != "connection" and name not in aborts:
                self._instrument.refuse_waiting(
                    bound.vector, f"{declared.values.declaration.name} came before it began"
                )
        aborted = {self.operations[name]: self._bound[name] for name in self._aborted_by(declared)}
        await carry_out_abort(self._bound[declared.attribute], self._method_of(declared), aborted, event)

    async def stop_motion(self, cut: Collection[str]) -> None:
        """Call the author's methods of the properties that abort these operations.

        :param cut: the properties whose operations have just been aborted, by their names on the wire.
        """
        for attribute, declared in self._declared.items():
            method = self._method_of(declared)
            aborted = {self._bound[name].vector.name for name in self._aborted_by(declared)}
            if method is not None and not aborted.isdisjoint(cut):
                await method(declared.values.from_wire(dict.fromkeys(self._bound[attribute].vector, "On")))

    # -- operations --------------------------------------------------------------------------------------------

    async def begin(self, values: Values) -> None:
        """Begin the operation of a property as a client's write of these values would.

        :raises KeyError: the instrument has no such property, or the property has no operation.
        """
        vector = self._instrument.bound(type(values)).vector
        await self.operation_of(values).write(event_of(write_of(vector, values.to_wire()), vector))

    def operation_of(self, values: Values) -> Operation[Any]:
        """Return the operation that a write of these values begins.

        :raises KeyError: there is none.
        """
        for attribute, operation in self.operations.items():
            if self._bound[attribute].values is type(values):
                return operation
        name = self._instrument.device.devicename
        raise KeyError(f"{name} has no operation for {type(values).__name__}")

    def select(self, finishing: bool) -> list[Operation[Any]]:
        """Return all operations, or those that disconnecting waits for."""
        rules = {name: self._declared[name].rule for name in self.operations}
        return [
            operation
            for name, operation in self.operations.items()
            if not finishing or ((rule := rules[name]) is not None and rule.finishes)
        ]
