"""A driver that is a program of its own: it is started, listened to, ended in order, and started again if it dies.

Per life of the program: the owner group holds two shielded tasks (the process is reaped, its standard error is
logged), and the body passes frames. However the body ends, cancellation included, the program is brought to its end
under a deadline, and then the two tasks get theirs. So nothing is left over: no process, no task, no descriptor.

The end of a driver is the end of its stream (protocol.md S9). A driver that has died may have left a helper which
holds the socket open; what it had written is read, and then it is treated as what it is.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
from anyio import CancelScope, create_task_group
from anyio.abc import TaskStatus

from indianyio.model import OUTBOX_BYTES, PeerOutbox, PeerStatistics
from indianyio.protocol import Frame
from indianyio.server._hub import Hub
from indianyio.server._processes import REAP_SECONDS, DriverProcess
from indianyio.server._supervision import Attempts, Backoff, run_guarded
from indianyio.server._wire import WirePort

__all__ = ["ExternalDriver"]

logger = logging.getLogger(__name__)

# A program that ends closes its socket a moment earlier; so long its clients wait for the news, to hear its status.
_STATUS_SECONDS = 0.25
# How long it takes to read what a dead process left in its socket: milliseconds, as that is 200 kB.
_REST_SECONDS = 1.0
# The same for its standard error, which a helper may hold open for ever.
_LAST_WORDS_SECONDS = 0.5


class ExternalDriver:
    """A driver's program under supervision; what it writes to standard error goes to the log under its name.

    :param program: the executable, looked up in ``PATH``.
    :param args: its arguments; INDI drivers take none as a rule.
    :param restarts: how often it is started again in all, at least 0 (protocol.md 2.1).
    :param grace_seconds: in the end, how long it may take before SIGTERM, and again before SIGKILL; more than 0.
    :param environment: its whole environment; that of this process if absent.
    :param outbox_bytes: how much may wait for a driver that does not read before it is given up, at least 1.
    :param backoff: how long to wait before it is started again; ``restarts`` counts in place of its limit.
    :ivar name: the name of the program without its folder, for people.
    :ivar restarts_done: how often it was started again in this run, or the last.
    :raises ValueError: one of these is out of its range, or cannot be handed to a program.
    """

    def __init__(
        self,
        program: str,
        *args: str,
        restarts: int = 10,
        grace_seconds: float = 5.0,
        environment: Mapping[str, str] | None = None,
        outbox_bytes: int = OUTBOX_BYTES,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
    ) -> None:
        if not (math.isfinite(grace_seconds) and grace_seconds > 0):
            raise ValueError(f"a grace is a number of seconds above 0, not {grace_seconds}")
        if not program or outbox_bytes < 1:
            raise ValueError("a driver needs a program, and room for what waits for it")
        self.name = Path(program).name or program
        self.restarts_done = 0
        self._command = (program, *args)
        self._environment = None if environment is None else dict(environment)
        _check_texts(*self._command, *(f"{name}={value}" for name, value in (environment or {}).items()))
        if any("=" in variable for variable in environment or ()):
            raise ValueError("the name of a variable has no '='")
        self._grace_seconds = grace_seconds
        self._outbox_bytes = outbox_bytes
        self._backoff = replace(backoff, limit=restarts)
        self._port: WirePort | None = None
        self._log = logging.getLogger(f"indianyio.server.driver.{self.name}")

    def __repr__(self) -> str:
        return f"ExternalDriver({', '.join(map(repr, self._command))})"

    def statistics(self) -> PeerStatistics:
        """Return what has passed since the program was started last, and how often it was started again."""
        passed = PeerStatistics() if self._port is None else self._port.statistics()
        return replace(passed, restarts=self.restarts_done)

    async def run(self, hub: Hub, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the program, and again whenever it dies, until it may not be started any more.

        That is so after ``restarts`` restarts, and at once for a program that has a device which is another
        driver's. Either is logged as an error, and the rest of the server goes on.

        Cancelled, it closes the program's input, gives it the grace to end, sends SIGTERM, waits as long again and
        sends SIGKILL; so it returns within twice the grace and a moment.

        :param hub: where the driver's messages go to and come from.
        :param task_status: told when the program has been started.
        :raises OSError: the program cannot be started the first time; the text names it. Nothing has happened then.
        """
        restarts = Attempts(self._backoff)
        self.restarts_done = 0
        process: DriverProcess | None = self._start()
        task_status.started()
        while True:
            began = anyio.current_time()
            if process is not None and not await self._live(hub, process):
                return
            delay = restarts.next_delay(anyio.current_time() - began)
            if delay is None:
                logger.error("%s: given up after %d restarts", self.name, restarts.made)
                return
            counted = f"{restarts.made} of {self._backoff.limit}"
            logger.info("%s: started again in %.1f s, for the time %s", self.name, delay, counted)
            await anyio.sleep(delay)
            self.restarts_done = restarts.made
            process = self._start_again()

    def _start(self) -> DriverProcess:
        return DriverProcess(self._command, self._environment, name=self.name)

    def _start_again(self) -> DriverProcess | None:
        try:
            return self._start()
        except OSError as error:
            logger.warning("%s: cannot be started: %s", self.name, error)
            return None

    async def _live(self, hub: Hub, process: DriverProcess) -> bool:
        """Serve one life of the program and see to its end; return whether there may be another."""
        outbox = PeerOutbox(self._outbox_bytes, drop_stream_bytes=0)
        port = _DriverPort(hub, process.stream, outbox, name=self.name)
        self._port = port
        attending = CancelScope(shield=True)
        with process:
            async with create_task_group() as owner:
                owner.start_soon(self._attend, process, attending)
                try:
                    reason = await _serve(hub, port, process)
                finally:
                    with anyio.move_on_after(2 * self._grace_seconds + REAP_SECONDS, shield=True) as ending:
                        await process.end(self._grace_seconds)
                    attending.deadline = anyio.current_time() + _LAST_WORDS_SECONDS
                    if ending.cancelled_caught:
                        logger.error("%s: process %d cannot be killed", self.name, process.pid)
        logger.log(logging.ERROR if port.is_duplicate else logging.WARNING, "%s: %s", self.name, reason)
        return not port.is_duplicate

    async def _attend(self, process: DriverProcess, attending: CancelScope) -> None:
        with attending:
            async with create_task_group() as tasks:
                tasks.start_soon(process.reap)
                tasks.start_soon(process.log_errors, self._log)


