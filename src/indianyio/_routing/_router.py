"""Who gets what: the decisions of a server, without any I/O (protocol.md 2.2 to 2.10).

The router is told who comes and goes and what they send; it answers with what is to be sent to whom, and carries
nothing out. Of a frame that it hands on it reads the start tag only, and hands on the frame itself, one for all.

Where indiserver harms its peers the router differs. A device has one owner, who has defined it (S8). Nobody else
can speak for it (S22), nor for a device whose driver is being started again. A write goes to its device's owner and
never to all drivers (S18). A BLOB policy for a device concerns that device (2.7). Clients that are no servers
are not asked for devices (S28). Another server is told what all of our clients together want, not what one of them
said last (2.9). Nothing runs in a circle between servers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Generic

from indianyio._routing._decisions import Delivery, Routed
from indianyio._routing._from_clients import from_client
from indianyio._routing._from_drivers import claim, from_driver
from indianyio._routing._own_frames import blob_request, deletion, remark, request
from indianyio._routing._routes import ClientRecord, DriverRecord, PeerKind, PeerT, Routes
from indianyio._routing._subscriptions import Breadth, addresses_all
from indianyio._vocabulary import BLOBHandling
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol._frames import Frame, Head
from indianyio.protocol._messages import EnableBLOB

__all__ = ["Router"]

_IDENTITY = re.compile(r"[A-Za-z0-9]{1,64}")


class Router(Generic[PeerT]):
    """The peers of one server, and who gets what of whom.

    A peer is any hashable object; the router only hands it back.

    :param identity: what no other server is called, some random letters and digits: by it the router knows its own
        requests when they come back through other servers.
    :raises ValueError: ``identity`` is empty, longer than 64 characters or has other ones.
    """

    def __init__(self, identity: str) -> None:
        if not _IDENTITY.fullmatch(identity):
            raise ValueError(f"an identity is 1 to 64 letters and digits, not {identity!r}")
        self._routes: Routes[PeerT] = Routes(identity)

    # -- who comes -----------------------------------------------------------------------------------------------

    def add_client(self, peer: PeerT, name: str, *, may_write: bool = True) -> None:
        """Take in a client; it gets nothing until it asks (protocol.md S13, S23).

        :param peer: its handle.
        :param name: what it is called in log lines.
        :param may_write: whether its writes are carried out. If not, each is answered with a message to this client
            alone, and the client cannot tell snooping drivers anything either.
        :raises ValueError: the peer is there already.
        """
        self._require_new(peer)
        self._routes.clients[peer] = ClientRecord(peer, name, may_write)
        self._routes.change()

    def add_driver(
        self, peer: PeerT, name: str, devices: Iterable[str] = (), *, lineage: Hashable | None = None
    ) -> Routed[PeerT]:
        """Take in a local driver.

        :param peer: its handle.
        :param name: what it is called in log lines.
        :param devices: its devices, if it declares them. Others are learnt from what it defines (protocol.md S8).
        :param lineage: by what it is known again when it has ended and was started again; its name if absent.
        :return: nothing to send; ``refuse`` is set if a device is another's, and then it has not been taken in.
        :raises ValueError: the peer is there already.
        """
        self._require_new(peer)
        driver = DriverRecord(peer, name, name if lineage is None else lineage)
        return self._take_in(driver, devices)

    def add_remote(self, peer: PeerT, name: str, *, host: str, device: str | None = None) -> Routed[PeerT]:
        """Take in another server of which we are a client now.

        :param peer: its handle; each new connection needs another one.
        :param name: what it is called in log lines.
        :param host: where it is, such as ``"dome.local:7624"``; nothing goes from a host back to it.
        :param device: the only device that is wanted of it (protocol.md 2.9), or ``None`` for all.
        :return: nothing to send; ``dropped`` is set if the device is another's.
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

        Another server that is asked for all is asked twice. Some of libindi's drivers, the focuser's simulator for
        one, do not answer to ``*``; without it we would not be told what its drivers snoop (S28). The wider request
        comes last, so that it cannot be narrowed by the other (S15, S16).

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

    def ways(self, peer: PeerT) -> Mapping[Head, tuple[PeerT, ...]]:
        """Return what becomes of messages of a driver that are handed on and change nothing, by their heads.

        :meth:`receive` would say the same of them, but that takes longer. It is a view: of what is not in it, or
        not any more, :meth:`receive` has to be told. Of others than drivers, nothing is ever in it.
        """
        driver = self._routes.drivers.get(peer)
        return {} if driver is None else driver.ways

    # -- what they send, and who goes ----------------------------------------------------------------------------

    def receive(self, peer: PeerT, frame: Frame, *, more: bool = False) -> Routed[PeerT]:
        """Decide what becomes of a frame.

        Whatever is in the frame, nothing is raised.

        :param peer: who has sent it.
        :param frame: what was sent. It is handed on as it is, so it has to be fit for that.
        :param more: whether this is one of several BLOB policies in a row, and not the last. What they mean for
            other servers is found once for all of them, since it takes long where there are many BLOBs.
        :return: what is to be done. A peer that is to be refused stays until it is removed.
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
            # First: what is asked for now may be answered with a BLOB.
            routed.deliveries[:0] = self._policies_due()
        return routed

    def remove(self, peer: PeerT, reason: str, *, returns: bool = False) -> Routed[PeerT]:
        """Forget a peer.

        :param peer: who has gone.
        :param reason: why, in words that the clients can read.
        :param returns: whether a driver of the same lineage is to come in its place. Its devices are kept for that
            one until :meth:`will_not_return`, and nobody else may speak for them: a command must not reach another
            instrument because its own is being started again, nor a dome hear from a stranger that it is safe.
        :return: what is to be sent: for each device that it had the reason and the end of the device, to all who
            asked for any of it, snooping drivers included (protocol.md S9, and what S9 leaves out); and what other
            servers need not send any more.
        :raises KeyError: there is no such peer.
        """
        routes = self._routes
        routed: Routed[PeerT] = Routed()
        if routes.clients.pop(peer, None) is None:
            driver = routes.drivers.pop(peer)
            devices = routes.owners.release(driver, keep=returns)
            routes.change()  # first, or a driver that snooped itself would be told of its own end
            for device in devices:
                targets = routes.targets(driver, device, "", blob=False)
                routed.send(remark(device, f"{driver.title}: {reason}"), targets)
                routed.send(deletion(device), targets)
        routes.change()
        routed.deliveries += self._policies_due()
        return routed

    def will_not_return(self, lineage: Hashable) -> None:
        """Let others have the devices that were kept for a driver.

        :param lineage: by what the driver was known.
        """
        self._routes.owners.keep_no_more(lambda earlier: earlier.lineage == lineage)

    def is_client(self, peer: PeerT) -> bool:
        """Tell whether a peer is a client that is there; another server may be one."""
        return peer in self._routes.clients

    def is_server(self, peer: PeerT) -> bool:
        """Tell whether a client is another server, and so stands for many."""
        client = self._routes.clients.get(peer)
        return client is not None and client.subscription.breadth is Breadth.SERVER

    # -- looking inside ------------------------------------------------------------------------------------------

    def kind(self, peer: PeerT) -> PeerKind:
        """Return what a peer is.

        :raises KeyError: there is no such peer.
        """
        return PeerKind.CLIENT if peer in self._routes.clients else self._routes.drivers[peer].kind

    def is_duplicate(self, driver: PeerT) -> bool:
        """Tell whether a driver was refused because a device of it is another's, so that it need not come again.

        :raises KeyError: there is no such driver.
        """
        return self._routes.drivers[driver].is_duplicate

    def owner(self, device: str) -> PeerT | None:
        """Return the driver or server that has a device, ``None`` if nobody has."""
        owner = self._routes.owners.owner(device)
        return None if owner is None else owner.peer

    def devices(self, peer: PeerT) -> tuple[str, ...]:
        """Return the devices of a driver or another server, in the order in which they became known.

        :raises KeyError: there is no such driver or server.
        """
        return self._routes.owners.devices(self._routes.drivers[peer])

    def blob_policies(self, peer: PeerT) -> list[EnableBLOB]:
        """Return what another server was told last about each of its BLOB vectors, and about deleted ones.

        It is told ``Also`` if anybody here wants the BLOB, and ``Never`` if nobody does any more; never ``Only``,
        which would keep the rest from all others. Always with device and vector: so it means the same to indiserver
        and to us (protocol.md 2.7).

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
                return routed
        self._routes.drivers[driver.peer] = driver
        self._routes.change()
        return routed

    def _policies_due(self) -> list[Delivery[PeerT]]:
        """Return what other servers are to be told about BLOBs because of what has changed."""
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
