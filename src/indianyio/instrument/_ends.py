"""How the operation of a property begins and ends, as clients see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from indianyio._vocabulary import State
from indianyio.driver import NewEvent
from indianyio.instrument._declared import OperationRule
from indianyio.instrument._property import BoundProperty
from indianyio.properties import Values

__all__ = ["PropertyEnds"]

V = TypeVar("V", bound=Values)


class PropertyEnds:
    """Tells clients how the operation of a property begins and ends.

    Switches show what is wanted from the beginning: PARK is On while the mount parks. Numbers and texts show what
    is, unless the rule says otherwise: the position of a focuser is where it is, not where it is going.

    :param bound: the property.
    :param rule: how its operation is carried out.
    :param rxerror: answers a write that has failed.
    :param checks: called one after the other with what is wanted, before the operation begins. If one returns
        values, it has carried out the write itself, and the rest are not called.
    """

    def __init__(
        self,
        bound: BoundProperty[Any],
        rule: OperationRule,
        rxerror: Callable[[NewEvent, Exception], Awaitable[None]],
        checks: Sequence[Callable[[Values], Awaitable[Values | None]]] = (),
    ) -> None:
        self._bound = bound
        self._rule = rule
        self._rxerror = rxerror
        self._checks = checks
        self._shows_wanted = rule.shows_wanted or bound.values.declaration.kind == "Switch"
        self._before: Values | None = None

    def wanted(self, event: NewEvent) -> Values:
        """Return what a write asks for."""
        wanted: Values = self._bound.wanted(event)
        return wanted

    async def check(self, wanted: Values) -> bool:
        """Check what is wanted before anything begins; return whether a check has carried it out at once."""
        for check in self._checks:
            values = await check(wanted)
            if values is not None:
                await self._bound.report(values)
                return True
        return False

    async def begun(self, wanted: Values) -> None:
        """Tell clients that it is under way."""
        if self._shows_wanted:
            # If one write replaces another, an abort goes back to the values from before the first of them.
            if self._bound.state is not State.BUSY:
                self._before = self._bound.value
            self._bound.take(wanted)
        await self._bound.report(state=State.BUSY)

    async def done(self, wanted: Values, result: object) -> None:
        """Tell clients that it has succeeded; a state that the method has set stays."""
        # The method's last report was usually a place on the way, not the end.
        self._bound.take(result if isinstance(result, Values) else wanted)
        await self._bound.report(state=self._rule.done if self._bound.state is State.BUSY else None)

    async def aborted(self) -> None:
        """Tell clients that it was aborted."""
        self._restore(self._rule.aborted_values)
        await self._bound.report(state=self._rule.aborted)

    async def failed(self, event: NewEvent, error: Exception) -> None:
        """Tell clients that it has failed."""
        self._restore(self._rule.aborted_values if self._rule.shows_wanted else None)
        await self._rxerror(event, error)

    def _restore(self, values: Values | None) -> None:
        if values is not None:
            self._bound.take(values)
        elif self._before is not None:
            self._bound.take(self._before)
