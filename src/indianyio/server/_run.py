"""One run of a server: which task lives in which group, and what ends when.

The work (listeners, drivers, other servers) lives in one task group, whose cancel scope is the stop signal. The
clients live in another group that outlasts it. So when the server ends, the drivers leave first; their last
messages, and the deletion of their devices, still reach the clients. Then the clients' outboxes are closed and
drained, for as long as the grace lasts. The clients' group is shielded, so all this happens however the run is
cancelled.

A driver may hang in a thread, which nothing can cancel. It keeps this run from returning, but nothing else: no
client can connect any more, and the clients that are still connected are told that its devices are gone, and
disconnected.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio import CancelScope

from indianyio._environment import Listener
from indianyio._failures import EXITS, FAILURES, Exit, failure_in, leaves, text_of
from indianyio._routing import PeerStatistics
from indianyio._tasks import Tasks
from indianyio.driver import IPyDriver
from indianyio.driver._state import EndRequests
from indianyio.exceptions import INDIError
from indianyio.server._clients import Clients
from indianyio.server._hub import Hub
from indianyio.server._local_driver import LocalLink
from indianyio.server._ports import Counted, log_regularly, statistics_by_name
from indianyio.streams._base import Accepted

__all__ = ["Feeder", "ServerRun"]

logger = logging.getLogger(__name__)

# A driver's work, its leave() and its last writes get a grace each; the event loop gets a moment.
_DRIVER_GRACES = 3
_MOMENT_SECONDS = 0.5

# The clients get at least this long for their last messages, however long the drivers took; those that read need
# less.
_FAREWELL_SECONDS = 1.0


class Feeder(Counted, Hashable, Protocol):
    """Something that brings devices: an external driver or another server."""

    @property
    def end_seconds(self) -> float:
        """How long it may take to end when it is cancelled."""

    async def run(self, hub: Hub) -> None:
        """Serve the devices until this is cancelled."""


class ServerRun:
    """A server at work; made for each run, inside the event loop.

    :param hub: passes messages between the peers.
    :param listeners: where clients connect; closed when the work ends.
    :param drivers: drivers in this process.
    :param feeders: external drivers and other servers.
    :param clients: holds the clients; empty at first.
    :param grace_seconds: how long the clients may take to read their last messages; less if the drivers took longer
        than this, so that both are done within twice the grace, but at least a second.
    :param statistics_seconds: how often the statistics are logged, ``None`` for never.
    :param ends_alone: whether the run ends once all drivers and other servers have ended.
    :param ending: called when the run begins to end.
    :param up: called when everything that was given at first is up: the programs are started, and each driver in
        this process is ready or has failed.
    :ivar nothing_left: set when all drivers and other servers have ended.
    :ivar failure: the error of the last driver, if the run ended by itself because no driver was left.
    :ivar wish: the ``SystemExit`` or ``KeyboardInterrupt`` that a driver's code raised and that ended the run.
    """

    def __init__(
        self,
        hub: Hub,
        listeners: Sequence[Listener],
        drivers: Sequence[IPyDriver],
        feeders: Sequence[Feeder],
        clients: Clients,
        *,
        grace_seconds: float,
        statistics_seconds: float | None = None,
        ends_alone: bool = False,
        ending: Callable[[], None] | None = None,
        up: Callable[[], None] | None = None,
    ) -> None:
        self.hub = hub
        self.clients = clients
        self._listeners = listeners
        self._drivers = drivers
        self._feeders = feeders
        self._grace_seconds = grace_seconds
        self._statistics_seconds = statistics_seconds
        self._ends_alone = ends_alone
        self._tell_ending = ending
        self._tell_up = up
        self._ending_since = float("inf")
        self._ending = anyio.Event()
        self._end_requests = EndRequests(self._end)
        self._work = CancelScope()
        self._parting = CancelScope(shield=True)
        self._work_ended = anyio.Event()
        self._clients_welcome = anyio.Event()
        self._client_tasks: Tasks | None = None
        self._work_tasks: Tasks | None = None
        self._feeding: dict[Feeder, CancelScope] = {}
        self._local: dict[LocalLink, None] = {}
        self._drivers_left = len(drivers)  # those that have yet to be started among them
        self._drivers_to_come = len(drivers)
        self._drivers_up = anyio.Event()
        self.nothing_left = anyio.Event()
        self.failure: BaseException | None = None
        self.wish: Exit | None = None
        self._last_failure: BaseException | None = None

    async def serve(self, started: Callable[[], None]) -> None:
        """Run until :meth:`end` is called or the task is cancelled.

        :param started: called when clients can connect.
        """
        async with Tasks() as owner:
            owner.start_soon(self._keep_clients)
            try:
                with self._work:
                    if self._work.cancel_called:
                        started()  # and it is over already: end() was called first, so no driver is started
                    else:
                        await self._clients_welcome.wait()
                        await self._run_work(started)
            finally:
                self._work_tasks = None
                self._stop_listening()
                self._work_ended.set()

    def end(self, reason: str, message: str = "") -> None:
        """End the work in order; may be called from any thread, any number of times.

        :param reason: why, for debugging.
        :param message: a message for the clients.
        """
        self._end_requests.request(reason, message)

    def _end(self, reason: str, message: str) -> None:
        if self._tell_ending is not None:
            self._tell_ending()
        if message:
            self.hub.tell_all(self.clients.ports, message)
        self._work.cancel(reason)

    def _stop_listening(self) -> None:
        self._ending.set()
        for listener in self._listeners:
            listener.close()

    @property
    def end_seconds(self) -> float:
        """How long this run may take to end from now on, including the clients' last messages."""
        return max(self._longest_end_seconds() + _FAREWELL_SECONDS, 2 * self._grace_seconds)

    def statistics(self) -> dict[str, PeerStatistics]:
        """Return what has passed between the server and each peer, by the peer's name."""
        return statistics_by_name([*self._local, *self._feeding, *self.clients.ports])

    def start_feeder(self, feeder: Feeder) -> None:
        """Start one more external driver or other server."""
        if self._work_tasks is not None and feeder not in self._feeding:
            self._feeding[feeder] = CancelScope()
            self._work_tasks.start_soon(self._run_feeder, feeder)

    def stop_feeder(self, feeder: Feeder) -> None:
        """Stop an external driver or another server; its clients are told."""
        if feeder in self._feeding:
            self._feeding[feeder].cancel("it was asked to stop")

    # -- the tasks ---------------------------------------------------------------------------------------------

    async def _keep_clients(self) -> None:
        """Own the clients' tasks until the work has ended and the clients have got their last messages."""
        try:
            with self._parting:
                async with Tasks() as tasks:
                    self._client_tasks = tasks
                    self._clients_welcome.set()
                    await self._ending.wait()
                    with anyio.move_on_after(self._longest_end_seconds()):
                        await self._work_ended.wait()
                    self._give_up_hanging()
                    self._parting.deadline = self.hub.environment.now() + self._farewell_seconds()
                    self.clients.finish("the server ends")
        finally:
            self.clients.flush_log()
            self.hub.flush_log()

    def _longest_end_seconds(self) -> float:
        """Return how long the drivers may take to end."""
        graces = [driver.grace for driver in self._drivers]
        local = _DRIVER_GRACES * max(graces, default=0.0) + _MOMENT_SECONDS
        return max([local, *(feeder.end_seconds for feeder in self._feeding)])

    def _give_up_hanging(self) -> None:
        """Give up on drivers that have not ended in time, and tell the clients that their devices are gone."""
        for link in list(self._local):
            logger.error("%s: it hangs; the server ends without waiting for it", link.name)
            self._forget(link, "the driver hangs")

    def _forget(self, link: LocalLink, reason: str) -> None:
        if link in self._local:
            del self._local[link]
            link.close()
            self.hub.remove(link, reason)

    def _farewell_seconds(self) -> float:
        left = self._ending_since + 2 * self._grace_seconds - self.hub.environment.now()
        return min(self._grace_seconds, max(left, _FAREWELL_SECONDS))

    async def _run_work(self, started: Callable[[], None]) -> None:
        async with Tasks() as work:
            self._work_tasks = work
            work.start_soon(self._end_requests.carry_out_forever)
            for driver in self._drivers:
                work.start_soon(self._run_driver, driver)
            for feeder in self._feeders:
                self.start_feeder(feeder)
            if self._client_tasks is not None:
                for listener in self._listeners:
                    work.start_soon(listener.accept_forever, self._serve_client, self._client_tasks)
            if self._statistics_seconds is not None:
                work.start_soon(log_regularly, self.hub.environment, self.statistics, self._statistics_seconds)
            if self._tell_up is not None:
                work.start_soon(self._wait_until_up, self._tell_up)
            started()
            try:
                await anyio.sleep_forever()
            finally:
                self._ending_since = self.hub.environment.now()
                self._stop_listening()

    async def _wait_until_up(self, tell: Callable[[], None]) -> None:
        # A program is started in the first step of its task, so one checkpoint lets all programs start.
        await anyio.lowlevel.checkpoint()
        if self._drivers_to_come:
            await self._drivers_up.wait()
        tell()

    async def _run_driver(self, driver: IPyDriver) -> None:
        ready = self._one_more_driver()
        try:
            await self._serve_driver(driver, ready)
        finally:
            ready()
            self._drivers_left -= 1
            self._look_round()

    def _one_more_driver(self) -> Callable[[], None]:
        """Return a function that notes, when first called, that a driver is up or never will be."""
        is_noted = False

        def note() -> None:
            nonlocal is_noted
            if is_noted:
                return
            is_noted = True
            self._drivers_to_come -= 1
            if not self._drivers_to_come:
                self._drivers_up.set()

        return note

    async def _serve_driver(self, driver: IPyDriver, ready: Callable[[], None]) -> None:
        """Run a driver in this process; if it fails, the error is logged and its clients are told.

        :param ready: called when it is ready.
        """
        name = f"driver of {', '.join(driver)}"
        link = LocalLink(self.hub, name, driver.wire_limits)
        refusal = self.hub.add_driver(link, driver)
        if refusal is not None:
            logger.error("%s: %s", name, refusal)
            self._last_failure = INDIError(f"{name}: {refusal}")
            return
        reason = "the driver has ended"
        self._local[link] = None
        try:
            with driver._run_state.claim():
                await driver._serve(link, ready)
        except EXITS as wish:
            reason = "the driver ends its process"
            self._grant(wish, name)
        except FAILURES as error:
            failure = failure_in(error)
            logger.error("%s failed", name, exc_info=failure)
            self._last_failure = next(leaves(failure))
            reason = f"the driver has failed: {text_of(self._last_failure)}"
        finally:
            self._forget(link, reason)

    def _grant(self, wish: Exit, name: str) -> None:
        """End in order, because a driver's code raised SystemExit or KeyboardInterrupt."""
        logger.error("%s: its code ends the process: %r", name, wish)
        self.wish = self.wish or wish
        self._end("a driver's code ends the process", "")

    async def _run_feeder(self, feeder: Feeder) -> None:
        try:
            with self._feeding[feeder]:
                await feeder.run(self.hub)
                self._last_failure = INDIError(f"{feeder.name} was given up")
        except FAILURES as error:
            failure = failure_in(error)
            logger.error("%s: %s", feeder.name, failure, exc_info=None if isinstance(failure, OSError) else failure)
            self._last_failure = failure
        finally:
            del self._feeding[feeder]
            self._look_round()

    def _look_round(self) -> None:
        """End the run if nothing is left to serve; a server without drivers is of no use to anybody."""
        if self._feeding or self._drivers_left:
            return
        self.nothing_left.set()
        if self._ends_alone and not self._ending.is_set():
            self.failure = self._last_failure
            self._end("no driver is left", "")

    async def _serve_client(self, accepted: Accepted) -> None:
        try:
            await self.clients.serve(self.hub, accepted)
        except EXITS as wish:
            self._grant(wish, f"the access rule for {accepted.connection.name}")
