"""Another server whose devices are served here too; the connection is made again whenever it is lost.

Losing it is nothing special: its devices are deleted, nothing else is touched, and we try to reconnect for ever
(indiserver exits instead, protocol.md 2.9). Only changes are logged, not every attempt.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import anyio

from indianyio._routing import OUTBOX_BYTES, DriverOutbox, PeerStatistics
from indianyio.protocol import EnableBLOB, NewBLOBVector, SetBLOBVector
from indianyio.protocol._text import require_xml_text
from indianyio.server._hub import Hub
from indianyio.server._peers import FEEDER, Peer, run_guarded
from indianyio.server._ports import Port
from indianyio.server._supervision import Attempts, Backoff
from indianyio.streams import ByteStream

__all__ = ["RemoteServer"]

logger = logging.getLogger(__name__)

# A server that is never told otherwise sends no BLOBs (protocol.md 2.7).
_ABOUT_BLOBS = frozenset({EnableBLOB.tag, NewBLOBVector.tag, SetBLOBVector.tag})
_WITHOUT_BLOBS = replace(FEEDER, kept_back=_ABOUT_BLOBS)


class RemoteServer:
    """Another INDI server, ``indiserver`` or ours.

    :param host: its name or address.
    :param port: its TCP port, 1 to 65535.
    :param device: the only device wanted from it; ``None`` for all.
    :param connect_timeout_seconds: how long one attempt to connect may take, more than 0.
    :param outbox_bytes: how much may wait for it, if it does not read, before more is refused; at least 1.
    :param backoff: how long to wait before each new attempt; it has no limit by default.
    :param blobs: whether BLOBs pass, in either direction, to those who asked for them.
    :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
    :ivar name: its name for people, ``host:port`` at first; do not change it while it runs.
    :ivar connected: whether there is a connection now.
    :raises TypeError: the host or the device is not a string, or the port not an integer.
    :raises ValueError: one of these is out of its range.
    """

    def __init__(
        self,
        host: str,
        port: int = 7624,
        device: str | None = None,
        connect_timeout_seconds: float = 10.0,
        *,
        outbox_bytes: int = OUTBOX_BYTES,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        blobs: bool = True,
        debug: bool = False,
    ) -> None:
        require_xml_text(host, "the host")
        require_xml_text("all" if device is None else device, "the device")
        if type(port) is not int:
            raise TypeError(f"a port must be an int, not {port!r}")
        if not host or device == "" or not 1 <= port <= 65535:
            raise ValueError("a server needs a host and a port of 1 to 65535, and the device wanted of it a name")
        if not connect_timeout_seconds > 0 or outbox_bytes < 1:
            raise ValueError("a server needs time to answer, and room for what waits for it")
        self.name = self._where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.connected = False
        self._address = host, port
        self._device = device
        self._timeout_seconds = connect_timeout_seconds
        self._outbox_bytes = outbox_bytes
        self._backoff = backoff
        self._blobs = blobs
        self._debug = debug
        self._port: Peer | None = None
        self._connections = 0
        self._lost_noted = False

    def __repr__(self) -> str:
        return f"RemoteServer({self._where!r}, device={self._device!r})"

    @property
    def port(self) -> Port | None:
        """Its peer in the hub, of this connection or the last; ``None`` before the first."""
        return self._port

    def statistics(self) -> PeerStatistics:
        """Return the statistics of the last connection; ``restarts`` counts the reconnections."""
        passed = PeerStatistics() if self._port is None else self._port.statistics()
        return replace(passed, restarts=max(0, self._connections - 1))

    @property
    def end_seconds(self) -> float:
        """How long it may take to end when it is cancelled: no time at all."""
        return 0.0

    async def run(self, hub: Hub) -> None:
        """Connect, pass frames, and reconnect whenever the connection is lost, for ever.

        Raises nothing. When cancelled, it closes the connection at once, and the clients are told that the devices
        are gone.

        :param hub: where the server's messages go to and come from.
        """
        attempts = Attempts(self._backoff, hub.environment.random(self.name).random)
        self._connections, self._lost_noted = 0, False
        while True:
            lasted = await self._try(hub)
            delay = attempts.next_delay(lasted)
            if delay is None:
                logger.error("%s: given up after %d attempts", self.name, attempts.made + 1)
                return
            await anyio.sleep(delay)

    async def _try(self, hub: Hub) -> float:
        """Try to connect, and serve the connection to its end; return how many seconds it lasted."""
        try:
            stream = await hub.environment.connect(*self._address, self._timeout_seconds, name=self.name)
        except (OSError, UnicodeError) as error:  # UnicodeError: the host cannot be a DNS name
            self._note_lost(f"cannot be reached: {error}")
            return 0.0
        began = hub.environment.now()
        self._note_lost(await self._serve(hub, stream))
        return hub.environment.now() - began

    async def _serve(self, hub: Hub, stream: ByteStream) -> str:
        """Pass frames over one connection until it ends, and tell the clients; return why it ended."""
        outbox = DriverOutbox(self._outbox_bytes)
        policy = FEEDER if self._blobs else _WITHOUT_BLOBS
        peer = self._port = Peer(hub, stream, outbox, policy, name=self.name)
        reason = "the server ends"
        try:
            refusal = hub.add_remote(peer, self._where, self._device, debug=self._debug)
            if refusal is not None:
                return refusal
            self._note_connected()
            try:
                reason = f"the connection to {self.name} was lost: {await run_guarded(peer)}"
            finally:
                self.connected = False
                hub.remove(peer, reason)
        finally:
            with anyio.CancelScope(shield=True):
                await stream.aclose()  # it does not wait
        return reason

    def _note_connected(self) -> None:
        self.connected = True
        self._lost_noted = False
        self._connections += 1
        logger.info("%s: connected", self.name)

    def _note_lost(self, reason: str) -> None:
        logger.log(logging.DEBUG if self._lost_noted else logging.WARNING, "%s: %s", self.name, reason)
        self._lost_noted = True
