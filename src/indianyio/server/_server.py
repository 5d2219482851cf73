"""The server: drivers of this process, other programs and other servers, behind one port."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from indianyio._vocabulary import Limits
from indianyio.driver import Flag, IPyDriver
from indianyio.model import PeerStatistics
from indianyio.server._access import AccessRule, default_access, warn_if_open
from indianyio.server._clients import Clients
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._hub import Hub
from indianyio.server._listeners import open_listeners
from indianyio.server._remotes import RemoteServer
from indianyio.server._run import ServerRun
from indianyio.server._tls import check_server_context

__all__ = ["IPyServer"]

logger = logging.getLogger(__name__)


class IPyServer:
    """An INDI server.

    :param drivers: drivers to be run in this process.
    :param host: where to listen; ``"0.0.0.0"`` or ``"::"`` for every address, ``None`` for no TCP at all.
    :param port: the TCP port; 0 picks a free one.
    :param maxconnections: how many clients there may be at a time, at least 1.
    :param unix: a unix socket to listen on as well: a path, or ``@`` and a name for an abstract one.
    :param access: decides about each connection what it may do, see :func:`access_table`; all may do everything if
        absent, and a warning says so where other machines can connect.
    :param tls: a server's context (``ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)`` with a certificate
        loaded), with which TCP connections are encrypted.
    :raises TypeError: a driver is not an :class:`IPyDriver`.
    :raises ValueError: two drivers have a device of the same name, ``maxconnections`` is below 1, or ``tls`` is a
        client's context.

    :ivar shutdownrequested: set when the run is to end, with ``wait()`` and ``is_set()``.
    :ivar stopped: set when the run has ended.
    """

    grace: float = 5.0
    """Seconds that the clients may take, in the end, for what is left for them."""

    def __init__(
        self,
        *drivers: IPyDriver,
        host: str | None = "localhost",
        port: int = 7624,
        maxconnections: int = 5,
        unix: str | None = None,
        access: AccessRule | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        for driver in drivers:
            if not isinstance(driver, IPyDriver):
                raise TypeError(f"a server takes drivers, not {driver!r}")
        if tls is not None:
            check_server_context(tls)
        if maxconnections < 1:
            raise ValueError(f"maxconnections must be at least 1, not {maxconnections}")
        self.drivers = drivers
        self.host = host
        self.port = port
        self.maxconnections = maxconnections
        self.unix = unix
        self.access = access
        self.tls = tls
        self.devices = {name: device for driver in drivers for name, device in driver.items()}
        if len(self.devices) != sum(len(driver) for driver in drivers):
            raise ValueError("two drivers have a device of the same name; rename one")
        self.exdrivers: list[ExternalDriver] = []
        self.remotes: list[RemoteServer] = []
        self.shutdownrequested: Final = Flag()
        self.stopped: Final = Flag()
        self._run: ServerRun | None = None
        self._asked_to_stop = False
        self._claimed = False

    # -- what it serves ----------------------------------------------------------------------------------------

    def add_exdriver(self, program: str, *args: str) -> None:
        """Serve a driver that is a program of its own, any INDI driver, from the next run on."""
        self.exdrivers.append(ExternalDriver(program, *args))

    def add_remote(self, host: str, port: int = 7624, device: str | None = None) -> None:
        """Serve what another INDI server has, from the next run on.

        :param device: the only device that is wanted; all if absent.
        """
        self.remotes.append(RemoteServer(host, port, device))

    # -- the run -----------------------------------------------------------------------------------------------

    async def asyncrun(  # noqa: ASYNC128 - the run calls it
        self, *, task_status: TaskStatus[list[str]] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the server until :meth:`shutdown` is called; may be called again.

        Made for a task group as well: ``addresses = await nursery.start(server.asyncrun)`` returns when clients can
        connect.

        Cancelled, it ends in order: listeners close, drivers leave, clients are told and get what is left for them.

        :raises RuntimeError: the server is running already.
        :raises OSError: it cannot listen there; the text names the address.
        """
        if self._claimed:
            raise RuntimeError("this server is running already")
        self._claimed = True
        self.stopped.clear()
        self.shutdownrequested.clear()
        try:
            listeners = await open_listeners(self.host, self.port, self.unix)
            addresses = [listener.address for listener in listeners]
            logger.info("listening on %s", ", ".join(addresses))
            warn_if_open(addresses, self.access is not None)
            self._run = ServerRun(
                Hub(Limits()),
                listeners,
                self.drivers,
                [*self.exdrivers, *self.remotes],
                Clients(most=self.maxconnections, access=self.access or default_access, tls=self.tls),
                grace_seconds=self.grace,
            )
            if self._asked_to_stop:
                self._run.end("shutdown() came first")
            started: Callable[[], None] = lambda: task_status.started(addresses)  # noqa: E731
            await self._run.serve(started)
        finally:
            self.shutdownrequested.set()
            self._run = None
            self._asked_to_stop = False
            self._claimed = False
            self.stopped.set()

    def shutdown(self, shutdownmessage: str = "") -> None:
        """Let the run end in order; before a run: let the next one end at once.

        :param shutdownmessage: a line for the clients.
        """
        self.shutdownrequested.set()
        if self._run is None:
            self._asked_to_stop = True
            return
        if shutdownmessage:
            self._run.hub.tell_all(self._run.clients.ports, shutdownmessage)
        self._run.end("shutdown() was called")

    @property
    def stop(self) -> bool:
        """Whether the server is to end or has ended."""
        return self.shutdownrequested.is_set()

    async def send_message(self, message: str) -> None:
        """Send a line for people to every client.

        :raises ValueError: XML cannot carry it.
        """
        if self._run is not None:
            self._run.hub.tell_all(self._run.clients.ports, message)
        await anyio.lowlevel.checkpoint()

    def statistics(self) -> dict[str, PeerStatistics]:
        """Return what has passed between the server and each client, driver and other server, by its name."""
        return {} if self._run is None else self._run.statistics()
