"""The server: drivers of this process, other programs and other servers, behind one port."""

from __future__ import annotations

import logging
import math
import ssl
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final, Self

import anyio
import anyio.lowlevel
from anyio import AsyncContextManagerMixin
from anyio.abc import TaskStatus

from indianyio._binding import EarlyListening
from indianyio._block import at_work
from indianyio._environment import THIS_MACHINE, Environment
from indianyio._routing import OUTBOX_BYTES, PeerOutbox, PeerStatistics
from indianyio._vocabulary import Limits
from indianyio.driver import Flag, IPyDriver
from indianyio.exceptions import ServerFailedError
from indianyio.protocol import format_timestamp
from indianyio.protocol._text import replace_uncarried, require_xml_text
from indianyio.server._access import AccessRule, default_access, tell_openness
from indianyio.server._clients import Clients, listen
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._hub import Hub
from indianyio.server._ports import distinct
from indianyio.server._remotes import RemoteServer
from indianyio.server._run import ServerRun
from indianyio.streams._tls import check_server_context

__all__ = ["IPyServer"]

logger = logging.getLogger(__name__)


class IPyServer(AsyncContextManagerMixin):
    """An INDI server.

    ``await server.asyncrun()`` runs it until it is asked to end. ``async with IPyServer(driver) as server:`` runs
    it for as long as the block lasts: clients can connect when the block begins, and leaving the block, in whatever
    way, ends the server in order, as :meth:`shutdown` does. Errors of setting up are raised bare, as by
    :meth:`asyncrun`. What the block raises comes out as it was raised. If the server fails, the block is cancelled
    and raises :exc:`~indianyio.ServerFailedError`. If the server is shut down within the block, the block goes on.

    :param drivers: drivers to run in this process.
    :param host: where to listen; ``"0.0.0.0"`` for every IPv4 address, ``"::"`` for every address, ``None`` for no
        TCP at all.
    :param port: the TCP port; 0 picks a free one.
    :param maxconnections: how many clients there may be at a time, at least 1.
    :param unix: a unix socket to listen on as well: a path, or ``@`` and a name for an abstract one.
    :param access: decides what each connection may do, see :func:`access_table`. If absent, everybody may do
        everything, and a warning says so where other machines can connect. At its start the server logs, for IPv4,
        IPv6 and unix sockets, who may do everything under a table.
    :param tls: a server's context (``ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)`` with a certificate
        loaded), with which TCP connections are encrypted; absent for no encryption.
    :param statistics_interval: after how many seconds, more than 0, :meth:`statistics` is logged again, at INFO,
        one line for each peer; never if absent.
    :param environment: the outside world: time, networks, programs. This machine, except in a simulation.
    :raises TypeError: a driver is not an :class:`IPyDriver`.
    :raises ValueError: two drivers have a device of the same name, ``maxconnections`` is below 1, ``tls`` is a
        client's context, or ``statistics_interval`` is not a finite number above 0.

    :ivar devices: the devices of the drivers in this process, by name.
    :ivar exdrivers: the external drivers, in the order in which they were added.
    :ivar remotes: the other servers, likewise.
    :ivar shutdownrequested: set when the run is to end, with ``wait()`` and ``is_set()``.
    :ivar stopped: set when the run has ended.
    """

    grace: float = 5.0
    """How many seconds drivers and clients get when the server ends.

    An external driver gets this long to end by itself, and as long again between SIGTERM and SIGKILL, unless it has
    a grace of its own. After that, the clients get this long to read their last messages. Drivers and clients
    together get at most twice the grace, but the clients always get a second.
    """

    keepalive: int = 60
    """Seconds of silence after which the system asks whether a TCP client is still there, 0 to 32767; 0 for never.

    This is TCP's keepalive: no INDI message is sent.
    """

    # How much may wait for a client before it is disconnected; simulations make it small.
    _outbox_bytes = OUTBOX_BYTES

    def __init__(
        self,
        *drivers: IPyDriver,
        host: str | None = "localhost",
        port: int = 7624,
        maxconnections: int = 5,
        unix: str | None = None,
        access: AccessRule | None = None,
        tls: ssl.SSLContext | None = None,
        statistics_interval: float | None = None,
        environment: Environment = THIS_MACHINE,
    ) -> None:
        for driver in drivers:
            if not isinstance(driver, IPyDriver):
                raise TypeError(f"a server takes drivers, not {driver!r}")
        if tls is not None:
            check_server_context(tls)
        if maxconnections < 1:
            raise ValueError(f"maxconnections must be at least 1, not {maxconnections}")
        if statistics_interval is not None and not (math.isfinite(statistics_interval) and statistics_interval > 0):
            raise ValueError(f"an interval is a number of seconds above 0, not {statistics_interval}")
        self.drivers = drivers
        self.host = host
        self.port = port
        self.maxconnections = maxconnections
        self.unix = unix
        self.access = access
        self.tls = tls
        self.statistics_interval = statistics_interval
        self._environment = environment
        self.devices = {name: device for driver in drivers for name, device in driver.items()}
        if len(self.devices) != sum(len(driver) for driver in drivers):
            raise ValueError("two drivers have a device of the same name; rename one")
        self.exdrivers: list[ExternalDriver] = []
        self.remotes: list[RemoteServer] = []
        self.shutdownrequested: Final = Flag()
        self.stopped: Final = Flag()
        # Set when it listens and its drivers are up.
        self._up: Final = Flag()
        self._run: ServerRun | None = None
        self._addresses: list[str] = []
        self._early: EarlyListening | None = None
        self._asked_to_stop = False
        # As in a driver: other threads may call shutdown() while a run begins or ends.
        self._ending = threading.RLock()
        self._claimed = False

    def add_exdriver(
        self, program: str, *args: str, debug_enable: bool = False, grace: float | None = None
    ) -> None:
        """Serve a driver that is a program of its own, any INDI driver; at once if the server is running.

        Its standard error goes to the log, under the program's name.

        :param program: the executable, looked up in ``PATH``.
        :param args: its arguments; INDI drivers take none as a rule.
        :param debug_enable: whether its XML is logged at DEBUG, on the logger ``indianyio.wire``.
        :param grace: how many seconds it may take to end before SIGTERM is sent, and again before SIGKILL; the
            current value of :attr:`grace` if absent. A longer one counts instead, if ``--make-executable`` recorded
            it in the program's file.
        :raises TypeError: the program or an argument is not a string.
        :raises ValueError: the program is empty, a text cannot be handed to a program, or the grace is not above 0.
        :raises OSError: the server is running, and there is no such program or it may not be executed. If the
            server is not running yet, :meth:`asyncrun` raises that instead.
        """
        seconds = self.grace if grace is None else grace
        exdriver = ExternalDriver(program, *args, grace_seconds=seconds, debug=debug_enable)
        if self._run is not None:
            exdriver.require_program(self._environment)
        self._name(exdriver)
        self.exdrivers.append(exdriver)
        if self._run is not None:
            self._run.start_feeder(exdriver)

    def add_remote(
        self,
        host: str,
        port: int = 7624,
        blob_enable: bool = True,
        debug_enable: bool = False,
        *,
        device: str | None = None,
    ) -> None:
        """Serve what another INDI server has; at once if this one is running.

        It need not be reachable yet, and is reconnected whenever the connection is lost.

        :param host: its name or address.
        :param port: its TCP port, 1 to 65535.
        :param blob_enable: whether BLOBs are passed, to those who asked for them. If not, the other server is never
            asked for BLOBs and is sent none.
        :param debug_enable: whether its XML is logged at DEBUG, on the logger ``indianyio.wire``.
        :param device: the only device wanted from it; all if absent.
        :raises TypeError: the host or the device is not a string, or the port not an integer.
        :raises ValueError: the host or the device is empty, or the port out of its range.
        """
        remote = RemoteServer(host, port, device, blobs=blob_enable, debug=debug_enable)
        self._name(remote)
        self.remotes.append(remote)
        if self._run is not None:
            self._run.start_feeder(remote)

    def _name(self, newcomer: ExternalDriver | RemoteServer) -> None:
        """Give the newcomer a name that no other has, so that the log and the statistics can tell them apart."""
        present: list[ExternalDriver | RemoteServer] = [*self.exdrivers, *self.remotes]
        newcomer.name = distinct(newcomer.name, [one.name for one in present])

    def _take_over(self, early: EarlyListening) -> None:
        """Serve the next run's clients on sockets that listen already, where this server would listen."""
        self._early = early

    async def asyncrun(  # noqa: ASYNC128 - the run calls it
        self, *, task_status: TaskStatus[list[str]] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the server until :meth:`shutdown` is called; may be called again.

        Made for a task group as well: ``addresses = await nursery.start(server.asyncrun)`` returns when clients can
        connect.

        When cancelled, it ends in order: listeners close, drivers leave, and clients are told and get their last
        messages.

        :raises RuntimeError: the server, or one of its drivers, is running already.
        :raises ServerFailedError: the last of its drivers failed or was given up, and there is no other server to
            serve; the cause says why. As long as anything is left to serve, failures are only logged. If the last
            driver ended in order, the server ends without an error.
        :raises SystemExit: a driver's code raised it, or ``KeyboardInterrupt``; everything was ended in order.
        :raises ValueError: :attr:`keepalive` is out of its range.
        :raises OSError: it cannot listen there, or an external driver's program is not there or may not be
            executed; the text names the address or the program. Nothing has been started then.
        """
        await self._serve(await self._prepare(), lambda: task_status.started(self.addresses))

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        run = await self._prepare()

        async def end() -> None:  # noqa: ASYNC124 - the block awaits it
            run.end("its block has ended")

        def failed(_: BaseException) -> BaseException:
            return ServerFailedError("the server has failed")

        async with at_work(partial(self._serve, run), end, what="the server", failed=failed):
            yield self

    async def _prepare(self) -> ServerRun:
        """Claim the server for one run; whatever can fail fails here, outside of any task group."""
        if self._claimed:
            raise RuntimeError("this server is running already")
        for driver in self.drivers:
            if driver._run_state.is_claimed:
                raise RuntimeError(f"the driver of {', '.join(driver)} is running already; it serves one at a time")
        self._claimed = True
        self.stopped.clear()
        self.shutdownrequested.clear()
        self._up.clear()
        try:
            for exdriver in self.exdrivers:
                exdriver.require_program(self._environment)
            run = await self._listen()
        except BaseException:
            self._release()
            raise
        with self._ending:
            self._run = run
            if self._asked_to_stop:
                run.end("shutdown() came first")
        return run

    async def _serve(self, run: ServerRun, started: Callable[[], None]) -> None:
        try:
            await run.serve(started)
        finally:
            self._release()
            if run.wish is not None:
                raise run.wish
        if run.failure is not None:
            raise ServerFailedError("no driver is left, and nothing else to serve") from run.failure

    def _release(self) -> None:
        """Release the server for another run: this one has ended."""
        self.shutdownrequested.set()
        with self._ending:
            self._run = None
            self._asked_to_stop = False
        self._addresses = []
        self._claimed = False
        self.stopped.set()

    async def _listen(self) -> ServerRun:
        clients = Clients(
            most=self.maxconnections,
            access=self.access or default_access,
            make_outbox=partial(PeerOutbox, self._outbox_bytes),
        )
        early, self._early = self._early, None
        where = self.host, self.port, self.unix, early
        listeners = await listen(self._environment, *where, tls=self.tls, keepalive_seconds=self.keepalive)
        self._addresses = [listener.address for listener in listeners]
        logger.info("listening on %s", ", ".join(self._addresses))
        tell_openness(self._addresses, self.access)
        return ServerRun(
            Hub(Limits(), environment=self._environment),
            listeners,
            self.drivers,
            [*self.exdrivers, *self.remotes],
            clients,
            grace_seconds=self.grace,
            statistics_seconds=self.statistics_interval,
            ends_alone=True,
            ending=self.shutdownrequested.set,
            up=self._up.set,
        )

    @property
    def addresses(self) -> list[str]:
        """Where it listens, as ``host:port`` or the name of a unix socket; empty while it is not running."""
        return list(self._addresses)

    def shutdown(self, shutdownmessage: str = "") -> None:
        """End the run in order; if there is none, let the next one end at once.

        May be called from anywhere, other threads included, any number of times. It does not wait; called from
        another thread, it may return before :attr:`stop` is true.

        :param shutdownmessage: a message for the clients; characters that XML cannot carry are replaced, because
            nothing may prevent the end.
        """
        message = replace_uncarried(shutdownmessage)
        with self._ending:
            if self._run is None:
                self.shutdownrequested.set()
                self._asked_to_stop = True
            else:
                self._run.end("shutdown() was called", message)

    @property
    def stop(self) -> bool:
        """Whether the server was asked to end, or has ended."""
        return self.shutdownrequested.is_set()

    @property
    def connectionpool(self) -> list[str]:
        """The clients that are connected now, by their names."""
        return [] if self._run is None else [port.name for port in self._run.clients.ports]

    async def send_message(self, message: str, timestamp: datetime | None = None) -> None:
        """Send a message for people to every client; to nobody while the server is not running.

        :param timestamp: the message's time; naive times are UTC; now if absent.
        :raises TypeError: the message is not a string, or the timestamp not a datetime.
        :raises ValueError: XML cannot carry the message.
        """
        text = require_xml_text(message, "the message")
        stamp = format_timestamp(self._environment.time_of_day() if timestamp is None else timestamp)
        if self._run is not None:
            self._run.hub.tell_all(self._run.clients.ports, text, stamp)
        await anyio.lowlevel.checkpoint()

    def statistics(self) -> dict[str, PeerStatistics]:
        """Return what has passed between the server and each client, driver and other server.

        The keys are names, and no two are the same: a second program called ``indi_x`` is ``indi_x#2``. Empty while
        the server is not running.
        """
        return {} if self._run is None else self._run.statistics()
