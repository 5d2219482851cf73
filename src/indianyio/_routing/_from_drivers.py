"""What happens to messages from a driver or another server (protocol.md S8, S24 to S28), as a table of tags.

Drivers also speak about devices that are not theirs: they wait for one, tidy up after one, or say what they have
seen of it. So only a definition says whose a device is. A text message passes, whatever device it is about.
Anything that would change somebody else's device is dropped, and its sender goes on. For a device that nobody has
it passes, and makes nobody an owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from indianyio._routing._decisions import Routed, answer_ping
from indianyio._routing._own_frames import blob_request, passed_on, policy_in, unroutable
from indianyio._routing._routes import DriverRecord, PeerKind, PeerT, Routes
from indianyio._routing._subscriptions import MAX_BLOB_VECTORS, addresses_all
from indianyio._vocabulary import BLOBHandling
from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import (
    CONTENT_TAGS,
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

_BLOB_TAGS = frozenset({DefBLOBVector.tag, SetBLOBVector.tag})


class _Rule(Protocol):
    """Says what is done with the messages of a tag."""

    def __call__(self, routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame, /) -> Routed[PeerT]: ...


def from_driver(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Decide what happens to the frame of a driver or another server.

    :raises RemoteProtocolError: the peer exceeded a limit and must be disconnected.
    """
    problem = unroutable(frame)
    if problem is not None:
        return Routed(dropped=problem)
    return _RULES[frame.tag](routes, driver, frame)


def claim(routes: Routes[PeerT], driver: DriverRecord[PeerT], device: str) -> Routed[PeerT] | None:
    """Note that a driver or another server has this device.

    :return: if it cannot have the device, what must be done instead of what it wanted.
    """
    problem = _conflict(routes, driver, device, claims=True)
    if problem is not None:
        return problem
    if routes.owners.owner(device) is not driver and len(routes.owners.devices(driver)) >= MAX_DEVICES:
        return _too_many(driver, f"it has more than {MAX_DEVICES} devices")
    routes.owners.take(driver, device)
    routes.change(device)
    return None


def _conflict(
    routes: Routes[PeerT], driver: DriverRecord[PeerT], device: str, *, claims: bool = False
) -> Routed[PeerT] | None:
    """Return what must be done because the device belongs to somebody else, or ``None`` if it does not.

    The newcomer is at fault, and what it says about the device is dropped. A driver that claims the device would go
    on to send more, all of which would be dropped, so it is refused; another server keeps its other devices.

    :param claims: whether the driver says that it has the device itself.
    """
    rival = routes.rival(driver, device)
    if rival is None:
        return None
    is_kept = routes.owners.kept_for(device) is rival
    if driver.kind is PeerKind.DRIVER and not claims:
        whose = f"which {'is kept for ' if is_kept else ''}{rival.title}{'' if is_kept else ' has'}"
        problem = f"{driver.title} speaks for a device {device!r}, {whose}"
    else:
        whose = f"which is kept for {rival.title}" if is_kept else f"as {rival.title} has already"
        problem = f"{driver.title} has a device {device!r}, {whose}"
        if driver.kind is PeerKind.DRIVER:
            driver.is_duplicate = not is_kept
            return Routed(refuse=problem)
    if device in driver.reported:
        return Routed()
    if len(driver.reported) >= MAX_DEVICES:
        driver.reported.clear()
    driver.reported.add(device)
    return Routed(dropped=f"{problem}: what it sends about it is dropped")


def _too_many(driver: DriverRecord[PeerT], problem: str) -> Routed[PeerT]:
    """Return what must be done about a driver that exceeds a limit; another server stands for many, and stays."""
    return Routed(refuse=problem) if driver.kind is PeerKind.DRIVER else Routed(dropped=problem)


