"""A wire without an instrument, for tests and simulations: it answers as it was told to.

Nothing here runs by itself: whatever the instrument sends has a time of arrival, until which the reader waits. So
with a virtual clock it takes no time at all.
"""

from __future__ import annotations

import enum
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias, Unpack

import anyio
import anyio.lowlevel

from indianyio.exceptions import WireError
from indianyio.wires._answers import shown
from indianyio.wires._network import WireOptions
from indianyio.wires._wire import Wire

__all__ = ["Dialogue", "FakeWire", "Fault", "Pause", "Reply", "Turn"]


class Fault(enum.Enum):
    """What happens to the wire in the middle of a reply."""

    LOST = "lost"
    """The connection is lost; it can be opened again at once."""
    UNPLUGGED = "unplugged"
    """The connection is lost, and cannot be opened until :meth:`FakeWire.plug_in`."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The instrument sends nothing for some time.

    :ivar seconds: for how long.
    """

    seconds: float


Reply: TypeAlias = bytes | Pause | Fault | Sequence[bytes | Pause | Fault] | Callable[[bytes], "Reply"] | None
"""The reply to a request: nothing, bytes, or several things in order. A function is called with the request and
returns the reply."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request that is expected, and the reply to it; a plain tuple of both will do as well.

    :ivar request: the bytes, or a pattern that the whole request must match.
    :ivar reply: what the instrument sends.
    """

    request: bytes | re.Pattern[bytes]
    reply: Reply = None

    def fits(self, request: bytes) -> bool:
        """Return whether this is the request that is expected."""
        if isinstance(self.request, bytes):
            return self.request == request
        return self.request.fullmatch(request) is not None

    def __str__(self) -> str:
        """Return what is expected, for people."""
        if isinstance(self.request, bytes):
            return shown(self.request)
        return f"a request that matches {self.request.pattern!r}"


Dialogue: TypeAlias = (
    Sequence[Turn | tuple[bytes | re.Pattern[bytes], Reply]] | Mapping[bytes, Reply] | Callable[[bytes], Reply]
)
"""The requests and replies for a :class:`FakeWire`: a script, a table, or a function."""


class FakeWire(Wire):
    """A wire that answers from a script, and complains about requests that are not in it.

    ::

        wire = FakeWire([
            (b":GP#", b"1200#"),
            (b":SN0500#", None),                          # a command without an answer
            (b":GP#", [b"12", Pause(0.5), b"50#"]),       # late, in pieces
            (re.compile(b":SN[0-9]{4}#"), Fault.LOST),    # lost after it was sent
        ])
        async with wire:
            ...

    An unexpected request raises an :class:`AssertionError` that says what was expected instead; so does the end of
    the block if a request did not come. A test that calls :meth:`open` and :meth:`close` itself should call
    :meth:`assert_all_used` too.

    :param dialogue: the requests and replies, in order; or a mapping, whose requests may come any number of times;
        or a function, which gets each request and returns the reply, like a simulated instrument.
    :param name: what errors and log lines call it.
    :param has_datagrams: whether an answer may be a datagram, as with :class:`UdpWire`.
    :param forgets: whether what the instrument still has to send is lost when the wire is opened again, as with TCP
        and UDP. On a serial port the instrument goes on sending.
    :param options: those of :class:`Wire`.
    :ivar requests: what has been sent so far.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        *,
        name: str = "fake wire",
        has_datagrams: bool = False,
        forgets: bool = False,
        **options: Unpack[WireOptions],
    ) -> None:
        super().__init__(name, **options)
        self.has_datagrams = has_datagrams
        self.forgets = forgets
        self.requests: list[bytes] = []
        self._answers: Mapping[bytes, Reply] | Callable[[bytes], Reply] | None = None
        self._turns: list[Turn] = []
        if isinstance(dialogue, Mapping) or callable(dialogue):
            self._answers = dialogue
        else:
            self._turns = [turn if isinstance(turn, Turn) else Turn(*turn) for turn in dialogue]
        self._used = 0
        self._surprise: AssertionError | None = None
        self._instrument = _Instrument()

    async def make_transport(self) -> FakeTransport:
        """Connect, as :meth:`Wire.make_transport` does."""
        await anyio.lowlevel.checkpoint()
        if not self._instrument.is_plugged_in:
            raise WireError(self.name, "there is no such port; it is unplugged")
        self._instrument.connect(forgets=self.forgets)
        return FakeTransport(self._instrument, self._reply_to)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, and complain about requests that did not come, unless there is an error already."""
        await super().__aexit__(kind, error, trace)  # noqa: ASYNC102 - close() has its own shield and deadline
        if kind is None:
            self.assert_all_used()

    def assert_all_used(self) -> None:
        """Check that all requests came and no others, even if somebody has caught the complaint.

        :raises AssertionError: a request did not come, or was unexpected.
        """
        if self._surprise is not None:
            raise self._surprise
        if left := self._turns[self._used :]:
            raise AssertionError(
                f"{self.name}: {len(left)} of {len(self._turns)} requests did not come; the next is {left[0]}"
            )

    def arrive(self, *reply: bytes | Pause | Fault) -> None:
        """Have the instrument send something by itself, after what it still has to send."""
        self._instrument.will_send(reply)

    def unplug(self) -> None:
        """Lose the connection; the wire cannot be opened until :meth:`plug_in`."""
        self._instrument.will_send([Fault.UNPLUGGED], at_once=True)
        self._instrument.is_plugged_in = False

    def plug_in(self) -> None:
        """Allow the wire to be opened again."""
        self._instrument.is_plugged_in = True

    def _reply_to(self, request: bytes) -> None:
        """Take a request, and have the instrument send the reply.

        :raises AssertionError: the request was not expected.
        """
        self.requests.append(request)
        reply = self._looked_up(request)
        while callable(reply):
            reply = reply(request)
        parts = [reply] if isinstance(reply, bytes | Pause | Fault) else list(reply or ())
        self._instrument.will_send(parts)

    def _looked_up(self, request: bytes) -> Reply:
        if callable(self._answers):
            return self._answers(request)
        if self._answers is not None:
            if request not in self._answers:
                known = ", ".join(map(shown, self._answers)) or "nothing"
                raise self._surprised(request, f"there are only replies to {known}")
            return self._answers[request]
        if self._used == len(self._turns):
            raise self._surprised(request, f"all {len(self._turns)} requests of the dialogue have come already")
        turn = self._turns[self._used]
        if not turn.fits(request):
            raise self._surprised(request, f"{turn} is expected, number {self._used + 1} of {len(self._turns)}")
        self._used += 1
        return turn.reply

    def _surprised(self, request: bytes, instead: str) -> AssertionError:
        before = f"; the request before it was {shown(self.requests[-2])}" if len(self.requests) > 1 else ""
        error = AssertionError(f"{self.name}: unexpected request {shown(request)}: {instead}{before}")
        self._surprise = self._surprise or error
        return error


