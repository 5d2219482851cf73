"""A client that has connected: what is known about it, and the stream of its bytes.

Whoever serves a client needs only a byte stream. How the bytes travel, whether they are encrypted, and how the
system looks after the connection is the listener's business. So a listener in memory can stand in for a real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from indianyio.streams._base import ByteStream

__all__ = ["Accepted", "Connection"]


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known about a client before it says anything.

    :ivar kind: how it is connected.
    :ivar address: the IP address it comes from; ``None`` on a unix socket.
    :ivar port: the TCP port it comes from; ``None`` on a unix socket.
    :ivar uid: the user who runs its process; only known on unix sockets, and only where the system tells.
    :ivar gid: the group of that process, likewise.
    :ivar pid: the number of that process, likewise; 0 if this process cannot see it (in another container).
    :ivar certificate: the verified TLS certificate of the client, in the form of
        :meth:`ssl.SSLSocket.getpeercert`; ``None`` if there is none.
    """

    kind: Literal["tcp", "unix"]
    address: str | None = None
    port: int | None = None
    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    certificate: Mapping[str, object] | None = field(default=None, hash=False)

    @property
    def name(self) -> str:
        """What log lines call the client: ``127.0.0.1:53211``, ``[::1]:53211``, ``process 4711``."""
        if self.kind == "unix":
            return "unix socket" if self.pid is None else f"process {self.pid}"
        return f"[{self.address}]:{self.port}" if ":" in str(self.address) else f"{self.address}:{self.port}"

    @property
    def common_name(self) -> str | None:
        """The common name in the certificate's subject, or ``None`` if there is none."""
        subject = (self.certificate or {}).get("subject", ())
        if not isinstance(subject, tuple):
            return None
        names = [value for attributes in subject for key, value in attributes if key == "commonName"]
        # The last one is the most specific, which is why RFC 4514 writes a subject backwards.
        return str(names[-1]) if names else None


class Accepted:
    """A connection that a listener has accepted and nobody has served yet.

    :param connection: what is known about the client.
    :param stream: its bytes; the listener closes it when the client has been served.
    :ivar connection: what is known about the client by now.
    :ivar certificate_follows: whether the client may still show a certificate in :meth:`open`.
    """

    certificate_follows = False

    def __init__(self, connection: Connection, stream: ByteStream) -> None:
        self.connection = connection
        self._stream = stream

    async def open(self) -> ByteStream | None:
        """Do what has to come before the client's first byte, such as a TLS handshake, and return the stream.

        :return: the stream, which the listener closes; ``None`` if the listener turns the client away, for a reason
            that it has logged.
        :raises ConnectionLostError: the client has disconnected, or cannot do what is asked of it.
        """
        return self._stream

    async def aclose(self) -> None:
        """Close the connection at once, opened or not."""
        await self._stream.aclose()
