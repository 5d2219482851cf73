"""What a client and what a snooping driver is to get, each from what it has sent.

A client subscribes by asking, and by mentioning a device at all (protocol.md S13-S17). Which BLOBs it gets is a
matter of its policies, and here this differs from indiserver on purpose: there a policy for one device changes
those of all others (2.7); here it holds for that device. The most specific policy decides: the vector's, else the
device's, else the connection's.

A driver subscribes by snooping (S25-S27), where each entry has its own policy. A driver that asks for properties
without naming a device snoops everything: indiserver keeps an entry that matches nothing (S28), while drivers
written for the indipy family count on hearing all.

The empty name stands for a whole device, as an absent attribute does on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from indianyio._vocabulary import BLOBHandling
from indianyio.protocol._messages import GetProperties

__all__ = ["Breadth", "Snoops", "Subscription", "addresses_all"]

_EVERYTHING = ("", "")


def addresses_all(device: str) -> bool:
    """Tell whether a request for ``device`` is one for all devices: none is named, or ``*`` (protocol.md S18)."""
    return not device or device.startswith("*")


class Breadth(Enum):
    """How much a client has asked for: what it has named, everything, or everything because it is a server."""

    NAMED = 0
    EVERYTHING = 1
    SERVER = 2


class Subscription:
    """What one client is to get."""

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

        Whoever has named a device before asking for everything stays with what it has named (protocol.md S15, S16).

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
        """Set the BLOB policy of a vector, a device or, without a device, of everything.

        A policy replaces those of all that it comprises. That of a vector subscribes to it (protocol.md 2.7).

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
        """Tell whether a message is for this client.

        :param device: the message's device; without one it is for everybody.
        :param name: its vector; without one, as a message and the end of a device are, it is for those who
            subscribed to any of the device. (indiserver leaves out who named a vector: protocol.md S17.)
        :param blob: whether it is a setBLOBVector, which alone counts as a BLOB (2.7).
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
    """What one driver is to hear of others."""

    def __init__(self) -> None:
        # Where a vector and its whole device both are entries, the vector came first: later it would have been
        # covered. So looking for the vector first finds the first matching entry, which decides (protocol.md S26).
        self._policies: dict[tuple[str, str], BLOBHandling] = {}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Iterate over its entries, each a device and a vector; either may be empty."""
        return iter(self._policies)

    @property
    def size(self) -> int:
        """How many entries it has."""
        return len(self._policies)

    def add(self, device: str, name: str) -> bool:
        """Snoop a vector, a whole device or, without a device, everything.

        :return: whether that is new; then no BLOBs are wanted.
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
        """Tell whether a message is for this driver.

        :param device: the message's device; what names none is for no snooper.
        :param name: its vector; without one, as a message and the end of a device are, it is for whoever snoops
            any of the device, and be it BLOBs only.
        :param blob: whether it is a setBLOBVector.
        :param own: whether the driver has sent it. Who snoops everything does not mean itself.
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