class _DriverPort(WirePort):
    """The port of a driver, which knows whether it was refused because of another one.

    :ivar is_duplicate: whether a device of it is another's, so that starting it again would not help.
    """

    is_duplicate = False

    def _receive(self, frame: Frame) -> None:
        welcome = self._reason is None
        super()._receive(frame)
        if welcome and self._reason is not None:
            self.is_duplicate = self._hub.router.owner(frame.device or "") not in (None, self)


async def _serve(hub: Hub, port: _DriverPort, process: DriverProcess) -> str:
    """Pass frames until the end of the driver, and tell its clients of that; return why it ended."""
    refusal = hub.add_driver(port)
    if refusal is not None:
        port.is_duplicate = True
        return refusal
    reason = "the server has ended it"
    try:
        async with create_task_group() as tasks:
            tasks.start_soon(_end_with_process, port, process)
            ended = await run_guarded(port)
            tasks.cancel_scope.cancel(ended)
        process.hang_up()
        with anyio.move_on_after(_STATUS_SECONDS):
            await process.exited.wait()
        reason = f"{ended}; {process.outcome}"
    finally:
        hub.remove(port, reason)
    return reason


async def _end_with_process(port: WirePort, process: DriverProcess) -> None:
    """End the connection of a driver that has died, if its death did not."""
    await process.exited.wait()
    await anyio.sleep(_REST_SECONDS)
    port.refuse("it has died, and another process holds its connection")


def _check_texts(*texts: str) -> None:
    for text in texts:
        if b"\0" in os.fsencode(text):
            raise ValueError(f"{text!r} cannot be handed to a program")
