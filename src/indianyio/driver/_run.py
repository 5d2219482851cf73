"""One run of a driver: which task lives in which group, and what ends when.

The writer lives in the outer group, the work (readers, handlers, hardware, snooping) in the inner one, whose cancel
scope is the one and only stop signal. When the work is over, by whatever cause, a third task makes the instrument
safe: it calls ``leave()``, which can still send, then closes the outbox, and the writer drains that and returns.
Writer and farewell are shielded, so they happen even when the run is cancelled from outside, and each has a
deadline, so they cannot keep the program.

The farewell does not sit in a ``finally`` behind the work, because work can hang: a call into a vendor's library in
a thread cannot be cancelled. The farewell waits one grace period for the work to end, and then makes the instrument
safe without it.

What leaves the author's code is carried as a value, even ``SystemExit``: it ends the run, and is raised when
everything is over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio
from anyio import CancelScope

from indianyio._failures import FAILURES, exit_in, failure_in
from indianyio._model import SnoopEvent
from indianyio._tasks import Tasks
from indianyio.driver._blobs import BLOBSender
from indianyio.driver._events import Arrival, Write
from indianyio.driver._guard import Guard, Watch
from indianyio.driver._hooks import DriverHooks
from indianyio.driver._inbox import Inbox, Replies
from indianyio.driver._link import DriverLink
from indianyio.driver._owners import Background, Job, Sender
from indianyio.driver._readers import Handlers, Lanes, Readers
from indianyio.driver._state import EndRequests, Flag
from indianyio.driver._vectors import AnyVector

__all__ = ["DriverRun"]

logger = logging.getLogger(__name__)

# Waiting events of a lane: more than anybody clicks while a slew is handled, few enough to refuse the rest soon.
_LANE_EVENTS = 32

# What may wait in all lanes together (an event alone may be larger), and how many lanes there may be: far beyond
# what any driver has vectors, so that only a snooped device gone mad reaches it.
_LANES_BYTES = 256 << 20
_LANES = 1000


class DriverRun:
    """A driver at work for one peer; made for each run, inside the event loop.

    :param driver: the driver.
    :param link: the way to its peer; closed by whoever made it.
    :param shutdownrequested: raised when the run is to end.
    :ivar sender: sends for the driver and its vectors.
    """

    def __init__(self, driver: DriverHooks, link: DriverLink, shutdownrequested: Flag) -> None:
        self._driver = driver
        self._link = link
        self._shutdownrequested = shutdownrequested
        self._work = CancelScope()
        self._flushing = CancelScope(shield=True)
        self._parting = CancelScope(shield=True)
        self._over = anyio.Event()
        self._work_ended = anyio.Event()
        self._snoops_changed = anyio.Event()
        self._end_requests = EndRequests(self._end)
        self._blobs = BLOBSender(self._link, reply_seconds=driver.ping_timeout)
        self.sender: Sender = _RunSender(link, self._blobs)
        self._inbox: Inbox | None = None
        self._replies = Replies(self._link)
        self._failures: list[BaseException] = []
        self._name = f"driver of {', '.join(driver.data)}"
        self._task = anyio.get_current_task()
        self._guard = Guard(self._name, self.is_ending)

    # -- for the driver ----------------------------------------------------------------------------------------

    async def serve(self, started: Callable[[], None]) -> None:
        """Run until the peer has gone, :meth:`end` is called, or something of the driver's own fails.

        :param started: called when the driver is ready.
        :raises SystemExit: the author's code has asked for the end of the process; likewise ``KeyboardInterrupt``.
        :raises BaseExceptionGroup: what else has left it, an ``ExceptionGroup`` as a rule.
        """
        watch = Watch.of_this_thread()
        watch.claim()
        try:
            await self._serve(started)
        except FAILURES as error:
            self._failures.append(failure_in(error))
        finally:
            watch.release()
            if self._failures:
                raise self._failure()

    async def _serve(self, started: Callable[[], None]) -> None:
        async with Tasks() as owner:
            owner.start_soon(self._write)
            owner.start_soon(self._farewell)
            try:
                with self._work:
                    await self._run_work(started)
            except FAILURES as error:
                # From the tasks around the author's code: it may have left a cancel scope open in one of them.
                self.fail(failure_in(error))
            finally:
                self._over.set()
                self._work_ended.set()

    def end(self, reason: str) -> None:
        """Let the work end; may be called from any thread, and again."""
        self._end_requests.request(reason)

    def _end(self, reason: str) -> None:
        self._shutdownrequested.set()
        self._work.cancel(reason)

    def is_ending(self) -> bool:
        """Return whether the work is being cancelled, from here or from outside.

        Asked of the task that waits in the work, and not of the one that runs the author's code: that may have
        spoiled its own by leaving a cancel scope open.
        """
        return self._over.is_set() or self._task.has_pending_cancellation()

    def fail(self, failure: BaseException) -> None:
        """Let the work end because of what has left the author's code, and raise that when all is over."""
        self._failures.append(failure)
        self._end("its own code failed")

    def _failure(self) -> BaseException:
        wish = next(filter(None, map(exit_in, self._failures)), None)
        if wish is None:
            return BaseExceptionGroup("the driver's own code failed", self._failures)
        for failure in self._failures:
            if failure is not wish:
                logger.error("%s: failed before the process ends", self._name, exc_info=failure)
        return wish

    def snoops_changed(self) -> None:
        """Look at the table of snoops again: its next deadline may have come nearer."""
        self._snoops_changed.set()

    def refuse(self, vector: AnyVector, reason: str) -> None:
        """Answer a write with Alert and the reason; a vector that is Busy stays so."""
        self._replies.refuse(vector, reason)

    def refuse_waiting(self, vector: AnyVector, reason: str) -> int:
        """Refuse the writes to a vector that wait for rxevent; return how many these were."""
        return 0 if self._inbox is None else self._inbox.refuse_waiting(vector, reason)

    def count_waiting(self, vector: AnyVector) -> int:
        """Return how many writes to a vector wait behind the one being handled."""
        return 0 if self._inbox is None else self._inbox.count_waiting(vector)

    # -- the tasks ---------------------------------------------------------------------------------------------

    async def _run_work(self, started: Callable[[], None]) -> None:
        devices = self._driver.data.values()
        backgrounds = [self._driver._background, *(device._background for device in devices)]
        try:
            if self._work.cancel_called:
                # shutdown() came first: the hardware is not even touched.
                started()
            else:
                await self._work_until_over(backgrounds, started)
        finally:
            for background in backgrounds:
                background.end()
            if self._inbox is not None:
                self._inbox.close()
                self._inbox = None
            self._link.stop_reading("the run is over")

    async def _work_until_over(self, backgrounds: Sequence[Background], started: Callable[[], None]) -> None:
        async with Tasks() as work:

            def spawn(job: Job) -> None:
                work.start_soon(job)

            def spawn_own(job: Job) -> None:
                """Start a task of the driver's author; what leaves it ends the run."""
                work.start_soon(self._run_own, self._guard, job)

            try:
                spawn(self._end_requests.carry_out_forever)
                spawn(self._replies.run)
                spawn(self._ask_for_snoops)
                spawn_own(self._driver.hardware)
                for background in backgrounds:
                    background.begin(spawn_own)
                readers = Readers(self._link, self._guard, spawn, self.end)
                self._inbox = self._make_inbox(readers)
                readers.start(self._inbox.receive)
                started()
                await anyio.sleep_forever()
            finally:
                # Here, and not behind the group: its tasks may be slow to end, or never end.
                self._over.set()
                # A server in this process then refuses commands, which would wait for nobody.
                self._link.stop_reading("the run is over")

    def _make_inbox(self, readers: Readers) -> Inbox:
        refuse = self._replies.refuse
        handlers = Handlers(self._driver, self._guard, self._link.name, refuse=refuse, fail=self.fail)
        bounds = {"limit_events": _LANE_EVENTS, "limit_bytes": _LANES_BYTES, "limit_lanes": _LANES}
        begun, crowded = readers.begun, readers.crowded
        writes: Lanes[Write] = Lanes(begun, crowded, handlers.handle_write, self._guard, **bounds)
        snooped: Lanes[Arrival[SnoopEvent]] = Lanes(begun, crowded, handlers.handle_snooped, self._guard, **bounds)
        return Inbox(self._driver, self._link, self._replies, writes=writes, snooped=snooped, blobs=self._blobs)

    async def _write(self) -> None:
        with self._flushing:
            reason = await self._link.write()
            if not self._over.is_set():
                # Perhaps an Abort was written before the peer's end; leave() need not do the same.
                await self._link.hear_out(is_over=self._over.wait)
            self.end(reason)

    async def _farewell(self) -> None:
        """Make the instrument safe, and let the writer go, once the work is over."""
        driver = self._driver
        with self._parting:
            await _wait_although_the_loop_closes(self._over)
            self._shutdownrequested.set()
            with anyio.move_on_after(driver.grace):
                await _wait_although_the_loop_closes(self._work_ended)
            if not self._work_ended.is_set():
                logger.error("%s: work goes on after %g s; leaving without it", self._link.name, driver.grace)
            self._link.stop_waiting()
            self._blobs.stop_waiting()
            try:
                await self._leave()
            finally:
                driver._rated_log.flush()
                self._flushing.deadline = anyio.current_time() + driver.grace
                self._link.close()

    async def _leave(self) -> None:
        """Call leave(), in a task of its own, in which a cancel scope that it leaves open does no harm."""
        driver, watch = self._driver, Watch.of_this_thread()
        watch.leaving += 1
        try:
            with anyio.move_on_after(driver.grace) as leaving:
                await self._leave_in_a_task(lambda: leaving.cancel_called)
        finally:
            watch.leaving -= 1
        if leaving.cancelled_caught:
            logger.error("%s: leave() took more than %g s and was cut off", self._link.name, driver.grace)

    async def _leave_in_a_task(self, is_cancelled: Callable[[], bool]) -> None:
        try:
            async with Tasks() as tasks:
                guard = Guard(self._name, is_cancelled)
                tasks.start_soon(self._run_own, guard, self._driver.leave)
        except FAILURES as error:
            self.fail(failure_in(error))

    async def _run_own(self, guard: Guard, job: Job) -> None:
        """Run a function of the author's of which any failure ends the run."""
        failure = await guard.failure_of_task(job)
        if failure is not None:
            self.fail(failure)

    async def _ask_for_snoops(self) -> None:
        """Ask for what is snooped, at first and whenever nothing was heard of it for too long."""
        table = self._driver._snoops
        table.restart()
        while True:
            for request in table.due(anyio.current_time()):
                await self._link.send(request)
            deadline = table.next_deadline()
            with CancelScope(deadline=float("inf") if deadline is None else deadline):
                await self._snoops_changed.wait()
                self._snoops_changed = anyio.Event()


class _RunSender:
    """What sends for a run: messages over the link, BLOBs one at a time."""

    def __init__(self, link: DriverLink, blobs: BLOBSender) -> None:
        self.send = link.send
        self.send_encoded = link.send_encoded
        self.send_blobs = blobs.send


async def _wait_although_the_loop_closes(event: anyio.Event) -> None:
    """Wait in a shield for an event, or for asyncio to close the loop, in which it cancels even what is shielded.

    asyncio closes the loop at once when a task that is not ours ends with SystemExit or KeyboardInterrupt, and then
    waits until every task has ended. So there is time to leave.
    """
    try:
        await event.wait()
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - as said
        if anyio.get_current_task().has_pending_cancellation():
            raise
