"""What becomes of what a driver or another server sends (protocol.md S8, S24 to S28), as a table of tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from indianyio._vocabulary import BLOBHandling
from indianyio.model._deliveries import Routed
from indianyio.model._router_frames import passed_on, ping_reply, policy_in, unroutable
from indianyio.model._routes import DriverRecord, PeerKind, PeerT, Routes
from indianyio.model._subscriptions import addresses_all
from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import (
    MESSAGES,
    DefBLOBVector,
    DelProperty,
    EnableBLOB,
    GetProperties,
    Message,
    PingReply,
    PingRequest,
    SetBLOBVector,
)

__all__ = ["MAX_BLOB_VECTORS", "MAX_DEVICES", "MAX_SNOOPS", "from_driver"]

MAX_DEVICES = 1_000
"""How many devices a driver or another server may have."""

MAX_SNOOPS = 10_000
"""How many vectors and devices a driver may snoop."""

MAX_BLOB_VECTORS = 1_000
"""How many BLOB vectors another server may have; each has a policy there, which we keep up."""

_BLOB_TAGS = frozenset({DefBLOBVector.tag, SetBLOBVector.tag})


class _Rule(Protocol):
    """What is done with a tag."""

    def __call__(self, routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame, /) -> Routed[PeerT]: ...


def from_driver(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Decide what becomes of the frame of a driver or another server.

    :raises RemoteProtocolError: the peer broke a limit and is to be disconnected.
    """
    problem = unroutable(frame)
    if problem is not None:
        return Routed(dropped=problem)
    return _RULES[frame.tag](routes, driver, frame)


def claim(routes: Routes[PeerT], driver: DriverRecord[PeerT], device: str) -> Routed[PeerT] | None:
    """Take note that a driver or another server has this device.

    :return: what is to be done instead of what it wanted, if it cannot have the device.
    """
    problem = conflict(routes, driver, device)
    if problem is not None:
        return problem
    if routes.owners.owner(device) is not driver and len(routes.owners.devices(driver)) >= MAX_DEVICES:
        return _too_many(driver, f"it has more than {MAX_DEVICES} devices")
    routes.owners.take(driver, device)
    routes.change(device)
    return None


def conflict(routes: Routes[PeerT], driver: DriverRecord[PeerT], device: str) -> Routed[PeerT] | None:
    """Return what is to be done because the device is another's, or ``None`` if it is not.

    The newcomer is at fault. A driver is refused; another server keeps its other devices, and is reported once.
    """
    rival = routes.rival(driver, device)
    keeper = routes.owners.keeper(device) if driver.kind is PeerKind.REMOTE else None
    if rival is not None:
        problem = f"{driver.title} has a device {device!r}, as {rival.title} has already"
    elif keeper is not None:
        problem = f"{driver.title} has a device {device!r}, which is kept for driver {keeper}"
    else:
        return None
    if driver.kind is PeerKind.DRIVER:
        return Routed(refuse=problem)
    if device in driver.reported:
        return Routed()
    if len(driver.reported) >= MAX_DEVICES:
        driver.reported.clear()
    driver.reported.add(device)
    return Routed(dropped=f"{problem}: what it sends of it is dropped")


def _too_many(driver: DriverRecord[PeerT], problem: str) -> Routed[PeerT]:
    """Return what is to be done about a driver that goes on and on; another server stands for many others."""
    return Routed(refuse=problem) if driver.kind is PeerKind.DRIVER else Routed(dropped=problem)


