"""Writing with a verdict: send, and wait until the device has done what was asked.

The listener is there before the message is sent, so no answer can be missed. What the answers mean is decided by
:class:`~indianyio.client._settling.Settling`; here are only the waiting, and what becomes of an operation whose
    caller
has been cancelled.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import anyio
import anyio.lowlevel

from indianyio._vocabulary import Rule, State, Switch
from indianyio.client._actions import Written
from indianyio.client._changes import Change, Listeners
from indianyio.client._checks import new_message, typed_values
from indianyio.client._devices import Device
from indianyio.client._settle_table import RULE, OnCancel, SettleRow, row_for
from indianyio.client._settling import Outcome, Seen, Settling, Verdict
from indianyio.client._uploads import with_contents
from indianyio.client._vectors import BLOBVector, SwitchVector, Vector
from indianyio.exceptions import ConnectionLostError, OperationAbortedError, RefusedError
from indianyio.protocol import NewBLOBVector, NewSwitchVector, NewVector, OneSwitch, WireMessage

__all__ = ["Operations", "Wishes"]

logger = logging.getLogger(__name__)

# How long a cancelled operation is waited for after its abort was sent: libindi's simulators answer within a
# second.
_ABORT_SECONDS = 5.0

# A driver that takes a BLOB does not send it back; so any Ok is its answer.
_BLOB_ROW = RULE._replace(any_ok=True)

Send = Callable[[WireMessage], Awaitable[None]]


class Wishes(NamedTuple):
    """How a write is to be made; see :meth:`indianyio.client.Vector.set`."""

    timeout: float | None
    start_timeout: float
    wait: bool
    on_cancel: OnCancel | None
    validate: bool


class Operations:
    """The writes of one client.

    :param listeners: tells of changes.
    :param send: sends a message, waiting while there is no room for it; raises :exc:`ConnectionLostError` where
        there is no connection.
    :param require_connection: raises :exc:`ConnectionLostError` where there is no connection.
    :param device_of: returns a device by its name, or ``None``.
    :param carries_attachments: whether BLOBs may travel to the server as shared memory.
    """

    def __init__(
        self,
        listeners: Listeners,
        send: Send,
        require_connection: Callable[[], object],
        device_of: Callable[[str], Device | None],
        carries_attachments: Callable[[], bool],
    ) -> None:
        self._listeners = listeners
        self._send = send
        self._require_connection = require_connection
        self._device_of = device_of
        self._carries_attachments = carries_attachments

    async def set(self, vector: Vector[Any], values: Mapping[str, Written], wishes: Wishes) -> None:
        """Write, and wait for what becomes of it; see :meth:`indianyio.client.Vector.set`."""
        _require_there(vector)
        wanted = typed_values(vector, values)
        new_message(vector, wanted, validate=wishes.validate)  # a mistake is told now, not when it is our turn
        with anyio.move_on_after(math.inf if wishes.timeout is None else wishes.timeout):
            async with vector._turn:
                # By now another set of this program may have changed what is there.
                await self._require_fresh(vector, wishes.start_timeout)
                message = new_message(vector, wanted, validate=wishes.validate)
                if isinstance(message, NewBLOBVector):
                    message = await with_contents(message, wanted, attach=self._carries_attachments())
                if wishes.wait:
                    await self._settle(_Operation(vector, wanted, self._row(vector), wishes), message)
                else:
                    await self._send(message)
                return
        raise TimeoutError(f"{vector.device}.{vector.name}: not done within {wishes.timeout:g} s; it is {vector!r}")

    async def _require_fresh(self, vector: Vector[Any], seconds: float) -> None:
        """Wait a moment for what has not been told yet since the connection is back."""
        if vector.stale:
            self._require_connection()
            await self._listeners.wait_for(
                lambda: not vector.stale,
                seconds=seconds,
                what=lambda: f"{vector.device}.{vector.name} has not been told again since the server is back",
            )
        _require_there(vector)

    def _row(self, vector: Vector[Any]) -> SettleRow:
        if isinstance(vector, BLOBVector):
            return _BLOB_ROW
        device = self._device_of(vector.device)
        return row_for(vector.name, (lambda *_: False) if device is None else device.is_on)

    async def _settle(self, operation: _Operation, message: NewVector) -> None:
        try:
            verdict = await operation.run(self._listeners, self._send, message)
        except BaseException:
            if operation.must_be_stopped:
                with anyio.move_on_after(_ABORT_SECONDS, shield=True) as limit:
                    await self._stop(operation.vector, operation.row.abort)
                if limit.cancelled_caught:
                    logger.warning(
                        "%s.%s is still Busy %g s after it was told to stop",
                        operation.vector.device,
                        operation.vector.name,
                        _ABORT_SECONDS,
                    )
            raise
        if verdict.outcome is not Outcome.DONE:
            _raise(operation.vector, verdict)

    async def _stop(self, vector: Vector[Any], abort: tuple[str, str] | None) -> None:
        """Stop the device, though whoever asked for the operation has been cancelled."""
        device = self._device_of(vector.device)
        if abort is None or device is None or abort[0] not in device:
            return
        try:
            switch = OneSwitch(name=abort[1], value=Switch.ON)
            await self._send(NewSwitchVector(device=vector.device, name=abort[0], members=(switch,)))
            await self._listeners.wait_for(
                lambda: vector.state is not State.BUSY, seconds=None, what=lambda: vector.name
            )
        except ConnectionLostError as error:
            logger.warning("%s.%s could not be stopped: %s", vector.device, vector.name, error)


class _Operation:
    """One write and what becomes of it."""

    def __init__(self, vector: Vector[Any], written: Mapping[str, Written], row: SettleRow, wishes: Wishes) -> None:
        self.vector = vector
        self.row = row
        self._written = written
        self._wishes = wishes
        self._sent = False
        self._heard = anyio.Event()
        self._verdict: Verdict | None = None
        self._lost: str | None = None
        self._settling = Settling(
            row,
            written,
            vector.state,
            dict(vector),
            is_button=isinstance(vector, SwitchVector) and vector.rule is Rule.AT_MOST_ONE,
            now=anyio.current_time(),
            start_timeout=wishes.start_timeout,
        )

    @property
    def must_be_stopped(self) -> bool:
        """Whether the device may be at work for this write, and stopping is the safer thing."""
        return self._sent and self._verdict is None and self._lost is None and self._choice() == "abort"

    def _choice(self) -> OnCancel:
        if self._wishes.on_cancel is not None:
            return self._wishes.on_cancel
        on = {name for name, value in self._written.items() if value is True}
        return "leave" if on & set(self.row.left_alone) else self.row.on_cancel

    async def run(self, listeners: Listeners, send: Send, message: NewVector) -> Verdict:
        """Send, and wait for the verdict.

        :raises ConnectionLostError: the server was lost, whether it comes back or not.
        """
        with listeners.listening(self._look):
            # Before the send: cancelled in it, the message may be on its way.
            self._sent = True
            await send(message)
            while self._verdict is None and self._lost is None:
                await self._hear()
        if self._lost is not None:
            await anyio.lowlevel.checkpoint()  # in the client's block, that ends with this very error
            raise ConnectionLostError(
                f"{self.vector.device}.{self.vector.name}: {self._lost}; what the device does now is not known"
            )
        assert self._verdict is not None
        return self._verdict

    async def _hear(self) -> None:
        """Wait for the next change of the vector, or until nothing has been heard for too long."""
        deadline = self._settling.deadline
        with anyio.CancelScope(deadline=deadline) as patience:
            await self._heard.wait()
        self._heard = anyio.Event()
        if patience.cancelled_caught and self._verdict is None and self._settling.deadline <= anyio.current_time():
            self._verdict = self._settling.late()

    def _look(self, change: Change) -> None:
        vector = self.vector
        if self._verdict is not None:
            return
        if change.kind == "lost":
            self._lost = change.message
        elif change.device != vector.device:
            return
        elif change.kind == "message":
            self._verdict = self._settling.say(change.message)
        elif not vector.exists:
            self._settling.delete(anyio.current_time())
        elif change.vector is vector:
            seen = Seen(vector.state, vector, change.members, change.message, change.kind == "defined")
            self._verdict = self._settling.update(seen, anyio.current_time())
        else:
            return
        self._heard.set()


def _require_there(vector: Vector[Any]) -> None:
    if not vector.exists:
        raise OperationAbortedError("it was deleted", device=vector.device, vector=vector.name)


def _raise(vector: Vector[Any], verdict: Verdict) -> NoReturn:
    if verdict.outcome is Outcome.REFUSED:
        raise RefusedError(verdict.reason, device=vector.device, vector=vector.name)
    if verdict.outcome is Outcome.SILENT:
        raise TimeoutError(f"{vector.device}.{vector.name}: the driver does not answer: {verdict.reason}")
    raise OperationAbortedError(verdict.reason, device=vector.device, vector=vector.name)
