"""TLS handshakes that are not finished, and whose places they take.

A peer that has not finished its handshake is not a client yet, and takes no client's place. One that says nothing
keeps its place for ten seconds. So there is a limited number of places, and only some of them for one address: a
machine that connects and says nothing, by fault or on purpose, shuts out nobody but itself.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import Counter
from dataclasses import replace

from indianyio._rated_log import RatedLog
from indianyio.streams._base import Accepted, ByteStream, Connection
from indianyio.streams._descriptors import hang_up
from indianyio.streams._tls import TLSStream, accept_tls

__all__ = ["EncryptedConnection", "Handshakes"]

logger = logging.getLogger(__name__)

# A client has ten seconds to finish; this many may be trying at the same time.
_MOST = 100

# A program that opens several connections at once, as browsers do, usually opens six.
_MOST_OF_ONE = 10


class Handshakes:
    """The unfinished handshakes of one server.

    :param context: the server's.
    :param most: how many there may be at a time.
    :param most_of_one: how many of them may come from one address, or with IPv6 from one network of 64 bits.
    """

    def __init__(self, context: ssl.SSLContext, most: int = _MOST, most_of_one: int = _MOST_OF_ONE) -> None:
        self._context = context
        self._most = most
        self._most_of_one = most_of_one
        self._begun: Counter[str] = Counter()
        self._log = RatedLog(logger)

    async def accept(self, sock: socket.socket, connection: Connection) -> TLSStream | None:
        """Do a handshake, and return the encrypted stream.

        :return: the stream, or ``None`` if there are too many handshakes already.
        :raises ConnectionLostError: the client does not speak TLS, its certificate is not accepted, it took too
            long or has disconnected.
        """
        origin = connection.origin
        if self._begun.total() >= self._most:
            text = "%s: refused: there are %d TLS handshakes already"
            self._log.warning((origin, "all"), text, connection.name, self._most)
            return None
        if self._begun[origin] >= self._most_of_one:
            text = "%s: refused: %s has begun %d TLS handshakes"
            self._log.warning((origin, "own"), text, connection.name, origin, self._most_of_one)
            return None
        self._begun[origin] += 1
        try:
            return await accept_tls(sock, self._context, name=connection.name)
        finally:
            self._begun[origin] -= 1
            if not self._begun[origin]:
                del self._begun[origin]

    def flush_log(self) -> None:
        """Say how many log lines were left out; no more connections are accepted."""
        self._log.flush()


class EncryptedConnection(Accepted):
    """A connection that will be encrypted.

    :param sock: its socket, which is closed with it.
    :param handshakes: does the handshake.
    """

    certificate_follows = True

    def __init__(self, connection: Connection, sock: socket.socket, handshakes: Handshakes) -> None:
        self.connection = connection
        self._socket = sock
        self._handshakes = handshakes
        self._encrypted: TLSStream | None = None

    async def open(self) -> ByteStream | None:
        """Do the handshake; see :meth:`Accepted.open`."""
        self._encrypted = await self._handshakes.accept(self._socket, self.connection)
        if self._encrypted is not None:
            self.connection = replace(self.connection, certificate=self._encrypted.certificate)
        return self._encrypted

    async def aclose(self) -> None:
        """Close the connection, and tell the client that this is the end rather than an attack."""
        if self._encrypted is not None:
            self._encrypted.close()
        else:
            hang_up(self._socket)
