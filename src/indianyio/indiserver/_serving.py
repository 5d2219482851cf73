"""The server of the command: set up by options, changed by the fifo, ended by a signal or if no driver is left."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

from anyio import CancelScope

from indianyio._binding import EarlyListening
from indianyio._environment import THIS_MACHINE, Environment, Listener
from indianyio._routing import PeerOutbox
from indianyio._tasks import Tasks
from indianyio._vocabulary import Limits
from indianyio.driver import Flag
from indianyio.indiserver._fifo import Fifo, Start, Stop, Unclear, parse_command
from indianyio.indiserver._logs import MessageLog, keeping_messages, log_traffic, say
from indianyio.indiserver._options import Options
from indianyio.indiserver._roster import Roster
from indianyio.run._announcing import announce
from indianyio.run._ending import SPARE_SECONDS, EndingSignals, limit_end, seconds_to_be_gone
from indianyio.run._service_manager import Service, ServiceManager, describe_server
from indianyio.server._access import warn_if_open
from indianyio.server._clients import Clients, listen
from indianyio.server._hub import Hub
from indianyio.server._ports import Tap
from indianyio.server._run import ServerRun

__all__ = ["GRACE_SECONDS", "serve"]

logger = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""How long the clients may take to read their last messages when the server ends."""

# indiserver has no limit except on descriptors, and our listeners survive running out of those.
_MOST_CLIENTS = sys.maxsize
_REMEDY = "use a firewall, or the option --host localhost"
_SHOW_TRAFFIC = 2

Attendant: TypeAlias = Callable[[Flag, Flag], Coroutine[Any, Any, None]]
"""What is done beside a run; it takes flags that are set when the server is up, and when it is about to end."""


async def serve(
    options: Options,
    signals: EndingSignals,
    early: EarlyListening | None = None,
    manager: ServiceManager | None = None,
    environment: Environment = THIS_MACHINE,
) -> signal.Signals | None:
    """Serve until a signal comes, or until the last driver has ended and there is no fifo to start another.

    When cancelled, it ends in order.

    :param early: sockets that listen already where the options say.
    :param manager: who is told when the server is up, and when it is about to end.
    :param environment: the outside world.
    :return: the signal, or ``None`` if the last driver has ended.
    :raises OSError: it cannot listen, or there is no such fifo.
    :raises ValueError: a driver's name is malformed.
    """
    roster = Roster(restarts=options.restarts, grace_seconds=options.exec_grace, with_fifo=options.fifo is not None)
    feeders = [roster.add(Start(target)) for target in options.drivers]
    fifo = None if options.fifo is None else Fifo(options.fifo)
    try:
        listeners = await listen(environment, options.host, options.port, options.unix_address, early)
        for listener in listeners:
            logger.info("listening at %s", listener.address)
        addresses = [listener.address for listener in listeners]
        warn_if_open(addresses, has_rule=False, remedy=_REMEDY)
        up = Flag()
        run = ServerRun(
            Hub(Limits(), list(_taps(options, environment)), environment),
            listeners,
            (),
            feeders,
            Clients(most=_MOST_CLIENTS, make_outbox=partial(_outbox, options)),
            grace_seconds=GRACE_SECONDS,
            up=up.set,
        )
        beside: list[Attendant] = []
        if options.announce:
            beside.append(partial(announce, lambda: addresses))
        if manager is not None:
            beside.append(partial(_attend, manager, describe_server(options.drivers, addresses), run))
        return await _Service(run, listeners, roster, fifo, signals, up).serve(beside)
    finally:
        if fifo is not None:
            fifo.close()


async def _attend(manager: ServiceManager, description: str, run: ServerRun, up: Flag, ending: Flag) -> None:
    """Tell a service manager what there is to tell, until this is cancelled."""

    def end_seconds() -> float:
        return seconds_to_be_gone(run.end_seconds + SPARE_SECONDS)

    await manager.attend(Service(up, ending, lambda: description, end_seconds))


class _Service:
    """A run of the server, with the tasks that watch for commands and for its end."""

    def __init__(
        self,
        run: ServerRun,
        listeners: Sequence[Listener],
        roster: Roster,
        fifo: Fifo | None,
        signals: EndingSignals,
        up: Flag,
    ) -> None:
        self._run = run
        self._listeners = listeners
        self._roster = roster
        self._fifo = fifo
        self._signals = signals
        self._up, self._started, self._ending = up, Flag(), Flag()
        self._obeying = CancelScope()
        self._received: signal.Signals | None = None

    async def serve(self, beside: Iterable[Attendant]) -> signal.Signals | None:
        """Serve to the end, and meanwhile do what is to be done beside."""
        async with Tasks() as tasks:
            for attendant in beside:
                tasks.start_soon(attendant, self._up, self._ending)
            tasks.start_soon(self._end_when_asked)
            if self._fifo is None:
                tasks.start_soon(self._end_when_empty)
            else:
                tasks.start_soon(self._obey, self._fifo)
            await self._run.serve(self._started.set)
            tasks.cancel_scope.cancel("the server has ended")
        return self._received

    async def _end_when_asked(self) -> None:
        self._received = await self._signals.wait()
        self._end(f"{self._received.name} received")

    async def _end_when_empty(self) -> None:
        await self._run.nothing_left.wait()
        if self._received is None:
            self._end("all drivers have gone")

    def _end(self, reason: str) -> None:
        """End in order, which may take the drivers seconds.

        indiserver exits in a moment, and some programs start the next server at once. That one needs our addresses,
        and commands in the fifo are meant for it. So both are released first.
        """
        say(reason)
        # Set again, because only now do we know how long the present drivers may take.
        limit_end(self._run.end_seconds + SPARE_SECONDS)
        for listener in self._listeners:
            listener.close()
        self._obeying.cancel(reason)
        self._ending.set()
        self._run.end(reason)

    async def _obey(self, fifo: Fifo) -> None:
        with self._obeying:
            await self._started.wait()
            await fifo.read_lines(self._carry_out)

    def _carry_out(self, line: str) -> None:
        logger.info("FIFO: %s", line)
        command = parse_command(line)
        if isinstance(command, Unclear):
            logger.error("FIFO: %r is not carried out: %s", line, command.reason)
            return
        if command.ignored:
            logger.warning("FIFO: %r is not understood, and ignored", command.ignored)
        try:
            if isinstance(command, Start):
                self._run.start_feeder(self._roster.add(command))
            else:
                self._stop(command)
        except (LookupError, ValueError) as error:
            logger.error("FIFO: %r is not carried out: %s", line, error)

    def _stop(self, command: Stop) -> None:
        if command.word != "stop":
            logger.warning("FIFO: %r is not a command, and is taken for 'stop' as indiserver does", command.word)
        self._run.stop_feeder(self._roster.take(command, self._run.hub))


def _outbox(options: Options) -> PeerOutbox:
    """Return the outbox of a client. Its limit must be above 0, and 1 byte has the same effect as 0."""
    return PeerOutbox(max(1, options.client_bytes), drop_stream_bytes=options.drop_stream_bytes)


def _taps(options: Options, environment: Environment) -> Iterable[Tap]:
    if options.log_folder is not None:
        yield keeping_messages(MessageLog(options.log_folder, environment.time_of_day))
    if options.verbosity >= _SHOW_TRAFFIC:
        yield log_traffic
