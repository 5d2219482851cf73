"""All peers of a server, whose the devices are, and who gets what from whom.

The receivers of a message are worked out once and remembered until anything changes that concerns them. So a driver
that reports ten times a second costs one look-up each time, however many clients there are, and so does a client's
write.

What came from another server never goes back there. A connection to a server is known by its host. That a client is
the same server, or one that leads there, is remembered in ``ClientRecord.circles`` (see ``_own_frames``). The same
holds in the other direction, for what such a client sends.

A device has one owner, learnt from what drivers and other servers define (protocol.md S8). Under indiserver several
drivers may claim a device, and all of them are commanded. Here the first one that defines it has it, and what a
second one says about it is a conflict. An owner that has deleted the device still gets what is meant for it,
because that may be the request to define it again; but anybody else may then take it over. While a driver is being
restarted, its devices are kept for it: nobody has them, and nobody else may speak for them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from indianyio._routing._subscriptions import Breadth, RemoteBLOBs, Snoops, Subscription, addresses_all
from indianyio.protocol._frames import Head

__all__ = ["ClientRecord", "DriverRecord", "Ownership", "PeerKind", "PeerT", "Route", "Routes"]

# -- whose the devices are -------------------------------------------------------------------------------------


_OwnerT = TypeVar("_OwnerT")


class Ownership(Generic[_OwnerT]):
    """The devices of all drivers and remote servers."""

    def __init__(self) -> None:
        self._owners: dict[str, _OwnerT] = {}
        self._given_up: set[str] = set()
        self._kept: dict[str, _OwnerT] = {}

    def owner(self, device: str) -> _OwnerT | None:
        """Return who gets what is sent for the device: its holder, or the last one, which has deleted it."""
        return self._owners.get(device)

    def holder(self, device: str) -> _OwnerT | None:
        """Return who has the device and has not given it up, if anybody."""
        return None if device in self._given_up else self._owners.get(device)

    def kept_for(self, device: str) -> _OwnerT | None:
        """Return who had the device until it ended, if the device is kept for its next life."""
        return self._kept.get(device)

    def take(self, owner: _OwnerT, device: str) -> None:
        """Give the device to this owner; the caller has made sure that nobody else may have it."""
        self._owners[device] = owner
        self._given_up.discard(device)
        self._kept.pop(device, None)

    def give_up(self, device: str) -> None:
        """Let others take the device; until one does, its owner gets what is meant for it."""
        self._kept.pop(device, None)
        if device in self._owners:
            self._given_up.add(device)

    def devices(self, owner: _OwnerT) -> tuple[str, ...]:
        """Return the devices of an owner, in the order in which they became known."""
        return tuple(device for device, other in self._owners.items() if other is owner)

    def release(self, owner: _OwnerT, *, keep: bool = False) -> tuple[str, ...]:
        """Forget an owner, and return the devices that it had.

        :param keep: whether to keep for it those that it has not given up, because it will soon be back.
        """
        devices = self.devices(owner)
        for device in devices:
            del self._owners[device]
            if keep and device not in self._given_up:
                self._kept[device] = owner
        self._given_up.difference_update(devices)
        return devices

    def keep_no_more(self, is_meant: Callable[[_OwnerT], bool]) -> None:
        """Let others have what is kept.

        :param is_meant: returns for a former owner whether it will not be back.
        """
        self._kept = {device: owner for device, owner in self._kept.items() if not is_meant(owner)}


# -- the peers, and the routes between them -------------------------------------------------------------------


PeerT = TypeVar("PeerT", bound=Hashable)

Route: TypeAlias = tuple[tuple[PeerT, ...], ...]
"""Who gets a message: the targets of each of its deliveries, in order.

