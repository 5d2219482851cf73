"""Writing with a verdict: send, and wait until the device has done what was asked.

The listener is there before the message is sent, so no answer can be missed. What the answers mean is decided by
:class:`~indianyio.client._settling.Settling`; here are only the waiting, and what becomes of an operation whose caller
has been cancelled.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, Protocol

import anyio

from indianyio._vocabulary import Rule, State, Switch
from indianyio.client._checks import new_message, typed_values
from indianyio.client._listeners import Listeners
from indianyio.client._mirror import Change, Device
from indianyio.client._settle_table import OnCancel, SettleRow, row_for
from indianyio.client._settling import Outcome, Seen, Settling, Verdict, Written
from indianyio.client._vectors import SwitchVector, Vector
from indianyio.exceptions import ConnectionLostError, OperationAbortedError, RefusedError
from indianyio.protocol import NewSwitchVector, OneSwitch, WireMessage

__all__ = ["Operations"]

logger = logging.getLogger(__name__)

# How long a cancelled operation is waited for after its abort was sent: libindi's simulators answer within a second.
ABORT_SECONDS = 5.0


class Sender(Protocol):
    """What operations need of the connection."""

    async def __call__(self, message: WireMessage) -> None:
        """Send a message, waiting while there is no room for it."""


class Operations:
    """The writes of one client.

    :param listeners: tells of changes.
    :param send: sends a message.
    :param device_of: returns a device by its name, or ``None``.
    :param now: reads a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        listeners: Listeners,
        send: Callable[[WireMessage], Awaitable[None]],
        device_of: Callable[[str], Device | None],
    ) -> None:
        self._listeners = listeners
        self._send = send
        self._device_of = device_of

    async def set(
        self,
        vector: Vector[Any],
        values: Mapping[str, Written],
        *,
        timeout_seconds: float | None,
        start_timeout_seconds: float,
        wait: bool,
        on_cancel: OnCancel | None,
        validate: bool,
    ) -> None:
        """Write, and wait for what becomes of it; see :meth:`indianyio.client.Vector.set`."""
        self._listeners.require_server()
        wanted = typed_values(vector, values)
        with anyio.move_on_after(math.inf if timeout_seconds is None else timeout_seconds):
            async with vector._turn:
                # By now another set of this program may have changed what is there.
                message = new_message(vector, wanted, validate=validate)
                if not wait:
                    await self._send(message)
                    return
                row = row_for(vector.name, self._is_on(vector.device))
                operation = _Operation(vector, wanted, row, start_timeout_seconds)
                try:
                    verdict = await operation.run(self._listeners, self._send, message)
                except anyio.get_cancelled_exc_class():
                    await self._stop(operation, on_cancel)
                    raise
                operation.conclude(verdict)
                return
        raise TimeoutError(f"{vector.device}.{vector.name}: not done within {timeout_seconds:g} s; it is {vector!r}")

    def _is_on(self, device: str) -> Callable[[str, str], bool]:
        found = self._device_of(device)
        return (lambda vector, switch: False) if found is None else found.is_on

    async def _stop(self, operation: _Operation, on_cancel: OnCancel | None) -> None:
        """Stop the device, if it is at work for us and stopping is the safer thing."""
        vector, abort = operation.vector, operation.row.abort
        if abort is None or not operation.under_way or operation.choice(on_cancel) == "leave":
            return
        with anyio.move_on_after(ABORT_SECONDS, shield=True) as limit:
            try:
                await self._send(
                    NewSwitchVector(
                        device=vector.device, name=abort[0], members=(OneSwitch(name=abort[1], value=Switch.ON),)
                    )
                )
                await self._listeners.wait_for(
                    lambda: vector.state is not State.BUSY, seconds=None, what=lambda: vector.name
                )
            except ConnectionLostError as error:
                logger.warning("%s.%s could not be stopped: %s", vector.device, vector.name, error)
        if limit.cancelled_caught:
            logger.warning(
                "%s.%s is still Busy %g s after it was told to stop", vector.device, vector.name, ABORT_SECONDS
            )


class _Operation:
    """One write and what becomes of it."""

    def __init__(
        self, vector: Vector[Any], written: Mapping[str, Written], row: SettleRow, start_timeout: float
    ) -> None:
        self.vector = vector
        self.row = row
        self._written = written
        self._start_timeout = start_timeout
        self._sent = False
        self._heard = anyio.Event()
        self._verdict: Verdict | None = None
        self._lost: str | None = None
        self._settling: Settling | None = None

    @property
    def under_way(self) -> bool:
        """Whether the device may be at work for this write."""
        return self._sent and self._verdict is None and self._lost is None

    def choice(self, on_cancel: OnCancel | None) -> OnCancel:
        """Return what becomes of it when its caller is cancelled."""
        if on_cancel is not None:
            return on_cancel
        on = {name for name, value in self._written.items() if value is True}
        return "leave" if on & set(self.row.left_alone) else self.row.on_cancel

    async def run(
        self, listeners: Listeners, send: Callable[[WireMessage], Awaitable[None]], message: WireMessage
    ) -> Verdict:
        """Send, and wait for the verdict.

        :raises ConnectionLostError: the server was lost, whether it comes back or not.
        """
        vector = self.vector
        is_button = isinstance(vector, SwitchVector) and vector.rule is Rule.AT_MOST_ONE
        settling = self._settling = Settling(
            self.row,
            self._written,
            vector.state,
            is_button=is_button,
            now=anyio.current_time(),
            start_timeout=self._start_timeout,
        )
        with listeners.listening(self._look):
            self._sent = True  # before the send: cancelled in it, the message may be on its way
            await send(message)
            while self._verdict is None and self._lost is None:
                with anyio.CancelScope(deadline=settling.deadline) as patience:
                    await self._heard.wait()
                    self._heard = anyio.Event()
                if patience.cancelled_caught and anyio.current_time() >= settling.deadline:
                    self._verdict = settling.late()
        if self._lost is not None:
            raise ConnectionLostError(
                f"{vector.device}.{vector.name}: {self._lost}; what the device does now is not known"
            )
        assert self._verdict is not None
        return self._verdict

    def _look(self, change: Change) -> None:
        vector, settling = self.vector, self._settling
        if settling is None or self._verdict is not None:
            return
        if change.kind == "lost":
            self._lost = change.message
        elif change.device != vector.device or change.vector not in (vector, None):
            return
        elif change.kind == "deleted":
            settling.delete(anyio.current_time())
        elif change.vector is vector:
            seen = Seen(vector.state, vector, change.members, change.message)
            self._verdict = settling.update(seen, anyio.current_time())
        self._heard.set()

    def conclude(self, verdict: Verdict) -> None:
        """Return if the verdict is success, and raise what it says if it is not."""
        if verdict.outcome is not Outcome.DONE:
            _raise(self.vector, verdict)


def _raise(vector: Vector[Any], verdict: Verdict) -> NoReturn:
    if verdict.outcome is Outcome.REFUSED:
        raise RefusedError(verdict.reason, device=vector.device, vector=vector.name)
    if verdict.outcome is Outcome.SILENT:
        raise TimeoutError(f"{vector.device}.{vector.name}: the driver does not answer: {verdict.reason}")
    raise OperationAbortedError(verdict.reason, device=vector.device, vector=vector.name)
