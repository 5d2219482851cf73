"""Writing with a verdict: send, and wait until the device has done what was asked.

Listening begins before the message is sent, so no answer can be missed. What the answers mean is decided by
:class:`~indianyio.client._settling.Settling`; this module only waits, and sees to an operation whose caller has
been cancelled.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn, Protocol

import anyio
import anyio.lowlevel

from indianyio._vocabulary import Rule, State, Switch
from indianyio.client._changes import Change, Listeners
from indianyio.client._devices import Device
from indianyio.client._members import Written
from indianyio.client._settling import Outcome, Seen, Settling, Verdict
from indianyio.client._vectors import BLOBVector, SwitchVector, Vector
from indianyio.client._writes import new_message, require_wishes, typed_values, with_contents
from indianyio.exceptions import ConnectionLostError, OperationAbortedError, RefusedError
from indianyio.protocol import NewBLOBVector, NewSwitchVector, OneSwitch, WireMessage
from indianyio.standard._settle_table import RULE, OnCancel, SettleRow, row_for

__all__ = ["Operations", "Wishes"]

logger = logging.getLogger(__name__)

# How long to wait for a cancelled operation after its abort was sent; libindi's simulators answer within a second.
_ABORT_SECONDS = 5.0

# A driver that accepts a BLOB does not send it back, so any Ok is its answer.
_BLOB_ROW = RULE._replace(any_ok=True)

# An event loop that is this late has been held up by its program. Whatever has arrived meanwhile is looked at
# first, for this long, because the answer may be in it.
_LATE_SECONDS, _GRACE_SECONDS = 0.05, 0.5


class Send(Protocol):
    """Sends a message; waits while there is no room for it."""

    async def __call__(
        self,
        message: WireMessage,
        *,
        base64: Mapping[str, Sequence[bytes]] | None = None,
        begun: Callable[[], None] | None = None,
    ) -> None:
        """Send it.

        :param base64: contents of a BLOB vector that are already encoded, by member, in slices.
        :param begun: called at the moment from which the message may reach the server. A BLOB vector takes a while
            to be sent after that, and the call waits for it.
        :raises ConnectionLostError: there is no connection.
        """


class Wishes(NamedTuple):
    """How to write; see :meth:`indianyio.client.Vector.set`."""

    timeout: float | None
    start_timeout: float
    wait: bool
    on_cancel: OnCancel | None
    validate: bool


class _SendBegun(Protocol):
    """Sends one particular message, as :class:`Send` does."""

    async def __call__(self, *, begun: Callable[[], None] | None = None) -> None: ...


class Operations:
    """The writes of one client.

    :param listeners: tells about changes.
    :param send: sends a message.
    :param require_connection: raises :exc:`ConnectionLostError` if there is no connection.
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
        """Write, and wait for the outcome; see :meth:`indianyio.client.Vector.set`."""
        require_wishes(wishes.timeout, wishes.start_timeout, wishes.on_cancel)
        _require_there(vector)
        wanted = typed_values(vector, values)
        new_message(vector, wanted, validate=wishes.validate)  # raises now, not only when it is our turn
        with anyio.move_on_after(math.inf if wishes.timeout is None else wishes.timeout):
            async with vector._turn:
                # By now another set() of this program may have changed the vector.
                await self._require_fresh(vector, wishes.start_timeout)
                wanted = typed_values(vector, values)
                message, base64 = new_message(vector, wanted, validate=wishes.validate), None
                if isinstance(message, NewBLOBVector):
                    message, base64 = await with_contents(message, wanted, attach=self._carries_attachments())
                send = partial(self._send, message, base64=base64)
                if wishes.wait:
                    await self._settle(_Operation(vector, wanted, self._row(vector), wishes), send)
                else:
                    await send()
                return
        raise TimeoutError(f"{vector.device}.{vector.name}: not done within {wishes.timeout:g} s; it is {vector!r}")

    async def _require_fresh(self, vector: Vector[Any], seconds: float) -> None:
        """Wait a moment for a vector that the server has not reported again since the connection is back."""
        if vector.stale:
            self._require_connection()
            await self._listeners.wait_for(
                lambda: not vector.stale,
                seconds=seconds,
                what=lambda: f"{vector.device}.{vector.name} has not been reported again since the server is back",
            )
        _require_there(vector)

    def _row(self, vector: Vector[Any]) -> SettleRow:
        if isinstance(vector, BLOBVector):
            return _BLOB_ROW
        device = self._device_of(vector.device)
        return row_for(vector.name, (lambda *_: False) if device is None else device.is_on)

    async def _settle(self, operation: _Operation, send: _SendBegun) -> None:
        try:
            verdict = await operation.run(self._listeners, send)
        except BaseException:
            if operation.must_be_stopped:
                with anyio.move_on_after(_ABORT_SECONDS, shield=True) as limit:
                    await self._stop(operation.vector, operation.row.abort)
                if limit.cancelled_caught:
                    logger.warning(
                        "%s.%s has not said within %g s that it has stopped",
                        operation.vector.device,
                        operation.vector.name,
                        _ABORT_SECONDS,
                    )
            raise
        if verdict.outcome is not Outcome.DONE:
            _raise(operation.vector, verdict)

    async def _stop(self, vector: Vector[Any], abort: tuple[str, str] | None) -> None:
        """Stop the device, although whoever asked for the operation has been cancelled."""
        device = self._device_of(vector.device)
        if abort is None:
            return
        if device is None or abort[0] not in device:
            logger.warning("%s.%s goes on: there is no %s to stop it", vector.device, vector.name, abort[0])
            return
        # If nothing was heard about the write yet, the driver may be about to begin. Then not being Busy proves
        # nothing, and only the answer of the property that stops it does.
        answered = vector.state is State.BUSY
        stopping = device[abort[0]]

        def look(change: Change) -> None:
            nonlocal answered
            answered = answered or change.vector is stopping

        try:
            with self._listeners.listening(look):
                switch = OneSwitch(name=abort[1], value=Switch.ON)
                await self._send(NewSwitchVector(device=vector.device, name=abort[0], members=(switch,)))
                await self._listeners.wait_for(
                    lambda: (answered and vector.state is not State.BUSY) or vector.stale or not vector.exists,
                    seconds=None,
                    what=lambda: vector.name,
                )
            if vector.stale or not vector.exists:
                name = f"{vector.device}.{vector.name}"
                logger.warning("it is not known whether %s has stopped: nothing more was heard of it", name)
        except ConnectionLostError as error:
            logger.warning("%s.%s could not be stopped: %s", vector.device, vector.name, error)


