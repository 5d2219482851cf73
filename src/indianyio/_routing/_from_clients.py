"""What happens to messages from a client (protocol.md S14 to S23), as a table of tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from indianyio._routing._decisions import Routed, answer_ping
from indianyio._routing._own_frames import passed_on, path_of, policy_in, remark, request, unroutable
from indianyio._routing._routes import ClientRecord, PeerT, Routes
from indianyio._routing._subscriptions import addresses_all
from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import (
    CONTENT_TAGS,
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

# This many devices are remembered as reported; after that all of them are reported again.
_MAX_REPORTED = 1_000


class _Rule(Protocol):
    """Says what is done with the messages of a tag."""

    def __call__(self, routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame, /) -> Routed[PeerT]: ...


def from_client(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Decide what happens to a client's frame.

    Whatever it is, it subscribes the client to what it names (protocol.md S14), provided that it can mean anything.

    :raises RemoteProtocolError: the client exceeded a limit and must be disconnected.
    """
    problem = unroutable(frame)
    if problem is not None:
        return Routed(dropped=problem)
    if client.subscription.hear(frame.tag, frame.device or "", frame.name or ""):
        routes.change(frame.device or "")
    routed = _RULES[frame.tag](routes, client, frame)
    if client.subscription.size > MAX_SUBSCRIPTIONS:
        routes.known_routes[client.peer].clear()  # so that nothing of it is forwarded any more, and it is told so
        return Routed(refuse=f"it has subscribed to more than {MAX_SUBSCRIPTIONS} vectors and devices")
    return routed


def _write(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Pass a write to the owner of the device, and show it to the other clients (protocol.md S18, S21)."""
    device, name = frame.device or "", frame.name or ""
    routed: Routed[PeerT] = Routed()
    if not client.may_write:
        routed.dropped = f"a {frame.tag} for {device}.{name} from a client that may not write"
        answer = f"{device}.{name} is not changed: this connection may only read"
        routed.send(remark(device, answer), (client.peer,))
        return routed
    owner = routes.owner_for(client, device)
    others = routes.others_interested(client, device, name)
    if owner is None:
        routed.dropped = f"a {frame.tag} for {device}.{name}: no driver has this device"
    else:
        routed.send(frame, (owner.peer,))
        if frame.tag not in CONTENT_TAGS:
            routes.remember(client.peer, frame.head, (owner.peer,), others)
    routed.send(frame, others)
    return routed


def _speak(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Pass to snooping drivers what a client knows about a device that is not ours (protocol.md S22).

    This happens when the client is another server and our drivers snoop on one of its devices. All tags may pass,
    not only set* as in indiserver, because snoopers must hear of definitions and deletions, too. A device also
    counts as ours while its driver is being restarted.
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
        if frame.tag not in CONTENT_TAGS:
            routes.remember(client.peer, frame.head, snoopers)
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
            # The client is a server, which may have what our drivers have been asking for (protocol.md S28).
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
    """Remember to which hosts a client leads, because a request of ours came back through it.

    The other servers in the circle must learn this too, so the first time it goes round once more with their marks.
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
    """Take a BLOB policy (protocol.md 2.7); what it means for other servers is worked out at the end."""
    policy = policy_in(frame)
    if policy is None:
        return Routed(dropped="an enableBLOB with an unknown word")
    if client.subscription.set_policy(frame.device or "", frame.name or "", policy):
        routes.change(frame.device or "")
    return Routed()


def _pass_reply(routes: Routes[PeerT], client: ClientRecord[PeerT], frame: Frame) -> Routed[PeerT]:
    """Pass it to all drivers, as indiserver does (protocol.md S22), but not to other servers, which did not ask."""
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
