"""A driver that is a program of its own: it is started, listened to, and started again if it dies.

One life of a driver is one process with its connection, from start to end. The owner task group holds the three
tasks that outlast its body, each of them shielded: reaping the process, logging its standard error, passing its
frames. The body only waits until there are no more frames. However that wait ends, cancellation included, the
program is ended under a deadline, and then the three tasks get a deadline too. So nothing is left over: no process,
no task, no descriptor.

A driver has ended when its stream has ended (protocol.md S9). A dead driver may have left a helper process that
holds the socket open. Then what the driver had written is read, and the connection is closed.

A driver that the server ends has the last word. It first gets everything that waits for it, perhaps an Abort, and
then end of file on its input, as drivers do when indiserver exits (protocol.md S4). Whatever it says before it
ends, for instance while it parks a mount, still reaches the clients.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
from anyio import CancelScope
from anyio.abc import TaskStatus

from indianyio._environment import Environment
from indianyio._link import REST_SECONDS
from indianyio._routing import OUTBOX_BYTES, DriverOutbox, PeerStatistics
from indianyio._tasks import Tasks
from indianyio.server._hub import Hub
from indianyio.server._peers import FEEDER, Peer, run_guarded
from indianyio.server._ports import Port
from indianyio.server._processes import REAP_SECONDS, DriverProcess, recorded_grace
from indianyio.server._supervision import Attempts, Backoff

__all__ = ["ExternalDriver"]

logger = logging.getLogger(__name__)

# -- one life --------------------------------------------------------------------------------------------------


# A program closes its socket a moment before it exits. The clients hear of the end this much later, so that the
# text can name the exit status.
_STATUS_SECONDS = 0.25
# How long reading may take of the standard error of a dead process, which a helper may hold open for ever.
_LAST_WORDS_SECONDS = 0.5

END_SECONDS = REAP_SECONDS + REST_SECONDS + _LAST_WORDS_SECONDS
"""How long the end of a program may take beyond twice its grace."""


class DriverLife:
    """A driver's program from its start to its end.

    :param hub: where the driver's messages go to and come from.
    :param process: the program, already started.
    :param peer: its peer, not yet added to the hub.
    :param log: where its standard error goes.
    :param grace_seconds: how long it may take to end before SIGTERM is sent, and again before SIGKILL.
    :param lineage: identifies this driver across its lives.
    :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
    :ivar is_duplicate: whether another driver already has one of its devices, so that a restart would not help.
    """

    def __init__(
        self,
        hub: Hub,
        process: DriverProcess,
        peer: Peer,
        *,
        log: logging.Logger,
        grace_seconds: float,
        lineage: Hashable,
        debug: bool = False,
    ) -> None:
        self.is_duplicate = False
        self._hub = hub
        self._process = process
        self._peer = peer
        self._log = log
        self._grace_seconds = grace_seconds
        self._lineage = lineage
        self._debug = debug
        self._is_parting = False
        self._passing = CancelScope(shield=True)
        self._attending = CancelScope(shield=True)
        self._passed = anyio.Event()
        self._reason = "the server has ended it"

    async def live(self) -> str:
        """Pass frames until the driver ends, then make sure that its process ends.

        When cancelled, it first lets the driver end in order, which takes at most twice the grace and a moment.

        :return: why the driver ended, in words for people.
        """
        with self._process:
            async with Tasks() as owner:
                owner.start_soon(self._attend)
                owner.start_soon(self._pass)
                try:
                    await self._passed.wait()
                finally:
                    self._is_parting = True
                    self._peer.finish_sending(self._process.close_input)
                    with anyio.move_on_after(2 * self._grace_seconds + REAP_SECONDS, shield=True) as ending:
                        await self._process.end(self._grace_seconds)
                    # The time may be over because something has held the event loop, and not the process.
                    hangs = ending.cancelled_caught and self._process.status is None
                    if hangs:
                        logger.error("%s: process %d cannot be killed", self._peer.name, self._process.pid)
                    now = self._hub.environment.now()
                    self._passing.deadline = now if hangs else now + REST_SECONDS
                    self._attending.deadline = now + _LAST_WORDS_SECONDS
        return self._reason

    async def _attend(self) -> None:
        with self._attending:
            async with Tasks() as tasks:
                tasks.start_soon(self._process.reap)
                tasks.start_soon(self._process.log_errors, self._log)

    async def _pass(self) -> None:
        """Keep the driver in the hub until its stream ends, and then tell the clients."""
        refusal = self._hub.add_driver(self._peer, lineage=self._lineage, debug=self._debug)
        if refusal is not None:
            self.is_duplicate = True
            self._reason = refusal
            self._process.hang_up()
        else:
            try:
                with self._passing:
                    await self._hear()
            finally:
                self.is_duplicate = self._hub.router.is_duplicate(self._peer)
                # ExternalDriver.run says so (will_not_return) if it is not started again.
                self._hub.remove(self._peer, self._reason, returns=True)
        self._passed.set()

    async def _hear(self) -> None:
        async with Tasks() as tasks:
            tasks.start_soon(self._end_with_process)
            ended = await run_guarded(self._peer)
            tasks.cancel_scope.cancel(ended)
        self._process.hang_up()
        if self._is_parting:
            return
        with anyio.move_on_after(_STATUS_SECONDS):
            await self._process.exited.wait()
        self._reason = f"{ended}; {self._process.outcome}"

    async def _end_with_process(self) -> None:
        """Close the connection of a driver that has died, if its death did not close it."""
        await self._process.exited.wait()
        await self._peer.hear_out(REST_SECONDS)
        self._peer.refuse("it has died, and another process holds its connection")


# -- one life after the other ----------------------------------------------------------------------------------


class ExternalDriver:
    """A driver's program under supervision; what it writes to standard error goes to the log under its name.

    :param program: the executable, looked up in ``PATH``.
    :param args: its arguments; INDI drivers take none as a rule.
    :param restarts: how many restarts there may be in all, at least 0 (protocol.md 2.1).
    :param grace_seconds: how long it may take to end before SIGTERM is sent, and again before SIGKILL; more than 0.
        If the program was made with ``--make-executable`` and records a longer grace, the longer one counts.
    :param environment: its whole environment; that of this process if absent.
    :param outbox_bytes: how much may wait for a driver that does not read before more is refused, at least 1.
    :param backoff: how long to wait before a restart; ``restarts`` replaces its limit.
    :param name: its name for people; the name of the program without its folder if absent.
    :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
    :ivar name: its name for people; do not change it while it runs.
    :ivar restarts_done: how many restarts there were in this run, or the last.
    :raises TypeError: the program or an argument is not text.
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
        self._variables = None if environment is None else dict(environment)
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
        """Its peer in the hub, of this life or the last; ``None`` before the first."""
        return self._port

    @property
    def end_seconds(self) -> float:
        """How long it may take to end when it is cancelled, by the grace that was last found."""
        return 2 * self._grace_seconds + END_SECONDS

    def require_program(self, environment: Environment) -> None:
        """Make sure that there is such a program, without starting it.

        Starting it may still fail, for instance because a script's interpreter is missing.

        :param environment: where it is looked for.
        :raises FileNotFoundError: there is no such program; the text names it.
        :raises PermissionError: the program may not be executed; the text names it.
        """
        path = environment.find_program(self._command[0], self._variables)
        self._learn_grace(path)

    def statistics(self) -> PeerStatistics:
        """Return what has passed since the program was started last, and how often it was started again."""
        passed = PeerStatistics() if self._port is None else self._port.statistics()
        return replace(passed, restarts=self.restarts_done)

    async def run(self, hub: Hub, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the program, and restart it whenever it dies, until no restart is allowed.

        It gives up after ``restarts`` restarts, and at once if another driver already has one of the program's
        devices. Either is logged as an error, and the rest of the server goes on.

        When cancelled, it sends the program what waits for it, closes its input, gives it its grace to end, sends
        SIGTERM, waits as long again and sends SIGKILL; so it returns within twice the grace and a moment. What the
        program says before it ends still reaches the clients.

        :param hub: where the driver's messages go to and come from.
        :param task_status: told when the program has been started.
        :raises OSError: the program cannot be started the first time; the text names it.
        """
        self.restarts_done = 0
        process = self._start(hub.environment)
        task_status.started()
        try:
            await self._live_on(hub, process)
        finally:
            hub.router.will_not_return(self)

    async def _live_on(self, hub: Hub, process: DriverProcess | None) -> None:
        outside = hub.environment
        restarts = Attempts(self._backoff, outside.random(self.name).random)
        while True:
            began = outside.now()
            if process is not None and not await self._live(hub, process):
                return
            delay = restarts.next_delay(outside.now() - began)
            if delay is None:
                logger.error("%s: given up after %d restarts", self.name, restarts.made)
                return
            counted = f"{restarts.made} of {self._backoff.limit}"
            logger.info("%s: started again in %.1f s, for the time %s", self.name, delay, counted)
            await anyio.sleep(delay)
            self.restarts_done = restarts.made
            process = self._start_again(outside)

    def _learn_grace(self, path: str | None) -> None:
        recorded = None if path is None else recorded_grace(path)
        self._grace_seconds = max(self._least_grace_seconds, recorded or 0.0)

    def _start(self, outside: Environment) -> DriverProcess:
        with suppress(OSError):  # launching it below says what is wrong
            self._learn_grace(outside.find_program(self._command[0], self._variables))
        program = outside.launch(self._command, self._variables, name=self.name)
        return DriverProcess(program, name=self.name)

    def _start_again(self, outside: Environment) -> DriverProcess | None:
        try:
            return self._start(outside)
        except OSError as error:
            logger.warning("%s: cannot be started: %s", self.name, error)
            return None

    async def _live(self, hub: Hub, process: DriverProcess) -> bool:
        """Serve the program from its start to its end; return whether it may be started again."""
        outbox = DriverOutbox(self._outbox_bytes)
        peer = self._port = Peer(hub, process.stream, outbox, FEEDER, name=self.name)
        log = logging.getLogger(f"indianyio.server.driver.{self.name}")
        # The name cannot be the lineage: two cameras of one make run the same program.
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
