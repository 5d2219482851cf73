"""Exchanges: requests and answers while nobody else uses the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import anyio

from indianyio.exceptions import WireLostError, WireTimeoutError
from indianyio.wires._answers import AnswerForm, answer_form, check_sendable, shown
from indianyio.wires._line import LOG, Line, Owed

if TYPE_CHECKING:
    from indianyio.wires._wire import Wire

__all__ = ["Exchange"]

T = TypeVar("T")


class Exchange:
    """A conversation with the instrument that nobody else interrupts; made by :meth:`Wire.exchange`, see there."""

    def __init__(self, wire: Wire, turn: anyio.Lock) -> None:
        self._wire = wire
        self._turn = turn
        self._begun = False
        self._ended = False

    async def query(
        self,
        request: bytes,
        *,
        until: bytes | None = None,
        length: int | None = None,
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> bytes:
        """Send a request and return its answer, as :meth:`Wire.query` does."""
        form = self._form(until, length)
        seconds = self._wire._seconds(timeout)
        check_sendable(request)

        async def ask(line: Line) -> bytes:
            await line.settle()
            return await self._ask(line, request, form, seconds)

        answer = await self._with_one_reconnect(ask, repeatable=repeatable, may_reopen=not self._begun)
        self._begun = True
        return answer

    async def send(self, data: bytes, *, timeout: float | None = None) -> None:
        """Send the first or a further part of an exchange; what arrives is for :meth:`receive`.

        Before the first part, owed answers and stale input are dropped, as before a query.

        :param data: the bytes.
        :param timeout: how many seconds the instrument may take to accept them; by default the wire's.
        :raises WireTimeoutError: it has not accepted them in time.
        :raises WireLostError: the wire is lost, and could not be opened again or may not be (:meth:`Wire.query`).
        """
        seconds = self._wire._seconds(timeout)
        check_sendable(data)

        async def put(line: Line) -> None:
            is_first = not self._begun or line.owed is not None
            if is_first:
                await line.settle()
            await self._put(line, data, seconds, discard=is_first and self._wire._discard_stale)

        await self._with_one_reconnect(put, may_reopen=not self._begun)
        self._begun = True

    async def receive(
        self, *, until: bytes | None = None, length: int | None = None, timeout: float | None = None
    ) -> bytes:
        """Return what arrives next, as :meth:`Wire.receive` does."""
        form = self._form(until, length)
        seconds = self._wire._seconds(timeout)

        async def get(line: Line) -> bytes:
            if line.owed is not None and not line.owed.may_be_resumed:
                await line.settle()
            return await self._get(line, form, seconds, begun=self._begun)

        return await self._with_one_reconnect(get, may_reopen=not self._begun)

    def end(self, *, failed: bool) -> None:
        """Accept no more calls.

        :param failed: whether an error or a cancellation has ended it, so that answers may still come.
        """
        self._ended = True
        line = self._wire._line
        if failed and self._begun and line is not None and line.unanswered and line.owed is None:
            line.owed = self._owed(None, self._wire._timeout)

    async def send_at_once(self, data: bytes, seconds: float) -> None:
        """Send something that has no answer, without waiting for answers that are owed."""
        check_sendable(data)
        await self._with_one_reconnect(lambda line: self._put(line, data, seconds))

    async def _with_one_reconnect(
        self, attempt: Callable[[Line], Awaitable[T]], *, repeatable: bool = False, may_reopen: bool = True
    ) -> T:
        """Do something with the line; if the line is lost, do it on a new one, but only once.

        A request that may have been carried out is repeated only if it is repeatable: a mount that is told twice to
        go on by ten degrees goes on by twenty. And only the first step of an exchange may begin on a new line; the
        others would mean nothing there.
        """
        self._check_running()
        line = self._wire._line
        if line is not None and not (line.is_lost and may_reopen):
            try:
                return await attempt(line)
            except WireLostError as lost:
                if not may_reopen or (lost.sent and not repeatable):
                    raise
                LOG.info("%s; the wire is opened again, once", lost)
        return await attempt(await self._wire._reopened(self._turn))

    async def _ask(self, line: Line, request: bytes, form: AnswerForm, seconds: float) -> bytes:
        deadline = anyio.current_time() + seconds
        # Prepared beforehand, because an answer may come as soon as the first byte of the request has been sent.
        owed = self._owed(form, seconds)
        await line.write(request, deadline, owed=owed, discard=self._wire._discard_stale)
        answer = await line.answer(form, deadline, request)
        if answer is None:
            raise self._no_answer(f"no answer to {shown(request)}", line, seconds, request)
        return answer

    async def _put(self, line: Line, data: bytes, seconds: float, *, discard: bool = False) -> None:
        await line.write(data, anyio.current_time() + seconds, discard=discard)
        line.unanswered = data

    async def _get(self, line: Line, form: AnswerForm, seconds: float, *, begun: bool) -> bytes:
        deadline = anyio.current_time() + seconds
        sent = line.unanswered
        if sent:
            line.owed = self._owed(form, seconds)._replace(may_be_resumed=True)
        answer = await line.answer(form, deadline, sent if begun else b"")
        if answer is None:
            raise self._no_answer("nothing complete has arrived", line, seconds, sent)
        return answer

    def _owed(self, form: AnswerForm | None, seconds: float) -> Owed:
        seconds += self._wire._late
        return Owed(form, anyio.current_time() + seconds, seconds)

    def _no_answer(self, what: str, line: Line, seconds: float, sent: bytes) -> WireTimeoutError:
        received = line.arrived
        arrived = f"{shown(received)} had arrived" if received else "nothing had arrived"
        last = "" if shown(sent) in what or not sent else f"; the last bytes sent were {shown(sent)}"
        LOG.debug("%s: %s within %g s; %s", self._wire.name, what, seconds, arrived)
        return WireTimeoutError(
            self._wire.name, f"{what} within {seconds:g} s; {arrived}{last}", sent=sent, received=received
        )

    def _form(self, until: bytes | None, length: int | None) -> AnswerForm:
        wire = self._wire
        return answer_form(until, length, limit_bytes=wire._max_answer, datagrams=wire.has_datagrams)

    def _check_running(self) -> None:
        if self._ended:
            raise RuntimeError("this exchange is over; others may be using the wire now")
        if self._wire._turn is not self._turn:
            raise self._wire._not_open()
