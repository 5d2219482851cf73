"""A router with peers that are plain names, and messages written in short."""

from __future__ import annotations

from collections import defaultdict

from indianyio._routing import Delivery, Routed, Router
from indianyio.protocol import Frame, Framer

TITLES = {
    "get": "getProperties",
    "num": "setNumberVector",
    "def": "defNumberVector",
    "defblob": "defBLOBVector",
    "blob": "setBLOBVector",
    "new": "newNumberVector",
    "newblob": "newBLOBVector",
    "msg": "message",
    "del": "delProperty",
    "ping": "pingRequest",
    "pong": "pingReply",
}
_SHORT = {title: short for short, title in TITLES.items()}
POLICIES = ("Never", "Also", "Only")


def frame_of(data: bytes) -> Frame:
    [frame] = Framer().feed(data)
    assert isinstance(frame, Frame)
    return frame


def frame(line: str) -> Frame:
    """Return the frame of a line: a short tag or a policy, then the device and the vector, as in ``num A.P``."""
    word, _, address = line.partition(" ")
    device, _, name = address.partition(".")
    tag = TITLES.get(word, "enableBLOB")
    version = " version='1.7'" if tag == "getProperties" else ""
    text = word if tag == "enableBLOB" else ""
    attributes = "".join(f" {key}='{value}'" for key, value in (("device", device), ("name", name)) if value)
    return frame_of(f"<{tag}{version}{attributes}>{text}</{tag}>".encode())


def line(sent: Frame) -> str:
    """Return what :func:`frame` takes."""
    word = _SHORT.get(sent.tag) or next(policy for policy in POLICIES if policy.encode() in sent.data)
    return f"{word} {'.'.join(filter(None, (sent.device, sent.name)))}".strip()


class World:
    """A router, and what its peers have got."""

    def __init__(self, *, identity: str = "me") -> None:
        self.router: Router[str] = Router(identity)
        self._inboxes: dict[str, list[Frame]] = defaultdict(list)

    def clients(self, *names: str) -> None:
        for name in names:
            self.router.add_client(name, f"name of {name}")

    def drivers(self, **devices: str) -> None:
        """Add drivers, each with its devices, separated by blanks."""
        for name, owned in devices.items():
            assert self.router.add_driver(name, f"name of {name}", owned.split()) == Routed()

    def remote(self, name: str, host: str = "far:1", *says: str) -> None:
        """Add another server that has said something already."""
        assert self.router.add_remote(name, f"name of {name}", host=host) == Routed()
        self.say(name, *says)
        self.forget()

    def say(self, peer: str, *lines: str) -> Routed[str]:
        """Let a peer send something; return what was decided about the last of it."""
        routed: Routed[str] = Routed()
        for said in lines:
            routed = self.send(peer, frame(said))
        return routed

    def send(self, peer: str, sent: Frame) -> Routed[str]:
        """Let a peer send a frame, and check that what was known of its route before is what becomes of it."""
        known = self.router.known_routes[peer].get(sent.head)
        routed = self.router.receive(peer, sent)
        if known is not None:
            assert routed == Routed([Delivery(sent, targets) for targets in known])
            assert self.router.known_routes[peer][sent.head] == known
        return self.deliver(routed)

    def remove(self, peer: str, reason: str = "gone") -> Routed[str]:
        return self.deliver(self.router.remove(peer, reason))

    def deliver(self, routed: Routed[str]) -> Routed[str]:
        assert routed.refuse is None or not routed.deliveries
        for delivery in routed.deliveries:
            assert delivery.targets
            assert len(set(delivery.targets)) == len(delivery.targets)
            for target in delivery.targets:
                self._inboxes[target].append(delivery.frame)
        return routed

    def frames(self, peer: str) -> list[Frame]:
        """Return what a peer has got, and forget it."""
        return self._inboxes.pop(peer, [])

    def got(self, peer: str) -> list[str]:
        """Return what a peer has got, in short, and forget it."""
        return [line(sent) for sent in self.frames(peer)]

    def all_got(self) -> dict[str, list[str]]:
        """Return what everybody has got, and forget it."""
        return {peer: self.got(peer) for peer in sorted(self._inboxes)}

    def forget(self) -> None:
        self._inboxes.clear()
