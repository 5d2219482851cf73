"""Another server whose devices are served here too: a connection that comes back whenever it was lost.

To lose it is nothing special: its devices go, nothing else is touched, and it is tried again for ever (where
indiserver exits, protocol.md 2.9). Only what changes is logged, not every attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import replace

import anyio

from indianyio._rated_log import RatedLog
from indianyio._routing import OUTBOX_BYTES, DriverOutbox, PeerStatistics, Relayed, Room
from indianyio.protocol import EnableBLOB, Frame, NewBLOBVector, SetBLOBVector
from indianyio.protocol._text import require_xml_text
from indianyio.server._hub import Hub, Port
from indianyio.server._supervision import Attempts, Backoff, FeederPort, run_guarded
from indianyio.streams import ByteStream, SocketStream, dial

__all__ = ["RemoteServer"]

logger = logging.getLogger(__name__)

# A server that is never told otherwise sends no BLOBs (protocol.md 2.7).
_ABOUT_BLOBS = frozenset({EnableBLOB.tag, NewBLOBVector.tag, SetBLOBVector.tag})


class RemotePort(FeederPort):
    """The port of another server, through which BLOBs need not pass.

    :param blobs: whether they do.
    """

    def __init__(
        self, hub: Hub, stream: ByteStream, outbox: DriverOutbox, *, name: str, debug: bool, blobs: bool
    ) -> None:
        super().__init__(hub, stream, outbox, name=name, debug=debug)
        self._kept_back = frozenset() if blobs else _ABOUT_BLOBS
        self._log = RatedLog(logger)

    def deliver(self, relay: Relayed) -> Room:
        """Queue a message, unless it is a BLOB or asks for some and none may pass."""
        if self._kept_back and (tag := relay.came[0].tag) in self._kept_back:
            level = logging.WARNING if tag == NewBLOBVector.tag else logging.DEBUG
            self._log.log(tag, level, "%s: a %s is kept back, as no BLOBs are to pass", self.name, tag)
            return Room.ENOUGH
        return super().deliver(relay)

    def _receive(self, frame: Frame, *, more: bool = False) -> Awaitable[None] | None:
        return None if frame.tag in self._kept_back else super()._receive(frame, more=more)


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
        self._port: RemotePort | None = None
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
        port = self._port = RemotePort(hub, stream, outbox, name=self.name, debug=self._debug, blobs=self._blobs)
        reason = "the server ends"
        try:
            refusal = hub.add_remote(port, self._where, self._device)
            if refusal is not None:
                return refusal
            self._meet()
            try:
                reason = f"the connection to {self.name} was lost: {await run_guarded(port)}"
            finally:
                self.connected = False
                hub.remove(port, reason)
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
