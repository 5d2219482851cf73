"""The clients of a server: where they connect, what each may do, and how each is served until it disconnects."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from anyio import CancelScope

from indianyio._environment import Environment, Listener
from indianyio._failures import FAILURES, failure_in
from indianyio._link import link_log
from indianyio._rated_log import RatedLog
from indianyio._routing import PeerOutbox
from indianyio.exceptions import ConnectionLostError
from indianyio.server._access import (
    Access,
    AccessRule,
    Connection,
    decide,
    decide_without_certificate,
    default_access,
)
from indianyio.server._hub import Hub
from indianyio.server._peers import CLIENT, Peer
from indianyio.streams import ByteStream
from indianyio.streams._base import Accepted
from indianyio.streams._listening import open_listeners

if TYPE_CHECKING:
    from ssl import SSLContext

    from indianyio._binding import EarlyListening

__all__ = ["Clients", "listen"]

logger = logging.getLogger(__name__)


async def listen(
    environment: Environment,
    host: str | None,
    port: int,
    unix: str | None,
    early: EarlyListening | None,
    *,
    tls: SSLContext | None = None,
    keepalive_seconds: int = 60,
) -> Sequence[Listener]:
    """Listen at all of these addresses, or fail and listen at none; see :meth:`Environment.listen`.

    :param early: sockets that listen there already and are taken over; they belong to this machine, whatever the
        environment.
    """
    if early is not None:
        return await open_listeners(host, port, unix, early, tls=tls, keepalive_seconds=keepalive_seconds)
    return await environment.listen(host, port, unix, tls=tls, keepalive_seconds=keepalive_seconds)


class Clients:
    """The clients of one run of a server.

    :param most: how many there may be at a time; any more are disconnected at once.
    :param access: decides what each connection may do.
    :param make_outbox: makes the outbox of each client.
    """

    def __init__(
        self,
        *,
        most: int,
        access: AccessRule = default_access,
        make_outbox: Callable[[], PeerOutbox] = PeerOutbox,
    ) -> None:
        self.ports: dict[Peer, None] = {}
        self._most = most
        self._access = access
        self._make_outbox = make_outbox
        self._present = 0
        self._served = 0
        self._opening: set[CancelScope] = set()
        # A client can come and go thousands of times a second, whether it is let in or not.
        self._log = RatedLog(logger)
        self._link_log = link_log()

    async def serve(self, hub: Hub, accepted: Accepted) -> None:
        """Serve one client from its first byte to its last; errors are logged and affect nobody else.

        :param hub: where its messages go to and come from.
        :param accepted: the connection, which the caller closes.
        """
        name = accepted.connection.name
        if self._is_full(accepted.connection):
            return
        try:
            await self._serve_accepted(hub, accepted)
        except ConnectionLostError as error:
            self._log.warning((accepted.connection.origin, "lost"), "%s", error)
        except FAILURES as error:
            text = "%s: serving this client failed"
            kind = (accepted.connection.origin, "failed")
            self._log.log(kind, logging.ERROR, text, name, error=failure_in(error))

    def finish(self, reason: str) -> None:
        """Disconnect each client once it has got what waits for it; the caller sets the time limit."""
        for scope in self._opening:
            scope.cancel(reason)
        for port in self.ports:
            port.finish(reason)

    def flush_log(self) -> None:
        """Say how many log lines were left out; the last client has been disconnected."""
        self._log.flush()
        self._link_log.flush()

    async def _serve_accepted(self, hub: Hub, accepted: Accepted) -> None:
        connection = accepted.connection
        # Decided before the handshake: a client that is refused for its address must not take a place from others.
        look = decide_without_certificate if accepted.certificate_follows else decide
        access = look(self._access, connection, self._log)
        if access is Access.REFUSED:
            self._refuse(connection)
            return
        stream = await self._opened(accepted)
        if stream is None:
            return
        if access is None:
            access = decide(self._access, accepted.connection, self._log)
        await self._serve(hub, stream, connection, access)

    async def _opened(self, accepted: Accepted) -> ByteStream | None:
        with CancelScope() as scope:
            self._opening.add(scope)
            try:
                return await accepted.open()
            finally:
                self._opening.discard(scope)
        return None  # finish() was called

    def _is_full(self, connection: Connection) -> bool:
        if self._present < self._most:
            return False
        text = "%s: refused: there are %d clients already"
        self._log.warning((connection.origin, "full"), text, connection.name, self._present)
        return True

    def _refuse(self, connection: Connection) -> None:
        text = "%s: refused by the access rule"
        self._log.warning((connection.origin, "refused"), text, connection.name)

    async def _serve(self, hub: Hub, stream: ByteStream, connection: Connection, access: Access) -> None:
        if access is Access.REFUSED:
            self._refuse(connection)
            return
        if self._is_full(connection):
            return
        self._present += 1
        try:
            await self._serve_present(hub, stream, connection, access)
        finally:
            self._present -= 1

    async def _serve_present(self, hub: Hub, stream: ByteStream, connection: Connection, access: Access) -> None:
        self._served += 1
        outbox = self._make_outbox()
        # One process may connect several times; the number tells its connections apart.
        name = f"{connection.name} (client {self._served})"
        port = Peer(hub, stream, outbox, CLIENT, name=name, log=self._link_log.of(connection.origin))
        self._log.log((connection.origin, "connected"), logging.INFO, "%s: connected, %s", port.name, access)
        hub.add_client(port, may_write=access is Access.FULL)
        self.ports[port] = None
        reason = "the server ends"
        try:
            reason = await port.run()
        finally:
            del self.ports[port]
            hub.remove(port, reason)
            # A client that does not read has lost messages, which somebody should know.
            level = logging.INFO if outbox.failure is None else logging.WARNING
            self._log.log((connection.origin, "disconnected", level), level, "%s: %s", port.name, reason)
