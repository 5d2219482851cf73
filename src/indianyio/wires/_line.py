"""One open connection to an instrument: what was sent, what has arrived, and which answer is still to come.

Instruments number neither requests nor answers; an answer belongs to a request only because it comes after it. So a
request that was given up (cancelled or timed out) leaves a debt: its answer may still come, and would be taken for
the answer to the next request. The line remembers what the owed answer looks like and how long it may take, and
:meth:`Line.settle` waits for it before anything else is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

import anyio
import anyio.lowlevel

from indianyio.exceptions import AnswerTooLongError, WireLostError, WireTimeoutError
from indianyio.wires._answers import AnswerForm, shown
from indianyio.wires._transports import Transport

__all__ = ["LOG", "Line", "Owed"]

LOG = logging.getLogger("indianyio.wires")

# How long a wire may take to send its last bytes when it is closed: enough for 900 bytes at 9600 baud.
_DRAIN_SECONDS = 1.0
# How many reads of stale input there are before a request goes out: 1 MiB, if the instrument never stops sending.
_MOST_READS = 256


class Owed(NamedTuple):
    """An answer that may still come.

    :ivar form: what it looks like; ``None`` if nobody has said yet.
    :ivar until: the time after which it is no longer expected, by the event loop's clock.
    :ivar seconds: how long it was to be waited for altogether.
    :ivar may_be_resumed: whether the next ``receive`` goes on waiting for it, because the last one was cut short.
    """

    form: AnswerForm | None
    until: float
    seconds: float
    may_be_resumed: bool = False


class Line:
    """An open connection, and what is known about it.

    :param transport: carries the bytes; closed with the line.
    :param name: the wire, for errors and log lines.
    :param limit_bytes: the longest answer.
    :param has_datagrams: whether what arrives together belongs together.
    :param forgets: whether a new connection does not get the late answers of the old one.
    :param owed: an answer that may still come, from before the connection was lost.
    :ivar is_lost: whether it was lost, or closed.
    :ivar owed: an answer that may still come.
    :ivar unanswered: what was sent since the last answer.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        name: str,
        limit_bytes: int,
        has_datagrams: bool,
        forgets: bool,
        owed: Owed | None = None,
    ) -> None:
        self.is_lost = False
        self.owed = owed
        self.unanswered = b""
        self._transport = transport
        self._name = name
        self._limit_bytes = limit_bytes
        self._has_datagrams = has_datagrams
        self._forgets = forgets
        self._arrived = bytearray()
        self._end = "closed at this end"
        self._sending = anyio.Lock()
        self._is_reading = False

    async def write(self, data: bytes, deadline: float, *, owed: Owed | None = None, discard: bool = False) -> None:
        """Send bytes, all of them or none.

        If this is cancelled before the first byte has been sent, nothing is sent. After that it cannot be
        cancelled, because half a command would spoil the next one.

        :param deadline: when to give up, by the event loop's clock.
        :param owed: the answer that is to be expected as soon as anything has been sent.
        :param discard: whether to drop what has arrived until now, which cannot be an answer to what is sent now.
        :raises WireTimeoutError: the instrument, or its flow control, has not accepted them in time. If a part has
            been sent the line is lost, because only a new connection gets rid of half a command.
        :raises WireLostError: the connection is lost.
        """
        sent = 0
        with anyio.CancelScope(deadline=deadline) as scope:
            async with self._sending:
                self._look(discard=discard)
                while True:
                    sent += self._write_now(data, sent)
                    if sent:
                        scope.shield = True
                        self.owed = owed or self.owed
                    if sent == len(data):
                        break
                    await self._wait(self._transport.until_writable, data[:sent])
        if sent < len(data):
            raise self._not_taken(data, sent)
        LOG.debug("%s: sent %s", self._name, _Shown(data))

    async def answer(self, form: AnswerForm, deadline: float, sent: bytes) -> bytes | None:
        """Wait for an answer and return it without the bytes that end it; ``None`` if it has not come in time.

        If it is cancelled or out of time, what has arrived is kept for the next call.

        :param deadline: when to give up, by the event loop's clock.
        :param sent: the request, for errors.
        :raises WireLostError: the connection is lost.
        :raises AnswerTooLongError: more than the limit has arrived; that is dropped.
        """
        began = anyio.current_time()
        answer = None
        with self._reading(), anyio.CancelScope(deadline=deadline):
            while (answer := self._take(form, sent)) is None:
                await self._fill(sent)
        # If the event loop itself was late, the answer may have come in time.
        while answer is None and (data := self._read_now(sent)):
            self._arrived += data
            answer = self._take(form, sent)
        if answer is not None:
            self.owed = None
            self.unanswered = b""
            LOG.debug("%s: received %s after %.3f s", self._name, _Shown(answer), anyio.current_time() - began)
        return answer

    async def settle(self) -> None:
        """Wait until the answer that is owed has come, or can no longer be expected, and drop it.

        If it is cancelled, the next call continues.

        :raises WireLostError: the connection is lost; or the answer has not come, and only a new connection is safe
            from it.
        """
        if self.owed is None:
            return
        form, until, *_ = self.owed
        LOG.debug("%s: waiting first for an answer that is owed", self._name)
        with self._reading(), anyio.CancelScope(deadline=until):
            while form is None or (end := form.end_in(self._arrived)) is None:
                if form is None or len(self._arrived) > self._limit_bytes:
                    self._drop(len(self._arrived), "nobody is waiting for it any more")
                await self._fill(b"")
            self._drop(end[1], "late answer")
            self.owed = None
            return
        self.owed = None
        self._discard()
        if self._forgets:
            raise self._lost("an answer is overdue, and only a new connection is safe from it", b"")

    @property
    def arrived(self) -> bytes:
        """What has arrived and has not been returned."""
        return bytes(self._arrived)

    async def close(self) -> None:
        """Close the connection after everything has been sent; this may take a second, and cannot be cancelled."""
        self.is_lost = True
        try:
            with anyio.move_on_after(_DRAIN_SECONDS, shield=True):
                await self._transport.until_sent()
        finally:
            self._transport.close()

    def drop(self) -> None:
        """Close the connection at once."""
        self.is_lost = True
        self._transport.close()

    def _look(self, *, discard: bool) -> None:
        """Check that the other end has not hung up before anything is sent: the kernel would accept it anyway.

        The end of a connection comes after everything that was sent before, so all of that is read.

        :raises WireLostError: the other end has hung up.
        """
        if self._is_reading:
            # The task that waits for an answer will see the end, and must not lose bytes of its answer to this one.
            return
        if discard:
            self._discard()
        elif not self._has_datagrams:  # datagrams must not run together, and have no end of connection anyway
            self._gather()

    def _discard(self) -> None:
        for _ in range(_MOST_READS):
            self._drop(len(self._arrived), "stale input")
            self._arrived += self._read_now(b"")
            if not self._arrived:
                break

    def _gather(self) -> None:
        for _ in range(_MOST_READS):
            if len(self._arrived) > self._limit_bytes:
                self._drop(len(self._arrived), "nobody has asked for it")
            data = self._read_now(b"")
            if not data:
                break
            self._arrived += data

    @contextmanager
    def _reading(self) -> Generator[None]:
        self._is_reading = True
        try:
            yield
        finally:
            self._is_reading = False

    async def _fill(self, sent: bytes) -> None:
        """Wait for something to arrive, but first let others run: an instrument may never stop sending."""
        await anyio.lowlevel.checkpoint()
        data = self._read_now(sent)
        if not data:
            await self._wait(self._transport.until_readable, sent)
            data = self._read_now(sent)
        self._arrived += data

    def _take(self, form: AnswerForm, sent: bytes) -> bytes | None:
        end = form.end_in(self._arrived)
        if (len(self._arrived) if end is None else end[0]) > self._limit_bytes:
            received = bytes(self._arrived)
            self._arrived.clear()
            raise AnswerTooLongError(
                self._name,
                f"the answer to {shown(sent)} has no end within {self._limit_bytes} bytes; it begins with "
                f"{shown(received)}",
                sent=sent,
                received=received,
            )
        if end is None:
            return None
        answer = bytes(self._arrived[: end[0]])
        del self._arrived[: end[1]]
        return answer

    def _drop(self, length: int, why: str) -> None:
        if length:
            LOG.debug("%s: dropped %s (%s)", self._name, _Shown(bytes(self._arrived[:length])), why)
            del self._arrived[:length]

    def _read_now(self, sent: bytes) -> bytes:
        try:
            return self._transport.read()
        except (OSError, anyio.ClosedResourceError) as error:
            raise self._failed(error, sent) from error

    def _write_now(self, data: bytes, sent: int) -> int:
        try:
            return self._transport.write(data[sent:])
        except (OSError, anyio.ClosedResourceError) as error:
            raise self._failed(error, data[:sent]) from error

    async def _wait(self, until_ready: Callable[[], Awaitable[None]], sent: bytes) -> None:
        try:
            await until_ready()
        except (OSError, anyio.ClosedResourceError) as error:
            raise self._failed(error, sent) from error

    def _failed(self, error: Exception, sent: bytes) -> WireLostError:
        if isinstance(error, OSError):
            self._end = error.strerror or str(error)
        return self._lost(self._end, sent)

    def _lost(self, reason: str, sent: bytes) -> WireLostError:
        """Close the line and return the error that says why."""
        self._end = reason
        if not self.is_lost:
            LOG.info("%s: lost: %s", self._name, reason)
        self.drop()
        text = f"{reason}, after {shown(sent)} was sent, which may have been carried out" if sent else reason
        return WireLostError(self._name, text, sent=sent)

    def _not_taken(self, data: bytes, sent: int) -> WireTimeoutError:
        if sent:
            self._lost(f"the instrument accepts no more after {sent} of {len(data)} bytes", data[:sent])
        return WireTimeoutError(
            self._name,
            f"only {sent} of the {len(data)} bytes {shown(data)} could be sent in time; "
            "is it switched on, and is the flow control right?",
            sent=data[:sent],
            received=bytes(self._arrived),
        )


class _Shown:
    """Bytes that are turned into text only if the log line is really written."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __str__(self) -> str:
        return shown(self._data)
