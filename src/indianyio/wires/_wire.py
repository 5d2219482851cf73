"""What all wires have in common: one exchange at a time, one reconnect, and no answer mistaken for another."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import anyio

from indianyio.exceptions import WireError, WireLostError
from indianyio.wires._answers import check_sendable
from indianyio.wires._exchange import Exchange
from indianyio.wires._line import Line
from indianyio.wires._transports import Transport

__all__ = ["Wire"]


class Wire(ABC):
    """A driver's connection to its instrument: requests and answers, one after the other.

    ::

        async with SerialWire("/dev/ttyUSB0") as wire:
            declination = await wire.query(b":GD#", until=b"#")

    Subclasses define how to connect (:meth:`make_transport`); in everything else all wires behave the same, so one
    can take the place of another. A wire may be opened again after it was closed.

    :param name: what errors and log lines call it.
    :param timeout: how many seconds an answer may take, unless a call says otherwise.
    :param late: how many seconds after its time-out an answer may still come. If an answer is owed, the next query
        waits that long for it (:meth:`query`).
    :param max_answer: the longest answer, in bytes.
    :param discard_stale: whether bytes that nobody has asked for are dropped before a query. Set it to ``False``
        for an instrument that sends reports by itself which must not be missed, and then receive everything it
        sends.
    :raises ValueError: an argument is out of range.
    """

    has_datagrams = False
    """Whether an answer may be a datagram, without ``until`` and ``length``."""
    forgets = False
    """Whether a late answer gets lost when the wire is opened again."""

    def __init__(
        self,
        name: str,
        *,
        timeout: float = 5.0,
        late: float = 1.0,
        max_answer: int = 64 << 10,
        discard_stale: bool = True,
    ) -> None:
        if not 0 <= late < math.inf:
            raise ValueError(f"late is {late}, but must be a number of seconds, 0 or more")
        if max_answer < 1:
            raise ValueError(f"max_answer is {max_answer}, but must be at least 1")
        self._name = name
        self._timeout = timeout
        self._seconds(timeout)
        self._late = late
        self._max_answer = max_answer
        self._discard_stale = discard_stale
        # The last line; it is kept when it is lost or closed, because an answer may still be owed.
        self._line: Line | None = None
        # Held by whoever has the turn. Each open() makes a new lock, so a caller that has waited across a close()
        # finds that its lock is not this one any more.
        self._turn: anyio.Lock | None = None

    @property
    def name(self) -> str:
        """The name by which errors and log lines call it: the serial port, or the address."""
        return self._name

    @property
    def is_open(self) -> bool:
        """Whether it has been opened and not closed since; a lost wire counts as open, and reconnects when used."""
        return self._turn is not None

    @abstractmethod
    async def make_transport(self) -> Transport:
        """Connect to the instrument; called by the wire itself, whenever it is opened or reconnects.

        If it is cancelled, it must leave nothing open.

        :raises OSError: the connection cannot be made.
        :raises WireError: likewise, with a text that explains it better.
        """

    async def open(self) -> None:
        """Connect to the instrument. If this is cancelled, the wire stays closed.

        :raises WireError: the port or the address cannot be opened.
        :raises WireBusyError: it belongs to another driver.
        :raises RuntimeError: the wire is open.
        """
        if self._turn is not None:
            raise RuntimeError(f"{self._name}: it is open already")
        turn = self._turn = anyio.Lock()
        try:
            async with turn:
                self._line = await self._connected(turn)
        except BaseException:
            if self._turn is turn:
                self._turn = None
            raise

    async def close(self) -> None:
        """Close the wire; closing it again does nothing.

        An exchange under way, and those waiting for their turn, raise :class:`WireError`. Bytes that are still
        being sent get up to a second; during this time closing cannot be cancelled.
        """
        line, self._turn = self._line, None
        if line is not None:
            await line.close()

    async def __aenter__(self) -> Self:
        """Open it."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()  # noqa: ASYNC102 - it has its own shield and deadline

    @asynccontextmanager
    async def exchange(self) -> AsyncGenerator[Exchange]:
        """Reserve the wire for a conversation of several steps, in which nobody else sends or receives.

        ::

            async with wire.exchange() as exchange:
                await exchange.send(b":MS#")
                if await exchange.receive(length=1) != b"0":
                    reason = await exchange.receive(until=b"#")

        Within the block use the exchange, not the wire, which would wait for itself (:class:`RuntimeError`). If the
        block is ended by an error or a cancellation between a send and its answer, that answer is owed
        (:meth:`query`). If the wire is lost after the first step, it is not opened again within the block, because
        the next step alone would mean nothing; that step raises :class:`WireLostError`.

        :raises WireError: the wire is not open, or is closed meanwhile.
        """
        turn = self._turn
        if turn is None:
            raise self._not_open()
        async with turn:
            exchange = Exchange(self, turn)
            failed = True
            try:
                yield exchange
                failed = False
            finally:
                exchange.end(failed=failed)

    async def query(
        self,
        request: bytes,
        *,
        until: bytes | None = None,
        length: int | None = None,
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> bytes:
        """Send a request and return its answer. There is one exchange at a time, in the order of the calls.

        **Late answers.** If this is cancelled or times out after something was sent, the answer may still come, and
        must not be taken for the answer to the next request. So it is *owed*: the next query first waits for it and
        drops it, for at most ``late`` seconds after the time-out. If it has not come by then, TCP and UDP wires
        connect again, so that the late answer gets lost. A serial port has no such means, so there ``timeout`` and
        ``late`` together must be as long as the instrument may ever take.

        **Lost wires.** If the wire is found to be lost before any of the request was sent, it is opened again once
        and the request is sent. If it is lost later, the instrument may have carried the request out, so it is sent
        again, once, only if it is ``repeatable``. Nothing is repeated after a time-out.

        :param request: the bytes to send.
        :param until: the bytes with which the answer ends; they are not returned.
        :param length: how many bytes the answer has. Give either this or ``until``; with UDP and neither of them,
            the answer is the next datagram.
        :param timeout: how many seconds the answer may take, from the moment when the request is sent; by default
            the wire's.
        :param repeatable: whether carrying the request out twice does no harm: true for a question or a position to
            go to, never for a step or a toggle.
        :return: the answer.
        :raises WireTimeoutError: no complete answer came in time. The error says what was sent and what had
            arrived.
        :raises WireLostError: the wire is lost; :attr:`WireLostError.sent` says whether the request may have been
            carried out.
        :raises AnswerTooLongError: the answer has no end within ``max_answer`` bytes.
        :raises WireError: the wire is not open, or cannot be opened again.
        :raises TypeError: neither or both of ``until`` and ``length`` say where the answer ends.
        """
        async with self.exchange() as exchange:
            return await exchange.query(request, until=until, length=length, timeout=timeout, repeatable=repeatable)

    async def send(self, data: bytes, *, timeout: float | None = None, urgent: bool = False) -> None:
        """Send a command that has no answer. Even if this is cancelled, it is sent completely or not at all.

        It waits for its turn, but not for answers that are owed by exchanges that were given up. It is sent again
        only if the wire was found to be lost before any of it was sent.

        :param data: the bytes to send.
        :param timeout: how many seconds the instrument may take to accept them; by default the wire's.
        :param urgent: do not wait for the turn, but send at once, even between somebody else's request and its
            answer. Meant for a stop; only use it for a command that the instrument understands at any time and does
            not answer.
        :raises WireTimeoutError: they could not be sent in time, because of flow control.
        :raises WireLostError: the wire is lost.
        :raises WireError: the wire is not open, or cannot be opened again.
        """
        if urgent and await self._sent_between(data, timeout):
            return
        async with self.exchange() as exchange:
            await exchange.send_at_once(data, self._seconds(timeout))

    async def receive(
        self, *, until: bytes | None = None, length: int | None = None, timeout: float | None = None
    ) -> bytes:
        """Return what the instrument sends next, if it reports by itself; nothing stale is dropped.

        If this is cancelled or times out, nothing is lost: the next call goes on with what has arrived. It waits
        for its turn, and others wait until it has ended; so use a short time-out if the instrument is also asked
        questions. If the wire is lost, it is opened again, once.

        :param until: the bytes with which it ends; they are not returned.
        :param length: how many bytes it has. Give either this or ``until``; with UDP, neither means a datagram.
        :param timeout: how many seconds to wait; by default the wire's.
        :raises WireTimeoutError: nothing complete has arrived in time.
        :raises WireLostError: the wire is lost.
        :raises AnswerTooLongError: more than ``max_answer`` bytes have arrived without an end.
        :raises WireError: the wire is not open, or cannot be opened again.
        """
        async with self.exchange() as exchange:
            return await exchange.receive(until=until, length=length, timeout=timeout)

    async def _sent_between(self, data: bytes, timeout: float | None) -> bool:
        """Send something out of turn; return whether it was sent, which is not possible on a lost line."""
        line = self._line
        if line is None or line.is_lost:
            return False
        check_sendable(data)
        try:
            await line.write(data, anyio.current_time() + self._seconds(timeout))
        except WireLostError as lost:
            if lost.sent or not self.is_open:
                raise
            return False  # the holder of the turn reconnects; then send() takes its own turn
        return True

    async def _reopened(self, turn: anyio.Lock) -> Line:
        """Connect again; only for whoever has the turn."""
        if self._turn is not turn:
            raise self._not_open()
        self._line = await self._connected(turn)
        return self._line

    async def _connected(self, turn: anyio.Lock) -> Line:
        """Return a new line, with the debts of the last one: a serial instrument does not notice a reconnect."""
        old = self._line
        if old is not None:
            old.drop()
        try:
            transport = await self.make_transport()
        except WireError:
            raise
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise WireError(self._name, f"cannot be opened: {reason or error}") from error
        if self._turn is not turn:
            transport.close()
            raise self._not_open()
        owed = None if old is None or self.forgets else old.owed
        if owed is not None:
            # The wire may be opened in another event loop than before, whose clock shows another time.
            owed = owed._replace(until=min(owed.until, anyio.current_time() + owed.seconds))
        return Line(
            transport,
            name=self._name,
            limit_bytes=self._max_answer,
            has_datagrams=self.has_datagrams,
            forgets=self.forgets,
            owed=owed,
        )

    def _seconds(self, timeout: float | None) -> float:
        seconds = self._timeout if timeout is None else timeout
        if not 0 < seconds < math.inf:
            raise ValueError(f"timeout is {seconds}, but must be a number of seconds above 0")
        return seconds

    def _not_open(self) -> WireError:
        return WireError(self._name, "it is not open, or was closed; use 'async with' or open()")
