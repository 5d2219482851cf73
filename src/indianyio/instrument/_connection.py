"""CONNECTION: what clients see when the instrument is connected or disconnected, or when that fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from indianyio._failures import described
from indianyio._vocabulary import State
from indianyio.driver import NewEvent
from indianyio.instrument._operations import WhenBusy
from indianyio.instrument._property import BoundProperty
from indianyio.protocol._text import brief
from indianyio.standard.general import Connection

__all__ = ["ConnectionEnds"]

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
