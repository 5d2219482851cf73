"""The server of the command: made of the options, changed by the fifo, ended by a signal or for want of drivers."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterable, Sequence
from functools import partial

import anyio
from anyio import CancelScope, create_task_group

from indianyio._binding import EarlyListening
from indianyio._routing import PeerOutbox
from indianyio._vocabulary import Limits
from indianyio.indiserver._fifo import Fifo, Start, Stop, Unclear, parse_command
from indianyio.indiserver._logs import MessageLog, keeping_messages, log_traffic, say
from indianyio.indiserver._options import Options
from indianyio.indiserver._roster import Roster
from indianyio.run._ending import SPARE_SECONDS, EndingSignals, limit_end
from indianyio.server._access import warn_if_open
from indianyio.server._clients import Clients
from indianyio.server._hub import Hub, Tap
from indianyio.server._listeners import Listener, open_listeners
from indianyio.server._run import ServerRun

__all__ = ["GRACE_SECONDS", "serve"]

logger = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""How long the clients may take, in the end, for what is left for them."""

# indiserver has no limit but that of descriptors, and the listeners outlive that one.
_MOST_CLIENTS = sys.maxsize
_REMEDY = "use a firewall, or the option --host localhost"
_SHOW_TRAFFIC = 2


async def serve(
    options: Options, signals: EndingSignals, early: EarlyListening | None = None
) -> signal.Signals | None:
    """Serve until a signal comes, or until the last driver has gone and no fifo could bring another.

    Cancelled, it ends in order.

    :param early: what listens already where the options say.
    :return: the signal, or ``None`` if there are no drivers any more.
    :raises OSError: it cannot listen, or there is no such fifo.
    :raises ValueError: a driver is written in a wrong way.
    """
    roster = Roster(restarts=options.restarts, grace_seconds=options.exec_grace, with_fifo=options.fifo is not None)
    feeders = [roster.add(Start(target)) for target in options.drivers]
    fifo = None if options.fifo is None else Fifo(options.fifo)
    try:
        listeners = await open_listeners(options.host, options.port, options.unix_address, early)
        for listener in listeners:
            logger.info("listening at %s", listener.address)
        warn_if_open([listener.address for listener in listeners], has_rule=False, remedy=_REMEDY)
        run = ServerRun(
            Hub(Limits(), list(_taps(options))),
            listeners,
            (),
            feeders,
            Clients(most=_MOST_CLIENTS, make_outbox=partial(_outbox, options)),
            grace_seconds=GRACE_SECONDS,
        )
        return await _Service(run, listeners, roster, fifo, signals).serve()
    finally:
        if fifo is not None:
            fifo.close()


class _Service:
    """A run of the server, and what starts and ends things in it."""

    def __init__(
        self,
        run: ServerRun,
        listeners: Sequence[Listener],
        roster: Roster,
        fifo: Fifo | None,
        signals: EndingSignals,
    ) -> None:
        self._run = run
        self._listeners = listeners
        self._roster = roster
        self._fifo = fifo
        self._signals = signals
        self._started = anyio.Event()
        self._obeying = CancelScope()
        self._received: signal.Signals | None = None

    async def serve(self) -> signal.Signals | None:
        async with create_task_group() as tasks:
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

        indiserver is gone in a moment, and there are programs that start the next one in that moment. It needs the
        addresses, and its commands are not ours.
        """
        say(reason)
        # Anew, because only now it is known how long the drivers that there are may take.
        limit_end(self._run.end_seconds + SPARE_SECONDS)
        for listener in self._listeners:
            listener.close()
        self._obeying.cancel(reason)
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
            logger.warning("FIFO: %r is not understood, and left out", command.ignored)
        try:
            if isinstance(command, Start):
                self._run.start_feeder(self._roster.add(command))
            else:
                self._stop(command)
        except (LookupError, ValueError) as error:
            logger.error("FIFO: %r is not carried out: %s", line, error)

    def _stop(self, command: Stop) -> None:
        if command.word != "stop":
            logger.warning("FIFO: %r is no command, and is taken for 'stop' as indiserver does", command.word)
        self._run.stop_feeder(self._roster.take(command, self._run.hub))


def _outbox(options: Options) -> PeerOutbox:
    """Return what holds the messages for a client; it is never empty while anything waits, so 1 stands for 0."""
    return PeerOutbox(max(1, options.client_bytes), drop_stream_bytes=options.drop_stream_bytes)


def _taps(options: Options) -> Iterable[Tap]:
    if options.log_folder is not None:
        yield keeping_messages(MessageLog(options.log_folder))
    if options.verbosity >= _SHOW_TRAFFIC:
        yield log_traffic
