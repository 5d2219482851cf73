"""A driver that is a program of its own: it is started, listened to, and started again if it dies.

What happens within one life of the program, its end included, is the matter of ``_driver_life``.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from indianyio._routing import OUTBOX_BYTES, DriverOutbox, PeerStatistics
from indianyio.server._driver_life import END_SECONDS, DriverLife
from indianyio.server._executables import recorded_grace
from indianyio.server._hub import Hub, Port
from indianyio.server._peers import FEEDER, Peer
from indianyio.server._processes import DriverProcess, find_program, require_program
from indianyio.server._supervision import Attempts, Backoff

__all__ = ["ExternalDriver"]

logger = logging.getLogger(__name__)


class ExternalDriver:
    """A driver's program under supervision; what it writes to standard error goes to the log under its name.

    :param program: the executable, looked up in ``PATH``.
    :param args: its arguments; INDI drivers take none as a rule.
    :param restarts: how often it is started again in all, at least 0 (protocol.md 2.1).
    :param grace_seconds: in the end, how long it may take before SIGTERM, and again before SIGKILL; more than 0. If
        the program is a file of ``--make-executable`` that records a longer grace, that counts.
    :param environment: its whole environment; that of this process if absent.
    :param outbox_bytes: how much may wait for a driver that does not read before more is refused, at least 1.
    :param backoff: how long to wait before it is started again; ``restarts`` counts in place of its limit.
    :param name: what people are to read; the name of the program without its folder if absent.
    :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
    :ivar name: what people read; not to be changed while it runs.
    :ivar restarts_done: how often it was started again in this run, or the last.
    :raises TypeError: the program or an argument is no text.
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
        name: str | None = None,
        debug: bool = False,
    ) -> None:
        if not (math.isfinite(grace_seconds) and grace_seconds > 0):
            raise ValueError(f"a grace is a number of seconds above 0, not {grace_seconds}")
        if not program or outbox_bytes < 1:
            raise ValueError("a driver needs a program, and room for what waits for it")
        self.name = name or Path(program).name or program
        self.restarts_done = 0
        self._command = (program, *args)
        self._environment = None if environment is None else dict(environment)
        _check_texts(*self._command, *(f"{name}={value}" for name, value in (environment or {}).items()))
        if any("=" in variable for variable in environment or ()):
            raise ValueError("the name of a variable has no '='")
        self._least_grace_seconds = grace_seconds
        self._grace_seconds = grace_seconds
        self._outbox_bytes = outbox_bytes
        self._backoff = replace(backoff, limit=restarts)
        self._debug = debug
        self._port: Peer | None = None

    def __repr__(self) -> str:
        return f"ExternalDriver({', '.join(map(repr, self._command))})"

    @property
    def port(self) -> Port | None:
        """Its peer of the hub, of this life or the last; ``None`` before the first."""
        return self._port

    @property
    def end_seconds(self) -> float:
        """How long it may take to end when it is cancelled, as it was started last."""
        return 2 * self._grace_seconds + END_SECONDS

    def require_program(self) -> None:
        """Make sure that there is such a program, without starting it.

        A start may fail nevertheless, for want of a script's interpreter for instance.

        :raises FileNotFoundError: there is none; the text names it.
        :raises PermissionError: there is one which may not be executed; the text names it.
        """
        require_program(self._command[0], self._environment)

    def statistics(self) -> PeerStatistics:
        """Return what has passed since the program was started last, and how often it was started again."""
        passed = PeerStatistics() if self._port is None else self._port.statistics()
        return replace(passed, restarts=self.restarts_done)

    async def run(self, hub: Hub, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the program, and again whenever it dies, until it may not be started any more.

        That is so after ``restarts`` restarts, and at once for a program that has a device which is another
        driver's. Either is logged as an error, and the rest of the server goes on.

        Cancelled, it sends the program what waits for it, closes its input, gives it its grace to end, sends
        SIGTERM, waits as long again and sends SIGKILL; so it returns within twice the grace and a moment. What the
        program says until its end reaches its clients.

        :param hub: where the driver's messages go to and come from.
        :param task_status: told when the program has been started.
        :raises OSError: the program cannot be started the first time; the text names it. Nothing has happened then.
        """
        self.restarts_done = 0
        process = self._start()
        task_status.started()
        try:
            await self._live_on(hub, process)
        finally:
            hub.router.will_not_return(self)

    async def _live_on(self, hub: Hub, process: DriverProcess | None) -> None:
        restarts = Attempts(self._backoff)
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
        path = find_program(self._command[0], self._environment)
        recorded = None if path is None else recorded_grace(path)
        self._grace_seconds = max(self._least_grace_seconds, recorded or 0.0)
        return DriverProcess(self._command, self._environment, name=self.name)

    def _start_again(self) -> DriverProcess | None:
        try:
            return self._start()
        except OSError as error:
            logger.warning("%s: cannot be started: %s", self.name, error)
            return None

    async def _live(self, hub: Hub, process: DriverProcess) -> bool:
        """Serve one life of the program and see to its end; return whether there may be another."""
        outbox = DriverOutbox(self._outbox_bytes)
        peer = self._port = Peer(hub, process.stream, outbox, FEEDER, name=self.name)
        log = logging.getLogger(f"indianyio.server.driver.{self.name}")
        # Its name would not do for a lineage: two cameras of one make run the same program.
        life = DriverLife(
            hub, process, peer, log=log, grace_seconds=self._grace_seconds, lineage=self, debug=self._debug
        )
        reason = await life.live()
        logger.log(logging.ERROR if life.is_duplicate else logging.WARNING, "%s: %s", self.name, reason)
        return not life.is_duplicate


def _check_texts(*texts: str) -> None:
    for text in texts:
        if b"\0" in os.fsencode(text):
            raise ValueError(f"{text!r} cannot be handed to a program")
