"""What the router decides: which frame goes to whom, what is not done and why."""

from __future__ import annotations

from typing import Generic

import msgspec

from indianyio._routing._own_frames import LONGEST_PATH, ping_reply, request
from indianyio._routing._routes import ClientRecord, DriverRecord, PeerT, Routes
from indianyio._routing._subscriptions import addresses_all
from indianyio.protocol._frames import Frame

__all__ = ["Delivery", "Routed", "answer_ping"]


class Delivery(msgspec.Struct, Generic[PeerT], frozen=True):
    """One frame and the peers that are to get it.

    :ivar frame: the frame; its bytes are the same for all of them.
    :ivar targets: the peers, each once, at least one.
    """

    frame: Frame
    targets: tuple[PeerT, ...]


class Routed(msgspec.Struct, Generic[PeerT]):
    """What is to be done now.

    :ivar deliveries: what to send, in this order.
    :ivar dropped: why what the peer sent is not done, or not all of it, in words for a log line.
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

        :param servers: whom to ask; one that was added for a single device is asked for no more than that.
        :param device: the device; none, or ``"*"``, for all.
        :param name: the vector, or nothing for all of the device.
        :param path: the marks of the servers through which the request came; we add ours.
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
    """Answer a ping, whoever sent it: everything before it has been dealt with."""
    reply = ping_reply(frame)
    if reply is None:
        return Routed(dropped="a broken pingRequest")
    routed: Routed[PeerT] = Routed()
    routed.send(reply, (sender.peer,))
    return routed
