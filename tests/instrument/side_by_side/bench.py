"""Two drivers beside each other: ours in memory, libindi's as a program; each has our client."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple, TypeAlias

import anyio

from indianyio import State, simulators
from indianyio.client import Device, open_client
from indianyio.instrument import Instrument
from indianyio.protocol import DefVector, DelProperty, Frame, Framer, SetVector, WireMessage, decode
from indianyio.streams import ByteStream, Received, SocketStream
from indianyio.streams._base import WrappingStream
from indianyio.testing import driver_client

__all__ = ["Did", "Pair", "Side", "Step", "our_side", "their_side"]

Written: TypeAlias = float | bool | str

ANSWER_SECONDS = 2.0
"""How long a driver may say nothing about the vector that was written to: then it has not answered."""

END_SECONDS = 20.0
"""How long what was asked for may take."""


class Pair(NamedTuple):
    """Two drivers of the same kind of device.

    :ivar simulator: ours.
    :ivar program: libindi's.
    :ivar kinds: the parts of the catalogue that say which properties are standard.
    :ivar first: what is to be switched on before the device is connected.
    """

    simulator: str
    program: str
    kinds: tuple[str, ...]
    first: tuple[str, str] | None = None


class Step(NamedTuple):
    """One thing that a client asks for.

    :ivar what: what that is, in words.
    :ivar vector: what it writes to.
    :ivar values: what it writes.
    :ivar is_offset: whether the values are to be added to the present ones.
    :ivar busy: the vectors that may be Busy with it: it has ended when none of them is.
    :ivar is_left: whether it is left going on, for the next step.
    :ivar is_refused: whether it cannot be done.
    :ivar quiet_seconds: how long afterwards more may come that belongs to it.
    """

    what: str
    vector: str
    values: Mapping[str, Written]
    busy: tuple[str, ...] = ()
    is_offset: bool = False
    is_left: bool = False
    is_refused: bool = False
    quiet_seconds: float = 0.3


class Did(NamedTuple):
    """What a driver did upon a step.

    :ivar states: the states through which each vector went. Of that which was written to, all that were sent, but
        for the one in which it was idle if another follows: a position that is told every second may come just
        before the answer. Of the others, those into which they changed.
    :ivar values: the values of the vector written to, or by how much they have changed if that was asked for; and
        the values of those that may be Busy with it.
    :ivar has_said: whether a message for people came.
    :ivar defined: the names of the vectors that were defined.
    :ivar deleted: and of those that were deleted.
    """

    states: dict[str, str]
    values: dict[str, dict[str, object]]
    has_said: bool
    defined: set[str]
    deleted: set[str]


class _Tap(WrappingStream):
    """A stream that keeps what is received."""

    def __init__(self, stream: ByteStream) -> None:
        super().__init__(stream)
        self.messages: list[WireMessage] = []
        self._framer = Framer()

    async def receive(self) -> Received:
        received = await super().receive()
        for item in self._framer.feed(received.data):
            message = decode(item) if isinstance(item, Frame) else item
            if isinstance(message, WireMessage):
                self.messages.append(message)
        return received


class Side:
    """A driver's device, as a client has it, and all that the driver said."""

    def __init__(self, device: Device, tap: _Tap) -> None:
        self.device = device
        self._messages = tap.messages

    def definitions(self) -> dict[str, DefVector]:
        """Return each vector as it was defined first."""
        found: dict[str, DefVector] = {}
        for message in self._messages:
            if isinstance(message, DefVector):
                found.setdefault(str(message.name), message)
        return found

    async def perform(self, step: Step) -> Did:
        """Ask for something, wait until it is done, and return what was done."""
        start = len(self._messages)
        before = {name: vector.state for name, vector in self.device.items()}
        vectors = (step.vector, *step.busy)
        origin = self._numbers(step.vector) if step.is_offset else {}
        wanted = {
            name: _moved(name, origin[name], float(value)) if step.is_offset else value
            for name, value in step.values.items()
        }
        await self.device[step.vector].set(wanted, wait=False, validate=False)
        with anyio.move_on_after(ANSWER_SECONDS):
            await self.device.wait_for(lambda _: self._is_answered(step.vector, start))
        if not step.is_left:
            with anyio.move_on_after(END_SECONDS):
                await self.device.wait_for(lambda _: not self._is_busy(vectors))
        await anyio.sleep(step.quiet_seconds)
        did = self._what_was_done(step, vectors, before, self._messages[start:])
        if origin and not step.is_left:
            now = self._numbers(step.vector)
            did.values[step.vector] = {name: _moved(name, now[name], -origin[name], turns=0.5) for name in origin}
        return did

    def _numbers(self, name: str) -> dict[str, float]:
        return {member: float(value) for member, value in self.device[name].items()}

    def _is_answered(self, name: str, start: int) -> bool:
        return any(isinstance(message, SetVector) and message.name == name for message in self._messages[start:])

    def _is_busy(self, names: tuple[str, ...]) -> bool:
        return any(self.device[name].state is State.BUSY for name in names if name in self.device)

    def _what_was_done(
        self, step: Step, vectors: tuple[str, ...], before: Mapping[str, State], said: list[WireMessage]
    ) -> Did:
        states: dict[str, list[str]] = {}
        for message in said:
            if isinstance(message, SetVector) and message.state is not None:
                states.setdefault(str(message.name), []).append(str(message.state))
        return Did(
            {
                name: _changes(before.get(name), all_of, is_own=name == step.vector)
                for name, all_of in states.items()
            },
            {name: dict(self.device[name]) for name in vectors if name in self.device and not step.is_left},
            any(getattr(message, "message", None) for message in said),
            {str(message.name) for message in said if isinstance(message, DefVector)},
            {str(message.name) for message in said if isinstance(message, DelProperty)},
        )


