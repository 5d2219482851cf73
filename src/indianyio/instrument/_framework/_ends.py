"""How operations begin and end, as clients see it: that of a property, and connecting and disconnecting."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from indianyio._failures import described
from indianyio._vocabulary import State
from indianyio.driver import NewEvent
from indianyio.instrument._framework._declared import OperationRule
from indianyio.instrument._framework._property import BoundProperty
from indianyio.instrument._running._operations import WhenBusy
from indianyio.properties import Values
from indianyio.protocol._text import brief
from indianyio.standard.general import Connection

__all__ = ["ConnectionEnds", "PropertyEnds"]


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


logger = logging.getLogger(__name__)


class ConnectionEnds:
    """Tells clients how connecting and disconnecting begin and end.

    The order is libindi's: first CONNECTION is answered, then properties are defined or deleted.

    :param bound: CONNECTION.
    :param connected: tells clients that the instrument is connected.
    :param disconnected: tells them that it is not, with the state of CONNECTION and a line for people.
    :param given_up: disconnects the instrument if connecting has succeeded although it was given up.
    """

    def __init__(
        self,
        bound: BoundProperty[Connection],
        connected: Callable[[], Awaitable[None]],
        disconnected: Callable[[State, str], Awaitable[None]],
        given_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._bound = bound
        self._connected = connected
        self._disconnected = disconnected
        self._given_up = given_up

    def wanted(self, event: NewEvent) -> Connection:
        """Return what a write asks for."""
        return self._bound.wanted(event)

    async def check(self, wanted: Connection) -> bool:
        """Return ``False``: connecting takes its time."""
        return False

    def when_busy(self, wanted: Connection) -> WhenBusy:
        """Return what becomes of a write while the instrument is being connected or disconnected.

        A client that disconnects need not wait until connecting has failed. Disconnecting is never cut short.
        """
        return "replace" if wanted.disconnect and self._bound.value.connect else "queue"

    async def begun(self, wanted: Connection) -> None:
        """Tell clients that it is under way."""
        await self._bound.report(wanted, state=State.BUSY)

    async def done(self, wanted: Connection, result: object) -> None:
        """Tell clients whether it is connected now."""
        if isinstance(result, Connection) and result.connect:
            await self._connected()
        else:
            await self._disconnected(State.IDLE, "")

    async def aborted(self) -> None:
        """Tell clients that connecting was given up."""
        await self._given_up()
        await self._disconnected(State.IDLE, "")

    async def failed(self, event: NewEvent, error: Exception) -> None:
        """Tell clients why the instrument could not be connected, or could not be disconnected cleanly."""
        logger.error("%s: CONNECTION failed", event.devicename, exc_info=error)
        await self._disconnected(State.ALERT, brief(described(error)))