class _Operation:
    """One write and its outcome."""

    def __init__(self, vector: Vector[Any], written: Mapping[str, Written], row: SettleRow, wishes: Wishes) -> None:
        self.vector = vector
        self.row = row
        self._written = written
        self._wishes = wishes
        self._heard = anyio.Event()
        self._verdict: Verdict | None = None
        self._lost: str | None = None
        # None until the message may reach the server: whatever arrives before that is not an answer.
        self._settling: Settling | None = None

    @property
    def must_be_stopped(self) -> bool:
        """Whether the device may be at work for this write, and stopping it is the safer thing."""
        return self._settling is not None and self._is_open and self._choice() == "abort"

    @property
    def _is_open(self) -> bool:
        return self._verdict is None and self._lost is None

    def _choice(self) -> OnCancel:
        if self._wishes.on_cancel is not None:
            return self._wishes.on_cancel
        on = {name for name, value in self._written.items() if value is True}
        return "leave" if on & set(self.row.left_alone) else self.row.on_cancel

    async def run(self, listeners: Listeners, send: _SendBegun) -> Verdict:
        """Send, and wait for the verdict.

        :raises ConnectionLostError: the server was lost, whether it comes back or not.
        """
        with listeners.listening(self._look):
            await send(begun=self._begin)
            assert self._settling is not None  # by _begin()
            self._settling.sent(anyio.current_time())
            while self._is_open:
                await self._hear(self._settling)
        if self._lost is not None:
            await anyio.lowlevel.checkpoint()  # a client's block that ends raises this error itself
            raise ConnectionLostError(
                f"{self.vector.device}.{self.vector.name}: {self._lost}; what the device does now is not known"
            )
        assert self._verdict is not None
        return self._verdict

    def _begin(self) -> None:
        """Note the vector's state and values at the moment the message is sent."""
        vector = self.vector
        # A property that has a row is a button only if the row says so: a shutter with both switches Off is not
        # closed. A single switch is a button too, whatever its rule, such as CCD_FRAME_RESET.
        can_be_off = isinstance(vector, SwitchVector) and (vector.rule is Rule.AT_MOST_ONE or len(vector) == 1)
        self._settling = Settling(
            self.row,
            self._written,
            vector.state,
            dict(vector),
            is_button=can_be_off and self.row is RULE,
            now=anyio.current_time(),
            start_timeout=self._wishes.start_timeout,
        )

    async def _hear(self, settling: Settling) -> None:
        """Wait for the next change of the vector, or until nothing has been heard for too long."""
        deadline = settling.deadline
        if await self._heard_by(deadline):
            return
        if anyio.current_time() - deadline > _LATE_SECONDS:
            grace = anyio.current_time() + _GRACE_SECONDS
            while self._is_open and settling.deadline <= deadline and await self._heard_by(grace):
                pass
        if self._is_open and settling.deadline <= anyio.current_time():
            self._verdict = settling.late()

    async def _heard_by(self, deadline: float) -> bool:
        with anyio.CancelScope(deadline=deadline) as patience:
            await self._heard.wait()
        self._heard = anyio.Event()
        return not patience.cancelled_caught

    def _look(self, change: Change) -> None:
        vector = self.vector
        if self._verdict is not None:
            return
        if change.kind == "lost":
            self._lost = change.message
        elif self._settling is None or change.device != vector.device:
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
