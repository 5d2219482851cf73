"""What becomes of what a client sends (protocol.md S14 to S23), as a table of tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from indianyio._routing._decisions import Routed, answer_ping
from indianyio._routing._own_frames import passed_on, path_of, policy_in, remark, request, unroutable
from indianyio._routing._routes import ClientRecord, PeerT, Routes
from indianyio._routing._subscriptions import addresses_all
from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import (
    MESSAGES,
    DelProperty,
    EnableBLOB,
    GetProperties,
    Message,
    PingReply,
    PingRequest,
    SetBLOBVector,
)

__all__ = ["MAX_SUBSCRIPTIONS", "from_client"]

MAX_SUBSCRIPTIONS = 10_000
"""How many vectors and devices a client may name."""

# So many devices are remembered as reported; then all of them are reported anew.
_MAX_REPORTED = 1_000


class _Rule(Protocol):
    """What is done with a tag."""

    def __call__(self, routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame, /) -> Routed[PeerT]: ...


def from_client(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Decide what becomes of a client's frame.

    Whatever it is, it subscribes to what it names (protocol.md S14), as long as it can mean anything at all.

    :raises RemoteProtocolError: the client broke a limit and is to be disconnected.
    """
    problem = unroutable(frame)
    if problem is not None:
        return Routed(dropped=problem)
    if client.subscription.hear(frame.tag, frame.device or "", frame.name or ""):
        routes.change(frame.device or "")
    routed = _RULES[frame.tag](routes, client, frame)
    if client.subscription.size > MAX_SUBSCRIPTIONS:
        return Routed(refuse=f"it has subscribed to more than {MAX_SUBSCRIPTIONS} vectors and devices")
    return routed


def _write(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Give a write to the owner of the device, and show it to the other clients (protocol.md S18, S21)."""
    device, name = frame.device or "", frame.name or ""
    routed: Routed[PeerT] = Routed()
    if not client.may_write:
        routed.dropped = f"a {frame.tag} for {device}.{name} from a client that may not write"
        answer = f"{device}.{name} is not changed: this connection may only read"
        routed.send(remark(device, answer), (client.peer,))
        return routed
    owner = routes.owner_for(client, device)
    if owner is None:
        routed.dropped = f"a {frame.tag} for {device}.{name}: no driver has this device"
    else:
        routed.send(frame, (owner.peer,))
    routed.send(frame, routes.others_interested(client, device, name))
    return routed


def _speak(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Give to snooping drivers what a client knows of a device that is not ours (protocol.md S22).

    So it comes in when the client is another server, one of whose devices our drivers snoop. All tags may pass, not
    only set* as in indiserver: snoopers have to hear of definitions and deletions, too. A device whose driver is
    being started again is ours as well.
    """
    device, name = frame.device or "", frame.name or ""
    routed: Routed[PeerT] = Routed()
    holder = routes.owners.holder(device)
    owner = holder or routes.owners.kept_for(device)
    if owner is not None:
        if device not in client.reported:
            if len(client.reported) >= _MAX_REPORTED:
                client.reported.clear()
            client.reported.add(device)
            whose = f"is kept for {owner.title}" if holder is None else f"{owner.title} has"
            routed.dropped = f"a {frame.tag} for {device!r}, which {whose}: a client cannot speak for it"
    elif not device:
        routed.dropped = f"a {frame.tag} without a device from a client"
    elif not client.may_write:
        routed.dropped = f"a {frame.tag} for {device!r} from a client that may not write"
    else:
        snoopers = routes.snoopers_of(client, device, name, blob=frame.tag == SetBLOBVector.tag)
        routed.send(frame, snoopers)
    return routed


def _ask(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Ask those who have the device, or everybody, for definitions (protocol.md 2.5)."""
    device, name, path = frame.device or "", frame.name or "", path_of(frame)
    circles = routes.hosts_marked(path)
    if circles:
        return _close_circle(routes, client, circles, path)
    routed: Routed[PeerT] = Routed()
    owner = routes.owners.owner(device)
    if addresses_all(device):
        routed.send(passed_on(frame), routes.local_drivers())
        routed.ask(routes.servers(), device, path=path)
        if device:
            # A server, which may have what our drivers have been asking for (protocol.md S28).
            for wanted, vector in routes.snooped_elsewhere():
                routed.send(request(wanted, vector), (client.peer,))
    elif owner is not None and owner.host is not None:
        routed.ask([owner], device, name, path)
    elif owner is not None:
        routed.send(passed_on(frame), (owner.peer,))
    return routed


def _close_circle(
    routes: Routes[PeerT], client: ClientRecord[PeerT], hosts: set[str], path: tuple[str, ...]
) -> Routed[PeerT]:
    """Remember where a client leads, because a request of ours came back through it.

    The others in the circle are to learn it too, so the first time it goes round once more with their marks on it.
    """
    found = hosts - client.circles
    if not found:
        return Routed()
    client.circles |= found
    routes.change()
    routed: Routed[PeerT] = Routed()
    routed.ask([server for server in routes.servers() if server.host in found], "*", path=path)
    routed.dropped = f"a getProperties of ours came back: this client leads to {', '.join(sorted(found))}"
    return routed


def _set_policy(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Take a BLOB policy (protocol.md 2.7); what it means for other servers is found when all is done."""
    policy = policy_in(frame)
    if policy is None:
        return Routed(dropped="an enableBLOB with an unknown word")
    if client.subscription.set_policy(frame.device or "", frame.name or "", policy):
        routes.change(frame.device or "")
    return Routed()


def _pass_reply(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Give it to all drivers, as indiserver does (protocol.md S22); other servers have not asked for it."""
    routed: Routed[PeerT] = Routed()
    if client.may_write:
        routed.send(frame, routes.local_drivers())
    return routed


_BY_KIND: Mapping[str, _Rule] = {"def": _speak, "set": _speak, "new": _write}

_RULES: Mapping[str, _Rule] = {
    **{tag: _BY_KIND[tag[:3]] for tag in MESSAGES if tag[:3] in _BY_KIND},
    Message.tag: _speak,
    DelProperty.tag: _speak,
    GetProperties.tag: _ask,
    EnableBLOB.tag: _set_policy,
    PingRequest.tag: answer_ping,
    PingReply.tag: _pass_reply,
}
