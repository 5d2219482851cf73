"""What clients and snooping drivers get, according to what they have sent, and what other servers should send us.

A client subscribes by asking, and also by just mentioning a device (protocol.md S13-S17). Which BLOBs it gets
depends on its policies, and here we differ from indiserver on purpose: there a policy for one device changes those
of all others (2.7); here it holds for that device. The most specific policy decides: the vector's, otherwise the
device's, otherwise the connection's.

A driver subscribes by snooping (S25-S27), where each entry has its own policy. A driver that asks for properties
without naming a device snoops on everything: indiserver keeps an entry that matches nothing (S28), but drivers
written for the indipy family rely on hearing everything.

Another server is told which of its BLOBs are wanted here. A policy outlives the vector that it is for: a server
that was told "Also" about a camera still sends the camera's images after it was unplugged and plugged in again. So
what was said is remembered for as long. It is forgotten only when the last word was "Never", because a server that
was told nothing does not send any either (2.7).

The empty name stands for a whole device, as an absent attribute does on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from indianyio._vocabulary import BLOBHandling
from indianyio.protocol._messages import GetProperties

__all__ = ["MAX_BLOB_VECTORS", "Breadth", "RemoteBLOBs", "Snoops", "Subscription", "addresses_all"]

_EVERYTHING = ("", "")


def addresses_all(device: str) -> bool:
    """Return whether a request for ``device`` is for all devices: it is empty or ``*`` (protocol.md S18)."""
    return not device or device.startswith("*")


class Breadth(Enum):
    """How much a client has asked for: what it has named, everything, or everything because it is a server."""

    NAMED = 0
    EVERYTHING = 1
    SERVER = 2


class Subscription:
    """What one client gets."""

    def __init__(self) -> None:
        self.breadth = Breadth.NAMED
        self._named: dict[str, set[str]] = {}
        self._policies: dict[str, dict[str, BLOBHandling]] = {}
        self._default = BLOBHandling.NEVER
        self._entries = 0

    @property
    def size(self) -> int:
        """How many entries it has."""
        return self._entries + len(self._policies)

    def hear(self, tag: str, device: str, name: str) -> bool:
        """Widen it by what the client has sent, whatever that was.

        A client that named a device before it asked for everything still gets only what it has named (protocol.md
        S15, S16).

        :return: whether it is wider now.
        """
        if not addresses_all(device):
            return self.breadth is Breadth.NAMED and not self._covers(device, name) and self._enter(device, name)
        asked = Breadth.NAMED
        if device:
            asked = Breadth.SERVER
        elif tag == GetProperties.tag:
            asked = Breadth.EVERYTHING
        if self._named or asked.value <= self.breadth.value:
            return False
        self.breadth = asked
        return True

    def set_policy(self, device: str, name: str, policy: BLOBHandling) -> bool:
        """Set the BLOB policy for a vector, for a device or, without a device, for everything.

        A policy replaces those of everything that it covers. A policy for a vector also subscribes to it
        (protocol.md 2.7).

        :return: whether anything is different now.
        """
        if addresses_all(device):
            changed = self._default is not policy or bool(self._policies)
            self._default = policy
            self._policies.clear()
            return changed
        before = self._policies.get(device)
        if name:
            after = {**(before or {}), name: policy}
            entered = self._enter(device, name)
        else:
            after, entered = {"": policy}, False
        self._policies[device] = after
        return entered or after != before

    def wants(self, device: str, name: str, *, blob: bool) -> bool:
        """Return whether a message is for this client.

        :param device: the message's device; without one it is for everybody.
        :param name: its vector. A message without one, such as a text or the deletion of a device, is for all who
            subscribed to any of the device. (indiserver leaves out those who named a vector: protocol.md S17.)
        :param blob: whether it is a setBLOBVector; nothing else counts as a BLOB (2.7).
        """
        if device and self.breadth is Breadth.NAMED:
            interested = self._covers(device, name) if name else device in self._named
            if not interested:
                return False
        if blob:
            return self._policy(device, name) is not BLOBHandling.NEVER
        return self._policy(device, "") is not BLOBHandling.ONLY

    def _covers(self, device: str, name: str) -> bool:
        names = self._named.get(device)
        return names is not None and ("" in names or name in names)

    def _enter(self, device: str, name: str) -> bool:
        names = self._named.setdefault(device, set())
        if name in names:
            return False
        names.add(name)
        self._entries += 1
        return True

    def _policy(self, device: str, name: str) -> BLOBHandling:
        own = self._policies.get(device)
        if own is None:
            return self._default
        return own.get(name) or own.get("") or self._default


class Snoops:
    """What one driver wants to hear about others."""

    def __init__(self) -> None:
        # If both a vector and its whole device are entries, the vector was added first, because later the device
        # would have covered it. So looking for the vector first finds the entry that was added first, which decides
        # (protocol.md S26).
        self._policies: dict[tuple[str, str], BLOBHandling] = {}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Iterate over its entries, each a device and a vector; either may be empty."""
        return iter(self._policies)

    @property
    def size(self) -> int:
        """How many entries it has."""
        return len(self._policies)

    def add(self, device: str, name: str) -> bool:
        """Snoop on a vector, a whole device or, without a device, everything.

        :return: whether that is new; then BLOBs are not wanted yet.
        """
        if self._entry(device, name) is not None:
            return False
        self._policies[device, name] = BLOBHandling.NEVER
        return True

    def set_policy(self, device: str, name: str, policy: BLOBHandling) -> bool:
        """Set the BLOB policy of the entry that covers this (protocol.md S27).

        :return: whether anything is different now; without such an entry nothing is.
        """
        entry = self._entry(device, name)
        if entry is None or self._policies[entry] is policy:
            return False
        self._policies[entry] = policy
        return True

    def wants(self, device: str, name: str, *, blob: bool, own: bool = False) -> bool:
        """Return whether a message is for this driver.

        :param device: the message's device; a message without one is not for snoopers.
        :param name: its vector. A message without one, such as a text or the deletion of a device, is for whoever
            snoops on any of the device, even if only on BLOBs.
        :param blob: whether it is a setBLOBVector.
        :param own: whether the driver itself has sent it. A driver that snoops on everything does not mean itself.
        """
        if not device or not self._policies:
            return False
        if not name:
            return any(entry[0] == device or (entry == _EVERYTHING and not own) for entry in self._policies)
        entry = self._entry(device, name)
        if entry is None and not own and _EVERYTHING in self._policies:
            entry = _EVERYTHING
        if entry is None:
            return False
        return self._policies[entry] is not (BLOBHandling.NEVER if blob else BLOBHandling.ONLY)

    def _entry(self, device: str, name: str) -> tuple[str, str] | None:
        for entry in ((device, name), (device, "")):
            if entry in self._policies:
                return entry
        return None


