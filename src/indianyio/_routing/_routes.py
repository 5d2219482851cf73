"""All peers of a server, and who is to get what of whom.

Who gets the messages about a vector is found once and kept until anything changes that has a part in it, so that a
driver which reports ten times a second costs a look-up each time, however many clients there are.

What came from another server never goes back there. A connection to it is known by its host; that a client is the
same server, or one that leads there, is what ``ClientRecord.circles`` remembers (see ``_router_frames``). The same
holds the other way round, for what such a client sends.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from indianyio._routing._ownership import Ownership
from indianyio._routing._remote_blobs import RemoteBLOBs
from indianyio._routing._subscriptions import Breadth, Snoops, Subscription, addresses_all
from indianyio.protocol._frames import Head

__all__ = ["ClientRecord", "DriverRecord", "PeerKind", "PeerT", "Routes"]

PeerT = TypeVar("PeerT", bound=Hashable)

# A driver may make up names for ever; this many are more than all that an observatory has.
_KEPT_TARGETS = 20_000


class PeerKind(Enum):
    """What a peer is to a server."""

    CLIENT = "client"
    """Connected to us; may be another server, which then asks for device ``*``."""

    DRIVER = "driver"
    """Local: a Python driver, or a process of ours."""

    REMOTE = "server"
    """Another server of which we are a client; its devices are served to our clients."""

    def title(self, name: str) -> str:
        """Return what a peer of this kind is called in a log line; a name that says the kind itself is enough."""
        return name if name.lower().startswith(self.value) else f"{self.value} {name}"


@dataclass(slots=True, eq=False)
class ClientRecord(Generic[PeerT]):
    """A client.

    :ivar circles: hosts of other servers to which this client leads.
    :ivar reported: devices of which it was reported already that it must not speak for them.
    """

    peer: PeerT
    name: str
    may_write: bool
    subscription: Subscription = field(default_factory=Subscription)
    circles: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class DriverRecord(Generic[PeerT]):
    """A driver or another server.

    :ivar lineage: by what a driver is known again in its next life.
    :ivar host: where the other server is, ``None`` for a driver.
    :ivar asked: the only device asked of the other server, or ``"*"``.
    :ivar mark: what we write into the path of requests to it.
    :ivar blobs: the BLOB vectors of the other server, and what it was told about them.
    :ivar reported: devices of which it was reported already that they are another's.
    :ivar ways: who gets what of it, for messages that are handed on and change nothing.
    :ivar is_duplicate: whether it was refused because a device of it is another's, who is there now.
    """

    peer: PeerT
    name: str
    lineage: Hashable
    host: str | None = None
    asked: str = "*"
    mark: str = ""
    snoops: Snoops = field(default_factory=Snoops)
    blobs: RemoteBLOBs = field(default_factory=RemoteBLOBs)
    reported: set[str] = field(default_factory=set)
    ways: dict[Head, tuple[PeerT, ...]] = field(default_factory=dict)
    is_duplicate: bool = False

    @property
    def kind(self) -> PeerKind:
        """Whether it is a driver or another server."""
        return PeerKind.DRIVER if self.host is None else PeerKind.REMOTE

    @property
    def title(self) -> str:
        """What it is called in a log line."""
        return self.kind.title(self.name)


class Routes(Generic[PeerT]):
    """Everybody who is connected, and the ways between them.

    :ivar stale: the devices about which something has changed since this was last emptied; ``""`` for any.
    """

    def __init__(self, identity: str) -> None:
        self.clients: dict[PeerT, ClientRecord[PeerT]] = {}
        self.drivers: dict[PeerT, DriverRecord[PeerT]] = {}
        self.owners: Ownership[DriverRecord[PeerT]] = Ownership()
        self.stale: set[str] = set()
        self._targets: dict[tuple[DriverRecord[PeerT], str, str, bool], tuple[PeerT, ...]] = {}
        # Equal targets are one object, so that a row of messages for the same peers is known by a look.
        self._same: dict[tuple[PeerT, ...], tuple[PeerT, ...]] = {}
        self._identity = identity
        self._marks: dict[str, str] = {}

    def mark_of(self, host: str) -> str:
        """Return what we write into the path of requests to a host; it stays the same as long as we live."""
        return self._marks.setdefault(host, f"{self._identity}.{len(self._marks)}")

    def hosts_marked(self, path: tuple[str, ...]) -> set[str]:
        """Return the hosts to which we have sent the request with this path; none if it is not ours."""
        return {host for host, mark in self._marks.items() if mark in path} if path else set()

    def change(self, device: str = "") -> None:
        """Forget what was found: a peer has come or gone, or wants something else now.

        :param device: the only device that it is about; nothing if there may be others.
        """
        self._targets.clear()
        self._same.clear()
        for driver in self.drivers.values():
            driver.ways.clear()
        self.stale.add("" if addresses_all(device) else device)

    # -- from drivers ------------------------------------------------------------------------------------------

    def targets(self, source: DriverRecord[PeerT], device: str, name: str, *, blob: bool) -> tuple[PeerT, ...]:
        """Return who gets a definition, a set, a message or a deletion: clients and snooping drivers."""
        key = (source, device, name, blob)
        found = self._targets.get(key)
        if found is None:
            if len(self._targets) >= _KEPT_TARGETS:
                self._targets.clear()
            found = (*self.listeners(source, device, name, blob=blob), *self._snoopers(source, device, name, blob))
            found = self._same.setdefault(found, found)
            self._targets[key] = found
        return found

    def note_way(self, source: DriverRecord[PeerT], head: Head, targets: tuple[PeerT, ...]) -> None:
        """Remember that such messages are handed on to these, and that nothing else is to be done about them."""
        if len(source.ways) >= _KEPT_TARGETS:
            source.ways.clear()
        source.ways[head] = targets

    def listeners(
        self, source: DriverRecord[PeerT], device: str, name: str, *, blob: bool = False
    ) -> tuple[PeerT, ...]:
        """Return the clients that get a message."""
        return tuple(
            client.peer for client in self._reachable(source) if client.subscription.wants(device, name, blob=blob)
        )

    def wants_blob(self, server: DriverRecord[PeerT], device: str, name: str) -> bool:
        """Tell whether anybody is to get a BLOB of another server: not if the device is somebody else's by now."""
        return self.owners.holder(device) in {None, server} and bool(self.targets(server, device, name, blob=True))

    def servers_above(self, source: DriverRecord[PeerT]) -> tuple[PeerT, ...]:
        """Return the clients that are servers; only they are asked for devices."""
        servers = (client for client in self._reachable(source) if client.subscription.breadth is Breadth.SERVER)
        return tuple(client.peer for client in servers)

    def servers_below(self, source: DriverRecord[PeerT]) -> list[DriverRecord[PeerT]]:
        """Return the other servers that a driver's request may go to, each once."""
        return _each_once(driver for driver in self._others(source.host) if driver is not source)

    def _reachable(self, source: DriverRecord[PeerT]) -> Iterator[ClientRecord[PeerT]]:
        return (client for client in self.clients.values() if source.host not in client.circles)

    def _snoopers(self, source: DriverRecord[PeerT], device: str, name: str, blob: bool) -> Iterator[PeerT]:
        return (
            driver.peer
            for driver in self._others(source.host)
            if driver.snoops.wants(device, name, blob=blob, own=driver is source)
        )

    def _others(self, host: str | None) -> Iterator[DriverRecord[PeerT]]:
        return (driver for driver in self.drivers.values() if host is None or driver.host != host)

    # -- from clients ------------------------------------------------------------------------------------------

    def owner_for(self, client: ClientRecord[PeerT], device: str) -> DriverRecord[PeerT] | None:
        """Return who gets what a client sends for a device, if anybody does."""
        owner = self.owners.owner(device)
        return None if owner is None or owner.host in client.circles else owner

    def others_interested(self, client: ClientRecord[PeerT], device: str, name: str) -> tuple[PeerT, ...]:
        """Return the other clients that get to see what a client writes."""
        others = (other for other in self.clients.values() if other is not client)
        return tuple(other.peer for other in others if other.subscription.wants(device, name, blob=False))

    def snoopers_of(self, client: ClientRecord[PeerT], device: str, name: str, *, blob: bool) -> tuple[PeerT, ...]:
        """Return the drivers that snoop a device which only the client knows: it is a server, or speaks for one."""
        return tuple(
            driver.peer
            for driver in self.drivers.values()
            if driver.host not in client.circles and driver.snoops.wants(device, name, blob=blob)
        )

    # -- everybody ---------------------------------------------------------------------------------------------

    def local_drivers(self) -> tuple[PeerT, ...]:
        """Return the drivers that are no servers."""
        return tuple(driver.peer for driver in self.drivers.values() if driver.host is None)

    def snooped_elsewhere(self) -> list[tuple[str, str]]:
        """Return the devices and vectors that drivers of ours snoop and nobody here has, each once."""
        entries = dict.fromkeys(
            entry for driver in self.drivers.values() if driver.host is None for entry in driver.snoops
        )
        return [(device, name) for device, name in entries if device and self.owners.owner(device) is None]

    def servers(self) -> list[DriverRecord[PeerT]]:
        """Return the other servers, each once (protocol.md S18).

        Requests are kept from running in a circle by their path, so they may go to all of them.
        """
        return _each_once(iter(self.drivers.values()))

    def rival(self, driver: DriverRecord[PeerT], device: str) -> DriverRecord[PeerT] | None:
        """Return whose a device is, or for whom it is kept, if that is not this driver or server.

        A server in a circle with us may have it from us, and have sent back what we said of it just after our
        driver had gone. So our driver takes the device over when it is there again.
        """
        kept_for = self.owners.kept_for(device)
        if kept_for is not None:
            return None if kept_for.lineage == driver.lineage else kept_for
        rival = self.owners.holder(device)
        if rival is None or rival is driver:
            return None
        if driver.host is None and any(rival.host in client.circles for client in self.clients.values()):
            return None
        return rival


def _each_once(drivers: Iterator[DriverRecord[PeerT]]) -> list[DriverRecord[PeerT]]:
    """Return one of several connections that ask the same of the same host."""
    asked: dict[tuple[str, str], DriverRecord[PeerT]] = {}
    for driver in drivers:
        if driver.host is not None:
            asked.setdefault((driver.host, driver.asked), driver)
    return list(asked.values())
