"""The clients of a server: who is let in, what each may do, and how each is served until it goes."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

from indianyio._failures import FAILURES, failure_in
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
from indianyio.server._handshakes import Handshakes
from indianyio.server._hub import Hub
from indianyio.server._peers import CLIENT, Peer
from indianyio.streams import ByteStream, SocketStream

__all__ = ["Clients"]

logger = logging.getLogger(__name__)

# What Linux takes for TCP_KEEPIDLE.
_LONGEST_SILENCE = 32767


class Clients:
    """The clients of one run of a server.

    :param most: how many there may be at a time; the next is disconnected at once.
    :param access: decides about each connection what it may do.
    :param tls: with it, TCP connections are encrypted; unix sockets are not.
    :param make_outbox: makes what holds the messages that wait for a client.
    :param keepalive_seconds: after how much silence the system asks whether a TCP client is still there, 0 for
        never.
    :raises ValueError: ``keepalive_seconds`` is not within 0 to 32767.
    """

    def __init__(
        self,
        *,
        most: int,
        access: AccessRule = default_access,
        tls: ssl.SSLContext | None = None,
        make_outbox: Callable[[], PeerOutbox] = PeerOutbox,
        keepalive_seconds: int = 60,
    ) -> None:
        if not 0 <= keepalive_seconds <= _LONGEST_SILENCE:
            raise ValueError(f"a system cannot keep connections alive every {keepalive_seconds} seconds")
        self.ports: dict[Peer, None] = {}
        self._most = most
        self._access = access
        self._tls = tls
        self._make_outbox = make_outbox
        self._keepalive_seconds = keepalive_seconds
        self._present = 0
        self._served = 0
        self._handshakes = Handshakes()

    async def serve(self, hub: Hub, sock: socket.socket, connection: Connection) -> None:
        """Serve one client from its first byte to its last; what fails is its own matter.

        :param hub: where its messages go to and come from.
        :param sock: the connection, which the caller closes.
        :param connection: what is known of it.
        """
        if self._present >= self._most:
            logger.warning("%s: refused: there are %d clients already", connection.name, self._present)
            return
        try:
            if connection.kind != "unix":
                _keep_alive(sock, self._keepalive_seconds)
            if self._tls is None or connection.kind == "unix":
                access = decide(self._access, connection)
                await self._serve(hub, SocketStream(sock, name=connection.name), connection, access)
            else:
                await self._serve_encrypted(hub, sock, connection, self._tls)
        except ConnectionLostError as error:
            logger.warning("%s", error)
        except FAILURES as error:
            failure = failure_in(error)
            logger.error("%s: serving this client failed", connection.name, exc_info=failure)

    def finish(self, reason: str) -> None:
        """Let each client go when it has got what waits for it; whoever calls this sets the bound."""
        self._handshakes.end(reason)
        for port in self.ports:
            port.finish(reason)

    async def _serve_encrypted(
        self, hub: Hub, sock: socket.socket, connection: Connection, tls: ssl.SSLContext
    ) -> None:
        # Before the handshake: who is refused for its address must not even take the place of one who tries.
        access = decide_without_certificate(self._access, connection)
        if access is Access.REFUSED:
            self._refuse(connection)
            return
        stream = await self._handshakes.accept(sock, tls, connection)
        if stream is None:
            return
        try:
            if access is None:
                connection = replace(connection, certificate=stream.certificate)
                access = decide(self._access, connection)
            await self._serve(hub, stream, connection, access)
        finally:
            stream.close()  # tells the client that this is the end, and not an attack

    def _refuse(self, connection: Connection) -> None:
        logger.warning("%s: refused by the access rule", connection.name)

    async def _serve(self, hub: Hub, stream: ByteStream, connection: Connection, access: Access) -> None:
        if access is Access.REFUSED:
            self._refuse(connection)
            return
        if self._present >= self._most:
            logger.warning("%s: refused: there are %d clients already", connection.name, self._present)
            return
        self._present += 1
        try:
            await self._serve_present(hub, stream, connection, access)
        finally:
            self._present -= 1

    async def _serve_present(self, hub: Hub, stream: ByteStream, connection: Connection, access: Access) -> None:
        self._served += 1
        outbox = self._make_outbox()
        # Several may come from one process; the number tells them apart.
        port = Peer(hub, stream, outbox, CLIENT, name=f"{connection.name} (client {self._served})")
        logger.info("%s: connected, %s", port.name, access)
        hub.add_client(port, may_write=access is Access.FULL)
        self.ports[port] = None
        reason = "the server ends"
        try:
            reason = await port.run()
        finally:
            del self.ports[port]
            hub.remove(port, reason)
            # Of a client that does not read somebody should know: it has lost messages.
            logger.log(logging.INFO if outbox.failure is None else logging.WARNING, "%s: %s", port.name, reason)


def _keep_alive(sock: socket.socket, seconds: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, seconds > 0)
    if seconds and hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