A client's write has two: to the owner of the device, and to whoever sees what clients write. If the owner refuses
it, the others do not see it.
"""

# A driver may invent new names for ever; this is more than all the names in an observatory.
_KEPT_TARGETS = 20_000
# So may a client, and there are many clients; this is more than anybody writes to again and again.
_KEPT_ROUTES_OF_CLIENT = 1_000


class PeerKind(Enum):
    """What a peer is to a server."""

    CLIENT = "client"
    """A client of ours; it may be another server, which then asks for device ``*``."""

    DRIVER = "driver"
    """Local: a Python driver, or a process of ours."""

    REMOTE = "server"
    """Another server of which we are a client; its devices are served to our clients."""

    def title(self, name: str) -> str:
        """Return what log lines call a peer of this kind; a name that says the kind itself is enough."""
        return name if name.lower().startswith(self.value) else f"{self.value} {name}"


@dataclass(slots=True, eq=False)
class ClientRecord(Generic[PeerT]):
    """A client.

    :ivar circles: hosts of other servers to which this client leads.
    :ivar reported: devices that it must not speak for, and for which this has been logged.
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

    :ivar lineage: what identifies a driver after a restart.
    :ivar host: where the other server is; ``None`` for a driver.
    :ivar asked: the only device requested from the other server, or ``"*"``.
    :ivar mark: what we write into the path of requests to it.
    :ivar blobs: the BLOB vectors of the other server, and what it was told about them.
    :ivar reported: devices that are somebody else's, and for which this has been logged.
    :ivar is_duplicate: whether it was refused because one of its devices belongs to somebody who is connected.
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
    """Everybody who is connected, and the routes between them.

    :ivar stale: the devices about which something has changed since this was last emptied; ``""`` for any.
    :ivar known_routes: for each peer, by their heads, the routes of those of its messages that are forwarded and
        change nothing.
    """

    def __init__(self, identity: str) -> None:
        self.clients: dict[PeerT, ClientRecord[PeerT]] = {}
        self.drivers: dict[PeerT, DriverRecord[PeerT]] = {}
        self.owners: Ownership[DriverRecord[PeerT]] = Ownership()
        self.stale: set[str] = set()
        self.known_routes: dict[PeerT, dict[Head, Route[PeerT]]] = {}
        self._used: list[dict[Head, Route[PeerT]]] = []  # those that are not empty
        self._targets: dict[tuple[DriverRecord[PeerT], str, str, bool], tuple[PeerT, ...]] = {}
        # Equal routes are one object, so that a row of messages for the same peers is recognised at a glance.
        self._same: dict[Route[PeerT], Route[PeerT]] = {}
        self._identity = identity
        self._marks: dict[str, str] = {}

    def mark_of(self, host: str) -> str:
        """Return what we write into the path of requests to a host; it stays the same as long as we live."""
        return self._marks.setdefault(host, f"{self._identity}.{len(self._marks)}")

    def hosts_marked(self, path: tuple[str, ...]) -> set[str]:
        """Return the hosts to which we have sent the request with this path; none if it is not ours."""
        return {host for host, mark in self._marks.items() if mark in path} if path else set()

    def change(self, device: str = "") -> None:
        """Forget what was worked out: a peer has connected or disconnected, or now wants something else.

        :param device: the only device that is concerned; empty if there may be others.
        """
        self._targets.clear()
        self._same.clear()
        for known in self._used:
            known.clear()
        self._used.clear()
        self.stale.add("" if addresses_all(device) else device)

    def remember(self, peer: PeerT, head: Head, *route: tuple[PeerT, ...]) -> None:
        """Remember that such messages of a peer are forwarded to these targets, and that this is all.

        :param route: the targets of each delivery; deliveries without targets are left out.
        """
        known = self.known_routes[peer]
        if not known:
            self._used.append(known)
        elif len(known) >= (_KEPT_ROUTES_OF_CLIENT if peer in self.clients else _KEPT_TARGETS):
            known.clear()
        found = tuple(targets for targets in route if targets)
        known[head] = self._same.setdefault(found, found)

    # -- from drivers ------------------------------------------------------------------------------------------

    def targets(self, source: DriverRecord[PeerT], device: str, name: str, *, blob: bool) -> tuple[PeerT, ...]:
        """Return who gets a definition, a set, a message or a deletion: clients and snooping drivers."""
        key = (source, device, name, blob)
        found = self._targets.get(key)
        if found is None:
            if len(self._targets) >= _KEPT_TARGETS:
                self._targets.clear()
            found = (*self.listeners(source, device, name, blob=blob), *self._snoopers(source, device, name, blob))
            self._targets[key] = found
        return found

    def listeners(
        self, source: DriverRecord[PeerT], device: str, name: str, *, blob: bool = False
    ) -> tuple[PeerT, ...]:
        """Return the clients that get a message."""
        return tuple(
            client.peer for client in self._reachable(source) if client.subscription.wants(device, name, blob=blob)
        )

    def wants_blob(self, server: DriverRecord[PeerT], device: str, name: str) -> bool:
        """Return whether anybody gets a BLOB of another server; nobody does if the device is now another's."""
        return self.owners.holder(device) in {None, server} and bool(self.targets(server, device, name, blob=True))

    def servers_above(self, source: DriverRecord[PeerT]) -> tuple[PeerT, ...]:
        """Return the clients that are servers; no other clients are asked for devices."""
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
        """Return the other clients that see what a client writes."""
        others = (other for other in self.clients.values() if other is not client)
        return tuple(other.peer for other in others if other.subscription.wants(device, name, blob=False))

    def snoopers_of(self, client: ClientRecord[PeerT], device: str, name: str, *, blob: bool) -> tuple[PeerT, ...]:
        """Return the drivers that snoop on a device known only to the client, which is a server or leads to one."""
        return tuple(
            driver.peer
            for driver in self.drivers.values()
            if driver.host not in client.circles and driver.snoops.wants(device, name, blob=blob)
        )

    # -- everybody ---------------------------------------------------------------------------------------------

    def local_drivers(self) -> tuple[PeerT, ...]:
        """Return the drivers that are not servers."""
        return tuple(driver.peer for driver in self.drivers.values() if driver.host is None)

    def snooped_elsewhere(self) -> list[tuple[str, str]]:
        """Return the devices and vectors that drivers of ours snoop on and nobody here has, each once."""
        entries = dict.fromkeys(
            entry for driver in self.drivers.values() if driver.host is None for entry in driver.snoops
        )
        return [(device, name) for device, name in entries if device and self.owners.owner(device) is None]

    def servers(self) -> list[DriverRecord[PeerT]]:
        """Return the other servers, each once (protocol.md S18).

        Their path keeps requests from running in a circle, so they may go to all of them.
        """
        return _each_once(iter(self.drivers.values()))

    def rival(self, driver: DriverRecord[PeerT], device: str) -> DriverRecord[PeerT] | None:
        """Return whose a device is, or for whom it is kept, if that is not this driver or server.

        A server in a circle with us may have the device from us, and may have returned what we said about it just
        after our driver ended. So our driver takes the device over when it is back.
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