def _moved(name: str, value: float, by: float, turns: float = 0) -> float:
    """Return a value moved by an offset; right ascension stays within a day from so many turns before 0."""
    return (value + by + 24 * turns) % 24 - 24 * turns if name == "RA" else value + by


def _changes(before: State | None, states: list[str], *, is_own: bool) -> str:
    """Return the states without repetitions, and without the one before unless it is the answer."""
    changes = [after for now, after in zip(["", *states], states, strict=False) if now != after]
    if is_own and (len(changes) == 1 or before is State.BUSY):
        return " ".join(changes)
    return " ".join(changes[1:] if before is None or changes[0] == str(before) else changes)


# -- the sides -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def our_side(pair: Pair) -> AsyncGenerator[Side]:
    """Run our simulator, for as long as the block lasts."""
    driver = getattr(simulators, pair.simulator)()
    assert isinstance(driver, Instrument)
    taps: list[_Tap] = []

    def tapped(stream: ByteStream) -> ByteStream:
        taps.append(_Tap(stream))
        return taps[0]

    async with driver_client(driver, validate=False, wrap=tapped) as (_, client):
        yield Side(await client.device(driver.device.devicename, timeout=10), taps[0])


@asynccontextmanager
async def their_side(pair: Pair) -> AsyncGenerator[Side]:
    """Run libindi's simulator, for as long as the block lasts."""
    with _program(pair.program) as sock:
        tap = _Tap(SocketStream(sock, name=pair.program))
        async with open_client(stream=tap, validate=False) as client:
            await client.wait_for(lambda it: len(it) > 0, timeout=10)
            yield Side(client[next(iter(client))], tap)


@contextmanager
def _program(program: str) -> Iterator[socket.socket]:
    near, far = socket.socketpair()
    with far:
        process = subprocess.Popen([program], stdin=far.fileno(), stdout=far.fileno(), stderr=subprocess.DEVNULL)
    with process:
        try:
            yield near
        finally:
            process.kill()
