"""What the router decides: which frame goes to whom, and what is not done and why."""

from __future__ import annotations

from typing import Generic

import msgspec

from indianyio._routing._own_frames import LONGEST_PATH, ping_reply, request
from indianyio._routing._routes import ClientRecord, DriverRecord, PeerT, Routes
from indianyio._routing._subscriptions import addresses_all
from indianyio.protocol._frames import Frame

__all__ = ["Delivery", "Routed", "answer_ping"]


class Delivery(msgspec.Struct, Generic[PeerT], frozen=True):
    """One frame and the peers that get it.

    :ivar frame: the frame; its bytes are the same for all of them.
    :ivar targets: the peers, each once, at least one.
    """

    frame: Frame
    targets: tuple[PeerT, ...]


class Routed(msgspec.Struct, Generic[PeerT]):
    """What has to be done now.

    :ivar deliveries: what to send, in this order.
    :ivar dropped: why not all that the peer sent is carried out, in words for a log line.
    :ivar refuse: why the peer must be disconnected, in words for a log line; then there are no deliveries.
    """

    deliveries: list[Delivery[PeerT]] = msgspec.field(default_factory=list)
    dropped: str | None = None
    refuse: str | None = None

    def send(self, frame: Frame, targets: tuple[PeerT, ...]) -> None:
        """Send a frame to these peers, if there are any."""
        if targets:
            self.deliveries.append(Delivery(frame, targets))

    def ask(
        self, servers: list[DriverRecord[PeerT]], device: str = "", name: str = "", path: tuple[str, ...] = ()
    ) -> None:
        """Ask other servers for definitions.

        :param servers: whom to ask; one that was added for a single device is asked only for that device.
        :param device: the device; empty or ``"*"`` for all.
        :param name: the vector; empty for all of the device.
        :param path: the marks of the servers through which the request came; ours is added.
        """
        if servers and len(path) >= LONGEST_PATH:
            self.dropped = f"a getProperties has come through {len(path)} servers, which looks like a circle"
            return
        for server in servers:
            asked = server.asked if addresses_all(device) and not addresses_all(server.asked) else device
            self.send(request(asked, name, (*path, server.mark)), (server.peer,))


def answer_ping(
    routes: Routes[PeerT], sender: ClientRecord[PeerT] | DriverRecord[PeerT], frame: Frame
) -> Routed[PeerT]:
    """Answer a ping, whoever sent it, because everything before it has been dealt with."""
    reply = ping_reply(frame)
    if reply is None:
        return Routed(dropped="a broken pingRequest")
    routed: Routed[PeerT] = Routed()
    routed.send(reply, (sender.peer,))
    return routed