def _define(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Note whose the device is, and pass the definition on (protocol.md S8, S24, S26)."""
    device = frame.device or ""
    if routes.owners.holder(device) is not driver:
        problem = claim(routes, driver, device)
        if problem is not None:
            return problem
    return _report(routes, driver, frame)


def _update(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Pass on a new state or new values, unless the device is somebody else's."""
    return _conflict(routes, driver, frame.device or "") or _report(routes, driver, frame)


def _report(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    device, name = frame.device or "", frame.name or ""
    routed: Routed[PeerT] = Routed()
    if device in driver.reported:
        driver.reported.discard(device)
        if driver.host is not None:
            # Its definitions were dropped while the device was somebody else's.
            routed.ask([driver], device)
    if driver.host is not None and frame.tag in _BLOB_TAGS and not driver.blobs.has(device, name):
        if driver.blobs.is_full:
            return _too_many(driver, f"it has more than {MAX_BLOB_VECTORS} BLOB vectors")
        driver.blobs.add(device, name)
        routes.change(device)
    return _pass_on(routes, driver, frame, routed)


def _remark(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Pass on a line for people, whoever owns the device that it is about."""
    return _pass_on(routes, driver, frame, Routed())


def _pass_on(
    routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame, routed: Routed[PeerT]
) -> Routed[PeerT]:
    """Add that interested clients and snoopers get the frame (protocol.md S24, S26)."""
    blob = frame.tag == SetBLOBVector.tag
    targets = routes.targets(driver, frame.device or "", frame.name or "", blob=blob)
    if frame.tag not in _BLOB_TAGS:
        routes.remember(driver.peer, frame.head, targets)
    routed.send(frame, targets)
    return routed


def _delete(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Pass on that a vector or a whole device no longer exists; in the latter case the device's name is free."""
    device, name = frame.device or "", frame.name or ""
    problem = _conflict(routes, driver, device)
    if problem is not None:
        return problem
    routed: Routed[PeerT] = Routed()
    for surplus in driver.blobs.delete(device, name):
        driver.blobs.tell(*surplus, BLOBHandling.NEVER)
        routed.send(blob_request(*surplus, BLOBHandling.NEVER), (driver.peer,))
    if not name:
        if routes.owners.owner(device) in {None, driver}:
            routes.owners.give_up(device)
        routes.change(device)
    routed.send(frame, routes.targets(driver, device, name, blob=False))
    return routed


def _show_write(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Show clients what another server's clients write to its devices (protocol.md 2.9); no snooper gets it.

    It makes nobody an owner: over there, too, writes to devices that do not exist are shown (S21).
    """
    device, name = frame.device or "", frame.name or ""
    routed: Routed[PeerT] = Routed()
    rival = routes.rival(driver, device)
    if rival is None:
        listeners = routes.listeners(driver, device, name)
        routed.send(frame, listeners)
        if frame.tag not in CONTENT_TAGS:
            routes.remember(driver.peer, frame.head, listeners)
    elif driver.kind is PeerKind.DRIVER:
        routed.dropped = f"a {frame.tag} for {device}.{name} of {rival.title}: drivers do not write to each other"
    return routed


def _snoop(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Note what a driver snoops on, and have it defined (protocol.md S25, S28)."""
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
    """Set the BLOB policy for what a driver snoops on (protocol.md S27)."""
    policy = policy_in(frame)
    if policy is None:
        return Routed(dropped="an enableBLOB with an unknown word")
    device, name = ("", "") if addresses_all(frame.device or "") else (frame.device or "", frame.name or "")
    if driver.snoops.set_policy(device, name, policy):
        routes.change(device)
    return Routed()


def _pass_reply(routes: Routes[PeerT], driver: DriverRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Pass a driver's answer to all clients, whatever they want (protocol.md S22, 2.7); a server's is for us."""
    routed: Routed[PeerT] = Routed()
    if driver.kind is PeerKind.DRIVER:
        routed.send(frame, tuple(routes.clients))
    return routed


_BY_KIND: Mapping[str, _Rule] = {"def": _define, "set": _update, "new": _show_write}

_RULES: Mapping[str, _Rule] = {
    **{tag: _BY_KIND[tag[:3]] for tag in MESSAGES if tag[:3] in _BY_KIND},
    Message.tag: _remark,
    DelProperty.tag: _delete,
    GetProperties.tag: _snoop,
    EnableBLOB.tag: _set_policy,
    PingRequest.tag: answer_ping,
    PingReply.tag: _pass_reply,
}
