"""The states that a vector passes through, as its client sees them."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeAlias, overload

import anyio.lowlevel

from indianyio._model._attributes import require_word
from indianyio._vocabulary import State
from indianyio.client import Change, Device, Vector
from indianyio.client._writes import name_of
from indianyio.exceptions import ConnectionLostError
from indianyio.properties import Values

__all__ = ["AssertStates", "assert_states"]


@overload
def assert_states(vector: Vector[Any], /, *states: State | str, timeout: float = 5.0) -> AssertStates: ...


@overload
def assert_states(
    device: Device, vector: str | type[Values], /, *states: State | str, timeout: float = 5.0
) -> AssertStates: ...


def assert_states(vector: Vector[Any] | Device, /, *states: object, timeout: float = 5.0) -> AssertStates:
    """Fail unless a vector passes through exactly these states, from now on.

    Use it as a block around whatever causes the states; leaving the block waits for states that are still missing::

        async with assert_states(focuser["ABS_FOCUS_POSITION"], "Busy", "Ok"):
            await focuser.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1200)

    Or await it, for something that is under way already::

        await focuser.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1200, wait=False)
        await assert_states(focuser["ABS_FOCUS_POSITION"], "Busy", "Ok")

    A device and a class of values also name a vector: ``assert_states(focuser, AbsFocusPosition, "Busy", "Ok")``.
    If the device has no such vector yet, this waits for it as :meth:`~indianyio.client.Device.set` does, up to two
    seconds: a driver may define properties of a connected device only after it has said that it is connected.

    A state that is reported several times in a row counts once: Busy in every second of an exposure is one Busy.
    Definitions and updates count, the state before does not. States after the last of these are not waited for, but
    none may have come by then. Without any states, the block must pass without an update.

    :param vector: a vector of a client; or a device of a client, followed, before the states, by the name of a
        vector or its class of values.
    :param states: the states, in order.
    :param timeout: how long to wait for them at the end of the block, or when awaited, in seconds.
    :return: an object to be entered or awaited; awaited, it returns the states that were seen.
    :raises AssertionError: there were other states, or not all of these in time; the text shows what there was. If
        the block raises an exception, that comes out instead, with this text as a note.
    :raises ValueError: a word is not the name of a state.
    :raises UnknownVectorError: the device has no such vector.
    """
    finding: _Finding
    if isinstance(vector, Device):
        finding, states = (vector, name_of(states[0] if states else None)), states[1:]
    else:
        finding = vector
    return AssertStates(finding, tuple(require_word(State, state, "a state") for state in states), timeout)


_Finding: TypeAlias = "Vector[Any] | tuple[Device, str]"
"""A vector, or where it is to be found."""


class AssertStates:
    """Records the states of a vector; :func:`assert_states` makes one."""

    def __init__(self, vector: _Finding, states: tuple[State, ...], timeout: float) -> None:
        self._listening = ExitStack()
        self._is_used = True  # until there is something to use
        self._finding = vector
        self._expected = [one for one, before in zip(states, (None, *states), strict=False) if one != before]
        self._timeout = timeout
        self._record: _Record | None = None
        if not isinstance(vector, tuple):
            self._listen(vector)
        elif vector[1] in vector[0]:
            self._listen(vector[0][vector[1]])
        self._is_used = False

    def _listen(self, vector: Vector[Any]) -> _Record:
        self._record = _Record(vector)
        # The record listens, not this object, so that __del__ can notice that this has been forgotten.
        self._listening.enter_context(vector._actions.listening(self._record.note))
        return self._record

    async def _recording(self) -> _Record:
        """Return the record; begin it now, if there was no vector to record before."""
        if self._record is not None:
            return self._record
        assert isinstance(self._finding, tuple)
        device, name = self._finding
        return self._listen(await device._defined(name, 2.0))

    @property
    def seen(self) -> list[State]:
        """The states so far."""
        return self._record.seen if self._record else []

    async def __aenter__(self) -> Self:
        self._is_used = True
        await anyio.lowlevel.checkpoint()
        await self._recording()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._wait()  # noqa: ASYNC102 - the block ended by itself; a cancellation is an error
            return
        self._listening.close()
        if self._record is not None:
            error.add_note(self._record.story(self._expected))

    def __await__(self) -> Generator[Any, Any, list[State]]:
        self._is_used = True
        return self._wait().__await__()

    def __del__(self) -> None:
        self._listening.close()
        if not self._is_used:
            warnings.warn("assert_states() was neither awaited nor entered", RuntimeWarning, stacklevel=2)

    async def _wait(self) -> list[State]:
        record = await self._recording()
        when = ""
        try:
            await record.vector._actions.wait_until(self._is_decided, what=str, timeout=self._timeout)
        except TimeoutError:
            when = f" within {self._timeout:g} s"
        except ConnectionLostError:
            when = " before the connection was lost"
        finally:
            self._listening.close()
        if self.seen != self._expected:
            raise AssertionError(record.story(self._expected, when))
        return self.seen

    def _is_decided(self) -> bool:
        seen = self.seen
        return seen == self._expected or seen != self._expected[: len(seen)]


class _Record:
    """The states of a vector, and the updates that brought them."""

    def __init__(self, vector: Vector[Any]) -> None:
        self.seen: list[State] = []
        self.vector = vector
        self._before = vector.state
        self._lines: list[str] = []

    def note(self, change: Change) -> None:
        """Record a change, if it concerns the vector."""
        if change.vector is not self.vector or change.kind not in ("defined", "updated"):
            return
        self._lines.append(f"{change.kind}: {self.vector!r}" + (f" {change.message!r}" if change.message else ""))
        if self.vector.state != (self.seen[-1] if self.seen else None):
            self.seen.append(self.vector.state)

    def story(self, expected: Sequence[State], when: str = "") -> str:
        """Return what happened, for people: the states, and the first and last of the updates."""
        name = f"{self.vector.device}.{self.vector.name}"
        seen, wanted = (", ".join(states) or "no state" for states in (self.seen, expected))
        lines = self._lines if len(self._lines) <= 20 else [*self._lines[:10], "...", *self._lines[-9:]]
        return "\n  ".join(
            [f"{name} was {self._before}, and passed through {seen}{when} instead of {wanted}:", *lines]
        )
