"""Polling: functions that are called again and again while an instrument is connected."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import anyio

from indianyio._failures import described
from indianyio._rated_log import RatedLog
from indianyio.instrument._running._host import Host
from indianyio.protocol._text import brief

__all__ = ["Poll", "Polling"]

logger = logging.getLogger(__name__)


class Poll(NamedTuple):
    """A function that is called again and again.

    :ivar function: the function.
    :ivar seconds: returns how long to wait until the next call.
    """

    function: Callable[[], Awaitable[object]]
    seconds: Callable[[], float]


class Polling:
    """Calls functions again and again, from :meth:`start` to :meth:`stop`.

    :param polls: the functions.
    :param name: the instrument, for log lines.
    :param host: the run that owns the tasks.
    :param tell: tells clients of an error, in a line for people.
    """

    def __init__(
        self, polls: Sequence[Poll], name: str, host: Host, tell: Callable[[str], Awaitable[None]]
    ) -> None:
        self._polls = polls
        self._name = name
        self._host = host
        self._tell = tell
        self._running: list[tuple[anyio.CancelScope, anyio.Event]] = []
        self._failing: set[Poll] = set()
        self._log = RatedLog(logger)

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._running:
            return
        for poll in self._polls:
            scope, ended = anyio.CancelScope(), anyio.Event()
            if self._host.run_beside(self._call_again_and_again(poll, scope, ended)):
                self._running.append((scope, ended))

    async def stop(self) -> None:
        """Stop calling, and wait at most ``grace`` seconds for the calls that are under way."""
        running, self._running = self._running, []
        for scope, _ in running:
            scope.cancel("the instrument is disconnected")
        with anyio.move_on_after(self._host.grace):
            for _, ended in running:
                await ended.wait()

    async def _call_again_and_again(self, poll: Poll, scope: anyio.CancelScope, ended: anyio.Event) -> None:
        def is_cancelled() -> bool:
            return scope.cancel_called or self._host.is_ending()

        guard = self._host.guard(is_cancelled)
        try:
            with scope:
                while True:
                    failure = await guard.failure_of(poll.function)
                    if failure is None:
                        self._failing.discard(poll)
                    else:
                        await self._note(poll, failure)
                    self._host.after_poll()
                    await anyio.sleep(poll.seconds())
        finally:
            ended.set()

    async def _note(self, poll: Poll, failure: BaseException) -> None:
        if not isinstance(failure, Exception):
            self._host.fail(failure)
            return
        what = getattr(poll.function, "__name__", "a poll")
        text = described(failure)
        if poll in self._failing:
            self._log.warning(what, "%s: %s failed again: %s", self._name, what, text)
            return
        self._failing.add(poll)
        logger.error("%s: %s failed", self._name, what, exc_info=failure)
        await self._tell(brief(f"[ERROR] {what}: {text}"))
