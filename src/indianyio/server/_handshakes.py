"""Those who have yet to come to the end of a TLS handshake: they are no clients, and take the place of none.

Who says nothing keeps its place for ten seconds. So there are only so many places, and only some of them for one
address: a machine that connects and says nothing, by fault or on purpose, shuts out nobody but itself.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import Counter
from ipaddress import IPv6Address, IPv6Network, ip_address

from anyio import CancelScope

from indianyio.server._access import Connection
from indianyio.streams._tls import TLSStream, accept_tls

__all__ = ["Handshakes"]

logger = logging.getLogger(__name__)

# Who has something to say says it within ten seconds; so many may try at the same time.
_MOST = 100

# A program that opens some connections at once, as browsers do, has six of them as a rule.
_MOST_OF_ONE = 10


class Handshakes:
    """The handshakes that are not finished.

    :param most: how many there may be at a time.
    :param most_of_one: how many of them may come from one address, of IPv6 from one network of 64 bits.
    """

    def __init__(self, most: int = _MOST, most_of_one: int = _MOST_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._scopes: set[CancelScope] = set()
        self._origins: Counter[str] = Counter()

    async def accept(
        self, sock: socket.socket, context: ssl.SSLContext, connection: Connection
    ) -> TLSStream | None:
        """Do a handshake, and return the encrypted stream.

        :return: it, or ``None`` if there are too many handshakes already, or :meth:`end` was called.
        :raises ConnectionLostError: the client does not speak TLS, its certificate is not accepted, it took too
            long or has gone.
        """
        origin = _origin(connection)
        if len(self._scopes) >= self._most:
            logger.warning("%s: refused: there are %d TLS handshakes already", connection.name, self._most)
            return None
        if self._origins[origin] >= self._most_of_one:
            logger.warning(
                "%s: refused: %s has begun %d TLS handshakes", connection.name, origin, self._most_of_one
            )
            return None
        with CancelScope() as scope:
            self._scopes.add(scope)
            self._origins[origin] += 1
            try:
                return await accept_tls(sock, context, name=connection.name)
            finally:
                self._scopes.discard(scope)
                self._origins[origin] -= 1
                if not self._origins[origin]:
                    del self._origins[origin]
        return None

    def end(self, reason: str) -> None:
        """End all of them."""
        for scope in self._scopes:
            scope.cancel(reason)


def _origin(connection: Connection) -> str:
    """Return where a client comes from: one machine with IPv6 has all addresses of a network of 64 bits."""
    address = ip_address(str(connection.address))
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))
