"""Connecting and disconnecting: once each, one at a time, and with nothing left running afterwards.

Three parties can ask for it: clients by CONNECTION, the author by ``connection_lost()``, and the end of the run.
What a client asks for is an operation like any other. Whatever changes the connection takes a lock, so that no
other change comes in between, and looks again at the present state once it has the lock.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TYPE_CHECKING

import anyio

from indianyio._failures import described
from indianyio._vocabulary import State
from indianyio.instrument._framework._ends import ConnectionEnds
from indianyio.instrument._framework._settings import Settings
from indianyio.instrument._running._gate import Gate
from indianyio.instrument._running._host import Host
from indianyio.instrument._running._operations import Operation
from indianyio.instrument._running._polling import Polling
from indianyio.protocol._text import brief
from indianyio.standard.general import Connection

if TYPE_CHECKING:
    from indianyio.instrument._framework._instrument import Instrument

__all__ = ["LifeCycle"]

logger = logging.getLogger(__name__)


class LifeCycle:
    """The connection of one instrument to its hardware.

    :param instrument: the instrument, whose ``connect()``, ``disconnect()`` and ``make_safe()`` are called.
    :param host: the instrument's run.
    :param gate: opened while the instrument is connected.
    :param polling: started and stopped with the connection.
    :param settings: loaded when the instrument has been connected.
    :param operations: returns the instrument's operations; with ``True``, only those that disconnecting waits for.
    :ivar is_connected: whether ``connect()`` has succeeded, and ``disconnect()`` has not been called since.
    :ivar connecting: the operation of CONNECTION.
    """

    def __init__(
        self,
        instrument: Instrument,
        host: Host,
        gate: Gate,
        polling: Polling,
        settings: Settings,
        operations: Callable[[bool], Iterable[Operation[object]]],
    ) -> None:
        self._instrument = instrument
        self._name = instrument.device.devicename
        self._host = host
        self._gate = gate
        self._polling = polling
        self._settings = settings
        self._operations = operations
        self._connection = instrument.connection
        self.is_connected = False
        self._changing = anyio.Lock()
        self._is_losing = False
        ends = ConnectionEnds(self._connection, self._show_connected, self._show_disconnected, self._give_up)
        self.connecting = Operation(self._connection.vector, self._change, ends, host, ends.when_busy)

    def lose(self, reason: str) -> None:
        """Disconnect without having been asked to; returns at once, and does nothing if that has begun already."""
        if not self._is_losing:
            self._is_losing = self._host.run_beside(self._lose(reason))

    async def leave(self) -> None:
        """Bring the instrument to rest and disconnect it, at the end of the run."""
        self._gate.close()
        # Whatever still holds the lock hangs, and the next run must not wait for it.
        self._is_losing = False
        self._changing = anyio.Lock()
        self.connecting.forget()
        for operation in self._operations(False):
            await operation.settle()
        if not self.is_connected:
            if self._connection.state is State.BUSY:
                await self._show_disconnected(State.IDLE, "")
            return
        try:
            await self._instrument.make_safe()
        finally:
            # Even if make_safe() has used up its time.
            with anyio.CancelScope(deadline=anyio.current_time() + self._host.grace, shield=True):
                try:
                    await self._let_go("the driver ends")
                finally:
                    await self._show_disconnected(State.IDLE, "")  # noqa: ASYNC102 - the scope around it is shielded, with a deadline

    async def poll_anew(self) -> None:
        """Restart all polling."""
        if self.is_connected:
            await self._polling.stop()
            if not self._gate.why_not():
                self._polling.start()

    async def take_up(self, names: Collection[str]) -> None:
        """Load the settings of some properties."""

        async def load() -> None:
            try:
                flaws = await self._settings.load(names)
            except OSError as error:
                logger.error("%s: its settings cannot be read: %s", self._name, error)
                flaws = [str(error)]
            if flaws:
                await self._instrument.config_process.report(state=State.ALERT)
                await self._instrument.device.send_device_message(brief(f"[ERROR] settings: {'; '.join(flaws)}"))

        await self._tell_failure(load, "the settings cannot be loaded")

    # -- changes -----------------------------------------------------------------------------------------------

    async def _change(self, wanted: Connection) -> Connection:
        if wanted.disconnect:
            # Before anything is stopped: a mount that is parking must reach its park position.
            for operation in self._operations(True):
                await operation.end()
        async with self._changing:
            if wanted.connect and not self.is_connected:
                await self._get_hold()
            elif wanted.disconnect and self.is_connected:
                await self._let_go("the instrument is disconnected", stops=True)
        return Connection(connect=True) if self.is_connected else Connection(disconnect=True)

    async def _get_hold(self) -> None:
        changing = self._changing
        self._instrument._about_to_connect()
        await self._instrument.connect()
        self.is_connected = True
        if changing is not self._changing:
            # connect() took so long that the end of the run did not wait for it, and nobody else would disconnect.
            with anyio.CancelScope(deadline=anyio.current_time() + self._host.grace, shield=True):
                self.is_connected = False
                await self._instrument.disconnect()
            return
        self._instrument._connected_anew()
        self._gate.open()

    async def _give_up(self) -> None:
        """Disconnect, if connecting has succeeded although it was cancelled."""
        async with self._changing:
            if self.is_connected:
                await self._let_go("connecting was given up")

    async def _lose(self, reason: str) -> None:
        try:
            for operation in self._operations(False):
                operation.cancel(reason)
            # If it is being disconnected already, that goes on: it is never cut short.
            if self._connection.value.connect:
                await self._disconnect_unasked(reason)
        finally:
            self._is_losing = False

    async def _disconnect_unasked(self, reason: str) -> None:
        was_connecting = self.connecting.is_running
        self.connecting.cancel(reason)
        with anyio.move_on_after(self._host.grace + 1):
            await self.connecting.end()
        async with self._changing:
            if self.is_connected or was_connecting:
                logger.error("%s: the connection was lost: %s", self._name, reason)
                if self.is_connected:
                    await self._tell_failure(lambda: self._let_go(reason), "disconnect() failed")
                await self._show_disconnected(State.ALERT, reason)

    async def _let_go(self, reason: str, *, stops: bool = False) -> None:
        """End everything that is running, and disconnect.

        :param stops: whether to stop the hardware's motion as well.
        """
        self._gate.close()
        cut = [operation for operation in self._operations(False) if operation.is_running]
        for operation in cut:
            operation.cancel(reason)
        for operation in cut:
            await operation.abort(reason)
        await self._gate.clear(reason)
        await self._polling.stop()
        if stops:
            names = [operation.name for operation in cut]
            await self._tell_failure(
                lambda: self._instrument._stop_motion(names), "what moves could not be stopped"
            )
        self.is_connected = False
        await self._instrument.disconnect()

    async def _tell_failure(self, function: Callable[[], Awaitable[object]], what: str) -> None:
        """Call a function of the author's; log an error that leaves it, and tell clients."""
        failure = await self._host.failure_of(function, self._host.is_ending)
        if isinstance(failure, Exception):
            logger.error("%s: %s", self._name, what, exc_info=failure)
            text = f"[ERROR] {what}: {described(failure)}"
            await self._instrument.device.send_device_message(brief(text))
        elif failure is not None:
            self._host.fail(failure)

    # -- what clients see --------------------------------------------------------------------------------------

    async def _show_connected(self) -> None:
        await self._connection.report(connect=True, state=State.OK)
        await self._instrument.redefine()
        # In a task of its own: a setting that hangs must not keep clients from disconnecting.
        self._host.run_beside(self._begin_work())

    async def _begin_work(self) -> None:
        if not self._gate.why_not():
            await self._gate.carry_out(self._take_up_settings)

    async def _take_up_settings(self) -> None:
        with self._instrument._earlier.noted():
            await self.take_up([vector.name for vector in self._instrument._while_connected()])
        if not self._gate.why_not():
            self._polling.start()

    async def _show_disconnected(self, state: State, message: str) -> None:
        for operation in self._operations(False):
            await operation.settle()
        await self._connection.report(disconnect=True, state=state, message=message)
        for vector in self._instrument._while_connected():
            if vector.enable:
                await vector.send_delProperty()
