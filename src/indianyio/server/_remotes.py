"""Another server whose devices are served here too: a connection that comes back whenever it was lost.

To lose it is nothing special: its devices go, nothing else is touched, and it is tried again for ever (where
indiserver exits, protocol.md 2.9). Only what changes is logged, not every attempt.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import anyio

from indianyio._routing import OUTBOX_BYTES, DriverOutbox, PeerStatistics
from indianyio.protocol import EnableBLOB, NewBLOBVector, SetBLOBVector
from indianyio.protocol._text import require_xml_text
from indianyio.server._hub import Hub, Port
from indianyio.server._peers import FEEDER, Peer, run_guarded
from indianyio.server._supervision import Attempts, Backoff
from indianyio.streams import SocketStream, dial

__all__ = ["RemoteServer"]

logger = logging.getLogger(__name__)

# A server that is never told otherwise sends no BLOBs (protocol.md 2.7).
_ABOUT_BLOBS = frozenset({EnableBLOB.tag, NewBLOBVector.tag, SetBLOBVector.tag})
_WITHOUT_BLOBS = replace(FEEDER, kept_back=_ABOUT_BLOBS)


class RemoteServer:
    """Another INDI server, ``indiserver`` or ours.

    :param host: its name or address.
    :param port: its TCP port, 1 to 65535.
    :param device: the only device that is wanted of it; ``None`` for all.
    :param connect_timeout_seconds: how long one attempt to connect may take, more than 0.
    :param outbox_bytes: how much may wait for it, if it does not read, before more is refused; at least 1.
    :param backoff: how long to wait before each new attempt; it has no limit by default.
    :param blobs: whether BLOBs pass, either way, to whoever has asked for them.
    :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
    :ivar name: what people call it, where it is at first, as ``host:port``; not to be changed while it runs.
    :ivar connected: whether there is a connection now.
    :raises TypeError: the host or the device is no text, or the port no whole number.
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
        self._missed = False

    def __repr__(self) -> str:
        return f"RemoteServer({self._where!r}, device={self._device!r})"

    @property
    def port(self) -> Port | None:
        """Its peer of the hub, over this connection or the last; ``None`` before the first."""
        return self._port

    def statistics(self) -> PeerStatistics:
        """Return what has passed over the last connection; ``restarts`` is how often it was made anew."""
        passed = PeerStatistics() if self._port is None else self._port.statistics()
        return replace(passed, restarts=max(0, self._connections - 1))

    @property
    def end_seconds(self) -> float:
        """How long it may take to end when it is cancelled: no time at all."""
        return 0.0

    async def run(self, hub: Hub) -> None:
        """Connect, pass frames, and connect again when the connection was lost, for ever.

        Raises nothing. Cancelled, it closes the connection at once, and the clients are told that the devices are
        gone.

        :param hub: where the server's messages go to and come from.
        """
        attempts = Attempts(self._backoff)
        self._connections, self._missed = 0, False
        while True:
            lasted = await self._try(hub)
            delay = attempts.next_delay(lasted)
            if delay is None:
                logger.error("%s: given up after %d attempts", self.name, attempts.made + 1)
                return
            await anyio.sleep(delay)

    async def _try(self, hub: Hub) -> float:
        """Connect, and serve what comes, if that works; return how many seconds it has worked."""
        try:
            stream = await dial(*self._address, self._timeout_seconds, name=self.name)
        except (OSError, UnicodeError) as error:  # a name that is none in DNS is a UnicodeError
            self._miss(f"cannot be reached: {error}")
            return 0.0
        began = anyio.current_time()
        self._miss(await self._serve(hub, stream))
        return anyio.current_time() - began

    async def _serve(self, hub: Hub, stream: SocketStream) -> str:
        """Pass frames over one connection until its end, and tell the clients of that; return why it ended."""
        outbox = DriverOutbox(self._outbox_bytes)
        policy = FEEDER if self._blobs else _WITHOUT_BLOBS
        peer = self._port = Peer(hub, stream, outbox, policy, name=self.name)
        reason = "the server ends"
        try:
            refusal = hub.add_remote(peer, self._where, self._device, debug=self._debug)
            if refusal is not None:
                return refusal
            self._meet()
            try:
                reason = f"the connection to {self.name} was lost: {await run_guarded(peer)}"
            finally:
                self.connected = False
                hub.remove(peer, reason)
        finally:
            stream.close()
        return reason

    def _meet(self) -> None:
        self.connected = True
        self._missed = False
        self._connections += 1
        logger.info("%s: connected", self.name)

    def _miss(self, reason: str) -> None:
        logger.log(logging.DEBUG if self._missed else logging.WARNING, "%s: %s", self.name, reason)
        self._missed = True