def _report(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Give definitions, sets and messages to interested clients and to snoopers (protocol.md S24, S26)."""
    device, name, tag = frame.device or "", frame.name or "", frame.tag
    routed: Routed[PeerT] = Routed()
    if device and not routes.owners.holds(driver, device):
        problem = claim(routes, driver, device)
        if problem is not None:
            return problem
        if device in driver.reported:
            # Its definitions were dropped as long as the device was another's.
            driver.reported.discard(device)
            routed.ask([driver], device)
    if driver.host is not None and tag in _BLOB_TAGS and (device, name) not in driver.blobs:
        if len(driver.blobs) >= MAX_BLOB_VECTORS:
            return _too_many(driver, f"it has more than {MAX_BLOB_VECTORS} BLOB vectors")
        driver.blobs[device, name] = BLOBHandling.NEVER
        routes.change(device)
    targets = routes.targets(driver, device, name, blob=tag == SetBLOBVector.tag)
    if tag not in _BLOB_TAGS:
        routes.note_way(driver, frame.head, targets)
    routed.send(frame, targets)
    return routed


def _delete(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Like a report, but it makes nobody an owner: a device that was deleted may turn up elsewhere."""
    device, name = frame.device or "", frame.name or ""
    problem = conflict(routes, driver, device)
    if problem is not None:
        return problem
    for known in [known for known in driver.blobs if known[0] == device and name in ("", known[1])]:
        del driver.blobs[known]
    if not name and routes.owners.owner(device) is driver:
        routes.owners.give_up(device)
        driver.ways.clear()
    routed: Routed[PeerT] = Routed()
    routed.send(frame, routes.targets(driver, device, name, blob=False))
    return routed


def _show_write(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Show clients what another server's clients write to its devices (protocol.md 2.9); no snooper gets it.

    Nobody becomes an owner by it: over there too, writes to devices that do not exist are shown (S21).
    """
    device, name = frame.device or "", frame.name or ""
    routed: Routed[PeerT] = Routed()
    rival = routes.rival(driver, device)
    if rival is None:
        routed.send(frame, routes.listeners(driver, device, name))
    elif driver.kind is PeerKind.DRIVER:
        routed.dropped = f"a {frame.tag} for {device}.{name} of {rival.title}: drivers do not write to each other"
    return routed


def _snoop(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Note what a driver snoops, and have it defined (protocol.md S25, S28)."""
    device, name = frame.device or "", frame.name or ""
    everything = addresses_all(device)
    if everything and driver.kind is PeerKind.REMOTE:
        return Routed(dropped="a getProperties without a device from another server")
    if driver.snoops.add(*(("", "") if everything else (device, name))):
        routes.change(device)
    if driver.snoops.size > MAX_SNOOPS:
        return _too_many(driver, f"it snoops more than {MAX_SNOOPS} vectors and devices")
    routed: Routed[PeerT] = Routed()
    owner = routes.owners.owner(device)
    if everything:
        routed.send(passed_on(frame), routes.local_drivers())
        routed.ask(routes.servers_below(driver))
    elif owner is None:
        routed.send(passed_on(frame), routes.servers_above(driver))
        routed.ask(routes.servers_below(driver), device, name)
    elif owner.host is None:
        routed.send(passed_on(frame), (owner.peer,))
    elif owner.host != driver.host:
        routed.ask([owner], device, name)
    return routed


def _set_policy(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Set the BLOB policy of what a driver snoops (protocol.md S27)."""
    policy = policy_in(frame)
    if policy is None:
        return Routed(dropped="an enableBLOB with an unknown word")
    device, name = ("", "") if addresses_all(frame.device or "") else (frame.device or "", frame.name or "")
    if driver.snoops.set_policy(device, name, policy):
        routes.change(device)
    return Routed()


def _answer_ping(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    reply = ping_reply(frame)
    if reply is None:
        return Routed(dropped="a broken pingRequest")
    routed: Routed[PeerT] = Routed()
    routed.send(reply, (driver.peer,))
    return routed


def _pass_reply(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Give a driver's answer to all clients, whatever they want (protocol.md S22, 2.7); a server's is for us."""
    routed: Routed[PeerT] = Routed()
    if driver.kind is PeerKind.DRIVER:
        routed.send(frame, tuple(routes.clients))
    return routed


_BY_KIND: Mapping[str, _Rule] = {"def": _report, "set": _report, "new": _show_write}

_RULES: Mapping[str, _Rule] = {
    **{tag: _BY_KIND[tag[:3]] for tag in MESSAGES if tag[:3] in _BY_KIND},
    Message.tag: _report,
    DelProperty.tag: _delete,
    GetProperties.tag: _snoop,
    EnableBLOB.tag: _set_policy,
    PingRequest.tag: _answer_ping,
    PingReply.tag: _pass_reply,
}
