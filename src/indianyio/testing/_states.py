"""The states that a vector passes, as its client sees them."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import anyio.lowlevel

from indianyio._vocabulary import State
from indianyio.client import Change, Vector
from indianyio.exceptions import ConnectionLostError

__all__ = ["AssertStates", "assert_states"]


def assert_states(vector: Vector[Any], *states: State | str, timeout: float = 5.0) -> AssertStates:
    """Fail unless a vector passes exactly these states, from now on.

    As a block, around what is to bring it about; leaving the block waits for states that are still missing::

        async with assert_states(focuser["ABS_FOCUS_POSITION"], "Busy", "Ok"):
            await focuser.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1200)

    Or awaited, for what is under way already::

        await focuser.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1200, wait=False)
        await assert_states(focuser["ABS_FOCUS_POSITION"], "Busy", "Ok")

    A state that is told several times in a row counts once: Busy with each second of an exposure is one Busy.
    Definitions and updates count, the state before does not. What comes after the last of the states is not waited
    for, but what has come by then must not be more. Without any state, a block must pass without an update.

    :param vector: a vector of a client.
    :param states: the states, in order.
    :param timeout: how long to wait for them at the end of the block, or when awaited, in seconds.
    :return: to be entered or awaited; awaited it returns the states that were seen.
    :raises AssertionError: there were others, or not all of them in time; the text shows what there was. An
        exception of the block comes out instead, with that text as a note.
    :raises ValueError: a word is not the name of a state.
    """
    return AssertStates(vector, tuple(State(state) for state in states), timeout)


class AssertStates:
    """Records the states of a vector; :func:`assert_states` makes one."""

    def __init__(self, vector: Vector[Any], states: tuple[State, ...], timeout: float) -> None:
        self._vector = vector
        self._expected = [one for one, before in zip(states, (None, *states), strict=False) if one != before]
        self._timeout = timeout
        self._record = _Record(vector)
        self._listening = ExitStack()
        # The record is listening, not this: so this can notice that it is forgotten.
        self._listening.enter_context(vector._actions.listening(self._record.note))
        self._is_used = False

    @property
    def seen(self) -> list[State]:
        """The states so far."""
        return self._record.seen

    async def __aenter__(self) -> Self:
        self._is_used = True
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._wait()  # noqa: ASYNC102 - the block ended by itself; a cancellation is an error
        else:
            self._listening.close()
            error.add_note(self._record.story(self._expected))

    def __await__(self) -> Generator[Any, Any, list[State]]:
        self._is_used = True
        return self._wait().__await__()

    def __del__(self) -> None:
        self._listening.close()
        if not self._is_used:
            warnings.warn("assert_states() was neither awaited nor entered", RuntimeWarning, stacklevel=2)

    async def _wait(self) -> list[State]:
        when = ""
        try:
            await self._vector._actions.wait_until(self._is_decided, what=str, timeout=self._timeout)
        except TimeoutError:
            when = f" within {self._timeout:g} s"
        except ConnectionLostError:
            when = " before the connection was lost"
        finally:
            self._listening.close()
        if self.seen != self._expected:
            raise AssertionError(self._record.story(self._expected, when))
        return self.seen

    def _is_decided(self) -> bool:
        seen = self.seen
        return seen == self._expected or seen != self._expected[: len(seen)]


class _Record:
    """What became of a vector: its states, and the updates that brought them."""

    def __init__(self, vector: Vector[Any]) -> None:
        self.seen: list[State] = []
        self._vector = vector
        self._before = vector.state
        self._lines: list[str] = []

    def note(self, change: Change) -> None:
        """Take a change, if it is one of the vector."""
        if change.vector is not self._vector or change.kind not in ("defined", "updated"):
            return
        self._lines.append(f"{change.kind}: {self._vector!r}" + (f" {change.message!r}" if change.message else ""))
        if self._vector.state != (self.seen[-1] if self.seen else None):
            self.seen.append(self._vector.state)

    def story(self, expected: Sequence[State], when: str = "") -> str:
        """Return what there was, for people: the states, and the first and last of the updates."""
        name = f"{self._vector.device}.{self._vector.name}"
        seen, wanted = (", ".join(states) or "no state" for states in (self.seen, expected))
        lines = self._lines if len(self._lines) <= 20 else [*self._lines[:10], "...", *self._lines[-9:]]
        return "\n  ".join([f"{name} was {self._before}, and passed {seen}{when} instead of {wanted}:", *lines])