# -- what another server was told ------------------------------------------------------------------------------


MAX_BLOB_VECTORS = 1_000
"""How many BLOB vectors another server may have; each has a policy there, which we keep up to date."""


class RemoteBLOBs:
    """The BLOB vectors of another server, each with the policy that the server was last told."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], BLOBHandling] = {}
        # Those that do not exist at the moment; the one that was deleted first is at the front.
        self._deleted: dict[tuple[str, str], None] = {}

    def __iter__(self) -> Iterator[tuple[tuple[str, str], BLOBHandling]]:
        """Iterate over device and vector, and what was last said about them; deleted ones are included."""
        return iter(tuple(self._told.items()))

    def has(self, device: str, name: str) -> bool:
        """Return whether this vector exists."""
        return (device, name) in self._told and (device, name) not in self._deleted

    @property
    def is_full(self) -> bool:
        """Whether no more vectors can be added."""
        return len(self._told) - len(self._deleted) >= MAX_BLOB_VECTORS

    def add(self, device: str, name: str) -> None:
        """Note that a vector exists; nothing has been said about a new one, which means "Never"."""
        self._deleted.pop((device, name), None)
        self._told.setdefault((device, name), BLOBHandling.NEVER)

    def tell(self, device: str, name: str, policy: BLOBHandling) -> None:
        """Note that the server is being told this now."""
        self._told[device, name] = policy
        self._forget_if_settled((device, name))

    def delete(self, device: str, name: str) -> list[tuple[str, str]]:
        """Note that a vector, or all of a device, no longer exists.

        :param name: the vector; empty for all of the device.
        :return: device and vector of each for which the server must be told "Never" now, because otherwise too many
            deleted ones would have to be remembered.
        """
        for known in [known for known in self._told if known[0] == device and name in ("", known[1])]:
            self._deleted.setdefault(known)
            self._forget_if_settled(known)
        return list(self._deleted)[: max(0, len(self._deleted) - MAX_BLOB_VECTORS)]

    def _forget_if_settled(self, known: tuple[str, str]) -> None:
        if known in self._deleted and self._told[known] is BLOBHandling.NEVER:
            del self._told[known], self._deleted[known]
