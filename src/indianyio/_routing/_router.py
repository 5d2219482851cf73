"""Who gets what: the decisions of a server, without any I/O (protocol.md 2.2 to 2.10).

The router is told who connects and disconnects and what they send. It answers with what must be sent to whom, and
carries nothing out itself. Of a frame that it forwards it reads only the start tag, and it forwards the frame
itself, one for all receivers.

The router differs from indiserver where that harms its peers. A device has one owner, the one that has defined it
(S8). Nobody else can speak for it (S22), not even while its driver is being restarted. A write goes to the owner of
its device and never to all drivers (S18). A BLOB policy for a device concerns only that device (2.7). Clients that
are not servers are not asked for devices (S28). Another server is told what all our clients together want, not what
one of them said last (2.9). Nothing runs in a circle between servers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Generic

from indianyio._routing._decisions import Delivery, Routed
from indianyio._routing._from_clients import from_client
from indianyio._routing._from_drivers import claim, from_driver
from indianyio._routing._own_frames import blob_request, deletion, remark, request
from indianyio._routing._routes import ClientRecord, DriverRecord, PeerKind, PeerT, Route, Routes
from indianyio._routing._subscriptions import Breadth, addresses_all
from indianyio._vocabulary import BLOBHandling
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol._frames import Frame, Head
from indianyio.protocol._messages import EnableBLOB

__all__ = ["Router"]

_IDENTITY = re.compile(r"[A-Za-z0-9]{1,64}")


class Router(Generic[PeerT]):
    """The peers of one server, and who gets what from whom.

    A peer is any hashable object; the router only hands it back.

    :param identity: a name that no other server has, made of some random letters and digits. By it the router
        recognises its own requests when they come back through other servers.
    :ivar known_routes: for each peer, by their heads, the routes of those of its messages that are forwarded and
        change nothing.
        :meth:`receive` would say the same about them, but takes longer. This is a view: :meth:`receive` must be
        told of everything that is not in it, or no longer in it.
    :raises ValueError: ``identity`` is empty, is longer than 64 characters, or has other characters.
    """

    def __init__(self, identity: str) -> None:
        if not _IDENTITY.fullmatch(identity):
            raise ValueError(f"an identity is 1 to 64 letters and digits, not {identity!r}")
        self._routes: Routes[PeerT] = Routes(identity)
        self.known_routes: Mapping[PeerT, Mapping[Head, Route[PeerT]]] = self._routes.known_routes

    # -- who connects --------------------------------------------------------------------------------------------

    def add_client(self, peer: PeerT, name: str, *, may_write: bool = True) -> None:
        """Add a client; it gets nothing until it asks (protocol.md S13, S23).

        :param peer: its handle.
        :param name: what it is called in log lines.
        :param may_write: whether its writes are carried out. If not, each is answered with a message to this client
            alone, and the client cannot tell snooping drivers anything either.
        :raises ValueError: the peer is there already.
        """
        self._require_new(peer)
        self._routes.clients[peer] = ClientRecord(peer, name, may_write)
        self._routes.known_routes[peer] = {}
        self._routes.change()

    def add_driver(
        self, peer: PeerT, name: str, devices: Iterable[str] = (), *, lineage: Hashable | None = None
    ) -> Routed[PeerT]:
        """Add a local driver.

        :param peer: its handle.
        :param name: what it is called in log lines.
        :param devices: its devices, if it declares them. Others are learnt from what it defines (protocol.md S8).
        :param lineage: what identifies it after a restart; its name if absent.
        :return: nothing to send; ``refuse`` is set if a device is somebody else's, and then it has not been added.
        :raises ValueError: the peer is there already.
        """
        self._require_new(peer)
        driver = DriverRecord(peer, name, name if lineage is None else lineage)
        return self._take_in(driver, devices)

    def add_remote(self, peer: PeerT, name: str, *, host: str, device: str | None = None) -> Routed[PeerT]:
        """Add another server, of which we are now a client.

        :param peer: its handle; each new connection needs another one.
        :param name: what it is called in log lines.
        :param host: where it is, such as ``"dome.local:7624"``; nothing that came from a host goes back to it.
        :param device: the only device that is wanted from it (protocol.md 2.9), or ``None`` for all.
        :return: nothing to send; ``dropped`` is set if the device is somebody else's.
        :raises ValueError: the peer is there already, or the host or the device is empty.
        """
        self._require_new(peer)
        if not host or device == "":
            raise ValueError("a server needs a host, and the device wanted of it a name")
        mark = self._routes.mark_of(host)
        driver = DriverRecord(peer, name, peer, host=host, asked=device or "*", mark=mark)
        return self._take_in(driver, () if device is None else (device,))

    def greeting(self, peer: PeerT) -> Routed[PeerT]:
        """Return what a peer gets first: a request for its definitions (protocol.md S7, 2.9), a client nothing.

        Another server that is asked for everything is asked twice. Some of libindi's drivers, for example the
        simulated focuser, do not answer to ``*``; but without ``*`` we would not learn what its drivers snoop on
        (S28). The wider request comes last, so that the other cannot narrow it (S15, S16).

        :raises KeyError: there is no such peer.
        """
        routed: Routed[PeerT] = Routed()
        if peer in self._routes.clients:
            return routed
        driver = self._routes.drivers[peer]
        if driver.host is None:
            routed.send(request(), (peer,))
        else:
            if addresses_all(driver.asked):
                routed.ask([driver])
            routed.ask([driver], driver.asked)
        return routed

    # -- what they send, and who disconnects ---------------------------------------------------------------------

    def receive(self, peer: PeerT, frame: Frame, *, more: bool = False) -> Routed[PeerT]:
        """Decide what happens to a frame.

        Nothing is raised, whatever is in the frame.

        :param peer: who sent it.
        :param frame: what was sent. It is forwarded unchanged, so it must be fit for that.
        :param more: whether this is one of several BLOB policies in a row, and not the last. What they mean for
            other servers is worked out once for all of them, because that takes long if there are many BLOBs.
        :return: what must be done. A peer that must be refused stays until it is removed.
        :raises KeyError: there is no such peer.
        """
        routes = self._routes
        driver = routes.drivers.get(peer)
        try:
            if driver is None:
                routed = from_client(routes, routes.clients[peer], frame)
            else:
                routed = from_driver(routes, driver, frame)
        except RemoteProtocolError as error:
            routed = Routed(refuse=str(error))
        if routes.stale and routed.refuse is None and not more:
            # These come first, because what is requested now may be answered with a BLOB.
            routed.deliveries[:0] = self._policies_due()
        return routed

    def remove(self, peer: PeerT, reason: str, *, returns: bool = False) -> Routed[PeerT]:
        """Forget a peer.

        :param peer: who has disconnected or ended.
        :param reason: why, in words that clients can show.
        :param returns: whether a driver of the same lineage will take its place. Its devices are kept for that one
            until :meth:`will_not_return`, and nobody else may speak for them: a command must not reach another
            instrument because its own is being restarted, and a dome must not be told by a stranger that it is
            safe.
        :return: what must be sent. For each device that it had, the reason and the deletion of the device go to all
            who asked for any of it, snooping drivers included (protocol.md S9, and what S9 leaves out). Other
            servers are told what they need not send any more.
        :raises KeyError: there is no such peer.
        """
        routes = self._routes
        routed: Routed[PeerT] = Routed()
        del routes.known_routes[peer]
        if routes.clients.pop(peer, None) is None:
            driver = routes.drivers.pop(peer)
            devices = routes.owners.release(driver, keep=returns)
            routes.change()  # this comes first, or a driver that snooped on itself would be told of its own end
            for device in devices:
                targets = routes.targets(driver, device, "", blob=False)
                routed.send(remark(device, f"{driver.title}: {reason}"), targets)
                routed.send(deletion(device), targets)
        routes.change()
        routed.deliveries += self._policies_due()
        return routed

    def will_not_return(self, lineage: Hashable) -> None:
        """Let others have the devices that were kept for a driver.

        :param lineage: what identified the driver.
        """
        self._routes.owners.keep_no_more(lambda earlier: earlier.lineage == lineage)

    def is_client(self, peer: PeerT) -> bool:
        """Return whether a peer is a connected client; another server may be one."""
        return peer in self._routes.clients

    def is_server(self, peer: PeerT) -> bool:
        """Return whether a client is another server, and so stands for many."""
        client = self._routes.clients.get(peer)
        return client is not None and client.subscription.breadth is Breadth.SERVER

    # -- looking inside ------------------------------------------------------------------------------------------

    def kind(self, peer: PeerT) -> PeerKind:
        """Return what a peer is.

        :raises KeyError: there is no such peer.
        """
        return PeerKind.CLIENT if peer in self._routes.clients else self._routes.drivers[peer].kind

    def is_duplicate(self, driver: PeerT) -> bool:
        """Return whether a driver was refused because one of its devices is another's, so need not be restarted.

        :raises KeyError: there is no such driver.
        """
        return self._routes.drivers[driver].is_duplicate

    def owner(self, device: str) -> PeerT | None:
        """Return the driver or server that has a device, or ``None`` if nobody has it."""
        owner = self._routes.owners.owner(device)
        return None if owner is None else owner.peer

    def devices(self, peer: PeerT) -> tuple[str, ...]:
        """Return the devices of a driver or another server, in the order in which they became known.

        :raises KeyError: there is no such driver or server.
        """
        return self._routes.owners.devices(self._routes.drivers[peer])

    def blob_policies(self, peer: PeerT) -> list[EnableBLOB]:
        """Return what another server was last told about each of its BLOB vectors, deleted ones included.

        It is told ``Also`` if anybody here wants the BLOB, and ``Never`` when nobody does any longer; never
        ``Only``, which would keep everything else from all others. It is always told with device and vector,
        because that means the same to indiserver and to us (protocol.md 2.7).

        :raises KeyError: there is no such server.
        """
        told = self._routes.drivers[peer].blobs
        return [EnableBLOB(device=device, name=name, value=policy) for (device, name), policy in told]

    def _require_new(self, peer: PeerT) -> None:
        if peer in self._routes.clients or peer in self._routes.drivers:
            raise ValueError(f"{peer!r} is there already")

    def _take_in(self, driver: DriverRecord[PeerT], devices: Iterable[str]) -> Routed[PeerT]:
        routed: Routed[PeerT] = Routed()
        for device in devices:
            routed = claim(self._routes, driver, device) or routed
            if routed.refuse is not None:
                self._routes.owners.release(driver)
                self._routes.change()
                return routed
        self._routes.drivers[driver.peer] = driver
        self._routes.known_routes[driver.peer] = {}
        self._routes.change()
        return routed

    def _policies_due(self) -> list[Delivery[PeerT]]:
        """Return what other servers must be told about BLOBs because of what has changed."""
        stale = self._routes.stale
        self._routes.stale = set()
        due: Routed[PeerT] = Routed()
        for driver in self._routes.drivers.values():
            for (device, name), told in driver.blobs:
                if device not in stale and "" not in stale:
                    continue
                wanted = self._routes.wants_blob(driver, device, name)
                policy = BLOBHandling.ALSO if wanted else BLOBHandling.NEVER
                if policy is not told:
                    driver.blobs.tell(device, name, policy)
                    due.send(blob_request(device, name, policy), (driver.peer,))
        return due.deliveries
