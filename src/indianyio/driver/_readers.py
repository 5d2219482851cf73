"""Who reads: a role, not a task.

Whoever holds the role takes the next message and, if its lane is free, steps the handler itself. A handler that
does not wait costs no task and no change of tasks, and its answer leaves in place. Only when a handler first waits
does the holder give the role to another task; it goes on as that handler's own, and ends with the lane.

So the driver is never deaf. The role is held by a task that reads or steps a handler which does not wait; it is
passed on before anything waits; and a holder that is cancelled alone, as code on asyncio can do to any task that it
knows, passes it on too.

A task that has waited for a handler is not kept for another one. Code that noted :func:`asyncio.current_task` in a
handler and cancels it later may only hit that handler, or nothing, but not the Abort that would be handled by then.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial

import anyio

from indianyio.driver._background import Job
from indianyio.driver._lanes import Begun
from indianyio.driver._link import DriverLink
from indianyio.protocol import Frame

__all__ = ["Readers"]

logger = logging.getLogger(__name__)


class Readers:
    """The reader's role of one run.

    :param link: the peer.
    :param spawn: starts a task in the run's task group; when that ends, so does all reading.
    :param end: ends the run; called with the reason, in words for a log line, when the peer sends nothing more.
    :ivar begun: lanes that nobody handles yet; see :class:`~indianyio.driver._lanes.Lanes`.
    """

    def __init__(self, link: DriverLink, spawn: Callable[[Job], None], end: Callable[[str], None]) -> None:
        self.begun: Begun = deque()
        self._link = link
        self._spawn = spawn
        self._end = end
        self._holder = 0  # the number of the task that holds the role, or is about to begin with it

    def start(self, receive: Callable[[Frame], None]) -> None:
        """Let somebody read.

        :param receive: deals with a message at once; it puts what is to be handled into lanes. A frame's
            attachments are closed when it returns, unless it took them off the frame.
        """
        self._receive = receive
        self._appoint()

    def _appoint(self) -> None:
        """Give the role to a task, which begins when the event loop comes to it."""
        self._holder += 1
        self._spawn(partial(self._hold, self._holder))

    async def _hold(self, number: int) -> None:
        """Have the role: read, and handle what begins, until a handler has waited and its lane is empty."""

        def hand_over() -> None:
            if self._holder == number:
                self._appoint()

        try:
            while self._holder == number:
                if self.begun:
                    lanes, key = self.begun.popleft()
                    await lanes.drain(key, hand_over)
                elif (frame := await self._link.take()) is not None:
                    self._deal(frame)
                else:
                    self._end(self._link.end_reason)
                    return
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised if the run is what was cancelled
            if anyio.get_current_task().has_pending_cancellation():
                raise
            # Somebody cancelled this task alone, which nobody outside the driver's own code knows of.
            logger.warning("%s: a task that was reading has been cancelled; another one goes on", self._link.name)
            hand_over()  # noqa: ASYNC104 - nobody cancelled the run

    def _deal(self, frame: Frame) -> None:
        try:
            self._receive(frame)
        except Exception:
            # One message must not cost a connection on which others depend, not even by a fault of our own.
            logger.exception("%s: a message could not be dealt with: %r", self._link.name, frame.data[:120])
        finally:
            for attachment in frame.attachments:
                attachment.close()