class _Instrument:
    """What the instrument has sent and is still under way, each part with its time of arrival."""

    def __init__(self) -> None:
        self.is_plugged_in = True
        self._coming: deque[tuple[float, bytes | Fault]] = deque()
        self._changed: anyio.Event | None = None

    def will_send(self, parts: Iterable[bytes | Pause | Fault], *, at_once: bool = False) -> None:
        """Send parts one after the other, after what is under way, or (``at_once``) instead of it."""
        at = anyio.current_time()
        if at_once:
            self._coming.clear()
        elif self._coming:
            at = max(at, self._coming[-1][0])
        for part in parts:
            if isinstance(part, Pause):
                at += part.seconds
            else:
                self._coming.append((at, part))
        self.wake()

    def connect(self, *, forgets: bool) -> None:
        """Connect again after the connection was lost, with or without what is under way."""
        while self._coming and (forgets or (isinstance(self._coming[0][1], Fault) and self._is_due())):
            self._coming.popleft()

    def take(self) -> bytes:
        """Return what has arrived.

        :raises OSError: the connection is lost.
        """
        if not self._is_due():
            return b""
        _, part = self._coming.popleft()
        if isinstance(part, Fault):
            self.is_plugged_in = self.is_plugged_in and part is not Fault.UNPLUGGED
            raise ConnectionResetError(f"{part.value}, as the dialogue says")
        return part

    def _due(self) -> float:
        return self._coming[0][0] if self._coming else float("inf")

    def _is_due(self) -> bool:
        return self._due() <= anyio.current_time()

    def fail(self) -> None:
        """Check that the connection is not lost.

        :raises OSError: it is lost.
        """
        if self._is_due() and isinstance(self._coming[0][1], Fault):
            self.take()

    async def until_due(self) -> None:
        """Wait until something may have arrived."""
        while not self._is_due():
            self._changed = self._changed or anyio.Event()
            with anyio.CancelScope(deadline=self._due()):
                await self._changed.wait()

    def wake(self) -> None:
        """Make everybody who waits look again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None


class FakeTransport:
    """A :class:`Transport` to an instrument that does not exist."""

    def __init__(self, instrument: _Instrument, reply_to: Callable[[bytes], None]) -> None:
        self._instrument = instrument
        self._reply_to = reply_to
        self._is_closed = False

    def read(self) -> bytes:
        """Return what has arrived, as :meth:`Transport.read` does."""
        self._check_open()
        return self._instrument.take()

    def write(self, data: bytes) -> int:
        """Send all the bytes, as :meth:`Transport.write` does.

        :raises AssertionError: they are not what the dialogue expects.
        """
        self._check_open()
        self._instrument.fail()
        self._reply_to(data)
        return len(data)

    async def until_readable(self) -> None:
        """Wait until something arrives, or this is closed."""
        self._check_open()
        await self._instrument.until_due()
        self._check_open()

    async def until_writable(self) -> None:
        """Return at once: everything that is written is accepted immediately."""
        self._check_open()

    async def until_sent(self) -> None:
        """Return at once: everything has been sent."""

    def close(self) -> None:
        """Close it; whoever waits for it is told."""
        self._is_closed = True
        self._instrument.wake()

    def _check_open(self) -> None:
        if self._is_closed:
            raise anyio.ClosedResourceError
